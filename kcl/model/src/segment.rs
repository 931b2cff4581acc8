//! A run of records in one memory area.
//!
//! Payloads and keys are copied once, into the segment's arena, and come out as slices that share it: a reader that
//! holds a record keeps its segment's memory, nothing more. A payload too great to be worth copying stays where it is.
//!
//! ```text
//! arena    │key│data──────│key│data─│key│data────│ free      │
//! entries   (key, data, arrival) (key, data, arrival) ...        offset = first + index
//! ```

use bytes::{Bytes, BytesMut};

use crate::{EpochMillis, PartitionKey};

/// One stored record.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) data: Bytes,
    pub(crate) partition_key: Bytes,
    pub(crate) arrival: EpochMillis,
}

impl Entry {
    /// Data and partition key, as limits and metrics count them.
    pub(crate) fn bytes_len(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// Records with consecutive offsets.
#[derive(Debug)]
pub(crate) struct Segment {
    first_offset: u64,
    entries: Vec<Entry>,
    arena: BytesMut,
    bytes_len: usize,
}

impl Segment {
    /// An empty segment whose first record will have `first_offset`.
    pub(crate) fn new(first_offset: u64, arena_bytes: usize) -> Self {
        Self { first_offset, entries: Vec::new(), arena: BytesMut::with_capacity(arena_bytes), bytes_len: 0 }
    }

    /// Whether a record of this shape can still go in.
    pub(crate) fn has_room(&self, data: &Bytes, partition_key: &PartitionKey) -> bool {
        self.arena.capacity() >= arena_bytes_for(data, partition_key) && self.bytes_len < SEGMENT_BYTES_MAX
    }

    /// Adds a record; `arrival` must not be before the last one's.
    pub(crate) fn push(&mut self, data: &Bytes, partition_key: &PartitionKey, arrival: EpochMillis) {
        self.arena.extend_from_slice(partition_key.as_bytes());
        let entry = if data.len() > COPIED_BYTES_MAX {
            Entry { data: data.clone(), partition_key: self.stored(), arrival }
        } else {
            self.arena.extend_from_slice(data);
            let mut partition_key_and_data = self.stored();
            let data = partition_key_and_data.split_off(partition_key.bytes_len());
            Entry { data, partition_key: partition_key_and_data, arrival }
        };
        self.bytes_len += entry.bytes_len();
        self.entries.push(entry);
    }

    /// Gives back memory that no further record will use.
    pub(crate) fn seal(&mut self) {
        self.entries.shrink_to_fit();
        self.arena = BytesMut::new();
    }

    /// Offset of the first record.
    pub(crate) const fn first_offset(&self) -> u64 {
        self.first_offset
    }

    /// Offset after the last record.
    pub(crate) fn end_offset(&self) -> u64 {
        self.first_offset + self.entries.len() as u64
    }

    /// Data and partition keys held.
    pub(crate) const fn bytes_len(&self) -> usize {
        self.bytes_len
    }

    /// The records from `offset` on.
    pub(crate) fn entries_from(&self, offset: u64) -> &[Entry] {
        let skipped = usize::try_from(offset.saturating_sub(self.first_offset)).unwrap_or(usize::MAX);
        self.entries.get(skipped..).unwrap_or_default()
    }

    /// Arrival of the last record.
    pub(crate) fn last_arrival(&self) -> Option<EpochMillis> {
        self.entries.last().map(|entry| entry.arrival)
    }

    /// Offset of the first record that arrived at `time` or later, or the end.
    pub(crate) fn offset_at(&self, time: EpochMillis) -> u64 {
        self.first_offset + self.entries.partition_point(|entry| entry.arrival < time) as u64
    }

    /// What the records cost in memory, allocator and unusable end of a sealed arena aside.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes_len + self.arena.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// What was last added to the arena.
    fn stored(&mut self) -> Bytes {
        self.arena.split().freeze()
    }
}

/// What a record takes of its segment's arena.
pub(crate) fn arena_bytes_for(data: &Bytes, partition_key: &PartitionKey) -> usize {
    let copied = if data.len() > COPIED_BYTES_MAX { 0 } else { data.len() };
    copied + partition_key.bytes_len()
}

/// A segment is what trimming drops at once.
pub(crate) const SEGMENT_BYTES_MAX: usize = 1 << 20;
/// Arena of a shard's first segment; each next one is twice as great, so that idle shards stay small.
pub(crate) const FIRST_ARENA_BYTES: usize = 16 << 10;
/// Copying more than this costs more than the unused rest of an arena.
const COPIED_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_share_the_arena_and_survive_the_segment() {
        let mut segment = Segment::new(7, 1024);
        segment.push(&Bytes::from_static(b"first"), &"k1".into(), EpochMillis(1));
        segment.push(&Bytes::from_static(b"second"), &"k2".into(), EpochMillis(3));
        let kept = segment.entries_from(8)[0].clone();
        assert_eq!((segment.first_offset(), segment.end_offset(), segment.bytes_len()), (7, 9, 15));
        drop(segment);
        assert_eq!((&kept.data[..], &kept.partition_key[..]), (&b"second"[..], &b"k2"[..]));
    }

    #[test]
    fn a_full_arena_has_no_room_and_a_great_payload_needs_none() {
        let mut segment = Segment::new(0, 100);
        let (small, great) = (Bytes::from(vec![0; 60]), Bytes::from(vec![0; COPIED_BYTES_MAX + 1]));
        segment.push(&small, &"k".into(), EpochMillis(1));
        assert!(!segment.has_room(&small, &"k".into()));
        assert!(segment.has_room(&great, &"k".into()));
        segment.push(&great, &"k".into(), EpochMillis(1));
        assert_eq!(segment.entries_from(1)[0].data.as_ptr(), great.as_ptr());
    }

    #[test]
    fn times_are_found_by_search() {
        let mut segment = Segment::new(10, 1024);
        for arrival in [5, 5, 8] {
            segment.push(&Bytes::new(), &"k".into(), EpochMillis(arrival));
        }
        let offsets = [4, 5, 6, 8, 9].map(|time| segment.offset_at(EpochMillis(time)));
        assert_eq!(offsets, [10, 10, 12, 12, 13]);
    }
}
