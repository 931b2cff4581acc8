//! The intent of a batch: what its next owner needs to make the very same objects, in the lease row.
//!
//! ```text
//! "LHIN" │ version u8 │ JSON
//! ```

use bytes::Bytes;
use kcl::{PendingCheckpoint, Position};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::name::BatchId;
use super::position_text;
use super::range::RangeFacts;

/// A batch before anything of it leaves the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Identity of the batch.
    pub batch: BatchId,
    /// The batch begins after this position.
    #[serde(with = "position_text")]
    pub after: Position,
    /// … and ends with this one, which is the same if it holds no record.
    #[serde(with = "position_text")]
    pub last: Position,
    /// Count and digest of its records.
    pub facts: RangeFacts,
    /// Idle advances of the watermark, in order.
    pub advances: Vec<Advance>,
    /// Configuration it was made with.
    pub config_hash: String,
    /// Version of the semantics it was made with.
    pub semantics_version: u32,
    /// Version of the writer that made it; another may finish it, for digests are those of the rows.
    pub writer_version: u32,
}

/// A decision to move the watermark although no record arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advance {
    /// It was taken after the record at this position.
    #[serde(with = "position_text")]
    pub after: Position,
    /// The watermark in epoch milliseconds.
    pub watermark: i64,
}

/// Why the bytes of a pending checkpoint are no intent of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the pending checkpoint at {position} holds no intent that this release can read: {detail}")]
pub struct InvalidIntent {
    position: Position,
    detail: String,
}

impl Intent {
    /// The bytes for the row.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = HEADER.to_vec();
        serde_json::to_writer(&mut bytes, self).expect("an intent is JSON");
        Bytes::from(bytes)
    }

    /// Reads the intent of a row.
    ///
    /// # Errors
    /// [`InvalidIntent`] if somebody else prepared it, or another version; it never panics.
    pub fn decode(pending: &PendingCheckpoint) -> Result<Self, InvalidIntent> {
        let invalid = |detail: String| InvalidIntent { position: pending.position, detail };
        let json = pending
            .state
            .strip_prefix(HEADER.as_slice())
            .ok_or_else(|| invalid("unknown header".to_owned()))?;
        let intent: Self = serde_json::from_slice(json).map_err(|error| invalid(error.to_string()))?;
        if intent.last != pending.position {
            return Err(invalid(format!("it ends at {}", intent.last)));
        }
        Ok(intent)
    }
}

const HEADER: [u8; 5] = *b"LHIN\x01";

/// Idle advances after which a batch closes, so that an intent fits the row by far: 16 of them take about 2 kB.
pub(crate) const ADVANCES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use kcl::{BatchOrdinal, Generation, RecordPosition, SequenceNumber};
    use proptest::prelude::*;

    use super::*;

    fn position(low: u128) -> Position {
        Position::At(RecordPosition { sequence: SequenceNumber::from_parts(1 << 57, low), sub_sequence: 3 })
    }

    fn intent(advances: usize) -> Intent {
        Intent {
            batch: BatchId { generation: Generation(1_800_000_000_000), ordinal: BatchOrdinal(u64::MAX) },
            after: Position::TrimHorizon,
            last: position(u128::MAX),
            facts: RangeFacts { records: u64::MAX, sub_records: u64::MAX, positions_digest: "f".repeat(64) },
            advances: vec![Advance { after: position(u128::MAX), watermark: 4_000_000_000_000 }; advances],
            config_hash: "e".repeat(64),
            semantics_version: 1,
            writer_version: 1,
        }
    }

    fn pending(state: Bytes) -> PendingCheckpoint {
        PendingCheckpoint { position: position(u128::MAX), state }
    }

    #[test]
    fn the_largest_intent_fits_the_row_and_reads_back() {
        let intent = intent(ADVANCES_MAX);
        let bytes = intent.encode();
        assert!(bytes.len() <= 4096, "{} bytes", bytes.len());
        assert_eq!(Intent::decode(&pending(bytes)), Ok(intent));
    }

    #[test]
    fn an_intent_for_another_position_is_refused() {
        let other = PendingCheckpoint { position: position(1), state: intent(0).encode() };
        assert!(Intent::decode(&other).is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), ours: bool) {
            if ours {
                bytes.splice(0..0, HEADER);
            }
            prop_assert!(Intent::decode(&pending(Bytes::from(bytes))).is_err());
        }
    }
}
