//! The records of one shard: appending, finding positions, reading, trimming.
//!
//! Owns everything that a put or a read of this shard touches, so that one lock around it is enough. Allocating a
//! sequence number and storing the record are one step. Once closed or deleted it stores nothing more; who wants to
//! append must route again.
//!
//! ```text
//!   append ─▶ write budget ─▶ byte cap ─▶ segment ▏segment ▏segment ─▶ read (budget, limits) ─▶ records, next offset
//!                                         ▲ retention or cap drops the oldest
//! ```

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use kcl_core::SequenceNumber;

use crate::metrics::{MetricsMinute, MetricsRing};
use crate::segment::{Entry, FIRST_ARENA_BYTES, SEGMENT_BYTES_MAX, Segment, arena_bytes_for};
use crate::sequence::{INDEX_ENDING, SequenceSpace};
use crate::stored::StoredBytes;
use crate::subscription_slots::SubscriptionSlots;
use crate::throttle::{ReadBudget, WriteBudget};
use crate::{ChildShard, EpochMillis, Limits, Metric, PartitionKey, Record, Settings, StartingPosition};

/// What all logs of a stream have in common.
#[derive(Clone, Debug)]
pub(crate) struct LogOptions {
    pub(crate) limits: Limits,
    pub(crate) time_scale: NonZeroU32,
    pub(crate) record_weight: NonZeroU32,
    pub(crate) metrics_minutes_max: usize,
    pub(crate) retention: Duration,
    pub(crate) stored: Arc<StoredBytes>,
}

impl LogOptions {
    /// The options of a new stream.
    pub(crate) fn new(settings: &Settings, retention: Duration, stored: Arc<StoredBytes>) -> Self {
        let Settings { limits, time_scale, record_weight, metrics_minutes_max, .. } = *settings;
        Self { limits, time_scale, record_weight, metrics_minutes_max, retention, stored }
    }
}

/// The records of one shard and what is known about their flow.
#[derive(Debug)]
pub(crate) struct ShardLog {
    sequences: SequenceSpace,
    state: LogState,
    segments: VecDeque<Segment>,
    /// First offset that can still be read.
    oldest_offset: u64,
    next_offset: u64,
    last_arrival: EpochMillis,
    arena_bytes_next: usize,
    retention: Duration,
    budgets: Option<(WriteBudget, ReadBudget)>,
    metrics: MetricsRing,
    watchers: Vec<Waker>,
    slots: SubscriptionSlots,
    stored: Arc<StoredBytes>,
}

#[derive(Debug)]
enum LogState {
    Open,
    Closed { children: Vec<ChildShard> },
    Deleted,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Append {
    Stored(SequenceNumber),
    Throttled,
    /// The byte cap refuses it.
    Full,
    /// The shard takes nothing more: route again.
    Closed,
}

/// How much one read may return.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimits {
    pub(crate) records_max: usize,
    /// Data and partition keys; a first record may exceed it alone.
    pub(crate) bytes_max: usize,
}

/// A run of records and what lies behind it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) records: Vec<Record>,
    pub(crate) bytes_len: usize,
    pub(crate) next_offset: u64,
    pub(crate) millis_behind: u64,
    /// The children of a closed shard that is drained by this read.
    pub(crate) end: Option<Vec<ChildShard>>,
}

/// Why a call got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadRefused {
    Throttled,
    Deleted,
}

/// Why a position cannot be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PositionRefused {
    /// The sequence number is not of this shard, or was not given out yet.
    Foreign(SequenceNumber),
    /// The time has not come yet.
    Future(EpochMillis),
}

impl ShardLog {
    /// An empty log of a shard created at `now`.
    pub(crate) fn new(sequences: SequenceSpace, options: &LogOptions, now: EpochMillis) -> Self {
        Self {
            sequences,
            state: LogState::Open,
            segments: VecDeque::new(),
            oldest_offset: 0,
            next_offset: 0,
            last_arrival: now,
            arena_bytes_next: FIRST_ARENA_BYTES,
            retention: options.retention,
            budgets: match options.limits {
                Limits::Off => None,
                Limits::Aws => {
                    let (scale, weight) = (options.time_scale.get(), options.record_weight);
                    Some((WriteBudget::new(scale, weight, now), ReadBudget::new(scale, weight, now)))
                }
            },
            metrics: MetricsRing::new(options.metrics_minutes_max),
            watchers: Vec::new(),
            slots: SubscriptionSlots::default(),
            stored: options.stored.clone(),
        }
    }

    /// Stores a record behind all others.
    pub(crate) fn append(&mut self, data: &Bytes, key: &PartitionKey, now: EpochMillis) -> Append {
        match self.state {
            LogState::Open => {}
            LogState::Closed { .. } | LogState::Deleted => return Append::Closed,
        }
        let bytes_len = data.len() + key.bytes_len();
        if let Some((writes, _)) = &mut self.budgets
            && !writes.admit(bytes_len, now)
        {
            self.metrics.add(Metric::WriteProvisionedThroughputExceeded, 1, now);
            return Append::Throttled;
        }
        if !self.stored.add(bytes_len) {
            return Append::Full;
        }
        self.drop_expired_segments(now);
        let offset = self.next_offset;
        self.last_arrival = self.last_arrival.max(now);
        let arrival = self.last_arrival;
        self.writable_segment(data, key).push(data, key, arrival);
        self.next_offset += 1;
        self.metrics.add(Metric::IncomingBytes, bytes_len as u64, now);
        self.metrics.add(Metric::IncomingRecords, 1, now);
        self.wake();
        Append::Stored(self.sequences.record(offset, arrival))
    }

    /// The offset that `position` stands for.
    pub(crate) fn resolve(
        &mut self,
        position: StartingPosition,
        now: EpochMillis,
    ) -> Result<u64, PositionRefused> {
        self.expire(now);
        let offset = match position {
            StartingPosition::TrimHorizon => self.oldest_offset,
            StartingPosition::Latest => self.next_offset,
            StartingPosition::AtSequenceNumber(number) => self.offset_of(number, Bound::At)?,
            StartingPosition::AfterSequenceNumber(number) => self.offset_of(number, Bound::After)?,
            StartingPosition::AtTimestamp(time) if time > now => return Err(PositionRefused::Future(time)),
            StartingPosition::AtTimestamp(time) => {
                let place = self.segments.partition_point(|segment| segment.last_arrival() < Some(time));
                self.segments.get(place).map_or(self.next_offset, |segment| segment.offset_at(time))
            }
        };
        Ok(offset.max(self.oldest_offset))
    }

    /// Reads for a polling reader: charged to the shard's budget and counted in its metrics.
    ///
    /// # Errors
    /// [`ReadRefused`] if the budget is used up or the stream is gone.
    pub(crate) fn poll_read(
        &mut self,
        offset: u64,
        limits: ReadLimits,
        now: EpochMillis,
    ) -> Result<Read, ReadRefused> {
        if self.is_deleted() {
            return Err(ReadRefused::Deleted);
        }
        if let Some((_, reads)) = &mut self.budgets
            && !reads.admit_call(now)
        {
            self.metrics.add(Metric::ReadProvisionedThroughputExceeded, 1, now);
            return Err(ReadRefused::Throttled);
        }
        let limits = self.budgets.as_ref().map_or(limits, |(_, reads)| reads.weighed(limits));
        let read = self.read(offset, limits, now);
        if let Some((_, reads)) = &mut self.budgets {
            reads.charge(read.bytes_len, now);
        }
        let age = read.records.last().map_or(0, |record| now.millis_since(record.arrival));
        self.metrics.add(Metric::GetRecordsBytes, read.bytes_len as u64, now);
        self.metrics.add(Metric::GetRecordsRecords, read.records.len() as u64, now);
        self.metrics.add(Metric::GetRecordsIteratorAgeMilliseconds, age, now);
        Ok(read)
    }

    /// The records from `offset` on, as many as `limits` allow.
    pub(crate) fn read(&mut self, offset: u64, limits: ReadLimits, now: EpochMillis) -> Read {
        self.expire(now);
        let first = offset.max(self.oldest_offset);
        let mut read = Read { next_offset: first, ..Read::default() };
        let place = self.segments.partition_point(|segment| segment.end_offset() <= first);
        let mut unread = None;
        'segments: for segment in self.segments.range(place..) {
            for entry in segment.entries_from(first) {
                let is_over = read.bytes_len + entry.bytes_len() > limits.bytes_max;
                if read.records.len() == limits.records_max || (is_over && !read.records.is_empty()) {
                    unread = Some(entry.arrival);
                    break 'segments;
                }
                read.bytes_len += entry.bytes_len();
                read.records.push(self.record(read.next_offset, entry));
                read.next_offset += 1;
            }
        }
        read.millis_behind = unread.map_or(0, |arrival| now.millis_since(arrival).max(BEHIND_MILLIS_MIN));
        if read.next_offset == self.next_offset
            && let LogState::Closed { children } = &self.state
        {
            read.end = Some(children.clone());
        }
        read
    }

    /// A number to go on with at `offset`, at or after it alike.
    pub(crate) fn continuation(&self, offset: u64) -> SequenceNumber {
        self.sequences.before(offset)
    }

    /// Ends the log: `children` take over. Returns when it closed: at `now`, but not before its last
    /// record arrived.
    pub(crate) fn close(&mut self, children: Vec<ChildShard>, now: EpochMillis) -> EpochMillis {
        if let Some(last) = self.segments.back_mut() {
            last.seal();
        }
        self.state = LogState::Closed { children };
        self.wake();
        self.last_arrival.max(now)
    }

    /// Ends the log and drops its records: the stream, or the shard, is gone.
    pub(crate) fn delete(&mut self) {
        self.state = LogState::Deleted;
        while self.drop_oldest_segment() {}
        self.wake();
    }

    /// Whether stream or shard are gone.
    pub(crate) fn is_deleted(&self) -> bool {
        match self.state {
            LogState::Deleted => true,
            LogState::Open | LogState::Closed { .. } => false,
        }
    }

    /// Keeps records for `retention` from `now` on; what expired before stays gone.
    pub(crate) fn retain_for(&mut self, retention: Duration, now: EpochMillis) {
        self.expire(now);
        self.retention = retention;
        self.expire(now);
    }

    /// Hides records past retention and drops the segments that hold no others.
    pub(crate) fn expire(&mut self, now: EpochMillis) {
        self.drop_expired_segments(now);
        if let Some(oldest) = self.segments.front() {
            self.oldest_offset = self.oldest_offset.max(oldest.offset_at(now.before(self.retention)));
        }
    }

    /// Drops the oldest records, up to one segment of them. `false` if there are none.
    pub(crate) fn drop_oldest_segment(&mut self) -> bool {
        let Some(segment) = self.segments.pop_front() else { return false };
        self.stored.remove(segment.bytes_len());
        self.oldest_offset = self.oldest_offset.max(segment.end_offset());
        true
    }

    /// Arrival of the last record of the oldest segment.
    pub(crate) fn oldest_segment_arrival(&self) -> Option<EpochMillis> {
        self.segments.front().and_then(Segment::last_arrival)
    }

    /// The busy minutes, oldest first.
    pub(crate) fn metrics(&self) -> Vec<MetricsMinute> {
        self.metrics.minutes()
    }

    /// The subscriptions of enhanced fan-out to this shard.
    pub(crate) const fn slots(&mut self) -> &mut SubscriptionSlots {
        &mut self.slots
    }

    /// Has `waker` called at the next change.
    pub(crate) fn watch(&mut self, waker: &Waker) {
        if !self.watchers.iter().any(|watcher| watcher.will_wake(waker)) {
            self.watchers.push(waker.clone());
        }
    }

    /// Calls everybody who watches.
    pub(crate) fn wake(&mut self) {
        self.watchers.drain(..).for_each(Waker::wake);
    }

    fn record(&self, offset: u64, entry: &Entry) -> Record {
        Record {
            sequence_number: self.sequences.record(offset, entry.arrival),
            arrival: entry.arrival,
            data: entry.data.clone(),
            partition_key: PartitionKey::from_stored(entry.partition_key.clone()),
        }
    }

    fn offset_of(&self, number: SequenceNumber, bound: Bound) -> Result<u64, PositionRefused> {
        let index = self.sequences.index(number).ok_or(PositionRefused::Foreign(number))?;
        let is_end = index == INDEX_ENDING && matches!(self.state, LogState::Closed { .. });
        if is_end {
            return Ok(self.next_offset);
        }
        if index > self.next_offset {
            return Err(PositionRefused::Foreign(number));
        }
        let Some(offset) = index.checked_sub(1) else { return Ok(0) };
        let place = self.segments.partition_point(|segment| segment.end_offset() <= offset);
        let stored = self.segments.get(place).filter(|segment| segment.first_offset() <= offset);
        let is_wanted =
            stored.and_then(|segment| segment.entries_from(offset).first()).is_some_and(|entry| {
                let record = self.sequences.record(offset, entry.arrival);
                match bound {
                    Bound::At => number <= record,
                    Bound::After => number < record,
                }
            });
        Ok(if is_wanted { offset } else { index })
    }

    fn writable_segment(&mut self, data: &Bytes, key: &PartitionKey) -> &mut Segment {
        if !self.segments.back().is_some_and(|last| last.has_room(data, key)) {
            if let Some(last) = self.segments.back_mut() {
                last.seal();
            }
            let arena_bytes = self.arena_bytes_next.max(arena_bytes_for(data, key));
            self.segments.push_back(Segment::new(self.next_offset, arena_bytes));
            self.arena_bytes_next = (self.arena_bytes_next * 2).min(SEGMENT_BYTES_MAX);
        }
        self.segments.back_mut().expect("a segment was pushed if none had room")
    }

    fn drop_expired_segments(&mut self, now: EpochMillis) {
        let horizon = now.before(self.retention);
        while self.oldest_segment_arrival().is_some_and(|arrival| arrival < horizon) {
            self.drop_oldest_segment();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    At,
    After,
}

/// Zero means caught up, so a reader with unread records is at least this far behind.
const BEHIND_MILLIS_MIN: u64 = 1;

#[cfg(test)]
mod tests;
