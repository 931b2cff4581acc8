//! What a processor can ask of the framework about the shard it consumes.
//!
//! ```text
//! prepare(position, intent) ─▶ row: pendingCheckpoint ─▶ Prepared ── write objects ──▶ commit(pointer) ─▶ row: checkpoint
//!                                     │ crash
//!                                     └─▶ next owner: initialize ─ resume_pending ─▶ Prepared ─ finish ─▶ commit
//! ```
//!
//! Owns the row as last written. Each write goes through the coordinator and is refused past the lease's deadline.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kcl_core::{
    BatchOrdinal, Command, FencingToken, InitialPosition, Lease, Outcome, PendingCheckpoint, Position,
    RecordPosition, ShardId,
};
use thiserror::Error;

use crate::halt::HaltReason;
use crate::port::StreamIdentity;
use crate::range::RangeReader;
use crate::shard::{Decision, OrderLink, ReaderParts, Start, Tenure};

/// The shard and the lease under which a processor runs.
#[derive(Debug)]
pub struct ShardContext {
    shard: ShardId,
    stream: Arc<StreamIdentity>,
    lease: Lease,
    tenure: Tenure,
    link: OrderLink,
    reader: ReaderParts,
    initial_position: InitialPosition,
    style: CheckpointStyle,
    halt: Option<HaltReason>,
}

impl ShardContext {
    /// The lease row as last written: checkpoint, pending intent, generation, batch ordinal and state pointer.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Token of this tenure, for sinks that can refuse an older one.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.link.token()
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> &ShardId {
        &self.shard
    }

    /// The stream that the shard belongs to.
    #[must_use]
    pub fn stream(&self) -> &StreamIdentity {
        &self.stream
    }

    /// Time left until nothing may be written any more, unless the lease is extended; zero once it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.tenure.remaining()
    }

    /// The wall clock, from the same source as everything else: for names and arrival times, never for leases.
    #[must_use]
    pub fn now_epoch_millis(&self) -> u64 {
        self.tenure.clock().epoch_millis()
    }

    /// The intent that the row holds: a batch that this or an earlier owner prepared and did not commit.
    #[must_use]
    pub fn pending(&self) -> Option<PendingCheckpoint> {
        self.lease.pending.clone()
    }

    /// Takes up the pending intent, to be finished and committed. An intent is always finished before the next one.
    #[must_use]
    pub fn resume_pending(&mut self) -> Option<Prepared<'_>> {
        let position = self.lease.pending.as_ref()?.position;
        self.style = CheckpointStyle::TwoPhase;
        let ordinal = self.lease.own.batch;
        Some(Prepared { context: self, ordinal, position })
    }

    /// Writes the intent to move the checkpoint to `position`, which may be where it is; `state` is for whoever has to
    /// finish the batch. Nothing of the batch may leave the process before this succeeds.
    ///
    /// # Errors
    /// [`PrepareError`]; unless it says otherwise, whether the intent was written is unknown to the caller, and found
    /// out by the framework before the next write.
    pub async fn prepare(&mut self, position: Position, state: Bytes) -> Result<Prepared<'_>, PrepareError> {
        if self.style == CheckpointStyle::OnePhase {
            return Err(PrepareError::MixedStyles { shard: self.shard.clone() });
        }
        if state.len() > INTENT_BYTES_MAX {
            return Err(PrepareError::TooLarge { bytes: state.len(), bytes_max: INTENT_BYTES_MAX });
        }
        self.style = CheckpointStyle::TwoPhase;
        self.settle().await?;
        let ordinal = self.lease.own.batch;
        let intent = PendingCheckpoint { position, state };
        self.order(Command::Prepare { ordinal, intent }).await?;
        Ok(Prepared { context: self, ordinal, position })
    }

    /// The user records of `(after, last]` again, in order.
    #[must_use]
    pub fn read_range(&self, after: Position, last: RecordPosition) -> RangeReader {
        let start = Start::after(after, &self.lease, self.initial_position, self.now_epoch_millis());
        RangeReader::new(self.reader.clone(), start, after, last)
    }

    /// Proves by a write on the row that the lease is held. A doubt that matters is not settled by a look at the clock.
    ///
    /// # Errors
    /// [`NotHeld`] if it is not, or if that cannot be found out before the deadline.
    pub async fn confirm(&mut self) -> Result<(), NotHeld> {
        let shard = self.shard.clone();
        self.order(Command::Confirm).await.map_err(|_| NotHeld { shard })
    }

    /// Stops this shard, and this shard only: its lease is kept, nothing more is delivered, and health shows why.
    ///
    /// Takes effect when the running call returns, whatever it returns. The first reason given stands.
    pub fn halt(&mut self, reason: HaltReason) {
        self.halt.get_or_insert(reason);
    }
}

impl ShardContext {
    pub(crate) fn new(
        stream: Arc<StreamIdentity>,
        lease: Lease,
        tenure: Tenure,
        link: OrderLink,
        reader: ReaderParts,
        initial_position: InitialPosition,
    ) -> Self {
        let shard = reader.shard.clone();
        let style = CheckpointStyle::Undecided;
        Self { shard, stream, lease, tenure, link, reader, initial_position, style, halt: None }
    }

    pub(crate) fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    pub(crate) fn reader(&self) -> &ReaderParts {
        &self.reader
    }

    /// Where delivery begins for this tenure.
    pub(crate) fn start(&self) -> Start {
        Start::after(self.lease.checkpoint, &self.lease, self.initial_position, self.now_epoch_millis())
    }

    pub(crate) fn halted(&self) -> Option<&HaltReason> {
        self.halt.as_ref()
    }

    /// Notes that the framework writes checkpoints in this tenure; false if the processor does.
    pub(crate) fn use_one_phase(&mut self) -> bool {
        if self.style == CheckpointStyle::TwoPhase {
            return false;
        }
        self.style = CheckpointStyle::OnePhase;
        true
    }

    /// Takes in the outcome of a command whose caller was cancelled.
    pub(crate) async fn settle(&mut self) -> Result<(), WriteError> {
        let outcome = tokio::select! {
            biased;
            () = self.tenure.ended() => return Err(self.ended()),
            outcome = self.link.settled() => outcome,
        };
        match outcome {
            Some(Outcome::Done(lease) | Outcome::Refused(lease)) => {
                self.lease = *lease;
                Ok(())
            }
            Some(Outcome::Lost) => Err(WriteError::Lost { shard: self.shard.clone() }),
            None => Ok(()),
        }
    }

    /// Returns once it is decided what becomes of a lease whose deadline passed. The command that was left alone may have
    /// ended the shard, and then nobody says any more.
    pub(crate) async fn decided(&mut self) -> Decision {
        let tenure = self.tenure.clone();
        let finished = async {
            if let Some(Outcome::Done(lease) | Outcome::Refused(lease)) = self.link.settled().await {
                self.lease = *lease;
            }
            if !self.lease.is_finished() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            decision = tenure.decided() => decision,
            () = finished => Decision::Stopped,
        }
    }

    /// Sends a command, unless the tenure is over, and takes in the row that it leaves.
    pub(crate) async fn order(&mut self, command: Command) -> Result<(), WriteError> {
        self.settle().await?;
        let outcome = tokio::select! {
            biased;
            () = self.tenure.ended() => return Err(self.ended()),
            outcome = self.link.send(command) => outcome,
        };
        match outcome {
            Outcome::Done(lease) => {
                self.lease = *lease;
                Ok(())
            }
            Outcome::Refused(lease) => {
                self.lease = *lease;
                Err(WriteError::Refused { shard: self.shard.clone(), checkpoint: self.lease.checkpoint })
            }
            Outcome::Lost => Err(WriteError::Lost { shard: self.shard.clone() }),
        }
    }

    fn ended(&self) -> WriteError {
        let shard = self.shard.clone();
        if self.tenure.is_stopped() { WriteError::Lost { shard } } else { WriteError::PastDeadline { shard } }
    }
}

/// An intent that is written. Dropping it leaves the intent pending, to be taken up by
/// [`ShardContext::resume_pending`].
#[derive(Debug)]
pub struct Prepared<'a> {
    context: &'a mut ShardContext,
    ordinal: BatchOrdinal,
    position: Position,
}

impl Prepared<'_> {
    /// Ordinal of the batch, which is part of its identity together with the row's generation.
    #[must_use]
    pub const fn ordinal(&self) -> BatchOrdinal {
        self.ordinal
    }

    /// Where the commit will lead.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The shard and its lease, with the intent pending.
    #[must_use]
    pub const fn context(&self) -> &ShardContext {
        self.context
    }

    /// Ends the intent: checkpoint, batch ordinal and state pointer move in one write.
    ///
    /// # Errors
    /// [`CommitError`]; the batch may have been committed unless the error is [`CommitError::Refused`].
    pub async fn commit(self, state_pointer: Option<String>) -> Result<(), CommitError> {
        let Self { context, ordinal, position } = self;
        let command = Command::Commit { ordinal, position, state: state_pointer };
        Ok(context.order(command).await?)
    }
}

/// The lease is gone, or cannot be shown to be held.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("shard {shard}: the lease is not held any more")]
pub struct NotHeld {
    shard: ShardId,
}

/// Why an intent was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The lease is still held, but the row holds another intent or batch; see [`ShardContext::lease`].
    #[error(
        "shard {shard}: the intent was refused, the row stands at {checkpoint}; take up what is pending first"
    )]
    Refused {
        /// The shard.
        shard: ShardId,
        /// Checkpoint of the row.
        checkpoint: Position,
    },
    /// The lease is gone.
    #[error("shard {shard}: the lease is lost")]
    Lost {
        /// The shard.
        shard: ShardId,
    },
    /// The lease's deadline has passed.
    #[error("shard {shard}: the lease's deadline has passed")]
    PastDeadline {
        /// The shard.
        shard: ShardId,
    },
    /// The processor has reported durable progress in this tenure, which the framework checkpoints.
    #[error(
        "shard {shard}: one-phase progress was reported in this tenure; a processor must use one style only"
    )]
    MixedStyles {
        /// The shard.
        shard: ShardId,
    },
    /// The intent is larger than the row may hold.
    #[error(
        "intent of {bytes} bytes: it must have at most {bytes_max}; put long lists into an object and name it"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// Why an intent was not ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The lease is still held, but the row no longer holds this intent; see [`ShardContext::lease`].
    #[error("shard {shard}: the commit was refused, the row stands at {checkpoint} without this intent")]
    Refused {
        /// The shard.
        shard: ShardId,
        /// Checkpoint of the row.
        checkpoint: Position,
    },
    /// The lease is gone.
    #[error("shard {shard}: the lease is lost")]
    Lost {
        /// The shard.
        shard: ShardId,
    },
    /// The lease's deadline has passed.
    #[error("shard {shard}: the lease's deadline has passed")]
    PastDeadline {
        /// The shard.
        shard: ShardId,
    },
}

/// Why a write on the row was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    Refused { shard: ShardId, checkpoint: Position },
    Lost { shard: ShardId },
    PastDeadline { shard: ShardId },
}

impl From<WriteError> for PrepareError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused { shard, checkpoint } => Self::Refused { shard, checkpoint },
            WriteError::Lost { shard } => Self::Lost { shard },
            WriteError::PastDeadline { shard } => Self::PastDeadline { shard },
        }
    }
}

impl From<WriteError> for CommitError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused { shard, checkpoint } => Self::Refused { shard, checkpoint },
            WriteError::Lost { shard } => Self::Lost { shard },
            WriteError::PastDeadline { shard } => Self::PastDeadline { shard },
        }
    }
}

/// Who moves the checkpoint in this tenure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckpointStyle {
    /// Nobody has yet.
    Undecided,
    /// The framework, from the progress that the processor returns.
    OnePhase,
    /// The processor, by intent and commit.
    TwoPhase,
}

/// Keeps a row with an intent within one write unit or a few, and its reads cheap.
const INTENT_BYTES_MAX: usize = 4096;
