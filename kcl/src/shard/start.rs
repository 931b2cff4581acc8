//! Where the reading of a shard begins, and what of the first answers is already processed.

use kcl_core::{InitialPosition, Lease, Position, RecordPosition};

use crate::port::StartAt;
use crate::record::Record;

/// A start of reading: the first call, and the last position to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Where the iterator starts.
    pub(crate) at: StartAt,
    /// Records up to and including this one are skipped.
    pub(crate) processed: Option<RecordPosition>,
}

impl Start {
    /// The start after `position` of the shard of `lease`.
    ///
    /// A checkpoint may lie in the middle of an aggregate, so its Kinesis record is read again and what was processed
    /// is skipped. A sentinel other than `TRIM_HORIZON` starts at the time fixed in the row when it was created, so that
    /// nothing is lost between two owners; a row without that time (made by the Java KCL) starts as configured.
    pub(crate) fn after(
        position: Position,
        lease: &Lease,
        configured: InitialPosition,
        epoch_millis: u64,
    ) -> Self {
        let at_time = |fallback| StartAt::Timestamp(lease.own.start_epoch_millis.unwrap_or(fallback));
        match position {
            Position::At(record) => Self { at: StartAt::At(record), processed: Some(record) },
            Position::TrimHorizon | Position::ShardEnd => Self { at: StartAt::TrimHorizon, processed: None },
            Position::Latest => Self { at: at_time(epoch_millis), processed: None },
            Position::AtTimestamp => {
                let configured = match configured {
                    InitialPosition::AtTimestamp(configured) => configured,
                    InitialPosition::TrimHorizon | InitialPosition::Latest => epoch_millis,
                };
                Self { at: at_time(configured), processed: None }
            }
        }
    }

    /// The start right after the Kinesis record of `fetched`, all of which was taken.
    pub(crate) const fn past(fetched: RecordPosition) -> Self {
        Self { at: StartAt::After(fetched), processed: None }
    }

    /// The same start where the service no longer knows the Kinesis record to start at.
    pub(crate) fn without_the_record(self) -> Option<Self> {
        match self.at {
            StartAt::At(record) => Some(Self { at: StartAt::After(record), ..self }),
            StartAt::After(_) | StartAt::TrimHorizon | StartAt::Timestamp(_) => None,
        }
    }

    /// Whether `record` is still to be processed.
    pub(crate) fn admits(&self, record: &Record) -> bool {
        self.processed.is_none_or(|processed| record.position > processed)
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::{Generation, LeaseKey, SequenceNumber};

    use super::*;

    fn lease(start_epoch_millis: Option<u64>) -> Lease {
        let mut lease =
            Lease::new(LeaseKey::new("shardId-0").expect("valid"), Position::Latest, Generation(1));
        lease.own.start_epoch_millis = start_epoch_millis;
        lease
    }

    #[test]
    fn a_sentinel_starts_at_the_time_fixed_in_the_row() {
        let at = |position, row, configured| Start::after(position, &lease(row), configured, 900).at;
        assert_eq!(at(Position::Latest, Some(5), InitialPosition::Latest), StartAt::Timestamp(5));
        assert_eq!(at(Position::Latest, None, InitialPosition::Latest), StartAt::Timestamp(900));
        let configured = InitialPosition::AtTimestamp(70);
        assert_eq!(at(Position::AtTimestamp, None, configured), StartAt::Timestamp(70));
        assert_eq!(at(Position::TrimHorizon, Some(5), configured), StartAt::TrimHorizon);
    }

    #[test]
    fn a_checkpoint_is_read_again_and_skipped() {
        let checkpoint = RecordPosition { sequence: SequenceNumber::from_parts(0, 9), sub_sequence: 2 };
        let start = Start::after(checkpoint.into(), &lease(None), InitialPosition::Latest, 0);
        assert_eq!(start.at, StartAt::At(checkpoint));
        let record = |sequence, sub_sequence| Record {
            position: RecordPosition { sequence: SequenceNumber::from_parts(0, sequence), sub_sequence },
            partition_key: "k".into(),
            data: bytes::Bytes::new(),
            arrival_epoch_millis: 0,
        };
        let admitted: Vec<_> = [(9, 1), (9, 2), (9, 3), (10, 0)]
            .into_iter()
            .filter(|(sequence, sub)| start.admits(&record(*sequence, *sub)))
            .collect();
        assert_eq!(admitted, [(9, 3), (10, 0)]);
        let after = start.without_the_record().expect("can go on");
        assert_eq!(after.at, StartAt::After(checkpoint));
        assert_eq!(after.without_the_record(), None);
    }
}
