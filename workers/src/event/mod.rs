//! Events: what a record's bytes say, when it happened, and what becomes of bytes that say nothing usable.

mod combined_log;
mod csv_row;
mod envelope;
mod fields;
mod json;
mod time;

pub use envelope::{END_MARK, Envelope, stamped};
pub use fields::{FieldName, Fields};
pub use time::EventTime;

pub(crate) use combined_log::parse_combined_log;
pub(crate) use csv_row::parse_csv_row;
pub(crate) use json::parse_json;
pub(crate) use time::InvalidTime;
