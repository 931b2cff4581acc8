//! Tests of the whole shell: workers on memory under paused time, and the adapters on local services.

#[cfg(feature = "aws")]
mod aws;
mod delivery;
mod fleet;
mod recorder;
