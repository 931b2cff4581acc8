//! A simulated world for the coordinators of a fleet: one lease table, slow and lossy calls, stalls and crashes.
//!
//! ```text
//! bytes ─▶ Schedule ─▶ Action ─▶ World { coordinators, stream, requests not yet applied, replies not yet delivered, table }
//!                                   │ after every action
//!                                   └─▶ Oracle: S1 to S6, the rules they rest on, counters against vacuity
//! ```
//!
//! Time is an integer, the only randomness is the bytes, and the same bytes give the same log. The coordinators are the
//! real ones; only the shell around them is replaced.

mod counters;
mod faults;
mod oracle;
mod recovery;
mod schedule;
mod sim_worker;
mod stream;
mod world;

pub use counters::{Counters, Situation};
pub use oracle::{Oracle, Violation};
pub use schedule::{Action, Mishap, Schedule, Work, run};
pub use world::{Fault, World, WorldSettings};
