//! What a pump has done so far, for whoever draws it, and what it did in the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

/// Counters of a running pump; read by whoever shows them.
#[derive(Debug, Default)]
pub struct PumpProgress {
    records: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
    skipped: AtomicU64,
    refused: Mutex<Vec<Refused>>,
    refused_count: AtomicU64,
}

impl PumpProgress {
    /// Records acknowledged.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of payload and keys acknowledged.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn acknowledged(&self, bytes: usize) {
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn retried(&self, records: usize) {
        self.retries.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, refused: Refused) {
        self.refused_count.fetch_add(1, Ordering::Relaxed);
        let mut listed = self.refused.lock();
        if listed.len() < REFUSED_LISTED_MAX {
            listed.push(refused);
        }
    }

    pub(super) fn summary(&self, last_line: u64, end_marks: usize, elapsed: Duration) -> PumpSummary {
        PumpSummary {
            records: self.records(),
            bytes: self.bytes(),
            retries: self.retries.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            refused: self.refused_count.load(Ordering::Relaxed),
            refused_lines: self.refused.lock().clone(),
            last_line,
            end_marks,
            seconds: elapsed.as_secs_f64(),
        }
    }
}

/// A line that no Kinesis record can hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// 1-based number of the line.
    pub line: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// What a pump did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PumpSummary {
    /// Records acknowledged, end marks not counted.
    pub records: u64,
    /// Bytes of payload and keys acknowledged.
    pub bytes: u64,
    /// Records sent again because the stream refused them.
    pub retries: u64,
    /// Lines passed over because they are on the stream already.
    pub skipped: u64,
    /// Lines that no record can hold.
    pub refused: u64,
    /// The first hundred of them.
    pub refused_lines: Vec<Refused>,
    /// The last line read; every line up to it is on the stream or refused.
    pub last_line: u64,
    /// End marks put, one per open shard.
    pub end_marks: usize,
    /// Time taken.
    pub seconds: f64,
}

/// A summary that lists more is no summary.
const REFUSED_LISTED_MAX: usize = 100;
