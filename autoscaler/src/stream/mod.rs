//! The shards of a stream as the planner sees them: ranges that cover the hash space, with and without names.

mod boundaries;
mod layout;

pub use boundaries::Boundaries;
pub use layout::{InvalidLayout, Layout, OpenShard};
