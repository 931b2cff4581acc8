//! The manifest of a batch: what it wrote, said once everything lies there; and the sum over a stream's manifests.

use std::collections::{BTreeMap, BTreeSet};

use kcl::Position;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hex;
use super::name::{BatchId, manifests_prefix};
use super::position_text;
use super::store::{ObjectStore, StoreError};

/// What kind of rows an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// Events, or rows about sessions.
    Rows,
    /// Failed events.
    Failed,
}

/// Counts of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// User records, without end marks.
    pub records: u64,
    /// Events written.
    pub events: u64,
    /// Failed events written.
    pub failed: u64,
    /// Late events dropped, as the settings say.
    pub dropped: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Rows of all objects.
    pub rows: u64,
    /// The shard's input ended in this batch.
    pub is_end_of_input: bool,
}

/// One object of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestObject {
    /// Its key.
    pub key: String,
    /// What it holds.
    pub kind: ObjectKind,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its rows before compression.
    pub logical_digest: String,
}

/// A finished batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Identity of the batch.
    pub batch: BatchId,
    /// The stream.
    pub stream: String,
    /// The shard.
    pub shard: String,
    /// The batch begins after this position.
    #[serde(with = "position_text")]
    pub after: Position,
    /// … and ends with this one.
    #[serde(with = "position_text")]
    pub last: Position,
    /// Its objects in the order of their index.
    pub objects: Vec<ManifestObject>,
    /// Key of the state snapshot after it.
    pub snapshot: String,
    /// Its counts.
    pub totals: Totals,
    /// Configuration it was made with.
    pub config_hash: String,
    /// The batch wrote nothing of its range, and this is why: an operator decided so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<String>,
}

impl Manifest {
    /// Digest of what it says about the batch, the same whichever release writes it down.
    pub(crate) fn logical_digest(&self) -> String {
        let mut digest = Sha256::new();
        let Self { batch, after, last, snapshot, config_hash, .. } = self;
        for part in [&batch.to_string(), &after.to_string(), &last.to_string(), snapshot, config_hash] {
            digest.update(part.as_bytes());
            digest.update(b"\n");
        }
        for object in &self.objects {
            digest.update(format!("{} {} {}\n", object.key, object.rows, object.logical_digest));
        }
        hex(&digest.finalize())
    }
}

/// The sum over the manifests of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManifestSummary {
    /// Counts of all batches.
    pub totals: Totals,
    /// Objects of all batches.
    pub objects: u64,
    /// Shards whose input has ended.
    pub ended_shards: BTreeSet<String>,
    seen: BTreeMap<String, ()>,
}

impl ManifestSummary {
    /// Adds the manifests of `stream` that were not seen yet.
    ///
    /// # Errors
    /// [`StoreError`]; what was added stays, and the call may be repeated.
    pub async fn collect(&mut self, store: &dyn ObjectStore, stream: &str) -> Result<(), StoreError> {
        let prefix = manifests_prefix(stream);
        let mut after: Option<String> = None;
        loop {
            let page = store.list(&prefix, after.as_deref()).await?;
            for object in &page.objects {
                if self.seen.contains_key(&object.key) {
                    continue;
                }
                if let Some(found) = store.get(&object.key).await?
                    && let Ok(manifest) = serde_json::from_slice::<Manifest>(&found.body)
                {
                    self.seen.insert(object.key.clone(), ());
                    if manifest.stream == stream {
                        self.add(&manifest);
                    }
                }
            }
            after = page.objects.last().map(|object| object.key.clone());
            if !page.has_more || after.is_none() {
                return Ok(());
            }
        }
    }

    fn add(&mut self, manifest: &Manifest) {
        let (sum, one) = (&mut self.totals, &manifest.totals);
        for (sum, one) in [
            (&mut sum.records, one.records),
            (&mut sum.events, one.events),
            (&mut sum.failed, one.failed),
            (&mut sum.dropped, one.dropped),
            (&mut sum.sessions, one.sessions),
            (&mut sum.rows, one.rows),
        ] {
            // Counts come from the bucket; absurd ones must not end the process that shows them.
            *sum = sum.saturating_add(one);
        }
        self.objects += manifest.objects.len() as u64;
        if one.is_end_of_input {
            self.ended_shards.insert(manifest.shard.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_counts_are_summed_up_to_the_end_of_their_type() {
        let totals = Totals { failed: u64::MAX, records: 1, ..Totals::default() };
        let manifest = Manifest {
            batch: "g1-b1".parse().expect("a batch id"),
            stream: "s".to_owned(),
            shard: "shardId-0".to_owned(),
            after: Position::TrimHorizon,
            last: Position::TrimHorizon,
            objects: Vec::new(),
            snapshot: String::new(),
            totals,
            config_hash: String::new(),
            gap: None,
        };
        let mut summary = ManifestSummary::default();
        summary.add(&manifest);
        summary.add(&manifest);
        assert_eq!((summary.totals.failed, summary.totals.records), (u64::MAX, 2));
    }
}
