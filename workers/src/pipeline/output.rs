//! What steps lead to.

use super::failed::FailedEvent;
use crate::event::Fields;

/// A row with the folder that its object lies in.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputRow {
    /// The rendered layout.
    pub folder: String,
    /// The row.
    pub row: Fields,
}

/// Gathers what a series of steps leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutput {
    /// Rows in the order in which they became final.
    pub rows: Vec<OutputRow>,
    /// Events among the rows; the others are rows about sessions.
    pub events: u64,
    /// Failed events.
    pub failed: Vec<FailedEvent>,
    /// Late events that were dropped, as the settings say.
    pub dropped: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// An end mark was met.
    pub is_end_of_input: bool,
    /// The state is full: the record was not taken, and the shard must stop.
    pub is_full: bool,
}
