//! A state as bytes: immutable, versioned, checksummed, and the same bytes for the same state.
//!
//! ```text
//! "LHSS" │ version u16 │ SHA-256 of what follows │ zstd of canonical JSON, entries in order of hash key
//! ```

use std::io::Read;

use bytes::Bytes;
use kcl::{HashKey, HashKeyRange};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::state::{KeyState, OpenSession, SessionEvent, SessionState};

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
    /// Larger than the reader allows.
    #[error("session snapshot holds more than {bytes_max} bytes; raise session.state_bytes_max")]
    TooLarge {
        /// The limit.
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
    carried: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent {
    hash_key: String,
    order: u64,
    key: String,
    event_time_millis: i64,
    event_id: String,
    row: Map<String, Value>,
}

impl SessionState {
    /// The snapshot of this state.
    ///
    /// # Errors
    /// [`SnapshotError::Content`] if a value cannot be written as JSON.
    pub fn encode(&self) -> Result<Bytes, SnapshotError> {
        let json = serde_json::to_vec(&self.stored()).map_err(content)?;
        let body = zstd::bulk::compress(&json, ZSTD_LEVEL).map_err(content)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(MAGIC.as_bytes());
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&Sha256::digest(&body));
        bytes.extend_from_slice(&body);
        Ok(Bytes::from(bytes))
    }

    /// Reads a snapshot whose content has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`SnapshotError`] for anything that [`encode`](Self::encode) did not write; it never panics.
    pub fn decode(bytes: &[u8], bytes_max: usize) -> Result<Self, SnapshotError> {
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
        let mut json = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let decoder = zstd::stream::read::Decoder::new(body).map_err(content)?;
        decoder.take(limit).read_to_end(&mut json).map_err(content)?;
        if json.len() > bytes_max {
            return Err(SnapshotError::TooLarge { bytes_max });
        }
        let stored: Stored = serde_json::from_slice(&json).map_err(content)?;
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
            key: key.clone(),
            number: state.number,
            open: state.open.as_ref().map(|open| StoredSession {
                session_id: open.session_id.clone(),
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
                key: event.key.clone(),
                event_time_millis: event.event_time_millis,
                event_id: event.event_id.clone(),
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
        state.event_time_max = stored.event_time_max;
        state.watermark = stored.watermark;
        state.events_pushed = stored.events_pushed;
        for key in stored.keys {
            let open = key.open.map(|open| OpenSession {
                session_id: open.session_id,
                start_millis: open.start_millis,
                last_millis: open.last_millis,
                events: open.events,
                carried: open.carried,
            });
            let place = (hash_from(&key.hash_key)?, key.key);
            state.keys.insert(place, KeyState { number: key.number, open });
        }
        for event in stored.held {
            let order = (event.event_time_millis, event.event_id.clone(), event.order);
            let event = SessionEvent {
                key: event.key,
                hash_key: hash_from(&event.hash_key)?,
                event_time_millis: event.event_time_millis,
                event_id: event.event_id,
                row: event.row,
            };
            state.held.insert(order, event);
        }
        state.index();
        Ok(state)
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
