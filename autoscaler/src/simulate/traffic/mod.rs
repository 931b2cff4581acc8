//! Traffic to replay: the plain types that every trace has, and families of synthetic streams drawn from a seed.
//!
//! ```text
//!   draws (numbers of a seed) ─▶ shape (load by minute) ─┐
//!                             └▶ keys (load by hash key) ─┴▶ family ─▶ Trace
//! ```
//!
//! Nothing here knows about shards, quotas or autoscalers: a trace is what producers offer, whatever becomes of it.

#[cfg(test)]
mod calibration;
mod draws;
mod family;
mod keys;
mod load;
mod shape;
mod steady;

pub use family::{Family, suite, surge};
pub use load::{KeySchedule, MinuteLoad, Trace};
pub use steady::skewed;
