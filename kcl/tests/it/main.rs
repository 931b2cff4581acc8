//! Tests of the whole shell: workers on memory under paused time, and the adapters on local services.

#[cfg(feature = "aws")]
mod aws;
mod delivery;
mod faults;
mod fleet;
mod recorder;
#[cfg(feature = "aws")]
mod stale_table;
mod telemetry;
mod two_phase;
