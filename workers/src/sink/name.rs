//! Where everything lies: the keys of objects, manifests, snapshots and configurations.
//!
//! Names are made of the batch id and an index, never of sequence numbers, clocks or worker ids: whoever finishes a batch
//! writes under the same names.
//!
//! ```text
//! <layout>/<stream>-<shard>-g<generation>-b<ordinal>-<index>.<ext>   rows, failed events
//! state/<application>/<stream>-<shard>/g…-b…                         snapshot of the state after the batch
//! _manifest/<stream>-<shard>/g…-b….json                              what the batch wrote
//! _config/<hash>.json                                                the resolved configuration
//! ```

use std::fmt;
use std::str::FromStr;

use kcl::{BatchOrdinal, Generation, Lease, ShardId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names a batch of one shard for ever: generation and ordinal of the lease row at its intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BatchId {
    /// Generation of the lease row.
    pub generation: Generation,
    /// Ordinal within the generation.
    pub ordinal: BatchOrdinal,
}

impl BatchId {
    /// The batch that the holder of `lease` writes next, or that is pending in it.
    #[must_use]
    pub fn next_of(lease: &Lease) -> Self {
        Self { generation: lease.own.generation, ordinal: lease.own.batch }
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "g{}-b{}", self.generation.0, self.ordinal.0)
    }
}

impl FromStr for BatchId {
    type Err = InvalidBatchId;

    fn from_str(text: &str) -> Result<Self, InvalidBatchId> {
        let parsed = || {
            let (generation, ordinal) = text.strip_prefix('g')?.split_once("-b")?;
            let generation = Generation(generation.parse().ok()?);
            Some(Self { generation, ordinal: BatchOrdinal(ordinal.parse().ok()?) })
        };
        parsed()
            .filter(|batch| batch.to_string() == text)
            .ok_or_else(|| InvalidBatchId { text: text.chars().take(TEXT_SHOWN_MAX).collect() })
    }
}

impl From<BatchId> for String {
    fn from(batch: BatchId) -> Self {
        batch.to_string()
    }
}

impl TryFrom<String> for BatchId {
    type Error = InvalidBatchId;

    fn try_from(text: String) -> Result<Self, InvalidBatchId> {
        text.parse()
    }
}

/// A text that is no batch id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no batch id such as g1-b42")]
pub struct InvalidBatchId {
    text: String,
}

/// The names of everything that one shard of one application writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardNames {
    application: String,
    stream: String,
    shard: ShardId,
}

impl ShardNames {
    pub(crate) fn new(application: &str, stream: &str, shard: &ShardId) -> Self {
        Self { application: application.to_owned(), stream: stream.to_owned(), shard: shard.clone() }
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    pub(crate) fn shard(&self) -> &ShardId {
        &self.shard
    }

    pub(crate) fn object(&self, layout: &str, batch: BatchId, index: u32, extension: &str) -> String {
        format!("{layout}/{}-{}-{batch}-{index}.{extension}", self.stream, self.shard)
    }

    pub(crate) fn snapshot(&self, batch: BatchId) -> String {
        format!("state/{}/{}-{}/{batch}", self.application, self.stream, self.shard)
    }

    pub(crate) fn manifest(&self, batch: BatchId) -> String {
        format!("{MANIFESTS}{}-{}/{batch}.json", self.stream, self.shard)
    }
}

pub(crate) fn config_key(hash: &str) -> String {
    format!("_config/{hash}.json")
}

/// A prefix of the manifests of `stream`, and possibly of streams whose names begin with it.
pub(crate) fn manifests_prefix(stream: &str) -> String {
    format!("{MANIFESTS}{stream}-")
}

const MANIFESTS: &str = "_manifest/";

const TEXT_SHOWN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(generation: u64, ordinal: u64) -> BatchId {
        BatchId { generation: Generation(generation), ordinal: BatchOrdinal(ordinal) }
    }

    #[test]
    fn names_carry_batch_and_index_and_nothing_that_differs_between_writers() {
        let names = ShardNames::new("app", "clicks", &ShardId::new("shardId-3").expect("valid"));
        assert_eq!(
            names.object("type=view/date=2015-05-17", batch(2, 7), 1, "jsonl.zst"),
            "type=view/date=2015-05-17/clicks-shardId-3-g2-b7-1.jsonl.zst"
        );
        assert_eq!(names.snapshot(batch(2, 7)), "state/app/clicks-shardId-3/g2-b7");
        assert_eq!(names.manifest(batch(2, 7)), "_manifest/clicks-shardId-3/g2-b7.json");
        assert!(names.manifest(batch(2, 7)).starts_with(&manifests_prefix("clicks")));
    }

    proptest! {
        #[test]
        fn batch_ids_round_trip(generation: u64, ordinal: u64) {
            let id = batch(generation, ordinal);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn other_texts_are_refused(text in "\\PC{0,40}|g[0-9+]{0,3}-b[0-9+]{0,3}") {
            if let Ok(id) = text.parse::<BatchId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
