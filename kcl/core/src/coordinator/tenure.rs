//! One lease on its way through this worker: assigned, adopted, held, given back or lost.
//!
//! ```text
//!            row says mine        conditional renewal applied
//! (unknown) ──▶ Reading ──▶ Adopting ──▶ Held { AwaitingParents ─▶ Running ─▶ Draining } ──▶ handed off, released
//!                                          │ refused, deadline passed, row deleted            or finished
//!                                          └──▶ lost
//! ```
//!
//! Data only; the transitions are in `holding`.

use std::collections::{BTreeSet, VecDeque};

use super::message::{ChildShard, Command, CommandId, DrainReason};
use crate::id::{FencingToken, LeaseKey, Nonce, ShardId};
use crate::row::{Lease, LeaseWrite};
use crate::time::Millis;

/// Where a lease stands in this worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tenure {
    /// Its row is being read to see whether it may be adopted.
    Reading,
    /// The adopting write is on its way; nothing is delivered yet.
    Adopting,
    /// Held until its deadline.
    Held(Box<Held>),
}

/// A held lease.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Held {
    /// The row as last written by this worker.
    pub(super) row: Lease,
    pub(super) token: FencingToken,
    pub(super) deadline: Millis,
    pub(super) renew_at: Millis,
    pub(super) stage: Stage,
    /// The one write that is queued, on its way or being settled.
    pub(super) write: Option<Write>,
    pub(super) commands: VecDeque<(CommandId, Command)>,
    pub(super) finishing: Option<Finishing>,
}

/// What a held lease is doing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    /// No consumer runs: these parents are not known to be finished.
    AwaitingParents { waiting: BTreeSet<ShardId>, check_at: Millis },
    /// A consumer runs.
    Running,
    /// The consumer finishes, or has `stopped`.
    Draining { reason: DrainReason, until: Millis, stopped: bool },
}

/// A shard's end in progress: children whose rows are not known to exist yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Finishing {
    pub(super) command: CommandId,
    pub(super) children: Vec<ChildShard>,
    pub(super) uncreated: BTreeSet<LeaseKey>,
    pub(super) final_state: Option<String>,
    /// When to ask again for the rows that could not be created.
    pub(super) retry_at: Option<Millis>,
}

/// The one write in flight for a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Write {
    pub(super) write: LeaseWrite,
    pub(super) aim: Aim,
    /// Earlier tries of the same changes whose fate is unknown: nonce and send time.
    pub(super) unsettled: Vec<(Nonce, Millis)>,
    pub(super) step: Step,
}

/// What a write is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Aim {
    Renewal,
    Command(CommandId),
    Finish(CommandId),
    HandOver,
    Release,
}

/// How far a write has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// Sent, or queued to be.
    Sent,
    /// Its reply was lost; the row is being read.
    Reading,
    /// Throttled; sent again at this time.
    ResendAt(Millis),
    /// The settling read failed; read again at this time.
    RereadAt(Millis),
}

impl Write {
    /// The nonce of the try that was sent last.
    pub(super) fn nonce(&self) -> Nonce {
        self.write.nonce().expect("a holder's write carries a nonce")
    }

    /// Whether the reply to the try with this nonce, or to the read that settles it, is awaited.
    pub(super) fn awaits(&self, step: Step, nonce: Nonce) -> bool {
        self.step == step && self.nonce() == nonce
    }

    /// When the try that left `row` was sent, if it was one of this write: an earlier one, or the one sent at `sent`,
    /// carried out twice by a layer below.
    pub(super) fn landed_as(&self, row: &Lease, sent: Millis) -> Option<Millis> {
        let mut tries = self.unsettled.iter().copied().chain([(self.nonce(), sent)]);
        tries.find(|(nonce, _)| row.own.nonce == Some(*nonce)).map(|(_, sent)| sent)
    }
}

impl Held {
    /// When this lease needs attention next.
    pub(super) fn wake_at(&self) -> Millis {
        let mut at = self.deadline;
        match &self.write {
            None => at = at.min(self.renew_at),
            Some(write) => match write.step {
                Step::ResendAt(time) | Step::RereadAt(time) => at = at.min(time),
                Step::Sent | Step::Reading => {}
            },
        }
        if let Some(retry_at) = self.finishing.as_ref().and_then(|finishing| finishing.retry_at) {
            at = at.min(retry_at);
        }
        match &self.stage {
            Stage::AwaitingParents { check_at, .. } => at.min(*check_at),
            Stage::Draining { until, stopped: false, .. } => at.min(*until),
            Stage::Running | Stage::Draining { stopped: true, .. } => at,
        }
    }

    /// Whether its consumer has stopped and only the write that gives it back is left.
    pub(super) const fn is_given_back(&self) -> bool {
        matches!(self.stage, Stage::Draining { stopped: true, .. })
    }

    /// Whether a consumer may be running for it.
    pub(super) const fn has_consumer(&self) -> bool {
        match &self.stage {
            Stage::Running | Stage::Draining { stopped: false, .. } => true,
            Stage::AwaitingParents { .. } | Stage::Draining { stopped: true, .. } => false,
        }
    }
}
