//! The lease row: the columns of the Java KCL, and our own ones (`lh…`), which Java ignores and keeps.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::hash_key::HashKeyRange;
use crate::id::{BatchOrdinal, FencingToken, Generation, LeaseCounter, LeaseKey, Nonce, ShardId, WorkerId};
use crate::position::Position;
use crate::time::Millis;

/// One row of the lease table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// `leaseKey`.
    pub key: LeaseKey,
    /// `leaseOwner`; the **next** owner while a hand-off is under way. Absent: nobody.
    pub owner: Option<WorkerId>,
    /// `leaseCounter`.
    pub counter: LeaseCounter,
    /// `checkpoint` and `checkpointSubSequenceNumber`.
    pub checkpoint: Position,
    /// `ownerSwitchesSinceCheckpoint`.
    pub owner_switches: u64,
    /// `pendingCheckpoint`, `pendingCheckpointSubSequenceNumber` and `pendingCheckpointState`: an intent.
    pub pending: Option<PendingCheckpoint>,
    /// `parentShardId`.
    pub parents: BTreeSet<ShardId>,
    /// `childShardIds`, known from the shard's end on.
    pub children: BTreeSet<ShardId>,
    /// `startingHashKey` and `endingHashKey`.
    pub hash_range: Option<HashKeyRange>,
    /// `checkpointOwner`: the worker that hands the lease off and may still write.
    pub checkpoint_owner: Option<WorkerId>,
    /// Our own attributes.
    pub own: LeaseRowState,
}

/// A prepared checkpoint: where it leads, and the bytes of whoever prepared it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PendingCheckpoint {
    /// The position that the commit will write.
    pub position: Position,
    /// `pendingCheckpointState`, at most 4 KB by convention.
    pub state: Bytes,
}

/// Attributes that only Leasehold writes. They describe the checkpoint `bound_to`; when the row's checkpoint is another
/// one, somebody else advanced it and they no longer hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseRowState {
    /// `lhNonce`: identity of the last own write.
    pub nonce: Option<Nonce>,
    /// `lhHolder`: the incarnation that adopted the lease; removed by whoever assigns, hands off or releases it.
    pub holder: Option<Nonce>,
    /// `lhGeneration`.
    pub generation: Generation,
    /// `lhBatch`: ordinal of the next batch to commit.
    pub batch: BatchOrdinal,
    /// `lhState`: pointer to the state snapshot at the checkpoint.
    pub state: Option<String>,
    /// `lhFinal`: pointer to the final snapshot of an ended shard.
    pub final_state: Option<String>,
    /// `lhFailover`: takers wait at least this long without a change of the row.
    pub failover: Option<Millis>,
    /// `lhStart`: epoch milliseconds to open at while the checkpoint is `LATEST` or `AT_TIMESTAMP`.
    pub start_epoch_millis: Option<u64>,
    /// `lhBound`: the checkpoint that these attributes describe.
    pub bound_to: Option<Position>,
    /// `lhHalt`: why the holder let the shard stand still; removed by the next adoption.
    pub halt: Option<String>,
    /// `lhResolution`: what an operator decided about the pending intent; removed by its commit.
    pub resolution: Option<Resolution>,
}

/// What an operator decided about a pending intent that cannot be carried out as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Objects that lie there under the batch's names count as its objects, whatever they hold.
    AcceptExisting,
    /// The batch writes nothing: its range is recorded as a gap, and consumption goes on after it.
    RecordGap,
}

impl Resolution {
    /// Every resolution.
    pub const ALL: [Self; 2] = [Self::AcceptExisting, Self::RecordGap];

    /// The value of the attribute.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::AcceptExisting => "ACCEPT_EXISTING",
            Self::RecordGap => "RECORD_GAP",
        }
    }
}

impl Lease {
    /// A row as it is created: no owner, counter 0, own attributes bound to `checkpoint`.
    #[must_use]
    pub fn new(key: LeaseKey, checkpoint: Position, generation: Generation) -> Self {
        Self {
            key,
            owner: None,
            counter: LeaseCounter(0),
            checkpoint,
            owner_switches: 0,
            pending: None,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            hash_range: None,
            checkpoint_owner: None,
            own: LeaseRowState { generation, bound_to: Some(checkpoint), ..LeaseRowState::default() },
        }
    }

    /// The worker that may write: the one handing off, or else the owner.
    #[must_use]
    pub fn actual_owner(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }

    /// Whether `worker` may write: it hands the lease off, or owns it with no hand-off under way.
    #[must_use]
    pub fn is_held_by(&self, worker: &WorkerId) -> bool {
        self.actual_owner() == Some(worker)
    }

    /// Whether our own attributes describe the checkpoint that the row holds.
    #[must_use]
    pub fn own_attributes_hold(&self) -> bool {
        self.own.bound_to == Some(self.checkpoint)
    }

    /// Whether nothing is left to consume.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.checkpoint == Position::ShardEnd
    }

    /// The token of a holder that has just written this row.
    #[must_use]
    pub fn fencing_token(&self) -> FencingToken {
        FencingToken { generation: self.own.generation, counter: self.counter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_handing_off_is_the_one_that_may_write() {
        let worker = |name: &str| WorkerId::new(name).expect("valid");
        let key = LeaseKey::new("shardId-0").expect("valid");
        let mut lease = Lease::new(key, Position::TrimHorizon, Generation(1));
        assert!(!lease.is_held_by(&worker("a")));
        lease.owner = Some(worker("b"));
        lease.checkpoint_owner = Some(worker("a"));
        assert!(lease.is_held_by(&worker("a")));
        assert!(!lease.is_held_by(&worker("b")));
    }

    #[test]
    fn own_attributes_fall_when_somebody_else_advances_the_checkpoint() {
        let key = LeaseKey::new("shardId-0").expect("valid");
        let mut lease = Lease::new(key, Position::TrimHorizon, Generation(1));
        assert!(lease.own_attributes_hold());
        lease.checkpoint = Position::ShardEnd;
        assert!(!lease.own_attributes_hold());
    }
}
