//! The fetching half of a shard's task: keeps a few answers ready, within the byte budget of the worker.
//!
//! ```text
//! pace ─▶ budget ─▶ ShardReader::next ─▶ settle the budget ─▶ queue (bounded) ─▶ delivering half
//!   ▲                  │ error: pause, once more                │
//!   └──────────────────┴────────── at the tip: pause, 200 ms to 1 s
//! ```
//!
//! Ends only by being dropped: after the shard's end, and from an order to drain on, it does nothing.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::{ChildShard, Millis, ShardFilter, ShardId};
use tokio::sync::mpsc;

use super::reader::{Answer, FailedFetch, ShardReader};
use super::tenure::Tenure;
use crate::budget::{ByteBudget, Reservation};
use crate::port::{FetchError, StreamControl};
use crate::record::Record;
use crate::settings::FetchSettings;
use crate::worker::ShardGauge;

/// An answer on its way to the processor.
#[derive(Debug)]
pub(crate) struct Prefetched {
    pub(crate) records: Vec<Record>,
    pub(crate) behind_latest: Duration,
    pub(crate) answered_at: Millis,
    pub(crate) shard_end: Option<Vec<ChildShard>>,
    /// Held until the records are processed.
    pub(crate) reservation: Option<Reservation>,
}

/// The fetching half.
#[derive(Debug)]
pub(crate) struct Fetching {
    pub(crate) reader: ShardReader,
    pub(crate) shard: ShardId,
    pub(crate) control: Arc<dyn StreamControl>,
    pub(crate) tenure: Tenure,
    pub(crate) budget: Arc<ByteBudget>,
    pub(crate) settings: FetchSettings,
    pub(crate) gauge: ShardGauge,
    pub(crate) queue: mpsc::Sender<Prefetched>,
}

impl Fetching {
    /// Fetches until dropped.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut answer_bytes = ANSWER_BYTES_EXPECTED;
        let mut idle_pause = self.settings.idle_pause_min;
        loop {
            if self.tenure.drain_order().is_some() {
                return pending().await;
            }
            self.reader.paced().await;
            let mut reservation = self.budget.reserve(answer_bytes).await;
            let pause = match self.reader.next().await {
                Ok(answer) => {
                    reservation.settle(answer.bytes);
                    answer_bytes = moving_average(answer_bytes, answer.bytes);
                    idle_pause = self.next_idle_pause(idle_pause, &answer);
                    let pause = if answer.behind_latest.is_zero() { idle_pause } else { Duration::ZERO };
                    self.deliver(answer, Some(reservation)).await;
                    pause
                }
                Err(failed) => {
                    drop(reservation);
                    self.report(&failed);
                    if let FetchError::NotFound { .. } = failed.error {
                        self.end_if_gone().await;
                    }
                    failed.pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn next_idle_pause(&self, pause: Duration, answer: &Answer) -> Duration {
        if answer.records.is_empty() {
            (pause * 2).min(self.settings.idle_pause_max)
        } else {
            self.settings.idle_pause_min
        }
    }

    async fn deliver(&self, answer: Answer, reservation: Option<Reservation>) {
        if answer.dropped > 0 {
            tracing::debug!(dropped = answer.dropped, "records of aggregates outside the shard dropped");
            self.gauge.update(|health| health.records_dropped += answer.dropped as u64);
        }
        let is_end = answer.shard_end.is_some();
        let fetched = Prefetched {
            records: answer.records,
            behind_latest: answer.behind_latest,
            answered_at: self.tenure.clock().now(),
            shard_end: answer.shard_end,
            reservation,
        };
        if self.queue.send(fetched).await.is_err() || is_end {
            pending::<()>().await;
        }
    }

    fn report(&self, failed: &FailedFetch) {
        if matches!(failed.error, FetchError::IteratorExpired) {
            tracing::debug!("shard iterator expired");
            return;
        }
        let is_outage = !matches!(failed.error, FetchError::Throttled);
        if is_outage && failed.is_escalation && failed.attempts > QUIET_ATTEMPTS {
            tracing::warn!(
                error = &failed.error as &dyn std::error::Error,
                attempts = failed.attempts,
                "records cannot be fetched"
            );
        } else {
            tracing::debug!(error = %failed.error, attempts = failed.attempts, "fetch repeated");
        }
        self.gauge.update(|health| health.last_error = Some(failed.error.to_string()));
    }

    /// A shard whose last record aged out is over, though its end was never seen: its children must not wait for ever.
    async fn end_if_gone(&self) {
        let Ok(listing) = self.control.list_shards(ShardFilter::All).await else { return };
        if listing.is_empty() || listing.iter().any(|listed| listed.shard == self.shard) {
            return;
        }
        tracing::warn!("the shard is gone from the stream; records that were not read yet are lost");
        let children = children_of(&self.shard, listing);
        let end = Answer {
            records: Vec::new(),
            bytes: 0,
            dropped: 0,
            behind_latest: Duration::ZERO,
            shard_end: Some(children),
        };
        self.deliver(end, None).await;
    }
}

/// The children of `shard` among the shards listed.
pub(crate) fn children_of(shard: &ShardId, listing: Vec<kcl_core::ListedShard>) -> Vec<ChildShard> {
    let children = listing.into_iter().filter(|listed| listed.parents.contains(shard));
    children
        .map(|listed| ChildShard {
            shard: listed.shard,
            parents: listed.parents,
            hash_range: listed.hash_range,
        })
        .collect()
}

/// An average in which the last few answers count most, within what an answer can have.
fn moving_average(average: usize, bytes: usize) -> usize {
    ((average * 3 + bytes) / 4).clamp(ANSWER_BYTES_MIN, ANSWER_BYTES_MAX)
}

/// Assumed of the first answer.
const ANSWER_BYTES_EXPECTED: usize = 256 << 10;
/// So that idle shards, too, wait while the budget is used up.
const ANSWER_BYTES_MIN: usize = 16 << 10;
/// The greatest answer of `GetRecords`.
const ANSWER_BYTES_MAX: usize = 10 << 20;
/// Failures that pass by themselves every day.
const QUIET_ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_and_stays_within_bounds() {
        let grown = (0..20).fold(ANSWER_BYTES_EXPECTED, |average, _| moving_average(average, 20 << 20));
        assert_eq!(grown, ANSWER_BYTES_MAX);
        let shrunk = (0..40).fold(grown, |average, _| moving_average(average, 0));
        assert_eq!(shrunk, ANSWER_BYTES_MIN);
    }
}
