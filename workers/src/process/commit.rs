//! The steps that make a closed batch durable, each harmless to repeat.

use std::time::Duration;

use bytes::Bytes;
use kcl::{HaltKind, ShardContext};

use super::error::ProcessError;
use super::recovery::halt;
use crate::pipeline::PipelineState;
use crate::settings::Compression;
use crate::sink::{
    BatchId, ClosedBatch, Manifest, ManifestObject, NewObject, ObjectMetadata, ObjectStore, PutOutcome,
    ShardNames, StoreError,
};

/// A closed batch with the state after it, on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) batch: ClosedBatch,
    snapshot: Snapshot,
    pub(super) compression: Compression,
    /// An operator decided that what lies under the batch's names counts, whatever it is.
    accepts_existing: bool,
    part_bytes: usize,
}

/// Puts the objects of one batch; one that lies there already must be the same, unless an operator accepted it.
pub(super) struct BatchPuts<'a> {
    pub(super) store: &'a dyn ObjectStore,
    pub(super) batch: BatchId,
    pub(super) accepts_existing: bool,
    /// Objects of more bytes are uploaded in parts.
    pub(super) part_bytes: usize,
}

/// The encoded state after a batch.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    bytes: Bytes,
    logical_digest: String,
}

/// What lies under a name of the batch: what was put, or what was accepted in its place.
pub(super) struct Laid {
    rows: u64,
    logical_digest: String,
}

impl Pending {
    pub(super) fn new(
        batch: ClosedBatch,
        snapshot: Snapshot,
        compression: Compression,
        part_bytes: usize,
    ) -> Self {
        Self { batch, snapshot, compression, accepts_existing: false, part_bytes }
    }

    /// Takes objects that exist under the batch's names for its own.
    pub(super) fn accepting_existing(mut self) -> Self {
        self.accepts_existing = true;
        self
    }

    /// Carries out every step that is not done yet. A failed call is repeated from the start: the intent is found in the
    /// row, and objects that lie there already are recognised.
    pub(super) async fn commit(
        &self,
        store: &dyn ObjectStore,
        names: &ShardNames,
        context: &mut ShardContext,
    ) -> Result<(), ProcessError> {
        let intent = &self.batch.intent;
        let own = &context.lease().own;
        if own.generation == intent.batch.generation && own.batch > intent.batch.ordinal {
            return Ok(());
        }
        if context.pending().is_none() {
            context.prepare(intent.last, intent.encode()).await?;
        }
        let Self { accepts_existing, part_bytes, .. } = *self;
        let puts = BatchPuts { store, batch: intent.batch, accepts_existing, part_bytes };
        let mut objects = Vec::with_capacity(self.batch.objects.len());
        for (index, object) in (0_u32..).zip(&self.batch.objects) {
            let extension = self.compression.extension();
            let key = names.object(&object.folder, intent.batch, index, extension);
            let encoded = &object.encoded;
            let body = encoded.bytes.clone();
            let content_type = self.compression.content_type();
            let Laid { rows, logical_digest } =
                puts.put(context, &key, body, content_type, &encoded.logical_digest, encoded.rows).await?;
            objects.push(ManifestObject { key, kind: object.kind, rows, logical_digest });
        }
        let snapshot = names.snapshot(intent.batch);
        puts.put_snapshot(context, &snapshot, self.snapshot.clone()).await?;
        let manifest = Manifest {
            batch: intent.batch,
            stream: names.stream().to_owned(),
            shard: names.shard().to_string(),
            after: intent.after,
            last: intent.last,
            objects,
            snapshot: snapshot.clone(),
            totals: self.batch.totals,
            config_hash: intent.config_hash.clone(),
            gap: None,
        };
        puts.put_manifest(context, &names.manifest(intent.batch), &manifest).await?;
        if let Some(prepared) = context.resume_pending() {
            prepared.commit(Some(snapshot)).await?;
        }
        Ok(())
    }
}

impl Snapshot {
    /// Encodes `state`.
    pub(super) fn of(state: &PipelineState) -> Result<Self, ProcessError> {
        let (bytes, logical_digest) = state.sessions.encode_with_digest()?;
        Ok(Self { bytes, logical_digest })
    }
}

impl BatchPuts<'_> {
    /// Puts the snapshot of the state after the batch.
    pub(super) async fn put_snapshot(
        &self,
        context: &mut ShardContext,
        key: &str,
        snapshot: Snapshot,
    ) -> Result<(), ProcessError> {
        let Snapshot { bytes, logical_digest } = snapshot;
        self.put(context, key, bytes, BINARY, &logical_digest, 0).await?;
        Ok(())
    }

    /// Puts the manifest, which says that everything else lies there.
    pub(super) async fn put_manifest(
        &self,
        context: &mut ShardContext,
        key: &str,
        manifest: &Manifest,
    ) -> Result<(), ProcessError> {
        let body = Bytes::from(serde_json::to_vec_pretty(manifest).expect("a manifest is JSON"));
        self.put(context, key, body, JSON, &manifest.logical_digest(), 0).await?;
        Ok(())
    }

    async fn put(
        &self,
        context: &mut ShardContext,
        key: &str,
        body: Bytes,
        content_type: &'static str,
        digest: &str,
        rows: u64,
    ) -> Result<Laid, ProcessError> {
        let laid = Laid { rows, logical_digest: digest.to_owned() };
        let batch = self.batch.to_string();
        let metadata = [
            (METADATA_BATCH, batch.clone()),
            (METADATA_ROWS, rows.to_string()),
            (METADATA_DIGEST, digest.to_owned()),
        ];
        let metadata: ObjectMetadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
        let object = NewObject { body, content_type, metadata };
        match put_with_retries(self.store, context, key, &object, self.part_bytes).await? {
            PutOutcome::Created => Ok(laid),
            PutOutcome::Exists(found)
                if is_of_batch(&found, self.batch)
                    && found.get(METADATA_DIGEST).map(String::as_str) == Some(digest) =>
            {
                Ok(laid)
            }
            PutOutcome::Exists(found) if self.accepts_existing => {
                tracing::warn!(key, %batch, found = ?found.get(METADATA_DIGEST), "accepted as an operator decided");
                let rows = found.get(METADATA_ROWS).and_then(|rows| rows.parse().ok()).unwrap_or(rows);
                let logical_digest = found.get(METADATA_DIGEST).cloned().unwrap_or_default();
                Ok(Laid { rows, logical_digest })
            }
            PutOutcome::Exists(found) => {
                let fenced = |source| ProcessError::Fenced { key: key.to_owned(), source };
                context.confirm().await.map_err(fenced)?;
                let found = found.get(METADATA_DIGEST).map_or("none", |found| shortened(found));
                let detail =
                    format!("object {key} exists with digest {found} in place of {}", shortened(digest));
                Err(halt(context, HaltKind::Conflict, detail))
            }
        }
    }
}

/// Whether an object says that it belongs to `batch`.
pub(super) fn is_of_batch(metadata: &ObjectMetadata, batch: BatchId) -> bool {
    metadata.get(METADATA_BATCH) == Some(&batch.to_string())
}

/// Stores a small object whose name is made from its content.
pub(super) async fn put_by_content(
    store: &dyn ObjectStore,
    context: &ShardContext,
    key: &str,
    body: Bytes,
) -> Result<(), ProcessError> {
    let object = NewObject { body, content_type: JSON, metadata: ObjectMetadata::new() };
    put_with_retries(store, context, key, &object, PART_BYTES).await?;
    Ok(())
}

/// Repeats a put for as long as its error may pass and the lease leaves time.
async fn put_with_retries(
    store: &dyn ObjectStore,
    context: &ShardContext,
    key: &str,
    object: &NewObject,
    part_bytes: usize,
) -> Result<PutOutcome, StoreError> {
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        let put = if object.body.len() > part_bytes {
            store.put_new_in_parts(key, object).await
        } else {
            store.put_new(key, object).await
        };
        match put {
            Err(error) if error.is_retryable() && context.remaining() > pause => {
                tracing::debug!(key, error = %error, "put repeated");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
            }
            other => return other,
        }
    }
}

/// As much of a digest as a reader needs to tell two apart.
fn shortened(digest: &str) -> &str {
    digest.get(..DIGEST_SHOWN).unwrap_or(digest)
}

const DIGEST_SHOWN: usize = 12;
const METADATA_BATCH: &str = "leasehold-batch";
const METADATA_ROWS: &str = "leasehold-rows";
const METADATA_DIGEST: &str = "leasehold-digest";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
/// Above this, parts are retried one by one. S3 advises multipart from 100 MB on and allows it from 5 MiB.
pub(super) const PART_BYTES: usize = 16 * 1024 * 1024;
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(2);
