//! Events that could not be processed: kept with their bytes and the reason.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kcl::RecordPosition;
use serde_json::Value;

use crate::event::Fields;

/// Where an event failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its bytes are no event.
    Parse,
    /// The schema refuses it.
    Validate,
    /// It has no place in a session: late, or its key does not belong to this shard.
    Session,
}

impl Stage {
    /// The value of the `stage` field, and part of the folder.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Validate => "validate",
            Self::Session => "session",
        }
    }
}

/// A failed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedEvent {
    /// Where it failed.
    pub stage: Stage,
    /// Why, naming the field and the value.
    pub reason: String,
    /// Its bytes, without the stamp of `pump`.
    pub raw: Bytes,
    /// Name of its source, if `pump` stamped it.
    pub source: Option<String>,
    /// Its line in the source.
    pub line: Option<u64>,
    /// The stream it came from.
    pub stream: String,
    /// The shard it came from.
    pub shard: String,
    /// Its position in the shard.
    pub position: RecordPosition,
}

impl FailedEvent {
    /// The row that is written for it: bytes as `raw` if they are UTF-8, else as `raw_base64`.
    #[must_use]
    pub fn row(&self) -> Fields {
        let mut row = Fields::new();
        let mut set = |name: &'static str, value: Value| row.insert(name, value);
        set("stage", Value::from(self.stage.as_str()));
        set("reason", Value::from(self.reason.as_str()));
        match std::str::from_utf8(&self.raw) {
            Ok(text) => set("raw", Value::from(text)),
            Err(_) => set("raw_base64", Value::from(STANDARD.encode(&self.raw))),
        };
        set("source", self.source.as_deref().map_or(Value::Null, Value::from));
        set("line", self.line.map_or(Value::Null, Value::from));
        set("stream", Value::from(self.stream.as_str()));
        set("shard", Value::from(self.shard.as_str()));
        set("position", Value::from(self.position.to_string()));
        row
    }
}
