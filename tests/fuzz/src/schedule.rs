//! Coordinators in the simulated world, whose every step the bytes choose.

use kcl_core::Millis;
use leasehold_sim::{Fault, WorldSettings, run};

/// A schedule of requests, replies, work and faults; its form is the simulation's.
///
/// # Panics
/// If a property of the protocol breaks, with the log of the world.
pub fn schedule(data: &[u8]) {
    let settings = WorldSettings {
        workers: 3,
        shards: 3,
        failovers: vec![Millis(3000)],
        clock_skew_ppm: 1000,
        fault: Fault::None,
    };
    let bytes = &data[..data.len().min(BYTES_MAX)];
    if let Err((violation, log)) = run(settings, bytes) {
        panic!("{}\n{violation}\nschedule: {bytes:?}", log.join("\n"));
    }
}

/// Two bytes an action: more actions make runs slower, and every situation comes up within these.
const BYTES_MAX: usize = 4096;
