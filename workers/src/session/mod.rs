//! Sessions by key and inactivity gap, as a fold over the records of one shard.
//!
//! ```text
//! event ─ push ─▶ held by (event time, event id) ─ release, once the watermark has passed ─▶ Released::Event
//!           │                                                 │
//!           └─ behind the watermark: Late                     └─▶ SessionStarted, SessionClosed
//! watermark = greatest event time − lateness, or further if an idle advance says so
//! ```
//!
//! Owns the state of a shard's keys and its snapshot. Never reads a clock: idle time arrives as a recorded decision, so
//! that a replay of the same records and advances releases the same rows in the same order.

mod rules;
mod snapshot;
mod state;

pub use rules::{SessionRules, session_key, session_uuid};
pub use snapshot::SnapshotError;
pub use state::{CloseReason, Pushed, Released, SessionEvent, SessionState};
