//! How far a shard's records were delivered, and how far they are durable. Pure.

use kcl_core::{Position, RecordPosition};
use thiserror::Error;

use crate::processor::Progress;

/// The two watermarks of one tenure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgressTracker {
    delivered: Position,
    durable: Position,
}

impl ProgressTracker {
    /// Starts where the row stands.
    pub(crate) const fn new(checkpoint: Position) -> Self {
        Self { delivered: checkpoint, durable: checkpoint }
    }

    /// A batch up to `last` was processed; one without records changes nothing.
    pub(crate) fn processed(&mut self, last: Option<RecordPosition>) {
        if let Some(last) = last {
            self.delivered = self.delivered.max(last.into());
        }
    }

    /// Takes in what the processor says about the records delivered.
    pub(crate) fn reported(&mut self, progress: Progress) -> Result<(), Box<ImpossibleProgress>> {
        match progress {
            Progress::Durable => self.durable = self.delivered,
            Progress::DurableTo(position) => {
                let position = Position::from(position);
                if position > self.delivered {
                    return Err(Box::new(ImpossibleProgress { position, delivered: self.delivered }));
                }
                self.durable = self.durable.max(position);
            }
            Progress::Buffered => {}
        }
        Ok(())
    }

    /// What is durable beyond `checkpoint`.
    pub(crate) fn beyond(&self, checkpoint: Position) -> Option<Position> {
        (!self.durable.is_initial() && self.durable > checkpoint).then_some(self.durable)
    }
}

/// Progress that was never delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("progress to {position} was reported, but delivery stands at {delivered}")]
pub(crate) struct ImpossibleProgress {
    position: Position,
    delivered: Position,
}

#[cfg(test)]
mod tests {
    use kcl_core::SequenceNumber;

    use super::*;

    fn at(sequence: u128) -> RecordPosition {
        RecordPosition::first_of(SequenceNumber::from_parts(0, sequence))
    }

    #[test]
    fn only_what_was_processed_is_durable() {
        let mut tracker = ProgressTracker::new(Position::TrimHorizon);
        assert_eq!(tracker.beyond(Position::TrimHorizon), None);
        tracker.processed(Some(at(5)));
        assert_eq!(tracker.reported(Progress::Buffered), Ok(()));
        assert_eq!(tracker.beyond(Position::TrimHorizon), None);
        assert_eq!(tracker.reported(Progress::DurableTo(at(3))), Ok(()));
        assert_eq!(tracker.beyond(Position::TrimHorizon), Some(at(3).into()));
        assert_eq!(tracker.reported(Progress::Durable), Ok(()));
        assert_eq!(tracker.beyond(at(3).into()), Some(at(5).into()));
        assert_eq!(tracker.beyond(at(5).into()), None);
    }

    #[test]
    fn an_empty_shard_has_nothing_to_checkpoint() {
        let mut tracker = ProgressTracker::new(Position::AtTimestamp);
        tracker.processed(None);
        assert_eq!(tracker.reported(Progress::Durable), Ok(()));
        assert_eq!(tracker.beyond(Position::AtTimestamp), None);
    }

    #[test]
    fn progress_beyond_delivery_is_refused_and_never_goes_back() {
        let mut tracker = ProgressTracker::new(at(5).into());
        tracker.processed(Some(at(7)));
        assert!(tracker.reported(Progress::DurableTo(at(8))).is_err());
        assert_eq!(tracker.reported(Progress::DurableTo(at(1))), Ok(()));
        assert_eq!(tracker.beyond(at(5).into()), None);
    }
}
