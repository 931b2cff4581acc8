//! What is known about a stream at one moment: its load, where the load lies, and how far its readers are behind.
//!
//! A reading that is missing is `None`: unknown, never zero.

mod by_shard;
mod load_map;
mod observation;
mod telemetry;

pub use load_map::{HeavyKey, LoadMap};
pub use observation::{ApplicationLag, Minute, Observation, ShardMinute, StreamState};
pub use telemetry::{IgnoredRows, TelemetryQuality, TelemetryReading, TelemetryScope};
