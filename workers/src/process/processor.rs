//! The record processor: fills batches and decides when they close.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kcl::{
    DrainReason, HaltKind, ProcessorFactory, Progress, RecordBatch, RecordPosition, RecordProcessor,
    ShardContext, ShardId,
};

use super::commit::{PART_BYTES, Pending, Snapshot, put_by_content};
use super::error::ProcessError;
use super::recovery::halt;
use crate::pipeline::{Pipeline, PipelineState, RecordPlace};
use crate::settings::Compression;
use crate::sink::{Batch, BatchId, BatchLimits, ObjectStore, ShardNames, config_key};

/// Makes a processor for each shard, all with one pipeline and one store.
#[derive(Clone, Debug)]
pub struct PipelineFactory {
    pipeline: Arc<Pipeline>,
    store: Arc<dyn ObjectStore>,
    part_bytes: usize,
}

/// Processes one shard.
#[derive(Debug)]
pub struct PipelineProcessor {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) config_hash: String,
    pub(super) state: PipelineState,
    pub(super) batch: Batch,
    pub(super) part_bytes: usize,
    /// A closed batch whose commit failed; nothing else happens before it is done.
    pending: Option<Pending>,
    /// When the batch got its first record or advance.
    opened_epoch_millis: Option<u64>,
    /// The last record taken; a repeated call brings records again.
    absorbed: Option<RecordPosition>,
    is_config_stored: bool,
}

impl PipelineFactory {
    /// Processors that run `pipeline` and write to `store`.
    #[must_use]
    pub fn new(pipeline: Pipeline, store: Arc<dyn ObjectStore>) -> Self {
        Self { pipeline: Arc::new(pipeline), store, part_bytes: PART_BYTES }
    }

    /// Objects of more bytes than this are uploaded in parts; 16 MiB unless set.
    #[must_use]
    pub const fn with_part_bytes(mut self, part_bytes: usize) -> Self {
        self.part_bytes = part_bytes;
        self
    }
}

impl ProcessorFactory for PipelineFactory {
    type Processor = PipelineProcessor;

    fn processor(&self, _shard: &ShardId) -> PipelineProcessor {
        let settings = self.pipeline.settings();
        PipelineProcessor {
            config_hash: settings.config_hash(),
            batch: Batch::new(kcl::Position::TrimHorizon, settings.settings().sink.compression),
            pipeline: Arc::clone(&self.pipeline),
            store: Arc::clone(&self.store),
            state: PipelineState::default(),
            part_bytes: self.part_bytes,
            pending: None,
            opened_epoch_millis: None,
            absorbed: None,
            is_config_stored: false,
        }
    }
}

impl RecordProcessor for PipelineProcessor {
    type Error = ProcessError;

    async fn initialize(&mut self, context: &mut ShardContext) -> Result<(), ProcessError> {
        self.recover(context).await
    }

    async fn process(
        &mut self,
        records: RecordBatch,
        context: &mut ShardContext,
    ) -> Result<Progress, ProcessError> {
        self.commit_pending(context).await?;
        // A batch that was due when an earlier call failed takes no more records.
        if self.batch.is_due(self.limits()) {
            self.close(context).await?;
        }
        let place = self.place(context);
        for record in records.iter() {
            if self.absorbed.is_some_and(|absorbed| record.position <= absorbed) {
                continue;
            }
            self.batch.absorb(&self.pipeline, &mut self.state, &place, record);
            if self.batch.is_full() {
                let detail = format!(
                    "the state has {} bytes and session.state_bytes_max allows no more; raise it and restart",
                    self.state.sessions.bytes()
                );
                return Err(halt(context, HaltKind::StateTooLarge, detail));
            }
            self.absorbed = Some(record.position);
            self.note_opened(context);
            if self.batch.is_due(self.limits()) {
                self.close(context).await?;
            }
        }
        if records.is_empty() {
            self.advance_if_idle(&records, context);
        }
        if self.batch.is_due(self.limits()) || self.is_old(context) {
            self.close(context).await?;
        }
        Ok(Progress::Buffered)
    }

    async fn shard_ended(&mut self, context: &mut ShardContext) -> Result<Option<String>, ProcessError> {
        self.close(context).await?;
        Ok(context.lease().own.state.clone())
    }

    async fn drain(
        &mut self,
        _reason: DrainReason,
        context: &mut ShardContext,
    ) -> Result<Progress, ProcessError> {
        self.close(context).await?;
        Ok(Progress::Buffered)
    }

    fn lease_lost(&mut self) {
        self.pending = None;
    }
}

impl PipelineProcessor {
    pub(super) fn compression(&self) -> Compression {
        self.pipeline.settings().settings().sink.compression
    }

    pub(super) fn place(&self, context: &ShardContext) -> RecordPlace {
        RecordPlace {
            stream: self.pipeline.settings().settings().stream.name.clone(),
            shard: context.shard().clone(),
            hash_range: context.lease().hash_range,
        }
    }

    pub(super) fn names(&self, context: &ShardContext) -> ShardNames {
        let settings = self.pipeline.settings().settings();
        ShardNames::new(&settings.application.name, &settings.stream.name, context.shard())
    }

    fn limits(&self) -> BatchLimits {
        let sink = &self.pipeline.settings().settings().sink;
        BatchLimits { bytes_max: sink.batch_bytes_max, rows_max: sink.batch_rows_max }
    }

    fn note_opened(&mut self, context: &ShardContext) {
        self.opened_epoch_millis.get_or_insert_with(|| context.now_epoch_millis());
    }

    fn is_old(&self, context: &ShardContext) -> bool {
        let age_max = self.pipeline.settings().settings().sink.batch_age_max;
        self.opened_epoch_millis.is_some_and(|opened| {
            Duration::from_millis(context.now_epoch_millis().saturating_sub(opened)) >= age_max
        })
    }

    /// Moves the watermark by the time waited at the tip, in steps of the configured pause: each is a recorded decision.
    fn advance_if_idle(&mut self, records: &RecordBatch, context: &ShardContext) {
        let Some(session) = &self.pipeline.settings().settings().session else { return };
        if !records.behind_latest().is_zero() || records.idle() < session.idle_after {
            return;
        }
        let Some(watermark) = self.pipeline.idle_watermark(&self.state, records.idle()) else { return };
        let step = i64::try_from(session.idle_after.as_millis()).unwrap_or(i64::MAX);
        let is_step =
            self.state.sessions.watermark().is_none_or(|current| watermark.saturating_sub(current) >= step);
        if is_step {
            self.batch.advance(&self.pipeline, &mut self.state, watermark);
            self.note_opened(context);
        }
    }

    /// Closes the batch and commits it; does nothing for an empty one.
    async fn close(&mut self, context: &mut ShardContext) -> Result<(), ProcessError> {
        self.commit_pending(context).await?;
        if self.batch.is_empty() {
            return Ok(());
        }
        if !self.is_config_stored {
            let text = Bytes::from(self.pipeline.settings().canonical_json());
            put_by_content(self.store.as_ref(), context, &config_key(&self.config_hash), text).await?;
            self.is_config_stored = true;
        }
        // Before the batch is taken apart: a failed call is repeated, and must find it whole.
        let snapshot = Snapshot::of(&self.state)?;
        let compression = self.compression();
        let next = Batch::new(self.batch.last(), compression);
        let batch = std::mem::replace(&mut self.batch, next);
        let closed = batch.close(BatchId::next_of(context.lease()), &self.config_hash);
        self.pending = Some(Pending::new(closed, snapshot, compression, self.part_bytes));
        self.opened_epoch_millis = None;
        self.commit_pending(context).await
    }

    async fn commit_pending(&mut self, context: &mut ShardContext) -> Result<(), ProcessError> {
        if let Some(pending) = &self.pending {
            let names = self.names(context);
            pending.commit(self.store.as_ref(), &names, context).await?;
            self.pending = None;
        }
        Ok(())
    }
}
