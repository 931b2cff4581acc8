//! Folders of objects: templates such as `events/date={event_time:%Y-%m-%d}/type={type}`.
//!
//! Owns what a template may contain and how a value becomes part of an object key. A rendered folder depends on the row
//! alone: placeholders for clock, worker or randomness are refused, since a replay must find the same names. Values of
//! events are hostile until encoded.

mod template;
mod value;

pub use template::{InvalidLayout, LayoutTemplate};

/// Folders that one batch may have open: each holds an encoder and, for large objects, an upload.
pub const OPEN_PARTITIONS_MAX: usize = 100;
