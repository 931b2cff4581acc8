//! The settings that are a choice among named values.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

macro_rules! choice {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }
    };
}

choice! {
    /// How the bytes of a record are read.
    pub enum Format {
        /// A line of an Apache or nginx access log in "combined" format.
        CombinedLog,
        /// One JSON object.
        Json,
        /// One row of comma-separated values; the columns are named in the settings.
        Csv,
    }
}

choice! {
    /// How an event's time is written.
    pub enum TimeUnit {
        /// Epoch seconds, as a number or a text of digits; fractions are kept to the millisecond.
        Seconds,
        /// Epoch milliseconds, as a number or a text of digits.
        Millis,
        /// Epoch microseconds, as a number or a text of digits; cut to the millisecond.
        Micros,
        /// Text such as `2015-05-17T10:05:03Z`, with an offset.
        Rfc3339,
        /// Text such as `17/May/2015:10:05:03 +0000`.
        CombinedLog,
    }
}

choice! {
    /// A builtin step that adds fields to an event.
    pub enum Derivation {
        /// From `request`: `method`, `path`, `query` and `protocol`.
        RequestParts,
        /// From `path`, `method` and `status`: `is_page_view`, and `type` as `page_view` or `request`.
        PageView,
        /// From `referrer`: `referrer_host`, in lower case and without port.
        ReferrerHost,
        /// From `status`: `status_class` as `2xx`, `3xx` and so on.
        StatusClass,
    }
}

choice! {
    /// Whether two events exactly one gap apart belong to two sessions.
    pub enum Boundary {
        /// A new session begins when the pause is greater than the gap.
        #[serde(rename = ">")]
        Over,
        /// A new session begins when the pause is the gap or greater.
        #[serde(rename = ">=")]
        AtLeast,
    }
}

choice! {
    /// What the very first event of a key does.
    pub enum FirstEvent {
        /// It opens session 1.
        Opens,
        /// It begins an unnumbered session that is not reported as started; the next pause begins session 1.
        Silent,
    }
}

choice! {
    /// One kind of row that the sessionizer writes.
    pub enum Emit {
        /// Every event, with its `session_id`.
        Events,
        /// One row per session start, under the sessions layout.
        Starts,
        /// One row per closed session, under the sessions layout.
        Closed,
    }
}

choice! {
    /// How a session is named.
    pub enum SessionIdKind {
        /// UUIDv5 of the key and the first event: stable, and nothing is remembered about closed sessions.
        Uuid5,
        /// The key and a running number, such as `user1_18`: every key ever seen stays in state.
        KeySeq,
    }
}

choice! {
    /// When an event is given to its session.
    pub enum SessionMode {
        /// Once the watermark has passed it: held until then, in event-time order, never corrected.
        AfterWatermark,
        /// At arrival, with later corrections.
        AtArrival,
    }
}

choice! {
    /// What happens to an event that arrives behind the watermark.
    pub enum LatePolicy {
        /// It goes to the failed events with stage `session` and reason `late`.
        Side,
        /// It is counted and not written.
        Drop,
        /// It corrects what was written.
        Correct,
    }
}

choice! {
    /// How objects are compressed.
    pub enum Compression {
        /// `.jsonl.gz`; every query engine reads it.
        Gzip,
        /// `.jsonl.zst` at level 3: smaller and several times faster than gzip, read by DuckDB and Athena.
        Zstd,
        /// `.jsonl`.
        None,
    }
}

/// Where a shard without a checkpoint is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum InitialPosition {
    /// At the oldest record that the stream keeps.
    TrimHorizon,
    /// At records newer than the first start of the application.
    Latest,
    /// At records that arrived at or after this time.
    At(Timestamp),
}

impl TryFrom<String> for InitialPosition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            TRIM_HORIZON => Ok(Self::TrimHorizon),
            LATEST => Ok(Self::Latest),
            time => time.parse().map(Self::At).map_err(|error| {
                format!(
                    "initial position {time:?} is neither \"{TRIM_HORIZON}\" nor \"{LATEST}\" nor a time such as \
                     \"2015-05-17T10:05:00Z\" ({error})"
                )
            }),
        }
    }
}

impl From<InitialPosition> for String {
    fn from(position: InitialPosition) -> Self {
        match position {
            InitialPosition::TrimHorizon => TRIM_HORIZON.to_owned(),
            InitialPosition::Latest => LATEST.to_owned(),
            InitialPosition::At(time) => time.to_string(),
        }
    }
}

const TRIM_HORIZON: &str = "trim_horizon";
const LATEST: &str = "latest";
