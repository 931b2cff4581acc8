//! What is committed: the batches below the ordinal in the lease row, read through their manifests.
//!
//! An object counts only if a manifest names it and the row has moved past that manifest's batch. A manifest beyond the
//! row is a batch whose commit is still to come: the next owner finishes it under the same names.

use std::collections::BTreeMap;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kcl::aws::DynamoDbLeaseStore;
use kcl::{BatchOrdinal, Generation, Lease, LeaseStore as _, Position};
use kcl_core::{SequenceNumber, StoreReply, StoreRequest};
use workers::{BatchId, Manifest, ObjectStore};

/// The committed batches of each shard.
#[derive(Debug)]
pub(crate) struct Committed {
    leases: DynamoDbLeaseStore,
    stream: String,
    rows: Vec<Lease>,
    batches: BTreeMap<String, Vec<Manifest>>,
    records: u64,
}

impl Committed {
    /// Nothing read yet.
    pub(crate) fn new(leases: DynamoDbLeaseStore, stream: &str) -> Self {
        Self { leases, stream: stream.to_owned(), rows: Vec::new(), batches: BTreeMap::new(), records: 0 }
    }

    /// Reads the rows as they are, and the manifests below them. Nothing changes while the table does not answer.
    pub(crate) async fn advance(&mut self, store: &dyn ObjectStore) -> anyhow::Result<()> {
        let StoreReply::Table(view) = self.leases.execute(StoreRequest::ReadTable).await else {
            return Ok(());
        };
        self.rows = view.leases;
        let missing = self.rows.iter().flat_map(|row| {
            let shard = row.key.as_str();
            let seen = self.batches.get(shard).map_or(0, Vec::len) as u64;
            (seen..row.own.batch.0)
                .map(|ordinal| manifest_key(&self.stream, shard, row.own.generation, ordinal))
        });
        let missing: Vec<String> = missing.collect();
        // In the order asked for, which is the order of the batches of each shard.
        let mut manifests = stream::iter(missing).map(|key| read(store, key)).buffered(READS_MAX);
        while let Some(manifest) = manifests.try_next().await? {
            self.records += manifest.totals.records;
            self.batches.entry(manifest.shard.clone()).or_default().push(manifest);
        }
        Ok(())
    }

    /// Whether a lease that `worker` holds has an intent pending at this moment.
    pub(crate) async fn is_committing(&self, worker: &str) -> bool {
        let StoreReply::Table(view) = self.leases.execute(StoreRequest::ReadTable).await else {
            return false;
        };
        let is_of_worker = |row: &Lease| {
            let owner = row.actual_owner().and_then(|owner| owner.as_str().strip_prefix(worker));
            owner.is_some_and(|suffix| suffix.starts_with('-'))
        };
        view.leases.iter().any(|row| row.pending.is_some() && is_of_worker(row))
    }

    /// User records in committed batches.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Whether every shard is committed up to the last record of `ends`, with nothing pending.
    pub(crate) fn reaches(&self, ends: &BTreeMap<String, SequenceNumber>) -> bool {
        ends.iter().all(|(shard, end)| {
            self.rows.iter().any(|row| {
                row.key.as_str() == shard && row.pending.is_none() && row.checkpoint >= Position::record(*end)
            })
        })
    }

    /// The rows as last read.
    pub(crate) fn rows(&self) -> &[Lease] {
        &self.rows
    }

    /// Committed batches by shard, in their order.
    pub(crate) fn batches(&self) -> &BTreeMap<String, Vec<Manifest>> {
        &self.batches
    }
}

async fn read(store: &dyn ObjectStore, key: String) -> anyhow::Result<Manifest> {
    let found = store.get(&key).await?;
    let found = found.with_context(|| format!("{key} is missing though its batch is committed"))?;
    serde_json::from_slice(&found.body).with_context(|| format!("{key} is no manifest"))
}

/// Key of the manifest of a batch.
pub(crate) fn manifest_key(stream: &str, shard: &str, generation: Generation, ordinal: u64) -> String {
    let batch = BatchId { generation, ordinal: BatchOrdinal(ordinal) };
    format!("_manifest/{stream}-{shard}/{batch}.json")
}

/// Requests in flight while manifests are read.
const READS_MAX: usize = 8;
