//! Reads one shard in order: iterator, pace, retries, de-aggregation. Used by the fetching half and by range reads.
//!
//! ```text
//! Start ─▶ iterator ─▶ pace ─▶ fetch ─▶ deaggregate ─▶ skip what is processed ─▶ Answer
//!             ▲                  │ expired: after the last record fetched
//!             └──────────────────┘ throttled, unavailable: pause, same iterator
//! ```
//!
//! Never skips: an answer is either returned or asked for again.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::{ChildShard, HashKeyRange, RecordPosition, ShardId};

use super::start::Start;
use crate::aggregate::deaggregate;
use crate::backoff::Backoff;
use crate::clock::sleep_until;
use crate::port::{Clock, FetchError, Fetched, NextFetch, ShardIterator, StreamSource};
use crate::rate::Pacer;
use crate::record::Record;
use crate::settings::FetchSettings;
use crate::telemetry::TelemetryTap;

/// What a reader is made of.
#[derive(Clone, Debug)]
pub(crate) struct ReaderParts {
    pub(crate) source: Arc<dyn StreamSource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shard: ShardId,
    pub(crate) hash_range: HashKeyRange,
    pub(crate) settings: FetchSettings,
    pub(crate) seed: u64,
}

/// A reader of one shard.
#[derive(Debug)]
pub(crate) struct ShardReader {
    parts: ReaderParts,
    start: Start,
    iterator: Option<ShardIterator>,
    last_fetched: Option<RecordPosition>,
    pacer: Pacer,
    backoff: Backoff,
    telemetry: Option<TelemetryTap>,
}

/// One answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    /// User records not yet processed, in order.
    pub(crate) records: Vec<Record>,
    /// Bytes of the Kinesis records as fetched.
    pub(crate) bytes: usize,
    /// User records that the policy for aggregates dropped.
    pub(crate) dropped: usize,
    /// How far the answer is behind the tip.
    pub(crate) behind_latest: Duration,
    /// The children, as far as told, if the shard is closed and this was its last answer.
    pub(crate) shard_end: Option<Vec<ChildShard>>,
}

/// A call that did not yield an answer; the next call of [`ShardReader::next`] goes on.
#[derive(Debug)]
pub(crate) struct FailedFetch {
    /// Why.
    pub(crate) error: FetchError,
    /// Failures since the last answer.
    pub(crate) attempts: u32,
    /// Whether the number of failures has just doubled.
    pub(crate) is_escalation: bool,
    /// How long to wait before the next call.
    pub(crate) pause: Duration,
}

impl ShardReader {
    /// A reader that begins at `start`.
    pub(crate) fn new(parts: ReaderParts, start: Start) -> Self {
        let now = parts.clock.now();
        let settings = &parts.settings;
        let pacer = Pacer::new(settings.calls_per_second_max, settings.bytes_per_second_max as f64, now);
        let backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX, parts.seed);
        Self { start, iterator: None, last_fetched: None, pacer, backoff, telemetry: None, parts }
    }

    /// The same, which tells what it fetches. Only for who reads a shard once: whatever is told counts as its load.
    pub(crate) fn telling(self, telemetry: Option<TelemetryTap>) -> Self {
        Self { telemetry, ..self }
    }

    /// Waits until the shard's limits allow a call.
    pub(crate) async fn paced(&self) {
        let clock = &*self.parts.clock;
        sleep_until(clock, self.pacer.ready_at(clock.now())).await;
    }

    /// The next answer. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Answer, FailedFetch> {
        let iterator = match self.iterator.clone() {
            Some(iterator) => iterator,
            None => self.open().await?,
        };
        self.paced().await;
        self.pacer.on_call(self.parts.clock.now());
        match self.parts.source.fetch(&iterator, self.parts.settings.records_per_call_max).await {
            Ok(fetched) => Ok(self.take_apart(fetched)),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn open(&mut self) -> Result<ShardIterator, FailedFetch> {
        let start = self.last_fetched.map_or(self.start, Start::past);
        let mut opened = self.parts.source.iterator(&self.parts.shard, start.at).await;
        if let (Err(FetchError::InvalidPosition { .. }), Some(next)) = (&opened, start.without_the_record()) {
            opened = self.parts.source.iterator(&self.parts.shard, next.at).await;
        }
        match opened {
            Ok(iterator) => {
                self.iterator = Some(iterator.clone());
                Ok(iterator)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn take_apart(&mut self, fetched: Fetched) -> Answer {
        self.backoff.reset();
        if let Some(telemetry) = &self.telemetry {
            telemetry.observe(&fetched.records, fetched.behind_latest.into());
        }
        let bytes = fetched.records.iter().map(Record::bytes).sum();
        self.pacer.on_answer(bytes, self.parts.clock.now());
        if let Some(last) = fetched.records.last() {
            self.last_fetched = Some(last.position);
        }
        let (mut records, mut dropped) = (Vec::with_capacity(fetched.records.len()), 0);
        for record in fetched.records {
            dropped +=
                deaggregate(record, self.parts.hash_range, self.parts.settings.aggregates, &mut records);
        }
        records.retain(|record| self.start.admits(record));
        let shard_end = match fetched.next {
            NextFetch::Iterator(next) => {
                self.iterator = Some(next);
                None
            }
            NextFetch::ShardEnd(children) => Some(children),
        };
        Answer { records, bytes, dropped, behind_latest: fetched.behind_latest.into(), shard_end }
    }

    fn failed(&mut self, error: FetchError) -> FailedFetch {
        match error {
            FetchError::Throttled => self.pacer.on_throttled(self.parts.clock.now()),
            FetchError::IteratorExpired => self.iterator = None,
            FetchError::NotFound { .. }
            | FetchError::InvalidPosition { .. }
            | FetchError::Unavailable { .. } => {}
        }
        let pause = self.backoff.next_pause();
        FailedFetch {
            pause: if matches!(error, FetchError::IteratorExpired) { Duration::ZERO } else { pause },
            error,
            attempts: self.backoff.attempts(),
            is_escalation: self.backoff.is_escalation(),
        }
    }
}

/// A throttled shard recovers within a second.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Long enough to spare a service in trouble, short beside the retention of a day.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);
