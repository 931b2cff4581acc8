//! Fleets of real workers on paused time over faulty ports, watched by an oracle.
//!
//! ```text
//! seed ─▶ Plan ─▶ Fleet { processes: kcl::Worker + ProcessStore + ProcessStream + Recording processors }
//!                   │ crashes, freezes, joins, leaves, splits, merges          │ every write, every delivery
//!                   └───────────────▶ Lab { table, stream, menu of faults } ───┴─▶ Oracle: S1 to S6, counters
//! ```
//!
//! Time is that of a paused `current_thread` runtime, all randomness comes from one seed, and the same seed gives the
//! same trace. What `tests/sim` shows of the pure coordinator is shown here of the whole worker: its loop, its shard
//! tasks, its deadlines, its shutdown. After the faults stop, everything must be delivered and shared out evenly within
//! a bounded time.

mod draws;
mod fleet;
mod lab;
mod menu;
mod oracle;
mod process;
mod processor;
mod run;
mod situation;
mod source;
mod store;

pub use draws::Draws;
pub use fleet::{Fleet, Member};
pub use lab::{Lab, PortBug};
pub use menu::Menu;
pub use oracle::{Oracle, Place, Put, RunId, Violation};
pub use process::Process;
pub use processor::{Failed, Recorder, Recording, Style};
pub use run::{Plan, Report, on_paused_time, run};
pub use situation::{Counters, Situation};
pub use source::ProcessStream;
pub use store::ProcessStore;
