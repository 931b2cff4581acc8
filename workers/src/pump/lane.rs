//! The records of some partition keys, waiting for their turn in one request at a time.
//!
//! Owns the order: what is refused goes back to the front, before anything later of its lane. Never talks to a stream.
//!
//! ```text
//! push ─▶ [ waiting … ] ─ next_request ─▶ in flight ─▶ acknowledged
//!            ▲                                  │
//!            └────────── restore (front) ◀──────┘ refused
//! ```

use std::collections::{HashSet, VecDeque};

use super::entry::Entry;
use super::settings::{Ordering, REQUEST_BYTES_MAX};

/// Records of one lane that are not in flight.
#[derive(Debug, Default)]
pub(super) struct LaneQueue {
    waiting: VecDeque<Entry>,
}

impl LaneQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The least line that waits.
    pub(super) fn first_line(&self) -> Option<u64> {
        self.waiting.iter().map(|entry| entry.line).min()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.waiting.push_back(entry);
    }

    /// Puts the refused entries of a request, in their order, before everything that waits.
    pub(super) fn restore(&mut self, refused: Vec<Entry>) {
        for entry in refused.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }

    /// Takes the next request of at most `records_max` entries and 5 MiB, oldest first.
    pub(super) fn next_request(&mut self, ordering: Ordering, records_max: usize) -> Vec<Entry> {
        match ordering {
            Ordering::Strict => self.next_of_distinct_keys(records_max),
            Ordering::Batched => self.next_in_line(records_max),
        }
    }

    fn next_in_line(&mut self, records_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let count = self
            .waiting
            .iter()
            .take(records_max)
            .take_while(|entry| {
                bytes += entry.bytes();
                bytes <= REQUEST_BYTES_MAX
            })
            .count();
        self.waiting.drain(..count).collect()
    }

    fn next_of_distinct_keys(&mut self, records_max: usize) -> Vec<Entry> {
        let mut keys = HashSet::new();
        let mut bytes = 0;
        let mut taken = Vec::new();
        for (index, entry) in self.waiting.iter().enumerate() {
            if taken.len() == records_max || bytes + entry.bytes() > REQUEST_BYTES_MAX {
                break;
            }
            if keys.insert(entry.partition_key.as_str()) {
                bytes += entry.bytes();
                taken.push(index);
            }
        }
        let mut request = Vec::with_capacity(taken.len());
        let Some(last) = taken.last().copied() else { return request };
        let mut taken = taken.into_iter().peekable();
        let mut kept = VecDeque::with_capacity(last + 1);
        for (index, entry) in self.waiting.drain(..=last).enumerate() {
            if taken.next_if_eq(&index).is_some() {
                request.push(entry);
            } else {
                kept.push_back(entry);
            }
        }
        for entry in kept.into_iter().rev() {
            self.waiting.push_front(entry);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn entry(key: u8, line: u64) -> Entry {
        Entry { partition_key: key.to_string(), explicit_hash_key: None, data: Bytes::new(), line }
    }

    fn lines(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.line).collect()
    }

    #[test]
    fn a_strict_request_holds_each_key_once_and_the_rest_keeps_its_order() {
        let mut lane = LaneQueue::default();
        for (line, key) in [1, 1, 2, 1, 3, 2].into_iter().enumerate() {
            lane.push(entry(key, line as u64));
        }
        assert_eq!(lines(&lane.next_request(Ordering::Strict, 500)), [0, 2, 4]);
        assert_eq!(lines(&lane.next_request(Ordering::Strict, 500)), [1, 5]);
        assert_eq!(lines(&lane.next_request(Ordering::Strict, 500)), [3]);
        assert!(lane.is_empty());
    }

    #[test]
    fn a_request_never_passes_five_mebibytes() {
        let mut lane = LaneQueue::default();
        for line in 0..12 {
            lane.push(Entry { data: Bytes::from(vec![0; 1024 * 1024 - 3]), ..entry(line as u8, line) });
        }
        for ordering in [Ordering::Strict, Ordering::Batched] {
            let request = lane.next_request(ordering, 500);
            assert_eq!(request.len(), 5);
            assert!(request.iter().map(Entry::bytes).sum::<usize>() <= REQUEST_BYTES_MAX);
        }
    }

    proptest! {
        /// Whatever is refused and however often: each record is acknowledged once, and per key in order.
        #[test]
        fn no_record_overtakes_another_of_its_key(
            keys in prop::collection::vec(0_u8..4, 1..60),
            refusals in prop::collection::vec(any::<u16>(), 1..40),
            records_max in 1_usize..8,
        ) {
            let mut lane = LaneQueue::default();
            for (line, key) in keys.iter().enumerate() {
                lane.push(entry(*key, line as u64));
            }
            let mut acknowledged: HashMap<String, Vec<u64>> = HashMap::new();
            let mut refusals = refusals.into_iter();
            while !lane.is_empty() {
                let refused = refusals.next().unwrap_or_default();
                let mut restored = Vec::new();
                for (index, entry) in lane.next_request(Ordering::Strict, records_max).into_iter().enumerate() {
                    if refused & (1 << index) != 0 {
                        restored.push(entry);
                    } else {
                        acknowledged.entry(entry.partition_key).or_default().push(entry.line);
                    }
                }
                lane.restore(restored);
            }
            prop_assert_eq!(acknowledged.values().map(Vec::len).sum::<usize>(), keys.len());
            prop_assert!(acknowledged.values().all(|lines| lines.is_sorted()));
        }
    }
}
