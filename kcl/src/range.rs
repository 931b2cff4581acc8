//! Reads one range of a shard again: the records of a batch whose intent is pending.

use std::time::Duration;

use kcl_core::{Position, RecordPosition, ShardId};
use thiserror::Error;

use crate::port::FetchError;
use crate::record::{Record, RecordBatch};
use crate::shard::{Answer, ReaderParts, ShardReader, Start};

/// The user records of `(after, last]`, in order, a piece at a time.
///
/// One answer is held at a time, outside of the budget for prefetch. Records that the policy for aggregates drops are
/// dropped here as well, so that a range yields the same records as when it was first delivered.
#[derive(Debug)]
pub struct RangeReader {
    reader: ShardReader,
    shard: ShardId,
    last: RecordPosition,
    is_complete: bool,
}

impl RangeReader {
    pub(crate) fn new(parts: ReaderParts, start: Start, after: Position, last: RecordPosition) -> Self {
        let shard = parts.shard.clone();
        let is_complete =
            matches!(after, Position::At(record) if record >= last) || after == Position::ShardEnd;
        Self { reader: ShardReader::new(parts, start), shard, last, is_complete }
    }

    /// The next records of the range, or `None` after `last`. Throttles and outages are waited out.
    ///
    /// # Errors
    /// [`RangeError`] if the range cannot be read any more: the caller reports its batch as unreplayable.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, RangeError> {
        while !self.is_complete {
            match self.reader.next().await {
                Ok(answer) => {
                    let batch = self.within_range(answer)?;
                    if !batch.is_empty() {
                        return Ok(Some(batch));
                    }
                }
                Err(failed) => {
                    let shard = self.shard.clone();
                    match failed.error {
                        FetchError::NotFound { detail } => {
                            return Err(RangeError::NotFound { shard, detail });
                        }
                        FetchError::InvalidPosition { detail } => {
                            return Err(RangeError::InvalidPosition { shard, detail });
                        }
                        error @ (FetchError::Throttled
                        | FetchError::IteratorExpired
                        | FetchError::Unavailable { .. }) => {
                            tracing::debug!(%shard, %error, "range read repeated");
                        }
                    }
                    tokio::time::sleep(failed.pause).await;
                }
            }
        }
        Ok(None)
    }

    fn within_range(&mut self, answer: Answer) -> Result<RecordBatch, RangeError> {
        let reached = answer.records.last().is_some_and(|record| record.position >= self.last);
        let mut records: Vec<Record> = answer.records;
        records.retain(|record| record.position <= self.last);
        let has_last = records.last().is_some_and(|record| record.position == self.last);
        let is_at_tip = answer.behind_latest == Duration::ZERO || answer.shard_end.is_some();
        self.is_complete = reached || is_at_tip;
        if self.is_complete && !has_last {
            return Err(RangeError::Trimmed { shard: self.shard.clone(), last: self.last });
        }
        Ok(RecordBatch::new(records, answer.behind_latest, Duration::ZERO))
    }
}

/// Why a range cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The last record of the range is no longer there.
    #[error("shard {shard}: the last record of the range, {last}, is no longer in the stream")]
    Trimmed {
        /// The shard.
        shard: ShardId,
        /// Where the range ends, inclusive.
        last: RecordPosition,
    },
    /// The range begins at a position that means nothing in this shard.
    #[error("shard {shard} has no such position: {detail}")]
    InvalidPosition {
        /// The shard.
        shard: ShardId,
        /// What the service said.
        detail: String,
    },
    /// The stream or shard is gone.
    #[error("shard {shard} is no longer in the stream: {detail}")]
    NotFound {
        /// The shard.
        shard: ShardId,
        /// What the service said.
        detail: String,
    },
}
