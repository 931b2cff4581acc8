//! A Kinesis Client Library for Rust: several workers share the shards of a stream through leases in a table, each
//! record is delivered in order of its shard, and progress survives crashes, hand-overs and resharding.
//!
//! ```text
//!                    ┌────────────────────────── Worker (one task) ──────────────────────────┐
//!  lease table ◀────▶│ Coordinator (kcl_core, no IO): leases, deadlines, hand-offs, leading   │
//!  (LeaseStore)      └──────┬──────────────────────────▲──────────────────────────▲───────────┘
//!                    start, extend, drain, stop   checkpoint, prepare, commit     │ list shards
//!                    ┌──────▼──────────────────────────┴──────────┐               │
//!  stream ──fetch───▶│ one task per held shard                    │          StreamControl
//!  (StreamSource)    │ read ▶ pace ▶ deaggregate ▶ queue ▶ deliver│──▶ your RecordProcessor
//!                    └────────────────────────────────────────────┘
//! ```
//!
//! # What you write
//!
//! A [`RecordProcessor`] and, for each shard, a way to make one. It runs on memory here, and on AWS with
//! `kcl::aws::KinesisStream` and `kcl::aws::DynamoDbLeaseStore` in place of the first two components:
//!
//! ```
//! use std::convert::Infallible;
//! use kcl::testkit::TestBed;
//! use kcl::{DrainReason, Progress, RecordBatch, RecordProcessor, ShardContext, ShardId, Worker};
//!
//! /// Counts the words of a shard.
//! #[derive(Default)]
//! struct WordCount {
//!     words: usize,
//! }
//!
//! impl RecordProcessor for WordCount {
//!     type Error = Infallible;
//!
//!     async fn initialize(&mut self, _: &mut ShardContext) -> Result<(), Infallible> {
//!         Ok(())
//!     }
//!
//!     async fn process(&mut self, batch: RecordBatch, _: &mut ShardContext) -> Result<Progress, Infallible> {
//!         for record in batch.iter() {
//!             self.words += String::from_utf8_lossy(&record.data).split_whitespace().count();
//!         }
//!         Ok(Progress::Durable)
//!     }
//!
//!     async fn shard_ended(&mut self, _: &mut ShardContext) -> Result<Option<String>, Infallible> {
//!         Ok(None)
//!     }
//!
//!     async fn drain(&mut self, _: DrainReason, context: &mut ShardContext) -> Result<Progress, Infallible> {
//!         println!("{}: {} words", context.shard(), self.words);
//!         Ok(Progress::Durable)
//!     }
//!
//!     fn lease_lost(&mut self) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), kcl::Error> {
//! let bed = TestBed::new(2);
//! bed.stream().put("visitor-1", "to be or not to be");
//! let worker = Worker::builder("word-count", bed.stream().clone())
//!     .with_lease_store(bed.store().clone())
//!     .with_settings(TestBed::settings())
//!     .build(|_: &ShardId| WordCount::default())?
//!     .start()
//!     .await?;
//! # let delivered = || worker.health().shards.iter().map(|shard| shard.records_delivered).sum::<u64>();
//! # bed.until("the record is delivered", || delivered() == 1).await;
//! worker.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - **One holder.** A lease is held from the send time of its last applied write, for less than others wait. Past that
//!   deadline nothing is delivered or written: the running call is cancelled at its next await.
//! - **In order, without gaps.** A batch that fails is delivered again after a pause, for ever. Only
//!   [`ShardContext::halt`] stops a shard, visibly.
//! - **At least once** from the last checkpoint, which the framework writes as far as the processor says that its work is
//!   durable. **Exactly once** into stores with conditional writes, by [`ShardContext::prepare`] and
//!   [`Prepared::commit`]: whoever owns the shard next finishes what was announced, from exactly the same records.
//! - **Orderly moves.** A shard moves to another worker, and a worker stops, by draining: nothing is delivered twice.
//!
//! # What it does not do
//!
//! It writes one table layout, that of the KCL 3.5, and refuses tables of others. It reads by polling. It consumes one
//! stream per worker. It never skips a record on its own.

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
mod telemetry;
pub mod testkit;
mod worker;

pub use aggregate::{AggregateBuilder, AggregatePolicy, deaggregate};
pub use clock::{SystemClock, TokioClock};
pub use context::{CommitError, NotHeld, PrepareError, Prepared, ShardContext};
pub use error::{Error, ErrorKind};
pub use halt::{HaltKind, HaltReason};
pub use kcl_core::{
    BatchOrdinal, DrainReason, FencingToken, Generation, HashKey, HashKeyRange, InitialPosition, Lease,
    LeaseCounter, PendingCheckpoint, Position, RecordPosition, Resolution, SequenceNumber, ShardId, WorkerId,
};
pub use memory::{
    FaultyLeaseStore, FaultyStream, MemoryLeaseStore, MemoryStream, MemoryTelemetryStore, StoreFault,
    StreamCall, StreamFault,
};
pub use port::{
    Application, Clock, ControlError, FetchError, Fetched, LeaseStore, NextFetch, OpenError, ShardIterator,
    StartAt, StreamControl, StreamIdentity, StreamSource, TelemetryError, TelemetryItem, TelemetryStore,
};
pub use processor::{ProcessorFactory, Progress, RecordProcessor};
pub use range::{RangeError, RangeReader};
pub use record::{Record, RecordBatch};
pub use settings::{FetchSettings, InvalidSetting, WorkerSettings};
pub use telemetry::{
    HeavyHash, InvalidRow, LoadShare, MinuteFigures, ShardTelemetry, Share, StreamDigest, TelemetryRow,
};
pub use worker::{
    Health, ShardHealth, ShardState, TelemetryHealth, Worker, WorkerBuilder, WorkerEnd, WorkerHandle,
    WorkerPhase,
};
