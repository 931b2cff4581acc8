//! Positions in a shard: a sequence number with its sub-sequence number, or one of the sentinels of the lease table.

use std::fmt;

use crate::sequence::{InvalidSequenceNumber, SequenceNumber};

/// How far a shard was processed, as the columns `checkpoint` and `checkpointSubSequenceNumber` hold it.
///
/// The order is the one of KCL's `ExtendedSequenceNumber`: `AT_TIMESTAMP` < `TRIM_HORIZON` < `LATEST` < records < `SHARD_END`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// Nothing processed; start at the configured time.
    AtTimestamp,
    /// Nothing processed; start at the oldest record.
    TrimHorizon,
    /// Nothing processed; start with records newer than the application.
    Latest,
    /// Processed up to and including this record.
    At(RecordPosition),
    /// Everything processed, and the shard is closed.
    ShardEnd,
}

/// Place of one user record: its Kinesis record and its index within an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPosition {
    /// Sequence number of the Kinesis record.
    pub sequence: SequenceNumber,
    /// Zero-based index within a KPL aggregate, 0 for a plain record.
    pub sub_sequence: u64,
}

impl RecordPosition {
    /// The position of the first user record of `sequence`.
    #[must_use]
    pub const fn first_of(sequence: SequenceNumber) -> Self {
        Self { sequence, sub_sequence: 0 }
    }
}

impl Position {
    /// The position of a plain record.
    #[must_use]
    pub const fn record(sequence: SequenceNumber) -> Self {
        Self::At(RecordPosition::first_of(sequence))
    }

    /// Whether nothing was processed yet.
    #[must_use]
    pub const fn is_initial(self) -> bool {
        match self {
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest => true,
            Self::At(_) | Self::ShardEnd => false,
        }
    }

    /// The value of the `checkpoint` column.
    #[must_use]
    pub fn column(self) -> String {
        match self {
            Self::AtTimestamp => AT_TIMESTAMP.to_owned(),
            Self::TrimHorizon => TRIM_HORIZON.to_owned(),
            Self::Latest => LATEST.to_owned(),
            Self::ShardEnd => SHARD_END.to_owned(),
            Self::At(record) => record.sequence.to_string(),
        }
    }

    /// The value of the `checkpointSubSequenceNumber` column: 0 for every sentinel.
    #[must_use]
    pub const fn sub_sequence_column(self) -> u64 {
        match self {
            Self::At(record) => record.sub_sequence,
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest | Self::ShardEnd => 0,
        }
    }

    /// Reads the two columns.
    ///
    /// # Errors
    /// [`InvalidSequenceNumber`] if `checkpoint` is neither a sentinel nor a sequence number.
    pub fn from_columns(checkpoint: &str, sub_sequence: u64) -> Result<Self, InvalidSequenceNumber> {
        Ok(match checkpoint {
            AT_TIMESTAMP => Self::AtTimestamp,
            TRIM_HORIZON => Self::TrimHorizon,
            LATEST => Self::Latest,
            SHARD_END => Self::ShardEnd,
            number => Self::At(RecordPosition { sequence: number.parse()?, sub_sequence }),
        })
    }
}

impl From<RecordPosition> for Position {
    fn from(record: RecordPosition) -> Self {
        Self::At(record)
    }
}

impl fmt::Display for RecordPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.sequence, self.sub_sequence)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(record) => fmt::Display::fmt(record, formatter),
            Self::AtTimestamp | Self::TrimHorizon | Self::Latest | Self::ShardEnd => {
                formatter.write_str(&self.column())
            }
        }
    }
}

const AT_TIMESTAMP: &str = "AT_TIMESTAMP";
const TRIM_HORIZON: &str = "TRIM_HORIZON";
const LATEST: &str = "LATEST";
const SHARD_END: &str = "SHARD_END";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_order_around_records() {
        let record = Position::record(SequenceNumber::from_parts(0, 1));
        let ascending =
            [Position::AtTimestamp, Position::TrimHorizon, Position::Latest, record, Position::ShardEnd];
        assert!(ascending.is_sorted());
    }

    #[test]
    fn sub_sequence_orders_records_of_one_aggregate() {
        let sequence = SequenceNumber::from_parts(0, 7);
        let first = Position::At(RecordPosition { sequence, sub_sequence: 0 });
        let second = Position::At(RecordPosition { sequence, sub_sequence: 1 });
        assert!(first < second);
    }

    #[test]
    fn columns_round_trip() {
        let record =
            Position::At(RecordPosition { sequence: SequenceNumber::from_parts(3, 9), sub_sequence: 4 });
        for position in
            [Position::AtTimestamp, Position::TrimHorizon, Position::Latest, record, Position::ShardEnd]
        {
            let read = Position::from_columns(&position.column(), position.sub_sequence_column());
            assert_eq!(read, Ok(position));
        }
        assert!(Position::from_columns("shard_end", 0).is_err());
    }
}
