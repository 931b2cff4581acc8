//! What a new owner finds: the state at the checkpoint, and possibly a batch to finish.

use std::sync::Arc;

use kcl::{HaltKind, HaltReason, PendingCheckpoint, Position, Resolution, ShardContext};
use sha2::{Digest, Sha256};

use super::commit::{BatchPuts, Pending, Snapshot, is_of_batch};
use super::error::ProcessError;
use super::processor::PipelineProcessor;
use crate::pipeline::{Pipeline, PipelineState};
use crate::session::SessionState;
use crate::settings::ResolvedSettings;
use crate::sink::{Batch, BatchId, Intent, Manifest, Totals, config_key, hex};

impl PipelineProcessor {
    /// Loads the state, and finishes a pending batch first.
    pub(super) async fn recover(&mut self, context: &mut ShardContext) -> Result<(), ProcessError> {
        if let Some(pending) = context.pending() {
            if context.lease().own.resolution == Some(Resolution::RecordGap) {
                self.record_gap(&pending, context).await?;
            } else {
                match Intent::decode(&pending) {
                    Ok(intent) => self.finish_pending(&intent, context).await?,
                    Err(error) => return Err(halt(context, HaltKind::Unreplayable, error.to_string())),
                }
            }
        }
        self.state = self.state_at_checkpoint(&self.pipeline, context).await?;
        self.batch = Batch::new(context.lease().checkpoint, self.compression());
        Ok(())
    }

    /// Ends the pending intent without its range, as an operator decided: a manifest tells what is not there.
    ///
    /// Objects that were put before stay and are named by no manifest. The state goes on as it was, unless the batch's own
    /// snapshot lies there already.
    async fn record_gap(
        &self,
        pending: &PendingCheckpoint,
        context: &mut ShardContext,
    ) -> Result<(), ProcessError> {
        let (names, lease) = (self.names(context), context.lease());
        let (batch, after) = (BatchId::next_of(lease), lease.checkpoint);
        let snapshot = names.snapshot(batch);
        let manifest = self.store.head(&names.manifest(batch)).await?;
        if !manifest.is_some_and(|found| is_of_batch(&found, batch)) {
            let records = Intent::decode(pending).map(|intent| intent.facts.records);
            let records = records.map_or_else(|_| "unknown".to_owned(), |records| records.to_string());
            let manifest = Manifest {
                batch,
                stream: names.stream().to_owned(),
                shard: names.shard().to_string(),
                after,
                last: pending.position,
                objects: Vec::new(),
                snapshot: snapshot.clone(),
                totals: Totals::default(),
                config_hash: self.config_hash.clone(),
                gap: Some(format!("an operator gave up this range; records in it: {records}")),
            };
            let state = Snapshot::of(&self.state_at_checkpoint(&self.pipeline, context).await?)?;
            let part_bytes = self.part_bytes;
            let puts = BatchPuts { store: self.store.as_ref(), batch, accepts_existing: true, part_bytes };
            puts.put_snapshot(context, &snapshot, state).await?;
            puts.put_manifest(context, &names.manifest(batch), &manifest).await?;
            tracing::warn!(%batch, %after, last = %pending.position, "recorded as a gap, as an operator decided");
        }
        if let Some(prepared) = context.resume_pending() {
            prepared.commit(Some(snapshot)).await?;
        }
        Ok(())
    }

    async fn finish_pending(
        &mut self,
        intent: &Intent,
        context: &mut ShardContext,
    ) -> Result<(), ProcessError> {
        let lease = context.lease();
        if intent.batch != BatchId::next_of(lease) || intent.after != lease.checkpoint {
            let detail = format!(
                "the pending intent is batch {} after {}, the row is at batch {} after {}",
                intent.batch,
                intent.after,
                BatchId::next_of(lease),
                lease.checkpoint
            );
            return Err(halt(context, HaltKind::Unreplayable, detail));
        }
        let names = self.names(context);
        let manifest = self.store.head(&names.manifest(intent.batch)).await?;
        if manifest.is_some_and(|found| is_of_batch(&found, intent.batch)) {
            tracing::info!(batch = %intent.batch, "everything of the pending batch lies there; committing");
            if let Some(prepared) = context.resume_pending() {
                prepared.commit(Some(names.snapshot(intent.batch))).await?;
            }
            return Ok(());
        }
        tracing::info!(batch = %intent.batch, records = intent.facts.records, "replaying the pending batch");
        let pipeline = self.pipeline_of(intent, context).await?;
        let mut state = self.state_at_checkpoint(&pipeline, context).await?;
        let batch = self.replayed(intent, &pipeline, &mut state, context).await?;
        let compression = pipeline.settings().settings().sink.compression;
        let closed = batch.close(intent.batch, &intent.config_hash);
        if closed.intent.facts != intent.facts || closed.intent.advances != intent.advances {
            let detail = format!(
                "the range from {} to {} holds {} now, the intent says {}",
                intent.after, intent.last, closed.intent.facts, intent.facts
            );
            return Err(halt(context, HaltKind::Unreplayable, detail));
        }
        let mut pending = Pending::new(closed, Snapshot::of(&state)?, compression, self.part_bytes);
        if context.lease().own.resolution == Some(Resolution::AcceptExisting) {
            pending = pending.accepting_existing();
        }
        pending.commit(self.store.as_ref(), &names, context).await
    }

    /// Reads the range again, with the idle advances where they were.
    async fn replayed(
        &self,
        intent: &Intent,
        pipeline: &Pipeline,
        state: &mut PipelineState,
        context: &mut ShardContext,
    ) -> Result<Batch, ProcessError> {
        let place = self.place(context);
        let mut batch = Batch::new(intent.after, pipeline.settings().settings().sink.compression);
        let mut advances = intent.advances.iter().peekable();
        let mut advance = |batch: &mut Batch, state: &mut PipelineState| {
            while let Some(next) = advances.next_if(|next| next.after == batch.last()) {
                batch.advance(pipeline, state, next.watermark);
            }
        };
        advance(&mut batch, state);
        if let Position::At(last) = intent.last
            && intent.last != intent.after
        {
            let mut range = context.read_range(intent.after, last);
            loop {
                let records = match range.next().await {
                    Ok(records) => records,
                    Err(error) => return Err(halt(context, HaltKind::Unreplayable, error.to_string())),
                };
                let Some(records) = records else { break };
                for record in records.iter() {
                    batch.absorb(pipeline, state, &place, record);
                    advance(&mut batch, state);
                }
            }
        }
        Ok(batch)
    }

    /// The pipeline that the batch was made with: this one, or one compiled from the stored configuration.
    async fn pipeline_of(
        &self,
        intent: &Intent,
        context: &mut ShardContext,
    ) -> Result<Arc<Pipeline>, ProcessError> {
        if intent.config_hash == self.config_hash {
            return Ok(Arc::clone(&self.pipeline));
        }
        let key = config_key(&intent.config_hash);
        let Some(stored) = self.store.get(&key).await? else {
            let detail = format!("it was made with configuration {key}, which is missing");
            return Err(halt(context, HaltKind::Unreplayable, detail));
        };
        let is_cited = hex(&Sha256::digest(&stored.body)) == intent.config_hash;
        let compiled = std::str::from_utf8(&stored.body)
            .map_err(|error| error.to_string())
            .and_then(|text| if is_cited { Ok(text) } else { Err(NOT_CITED.to_owned()) })
            .and_then(ResolvedSettings::from_canonical_json)
            .and_then(|settings| Pipeline::compile(&settings).map_err(|error| error.to_string()));
        match compiled {
            Ok(pipeline) => Ok(Arc::new(pipeline)),
            Err(cause) => {
                let detail = format!("its configuration {key} cannot be used: {cause}");
                Err(halt(context, HaltKind::Unreplayable, detail))
            }
        }
    }

    /// The state that the row points to; a checkpoint at a record without one is never taken for an empty state.
    async fn state_at_checkpoint(
        &self,
        pipeline: &Pipeline,
        context: &mut ShardContext,
    ) -> Result<PipelineState, ProcessError> {
        let lease = context.lease();
        let Some(pointer) = lease.own.state.clone() else {
            if lease.checkpoint.is_initial() {
                return Ok(PipelineState::default());
            }
            let detail = format!(
                "the checkpoint is {} and the row names no state snapshot; was it written by another consumer?",
                lease.checkpoint
            );
            return Err(halt(context, HaltKind::StateMissing, detail));
        };
        let Some(stored) = self.store.get(&pointer).await? else {
            let detail = format!("state snapshot {pointer} is missing");
            return Err(halt(context, HaltKind::StateMissing, detail));
        };
        match SessionState::decode(&stored.body, pipeline.state_bytes_max()) {
            Ok(sessions) => Ok(PipelineState { sessions }),
            Err(error) => {
                let detail = format!("state snapshot {pointer}: {error}");
                Err(halt(context, HaltKind::StateMissing, detail))
            }
        }
    }
}

/// Stops the shard visibly, and ends the call.
pub(super) fn halt(context: &mut ShardContext, kind: HaltKind, detail: String) -> ProcessError {
    let (shard, batch) = (context.shard(), BatchId::next_of(context.lease()));
    let detail = format!("shard {shard}, batch {batch}: {detail}{}", remedy(kind));
    context.halt(HaltReason { kind, detail: detail.clone() });
    ProcessError::Halted { detail }
}

/// What to do about a halt, unless its detail says so.
fn remedy(kind: HaltKind) -> &'static str {
    if kind == HaltKind::Conflict {
        "; compare the two, then run `leasehold leases resolve` with --accept-existing or --rewrite"
    } else if kind == HaltKind::Unreplayable {
        "; mend the cause and run `leasehold leases resolve` with --retry, or use --record-gap or --rewrite"
    } else if kind == HaltKind::StateMissing {
        "; restore it, then run `leasehold leases resolve` with --retry"
    } else {
        ""
    }
}

const NOT_CITED: &str = "its content is not the one that its name is the hash of";
