//! A Kinesis Client Library for Rust.

mod aggregate;
#[cfg(feature = "aws")]
pub mod aws;
mod backoff;
mod budget;
mod clock;
pub mod conformance;
mod context;
mod error;
mod events;
mod halt;
#[cfg(feature = "aws")]
mod layout;
mod memory;
mod port;
mod processor;
mod range;
mod rate;
mod record;
mod settings;
mod shard;
pub mod testkit;
mod worker;

pub use aggregate::{AggregateBuilder, AggregatePolicy};
pub use clock::{SystemClock, TokioClock};
pub use context::{CommitError, PrepareError, Prepared, ShardContext};
pub use error::{Error, ErrorKind};
pub use halt::{HaltKind, HaltReason};
pub use kcl_core::{
    BatchOrdinal, DrainReason, FencingToken, Generation, HashKey, HashKeyRange, InitialPosition, Lease,
    LeaseCounter, PendingCheckpoint, Position, RecordPosition, SequenceNumber, ShardId, WorkerId,
};
pub use memory::{
    FaultyLeaseStore, FaultyStream, MemoryLeaseStore, MemoryStream, StoreFault, StreamCall, StreamFault,
};
pub use port::{
    Application, Clock, ControlError, FetchError, Fetched, LeaseStore, NextFetch, OpenError, ShardIterator,
    StartAt, StreamControl, StreamIdentity, StreamSource,
};
pub use processor::{ProcessorFactory, Progress, RecordProcessor};
pub use range::{RangeError, RangeReader};
pub use record::{Record, RecordBatch};
pub use settings::{FetchSettings, InvalidSetting, WorkerSettings};
pub use worker::{
    Health, ShardHealth, ShardState, Worker, WorkerBuilder, WorkerEnd, WorkerHandle, WorkerPhase,
};
