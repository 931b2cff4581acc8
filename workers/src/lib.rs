//! Stream workers on the Leasehold KCL: events are parsed, validated, enriched, sessionized and written to S3 exactly
//! once.
//!
//! ```text
//! pump ─▶ Kinesis ─▶ process (kcl::RecordProcessor) ─▶ pipeline: parse ▶ validate ▶ derive ▶ session
//!                                └─▶ sink: intent ▶ objects ▶ snapshot ▶ manifest ▶ commit
//! ```

mod encode;
mod event;
mod hex;
mod layout;
mod pipeline;
mod preset;
mod process;
mod pump;
mod sample;
mod session;
mod settings;
mod sink;

pub use encode::{Encoded, LineWriter};
pub use event::{END_MARK, Envelope, EventTime, FieldName, Fields, stamped};
pub use layout::{InvalidLayout, LayoutTemplate, OPEN_PARTITIONS_MAX};
pub use pipeline::{FailedEvent, OutputRow, Pipeline, PipelineState, RecordPlace, Stage, StepOutput};
pub use preset::Preset;
pub use process::{PipelineFactory, PipelineProcessor, ProcessError};
pub use pump::{
    EndMark, Entry, EntryError, Input, InputError, InputLine, KinesisTarget, Line, LineReader, OpenShard,
    OpenedInput, Ordering, Pump, PumpError, PumpProgress, PumpSettings, PumpSummary, PutError, Refused,
    RowRule, Target,
};
pub use sample::{Clickstream, WebLog};
pub use session::{
    CloseReason, Pushed, Released, SessionEvent, SessionRules, SessionState, SnapshotError, session_key,
    session_uuid,
};
pub use settings::{
    ApplicationSettings, Boundary, Compression, Derivation, DeriveSettings, Emit, FetchSettings, FirstEvent,
    Format, InitialPosition, LatePolicy, LeaseSettings, ParseSettings, PipelineSettings, Problem,
    ResolvedSettings, SEMANTICS_VERSION, SessionIdKind, SessionMode, SessionSettings, SettingsError,
    SinkSettings, StreamSettings, TelemetrySettings, TimeUnit, ValidateSettings, WRITER_VERSION,
};
pub use sink::{
    Advance, Batch, BatchId, ClosedBatch, ClosedObject, Intent, InvalidBatchId, InvalidIntent, ListPage,
    ListedObject, Manifest, ManifestObject, ManifestSummary, MemoryStore, NewObject, ObjectKind,
    ObjectMetadata, ObjectStore, PutOutcome, RangeFacts, S3Store, SelfTestError, StoreCall, StoreError,
    StoreFault, StoreOperation, StoredObject, Totals, check_conditional_writes, check_object_store,
};
