//! The steps between a record and the rows it leads to, as one pure function of settings, state and records.
//!
//! ```text
//! record ─▶ envelope ─▶ parse ─▶ validate ─▶ derive ─▶ sessionize ─▶ rows with their folders
//!                         └──────────┴───────────────────┴────────▶ failed events: stage, reason, raw bytes
//! ```
//!
//! Owns no IO and no clock. The same records, in the same order, with the same recorded idle advances, give the same
//! rows in the same order: this is what lets another worker finish a batch.

mod compiled;
mod derive;
mod failed;
mod output;

pub use compiled::{Pipeline, PipelineState, RecordPlace};
pub use failed::{FailedEvent, Stage};
pub use output::{OutputRow, StepOutput};
