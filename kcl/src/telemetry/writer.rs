//! Writes the rows of a worker's shards, in a task of its own that nothing waits for.
//!
//! ```text
//! open ──▶ every interval: rows of all shards, 25 a call, given up when the next round is due
//!  └ failed: once more with the next interval
//! ```
//!
//! A failure is counted and shown in the worker's health; the next round writes what is true then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use kcl_core::LeaseKey;
use parking_lot::Mutex;
use thiserror::Error;

use super::accumulator::ShardTelemetry;
use super::board::TelemetryBoard;
use super::row::StreamDigest;
use crate::port::{Clock, TelemetryError, TelemetryItem, TelemetryStore};
use crate::worker::HealthBoard;

/// The writer of one worker.
#[derive(Debug)]
pub(crate) struct TelemetryWriter {
    pub(crate) store: Arc<dyn TelemetryStore>,
    pub(crate) board: TelemetryBoard,
    pub(crate) health: HealthBoard,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stream: StreamDigest,
    pub(crate) interval: Duration,
}

impl TelemetryWriter {
    /// Writes until dropped.
    pub(crate) async fn run(self) {
        let (mut is_open, mut failed_rounds) = (false, 0_u64);
        loop {
            tokio::time::sleep(self.interval).await;
            let mut failure = None;
            if !is_open {
                failure = self.store.open().await.map_err(RoundFailure::from).err();
                is_open = failure.is_none();
            }
            if is_open {
                failure = self.write_all().await;
            }
            failed_rounds = if failure.is_some() { failed_rounds + 1 } else { 0 };
            if let Some(failure) = failure {
                self.report(&failure, failed_rounds);
            }
        }
    }

    /// One round; the last failure, if there was any.
    async fn write_all(&self) -> Option<RoundFailure> {
        let shards = self.board.live();
        let (due, written) = (shards.len() as u64, AtomicU64::new(0));
        let failure = Mutex::new(None);
        let calls = stream::iter(shards.chunks(TelemetryItem::PUT_MAX));
        let writes = calls.for_each_concurrent(CALLS_MAX, |shards| {
            let items: Vec<_> =
                shards.iter().map(|(key, telemetry)| self.item(key.clone(), telemetry)).collect();
            let (written, failure, rows) = (&written, &failure, items.len() as u64);
            async move {
                match self.store.put(items).await {
                    Ok(()) => {
                        written.fetch_add(rows, Ordering::Relaxed);
                    }
                    Err(error) => *failure.lock() = Some(error),
                }
            }
        });
        let is_in_time = tokio::time::timeout(self.interval, writes).await.is_ok();
        let written = written.into_inner();
        self.health.update_telemetry(|health| {
            health.rows_written += written;
            health.rows_failed += due - written;
        });
        let failure = failure.into_inner().map(RoundFailure::from);
        failure.or((!is_in_time).then_some(RoundFailure::Late { written, due, interval: self.interval }))
    }

    fn item(&self, key: LeaseKey, telemetry: &Mutex<ShardTelemetry>) -> TelemetryItem {
        let now = self.clock.epoch_millis();
        let row = telemetry.lock().row(self.stream, now);
        TelemetryItem { key, row: row.encode(), expires_epoch_seconds: now / 1000 + KEPT_SECONDS }
    }

    /// Loud once per doubling, so that a table that cannot be written is noticed and does not fill the log.
    fn report(&self, failure: &RoundFailure, failed_rounds: u64) {
        let error: &dyn std::error::Error = failure;
        if failed_rounds.is_power_of_two() {
            tracing::warn!(
                error,
                failed_rounds,
                "telemetry cannot be written; records are consumed all the same"
            );
        } else {
            tracing::debug!(error, failed_rounds, "telemetry cannot be written");
        }
        self.health.update_telemetry(|health| health.last_error = Some(failure.to_string()));
    }
}

/// Why a round did not write everything.
#[derive(Debug, Error)]
enum RoundFailure {
    #[error(transparent)]
    Store(#[from] TelemetryError),
    #[error("{written} of {due} telemetry rows were written within {interval:?}; raise telemetry_interval")]
    Late { written: u64, due: u64, interval: Duration },
}

/// Calls on their way at once: a thousand leases are told within a second.
const CALLS_MAX: usize = 4;
/// A row of a shard that nobody reads any more is dropped after this; nobody takes it for true after a minute.
const KEPT_SECONDS: u64 = 3_600;
