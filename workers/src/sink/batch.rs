//! A batch while it fills, and when it is closed: pure, so that whoever replays its range makes the same objects.

use std::collections::BTreeMap;

use kcl::{Position, Record};

use super::intent::{ADVANCES_MAX, Advance, Intent};
use super::manifest::{ObjectKind, Totals};
use super::name::BatchId;
use super::range::RangeCounter;
use crate::encode::{Encoded, LineWriter};
use crate::layout::OPEN_PARTITIONS_MAX;
use crate::pipeline::{Pipeline, PipelineState, RecordPlace, StepOutput};
use crate::settings::{Compression, SEMANTICS_VERSION, WRITER_VERSION};

/// Records since the last commit, and what they led to.
#[derive(Debug)]
pub struct Batch {
    after: Position,
    last: Position,
    range: RangeCounter,
    advances: Vec<Advance>,
    parts: BTreeMap<(ObjectKind, String), LineWriter>,
    totals: Totals,
    compression: Compression,
    is_full: bool,
}

/// Limits at which a batch closes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    pub(crate) bytes_max: u64,
    pub(crate) rows_max: u64,
}

/// A closed batch: its intent, and its objects in the order of their index.
#[derive(Debug)]
pub struct ClosedBatch {
    /// What is written before anything else.
    pub intent: Intent,
    /// What it puts into the store.
    pub objects: Vec<ClosedObject>,
    /// Its counts.
    pub totals: Totals,
}

/// One object of a closed batch.
#[derive(Debug)]
pub struct ClosedObject {
    /// What its rows are.
    pub kind: ObjectKind,
    /// The folder of its key.
    pub folder: String,
    /// Its body.
    pub encoded: Encoded,
}

impl Batch {
    /// A batch of nothing yet, beginning after `after`.
    #[must_use]
    pub fn new(after: Position, compression: Compression) -> Self {
        Self {
            after,
            last: after,
            range: RangeCounter::default(),
            advances: Vec::new(),
            parts: BTreeMap::new(),
            totals: Totals::default(),
            compression,
            is_full: false,
        }
    }

    /// Position of the last record.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// Whether it holds neither a record nor an advance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last == self.after && self.advances.is_empty()
    }

    /// Whether the state refused a record; nothing can follow.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether a limit is reached, or the input ended.
    pub(crate) fn is_due(&self, limits: BatchLimits) -> bool {
        let bytes: u64 = self.parts.values().map(LineWriter::bytes_written).sum();
        bytes >= limits.bytes_max
            || self.totals.rows >= limits.rows_max
            || self.parts.len() >= OPEN_PARTITIONS_MAX
            || self.advances.len() >= ADVANCES_MAX
            || self.totals.is_end_of_input
    }

    /// Takes the next record.
    pub fn absorb(
        &mut self,
        pipeline: &Pipeline,
        state: &mut PipelineState,
        place: &RecordPlace,
        record: &Record,
    ) {
        let mut output = StepOutput::default();
        pipeline.step(state, place, record, &mut output);
        if output.is_full {
            self.is_full = true;
            return;
        }
        self.range.add(record.position);
        self.last = Position::At(record.position);
        self.totals.records += u64::from(!output.is_end_of_input);
        self.write(pipeline, output);
    }

    /// Moves the watermark without a record.
    pub fn advance(&mut self, pipeline: &Pipeline, state: &mut PipelineState, watermark: i64) {
        self.advances.push(Advance { after: self.last, watermark });
        let mut output = StepOutput::default();
        pipeline.advance(state, watermark, &mut output);
        self.write(pipeline, output);
    }

    /// Closes it under `id`.
    #[must_use]
    pub fn close(self, id: BatchId, config_hash: &str) -> ClosedBatch {
        let intent = Intent {
            batch: id,
            after: self.after,
            last: self.last,
            facts: self.range.facts(),
            advances: self.advances,
            config_hash: config_hash.to_owned(),
            semantics_version: SEMANTICS_VERSION,
            writer_version: WRITER_VERSION,
        };
        let objects = self
            .parts
            .into_iter()
            .map(|((kind, folder), writer)| ClosedObject { kind, folder, encoded: writer.finish() })
            .collect();
        ClosedBatch { intent, objects, totals: self.totals }
    }

    fn write(&mut self, pipeline: &Pipeline, output: StepOutput) {
        let sink = &pipeline.settings().settings().sink;
        self.totals.events += output.events;
        self.totals.failed += output.failed.len() as u64;
        self.totals.dropped += output.dropped;
        self.totals.sessions += output.sessions;
        self.totals.is_end_of_input |= output.is_end_of_input;
        let rows = output.rows.into_iter().map(|row| (ObjectKind::Rows, row.folder, row.row));
        let failed = output.failed.into_iter().map(|event| {
            let folder = format!("{}/stage={}", sink.failed_prefix, event.stage.as_str());
            (ObjectKind::Failed, folder, event.row())
        });
        for (kind, folder, row) in rows.chain(failed) {
            self.totals.rows += 1;
            let compression = self.compression;
            self.parts.entry((kind, folder)).or_insert_with(|| LineWriter::new(compression)).append(&row);
        }
    }
}
