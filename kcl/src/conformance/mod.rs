//! One suite per port, run against every adapter: this crate's, and yours.
//!
//! ```text
//! lease_store(&store)          every request against the reference table, then random histories, then races
//! stream(&stream, &producer)   reading in order, positions, ends, children
//! telemetry_store(&store)      rows are kept by lease, whatever is in them
//! clock(&clock)                time goes forward
//! ```
//!
//! Each is an async function that panics with what it did, what came and what had to come. Give it an adapter that is
//! opened and otherwise unused.

mod lease_store;
mod stream;
mod telemetry_store;

pub use lease_store::lease_store;
pub use stream::{Producer, StreamException, stream, stream_except};
pub use telemetry_store::telemetry_store;

use std::time::Duration;

use crate::port::Clock;

/// Checks that time goes forward, monotonic and wall clock alike.
///
/// # Panics
/// If it does not.
pub async fn clock(clock: &dyn Clock) {
    let (first, first_epoch) = (clock.now(), clock.epoch_millis());
    assert!(first_epoch > EPOCH_MILLIS_OF_2020, "the wall clock shows {first_epoch} ms, before 2020");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let passed = clock.now().since(first).0;
    assert!((19..5_000).contains(&passed), "20 ms were {passed} ms on the clock");
    let epoch_passed = clock.epoch_millis().saturating_sub(first_epoch);
    assert!((19..5_000).contains(&epoch_passed), "20 ms were {epoch_passed} ms on the wall clock");
}

const EPOCH_MILLIS_OF_2020: u64 = 1_577_836_800_000;
