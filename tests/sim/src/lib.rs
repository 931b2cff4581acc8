//! A simulated world for the coordinators of a fleet: one lease table, slow and lossy calls, stalls and crashes.
//!
//! ```text
//! bytes ─▶ Schedule ─▶ Action ─▶ World { coordinators, requests not yet applied, replies not yet delivered, table }
//!                                   │ after every action
//!                                   └─▶ Oracle: S1, S2, S6, the timeout contract, counters against vacuity
//! ```
//!
//! Time is an integer, the only randomness is the bytes, and the same bytes give the same log. The coordinators are the
//! real ones; only the shell around them is replaced.

mod oracle;
mod schedule;
mod sim_worker;
mod world;

pub use oracle::{Counters, Oracle, Violation};
pub use schedule::{Action, Schedule, run};
pub use world::{Fault, World, WorldSettings};
