//! Traffic to replay: the plain types that every trace has, and families of synthetic streams drawn from a seed.

mod load;

pub use load::{KeySchedule, MinuteLoad, Trace};
