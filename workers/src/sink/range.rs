//! What a batch knows about the records in its range, enough to notice when a second reading finds others.

use std::fmt;

use kcl::RecordPosition;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hex;

/// Count and digest of the records between two positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeFacts {
    /// Kinesis records.
    pub records: u64,
    /// User records: the parts of aggregates count each.
    pub sub_records: u64,
    /// SHA-256 over the positions, in hexadecimal.
    pub positions_digest: String,
}

impl fmt::Display for RangeFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, sub_records, positions_digest } = self;
        let digest = positions_digest.get(..12).unwrap_or(positions_digest);
        write!(formatter, "{records} records ({sub_records} with sub-records, positions {digest}…)")
    }
}

/// Gathers [`RangeFacts`] record by record.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeCounter {
    records: u64,
    sub_records: u64,
    last: Option<RecordPosition>,
    digest: Sha256,
}

impl RangeCounter {
    /// Counts the next record; positions ascend.
    pub(crate) fn add(&mut self, position: RecordPosition) {
        if self.last.is_none_or(|last| last.sequence != position.sequence) {
            self.records += 1;
        }
        self.sub_records += 1;
        self.last = Some(position);
        self.digest.update(position.sequence.high().to_be_bytes());
        self.digest.update(position.sequence.low().to_be_bytes());
        self.digest.update(position.sub_sequence.to_be_bytes());
    }

    pub(crate) fn facts(&self) -> RangeFacts {
        RangeFacts {
            records: self.records,
            sub_records: self.sub_records,
            positions_digest: hex(&self.digest.clone().finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use kcl::SequenceNumber;

    use super::*;

    fn facts(positions: &[(u128, u64)]) -> RangeFacts {
        let mut counter = RangeCounter::default();
        for &(sequence, sub_sequence) in positions {
            counter.add(RecordPosition { sequence: SequenceNumber::from_parts(0, sequence), sub_sequence });
        }
        counter.facts()
    }

    #[test]
    fn parts_of_an_aggregate_are_one_record() {
        let counted = facts(&[(1, 0), (2, 0), (2, 1), (2, 2), (3, 0)]);
        assert_eq!((counted.records, counted.sub_records), (3, 5));
    }

    #[test]
    fn another_record_changes_the_digest() {
        assert_eq!(facts(&[(1, 0), (2, 0)]), facts(&[(1, 0), (2, 0)]));
        assert_ne!(facts(&[(1, 0), (2, 0)]).positions_digest, facts(&[(1, 0), (3, 0)]).positions_digest);
        assert_ne!(facts(&[(1, 0), (2, 0)]).positions_digest, facts(&[(1, 0), (2, 1)]).positions_digest);
    }
}
