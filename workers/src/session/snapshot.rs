//! A state as bytes: immutable, versioned, checksummed, and the same bytes for the same state.
//!
//! ```text
//! "LHSS" │ version u16 │ SHA-256 of what follows │ zstd of canonical JSON, entries in order of hash key
//! ```
//!
//! Reading takes no more memory than the frame's header says, and that no more than a state within its limit can need.

use std::sync::Arc;

use bytes::Bytes;
use kcl::{HashKey, HashKeyRange};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::state::{KeyState, OpenSession, SessionEvent, SessionState};
use crate::event::{EventTime, Fields};
use crate::sink::hex;

/// Why bytes are no snapshot of this version.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Not a snapshot, or cut off before its header ends.
    #[error("no session snapshot: {bytes} bytes without the header {MAGIC:?}")]
    NotASnapshot {
        /// How many bytes there were.
        bytes: usize,
    },
    /// Written by a newer release.
    #[error("session snapshot of version {version}: this release reads version {VERSION}")]
    Version {
        /// The version found.
        version: u16,
    },
    /// The checksum does not match.
    #[error("session snapshot of {bytes} bytes is damaged: its checksum does not match")]
    Damaged {
        /// How many bytes there were.
        bytes: usize,
    },
    /// Larger than a state within its limit can be.
    #[error(
        "session snapshot holds {bytes} bytes, a state of {state_bytes_max} at most {bytes_max}; raise session.state_bytes_max"
    )]
    TooLarge {
        /// How many bytes there are, decompressed.
        bytes: u64,
        /// The limit of the state.
        state_bytes_max: usize,
        /// What such a state takes at most.
        bytes_max: usize,
    },
    /// The content is not what this version writes.
    #[error("session snapshot cannot be read: {detail}")]
    Content {
        /// What is wrong.
        detail: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    event_time_max: Option<i64>,
    watermark: Option<i64>,
    events_pushed: u64,
    keys: Vec<StoredKey>,
    held: Vec<StoredEvent>,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    hash_key: String,
    key: String,
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<StoredSession>,
}

#[derive(Serialize, Deserialize)]
struct StoredSession {
    session_id: String,
    start_millis: i64,
    last_millis: i64,
    events: u64,
    carried: Fields,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent {
    hash_key: String,
    order: u64,
    key: String,
    event_time_millis: i64,
    event_id: String,
    row: Fields,
}

impl SessionState {
    /// The snapshot of this state.
    ///
    /// # Errors
    /// [`SnapshotError::Content`] if a value cannot be written as JSON.
    pub fn encode(&self) -> Result<Bytes, SnapshotError> {
        self.encode_with_digest().map(|(bytes, _)| bytes)
    }

    /// The snapshot of this state with its logical digest: that of its content before compression, which is the same
    /// whichever release compresses it.
    ///
    /// # Errors
    /// [`SnapshotError::Content`] if a value cannot be written as JSON.
    pub fn encode_with_digest(&self) -> Result<(Bytes, String), SnapshotError> {
        let json = serde_json::to_vec(&self.stored()).map_err(content)?;
        let logical_digest = hex(&Sha256::digest(&json));
        let body = zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(content)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(MAGIC.as_bytes());
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&Sha256::digest(&body));
        bytes.extend_from_slice(&body);
        Ok((Bytes::from(bytes), logical_digest))
    }

    /// Reads the snapshot of a state that was held to `state_bytes_max`.
    ///
    /// # Errors
    /// [`SnapshotError`] for anything that [`encode`](Self::encode) did not write; it never panics.
    pub fn decode(bytes: &[u8], state_bytes_max: usize) -> Result<Self, SnapshotError> {
        let not_a_snapshot = || SnapshotError::NotASnapshot { bytes: bytes.len() };
        let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(not_a_snapshot)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(not_a_snapshot)?;
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            return Err(SnapshotError::Version { version });
        }
        let (digest, body) = rest.split_first_chunk::<DIGEST_BYTES>().ok_or_else(not_a_snapshot)?;
        if Sha256::digest(body).as_slice() != digest {
            return Err(SnapshotError::Damaged { bytes: bytes.len() });
        }
        let stored: Stored =
            serde_json::from_slice(&decompressed(body, state_bytes_max)?).map_err(content)?;
        Self::restored(stored)
    }

    /// The part of this state whose keys lie in `range`, with the same watermark.
    #[must_use]
    pub fn filter(&self, range: HashKeyRange) -> Self {
        let mut part = self.clone();
        part.keys.retain(|(hash_key, _), _| range.contains(*hash_key));
        part.held.retain(|_, event| range.contains(event.hash_key));
        part.index();
        part
    }

    fn stored(&self) -> Stored {
        let keys = self.keys.iter().map(|((hash_key, key), state)| StoredKey {
            hash_key: hash_text(*hash_key),
            key: key.to_string(),
            number: state.number,
            open: state.open.as_ref().map(|open| StoredSession {
                session_id: open.session_id.to_string(),
                start_millis: open.start_millis,
                last_millis: open.last_millis,
                events: open.events,
                carried: open.carried.clone(),
            }),
        });
        let mut held: Vec<StoredEvent> = self
            .held
            .iter()
            .map(|((_, _, order), event)| StoredEvent {
                hash_key: hash_text(event.hash_key),
                order: *order,
                key: event.key.to_string(),
                event_time_millis: event.event_time_millis,
                event_id: event.event_id.to_string(),
                row: event.row.clone(),
            })
            .collect();
        held.sort_by(|a, b| (&a.hash_key, a.order).cmp(&(&b.hash_key, b.order)));
        Stored {
            event_time_max: self.event_time_max,
            watermark: self.watermark,
            events_pushed: self.events_pushed,
            keys: keys.collect(),
            held,
        }
    }

    fn restored(stored: Stored) -> Result<Self, SnapshotError> {
        let mut state = Self::new();
        checked_count("events_pushed", stored.events_pushed)?;
        state.event_time_max = stored.event_time_max;
        state.watermark = stored.watermark;
        state.events_pushed = stored.events_pushed;
        for key in stored.keys {
            checked_count("number", key.number)?;
            if let Some(open) = &key.open {
                checked_count("events", open.events)?;
                checked_time("start_millis", open.start_millis)?;
                checked_time("last_millis", open.last_millis)?;
            }
            let open = key.open.map(|open| OpenSession {
                session_id: open.session_id.into(),
                start_millis: open.start_millis,
                last_millis: open.last_millis,
                events: open.events,
                carried: open.carried,
            });
            let place = (hash_from(&key.hash_key)?, key.key.into());
            if let Some(twice) = state.keys.insert(place, KeyState { number: key.number, open }) {
                return Err(content(format!("a key stands in it twice, once with number {}", twice.number)));
            }
        }
        for event in stored.held {
            checked_time("event_time_millis", event.event_time_millis)?;
            let event_id: Arc<str> = event.event_id.into();
            let order = (event.event_time_millis, event_id.clone(), event.order);
            let event = SessionEvent {
                key: event.key.into(),
                hash_key: hash_from(&event.hash_key)?,
                event_time_millis: event.event_time_millis,
                event_id,
                row: event.row,
            };
            if let Some(twice) = state.held.insert(order, event) {
                return Err(content(format!("event {} stands in it twice", twice.event_id)));
            }
        }
        state.index();
        Ok(state)
    }
}

/// The content of a frame: as long as its header says, which is checked before anything is allocated.
fn decompressed(body: &[u8], state_bytes_max: usize) -> Result<Vec<u8>, SnapshotError> {
    let bytes = match zstd::zstd_safe::get_frame_content_size(body) {
        Ok(Some(bytes)) => bytes,
        Ok(None) | Err(_) => return Err(content("its compressed frame does not say how long it is")),
    };
    let bytes_max = state_bytes_max.saturating_mul(JSON_BYTES_PER_STATE_BYTE).saturating_add(FRAME_BYTES);
    match usize::try_from(bytes) {
        Ok(bytes) if bytes <= bytes_max => zstd::bulk::decompress(body, bytes).map_err(content),
        Ok(_) | Err(_) => Err(SnapshotError::TooLarge { bytes, state_bytes_max, bytes_max }),
    }
}

/// Only checked times enter a state, and everything downstream relies on it.
fn checked_time(name: &str, millis: i64) -> Result<(), SnapshotError> {
    match EventTime::from_millis(millis) {
        Some(_) => Ok(()),
        None => Err(content(format!("{name} = {millis} lies outside 1990 to 2100"))),
    }
}

/// A count that can still be counted up.
fn checked_count(name: &str, count: u64) -> Result<(), SnapshotError> {
    match count <= COUNT_MAX {
        true => Ok(()),
        false => Err(content(format!("{name} = {count}, and nobody counts beyond {COUNT_MAX}"))),
    }
}

fn hash_text(hash_key: HashKey) -> String {
    format!("{:032x}", hash_key.0)
}

fn hash_from(text: &str) -> Result<HashKey, SnapshotError> {
    u128::from_str_radix(text, 16).map(HashKey).map_err(content)
}

fn content(error: impl std::fmt::Display) -> SnapshotError {
    SnapshotError::Content { detail: error.to_string() }
}

const MAGIC: &str = "LHSS";
const VERSION: u16 = 1;
const DIGEST_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 2 + DIGEST_BYTES;
/// The library's default: state is mostly repeated field names, which any level removes.
const ZSTD_LEVEL: i32 = 3;
/// JSON writes a byte of text as six at most, and a state passes its limit by less than double when held events turn
/// into open sessions.
const JSON_BYTES_PER_STATE_BYTE: usize = 12;
/// The empty state, with room.
const FRAME_BYTES: usize = 4096;
/// Far beyond any stream, and far from the end of the type.
const COUNT_MAX: u64 = 1 << 56;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::session::{Pushed, SessionRules};

    const T0: i64 = 1_431_857_100_000;

    fn rules(state_bytes_max: usize) -> SessionRules {
        SessionRules {
            gap_millis: 30_000,
            gap_included: false,
            lateness_millis: 10_000,
            first_event_opens: true,
            is_numbered: true,
            carry: vec!["user".to_owned()],
            state_bytes_max,
        }
    }

    fn event(number: i64, row: Value) -> SessionEvent {
        SessionEvent {
            key: format!("user-{number}").into(),
            hash_key: HashKey(number.unsigned_abs().into()),
            event_time_millis: T0 + number,
            event_id: format!("e-{number}").into(),
            row: row.as_object().cloned().expect("an object").into(),
        }
    }

    fn snapshot_of(content: &Value) -> Vec<u8> {
        let body = zstd::bulk::compress(content.to_string().as_bytes(), 1).expect("compresses");
        [MAGIC.as_bytes(), &VERSION.to_be_bytes(), &Sha256::digest(&body)[..], &body].concat()
    }

    fn refusal(bytes: &[u8]) -> String {
        SessionState::decode(bytes, 1 << 16).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_number_with_a_fraction_comes_back_as_it_was() {
        // Each of these is one unit in the last place off when it is read by the fast, inexact algorithm.
        for number in [8.332825837814665e219, 2.638344616030823e-256, 5e-324] {
            let mut state = SessionState::new();
            state.push(event(1, serde_json::json!({ "number": number })), &rules(1 << 16));
            let read = SessionState::decode(&state.encode().expect("encodes"), 1 << 16).expect("decodes");
            assert_eq!(read, state, "{number:e}");
        }
    }

    #[test]
    fn the_largest_state_within_its_limit_is_read_whatever_its_texts() {
        for (text, state_bytes_max) in [("\u{1}", 1 << 16), ("\u{1}", 1 << 20), ("x", 1 << 16), ("", 1 << 16)]
        {
            let (mut state, rules) = (SessionState::new(), rules(state_bytes_max));
            let row = serde_json::json!({ "user": text.repeat(200), "a": 1, "b": [null, true] });
            let mut number = 0;
            while state.push(event(number, row.clone()), &rules) == Pushed::Held {
                number += 1;
            }
            let bytes = state.encode().expect("encodes");
            assert_eq!(SessionState::decode(&bytes, state_bytes_max).expect("decodes"), state);
            state.advance(i64::MAX);
            state.release(&rules);
            let bytes = state.encode().expect("encodes");
            assert_eq!(SessionState::decode(&bytes, state_bytes_max).expect("decodes"), state);
        }
    }

    #[test]
    fn a_snapshot_beyond_the_limit_is_refused_before_it_is_decompressed() {
        let content = Value::from("0".repeat(1 << 21));
        let error = refusal(&snapshot_of(&content));
        assert!(
            error.contains("holds 2097154 bytes") && error.ends_with("raise session.state_bytes_max"),
            "{error}"
        );
        let unsized_frame = zstd::stream::encode_all(&b"{}"[..], 1).expect("compresses");
        let bytes =
            [MAGIC.as_bytes(), &VERSION.to_be_bytes(), &Sha256::digest(&unsized_frame)[..], &unsized_frame];
        assert!(refusal(&bytes.concat()).contains("how long"));
    }

    #[test]
    fn what_no_state_holds_is_refused() {
        let content = |path: &str, value: Value| {
            let mut state = SessionState::new();
            for number in 0..2 {
                state.push(event(number, serde_json::json!({ "user": "u" })), &rules(1 << 16));
            }
            state.advance(T0 + 1);
            state.release(&rules(1 << 16));
            let mut content = serde_json::to_value(state.stored()).expect("JSON");
            *content.pointer_mut(path).expect("it is there") = value;
            content
        };
        for (path, value, reason) in [
            ("/held/0/event_time_millis", Value::from(i64::MIN), "outside 1990 to 2100"),
            ("/keys/0/open/start_millis", Value::from(0), "outside 1990 to 2100"),
            ("/keys/0/open/last_millis", Value::from(i64::MAX), "outside 1990 to 2100"),
            ("/keys/0/open/events", Value::from(u64::MAX), "nobody counts"),
            ("/keys/0/number", Value::from(u64::MAX), "nobody counts"),
            ("/events_pushed", Value::from(u64::MAX), "nobody counts"),
            ("/keys/0/hash_key", Value::from("z"), "invalid digit"),
        ] {
            let error = refusal(&snapshot_of(&content(path, value)));
            assert!(error.contains(reason), "{path}: {error}");
        }
        for list in ["keys", "held"] {
            let mut twice = content("/watermark", Value::Null);
            let first = twice[list][0].clone();
            twice[list].as_array_mut().expect("a list").push(first);
            assert!(refusal(&snapshot_of(&twice)).contains("stands in it twice"), "{list}");
        }
    }
}
