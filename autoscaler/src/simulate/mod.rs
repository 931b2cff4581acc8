//! Autoscalers replayed against traffic on a virtual clock: what they are given, what they do, and how they are judged.

mod traffic;

pub use traffic::{KeySchedule, MinuteLoad, Trace};
