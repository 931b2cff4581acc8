//! Streams kept scaled on AWS by one process or function: everything between its arguments and the reconciler.
//!
//! ```text
//!  policy, pause switch ─▶ Steering ─┬─▶ Steered   (observer) reads them first, in every round
//!                                    └─▶ Governor  (planner)  plan(…) under them, withheld where they say so
//!  SdkConfig, table ─────▶ Connection ─▶ ports ─────────────┐
//!  wakes, stop ──────────▶ Attendance ─▶ one Reconciler for each stream ─▶ audit, metrics
//! ```
//!
//! Nothing here decides about shards; that is [`plan`](crate::plan()), and the reconciler carries it out.

mod attendance;
mod connection;
mod governor;
mod memory;
mod past;
mod rebalance;
mod steering;

pub use attendance::Attendance;
pub use connection::{Connection, StreamParts};
pub use governor::{Governor, plan_under};
pub use memory::StreamMemory;
pub use past::Past;
pub use rebalance::Rebalance;
pub use steering::{Hold, PolicySource, PolicyUnreadable, Steered, Steering};
