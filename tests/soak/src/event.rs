//! The events of a soak. Each carries who it is and which attempt of putting it this was, so that nothing can be lost,
//! doubled or swapped unseen, and a duplicate of the producer is told from one of the workers.

use serde::{Deserialize, Serialize};

/// One attempt to put one event: what makes a record of the stream unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId {
    /// The event, counted over the whole run.
    pub(crate) event: u64,
    /// The attempt, from 0.
    pub(crate) attempt: u32,
}

/// An event as it lies on the stream, in the form that the `clicks` preset reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SoakEvent {
    /// The key: partition, session and order.
    pub(crate) user_id: String,
    /// Epoch milliseconds; no two events of a run have the same.
    pub(crate) event_timestamp: i64,
    pub(crate) event_name: String,
    pub(crate) soak_event: u64,
    pub(crate) soak_attempt: u32,
    /// Number of the event among those of its key, from 0.
    pub(crate) soak_count: u64,
}

impl SoakEvent {
    /// Which attempt it is.
    pub(crate) fn attempt(&self) -> AttemptId {
        AttemptId { event: self.soak_event, attempt: self.soak_attempt }
    }
}

impl std::fmt::Display for AttemptId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "event {} attempt {}", self.event, self.attempt)
    }
}
