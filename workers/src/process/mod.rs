//! The processor of one shard: drives the pure pipeline, and writes its batches exactly once.
//!
//! ```text
//! records ─▶ batch fills ─ due ─▶ intent ─▶ objects ─▶ snapshot ─▶ manifest ─▶ commit ─▶ next batch
//!               ▲                   │ crash: the next owner reads the range again, and goes on here
//!               └─ initialize ◀─────┘
//! ```
//!
//! One batch is in commit at a time, and the next one fills after it. Everything outside the process is a pure function
//! of the records in the range, the configuration and the state at its start.

mod commit;
mod error;
mod processor;
mod recovery;

pub use error::ProcessError;
pub use processor::{PipelineFactory, PipelineProcessor};

#[cfg(test)]
mod tests;
