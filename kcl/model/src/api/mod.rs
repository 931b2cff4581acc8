//! The requests and responses of the API operations, as plain data.
//!
//! Owns names and shapes only; every rule about them lives with the operation. Optional fields are the optional ones of
//! AWS, so that a server can hand on what it read.

mod consumers;
mod data;
mod names;
mod shards;
mod streams;

pub use consumers::*;
pub use data::*;
pub use names::*;
pub use shards::*;
pub use streams::*;
