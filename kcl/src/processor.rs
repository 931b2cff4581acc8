//! What a user implements: the processor of one shard's records.
//!
//! ```text
//! factory.processor(shard) ──▶ initialize ──▶ process … process ──┬─▶ shard_ended   shard closed and consumed
//!                                   ▲            │ error: retried  ├─▶ drain         hand-off or shutdown
//!                                   └─ panic ◀───┘                 └─▶ lease_lost    nothing may be written
//! ```
//!
//! Each call is cancelled at its next await when the lease is lost or its deadline passes; `lease_lost` follows, and
//! the processor is dropped. A call that is still running when draining is ordered may take half of the time allowed;
//! then it is cancelled, too, and `drain` is not called. A panic drops the processor without another call; a new one
//! from the factory goes on from the checkpoint. A processor that cannot go on stops its shard by
//! [`ShardContext::halt`].
//!
//! A processor never checkpoints by itself: it returns how far its work is durable, and the framework writes that. It
//! therefore cannot checkpoint after its lease is lost. Two-phase processors use [`ShardContext::prepare`] instead and
//! return [`Progress::Buffered`]; mixing both in one tenure is an error.

use std::error::Error;
use std::future::Future;

use kcl_core::{DrainReason, RecordPosition, ShardId};

use crate::context::ShardContext;
use crate::record::RecordBatch;

/// Consumes the records of one shard, in order, for as long as this worker holds its lease.
pub trait RecordProcessor: Send + 'static {
    /// What can go wrong; a failed call is repeated with the same arguments after a pause.
    type Error: Error + Send + Sync + 'static;

    /// Called once before the first batch. [`ShardContext::lease`] shows the checkpoint, a pending intent and the state pointer.
    ///
    /// # Errors
    /// Repeated after a pause; the shard does not start before it succeeds.
    fn initialize(
        &mut self,
        context: &mut ShardContext,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes the next records, and says how far everything delivered so far is durable.
    ///
    /// # Errors
    /// The same batch is delivered again after a pause: no record is ever skipped.
    fn process(
        &mut self,
        batch: RecordBatch,
        context: &mut ShardContext,
    ) -> impl Future<Output = Result<Progress, Self::Error>> + Send;

    /// The shard is closed and every record was processed: make the rest durable. The returned pointer names a final
    /// state snapshot for the children.
    ///
    /// # Errors
    /// Repeated after a pause; the children do not start before it succeeds.
    fn shard_ended(
        &mut self,
        context: &mut ShardContext,
    ) -> impl Future<Output = Result<Option<String>, Self::Error>> + Send;

    /// The lease is about to move or the worker to stop: make what is in hand durable, or leave it to the next owner.
    ///
    /// # Errors
    /// Logged; the next owner resumes from the last checkpoint.
    fn drain(
        &mut self,
        reason: DrainReason,
        context: &mut ShardContext,
    ) -> impl Future<Output = Result<Progress, Self::Error>> + Send;

    /// The lease is lost: nothing may be written for it any more.
    fn lease_lost(&mut self);
}

/// How far a processor's work is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything delivered so far.
    Durable,
    /// Everything up to and including this record.
    DurableTo(RecordPosition),
    /// Nothing more than before.
    Buffered,
}

/// Makes a processor for each shard whose lease this worker gets.
pub trait ProcessorFactory: Send + Sync + 'static {
    /// The processors made.
    type Processor: RecordProcessor;

    /// A processor for `shard`, which starts with nothing.
    fn processor(&self, shard: &ShardId) -> Self::Processor;
}

impl<P, F> ProcessorFactory for F
where
    P: RecordProcessor,
    F: Fn(&ShardId) -> P + Send + Sync + 'static,
{
    type Processor = P;

    fn processor(&self, shard: &ShardId) -> P {
        self(shard)
    }
}
