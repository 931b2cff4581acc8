//! What the load of a shard is made of, as only its reader sees it: for an autoscaler, at a cost that nobody notices.
//!
//! ```text
//!  fetched records ─▶ ShardTelemetry ──────┬─ every record ─▶ bytes, records, busiest second of each minute
//!  (one answer)       one for each tenure  └─ some records ─▶ MD5 of its key ─▶ histogram, heavy keys
//!                          │ every `telemetry_interval`
//!                          ▼
//!                     TelemetryRow ─▶ at most 1 KiB ─▶ TelemetryStore ─▶ autoscaler
//! ```
//!
//! Off unless the builder is given a [`TelemetryStore`](crate::TelemetryStore), and then nothing is counted at all. Switched
//! on, it takes up to 8 KiB of memory for each shard, and writes 1 KiB for each shard and interval: every ten seconds and on
//! demand, that is 1.5 % of the shard's price in us-east-1. Nothing waits for it; its failures are counted, and that is all.
//!
//! # What is measured
//!
//! - **Kinesis records as they were fetched**, since those are what a shard's limits count: an aggregate of the KPL is one.
//! - **By arrival time**, so that a reader that catches up reports the past as it was and not its own speed.
//! - **Decaying**, with a half-life of a minute: an interval between two writes would be too short to sample well, a long
//!   one would hide a key that has just become hot. Minutes are exact sums beside it, of the clock's minutes.
//!
//! # What is not seen
//!
//! A reader does not learn a record's explicit hash key. If the hash of its partition key lies outside the shard, there was
//! one; the record then counts as *unplaced*: somewhere in the shard. The same goes for aggregates of the KPL, which carry
//! the partition key `a` and an explicit hash key. An explicit hash key that puts a record into the shard in which its
//! partition key lies anyway is not noticed.

mod accumulator;
mod board;
mod heavy;
mod histogram;
mod load;
mod minutes;
mod row;
mod sampler;
mod writer;

pub use accumulator::ShardTelemetry;
pub use load::{LoadShare, Share};
pub use minutes::MinuteFigures;
pub use row::{HeavyHash, InvalidRow, StreamDigest, TelemetryRow};

pub(crate) use board::{TelemetryBoard, TelemetryTap};
pub(crate) use writer::TelemetryWriter;
