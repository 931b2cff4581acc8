//! Conditional writes on lease rows, as values: what must hold, and what changes.
//!
//! Each operation of the protocol has one constructor here, so that its condition is written down once. Adapters
//! translate the two lists; [`LeaseTable`](super::LeaseTable) evaluates them.

use std::collections::BTreeSet;

use super::lease::{Lease, PendingCheckpoint, Resolution};
use crate::id::{BatchOrdinal, Generation, LeaseCounter, LeaseKey, Nonce, ShardId, WorkerId};
use crate::position::Position;
use crate::time::Millis;

/// One `UpdateItem` on a lease row: all conditions must hold, then all changes happen.
///
/// The row must exist; a missing row refuses the write. A counter counts within one generation: a row that is deleted and
/// created again starts from 0, so whoever names a counter names the generation too. Each write raises the counter by one
/// unless it starts a hand-off, which leaves the counter so that the holder can go on renewing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseWrite {
    /// The row.
    pub key: LeaseKey,
    /// What must hold, all of it.
    pub conditions: Vec<LeaseCondition>,
    /// What changes; no two entries touch the same attribute.
    pub changes: Vec<LeaseChange>,
}

/// Something that must hold in the row for a write to be applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseCondition {
    /// `leaseCounter = :counter`.
    CounterIs(LeaseCounter),
    /// `leaseOwner` is this worker, or absent.
    OwnerIs(Option<WorkerId>),
    /// `checkpointOwner` is this worker, or absent.
    CheckpointOwnerIs(Option<WorkerId>),
    /// `checkpointOwner = :worker OR (leaseOwner = :worker AND attribute_not_exists(checkpointOwner))`.
    HeldBy(WorkerId),
    /// `attribute_not_exists(pendingCheckpoint)`.
    NothingPending,
    /// `pendingCheckpoint` and its sub-sequence number are those of this position.
    PendingIs(Position),
    /// `lhBatch = :ordinal`; an absent attribute counts as 0.
    BatchIs(BatchOrdinal),
    /// `lhGeneration = :generation`; an absent attribute counts as 0.
    GenerationIs(Generation),
}

/// One change of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseChange {
    /// `ADD leaseCounter 1`.
    RaiseCounter,
    /// Sets or removes `leaseOwner`.
    Owner(Option<WorkerId>),
    /// Sets or removes `checkpointOwner`.
    CheckpointOwner(Option<WorkerId>),
    /// `ADD ownerSwitchesSinceCheckpoint 1`.
    CountOwnerSwitch,
    /// Sets `checkpoint`, `checkpointSubSequenceNumber` and `lhBound`, and zeroes `ownerSwitchesSinceCheckpoint`.
    Checkpoint(Position),
    /// Sets or removes the three `pendingCheckpoint…` attributes.
    Pending(Option<PendingCheckpoint>),
    /// Sets `childShardIds`; the set is not empty.
    Children(BTreeSet<ShardId>),
    /// Sets `lhNonce`.
    Nonce(Nonce),
    /// Sets or removes `lhHolder`.
    Holder(Option<Nonce>),
    /// Sets `lhGeneration`.
    Generation(Generation),
    /// Sets `lhBatch`.
    Batch(BatchOrdinal),
    /// Sets or removes `lhState`.
    State(Option<String>),
    /// Sets `lhFinal`.
    FinalState(String),
    /// Sets `lhFailover`.
    Failover(Millis),
    /// Sets `lhBound` to the checkpoint that the writer read; used when own attributes are minted anew.
    BoundTo(Position),
    /// Sets or removes `lhHalt`.
    Halt(Option<String>),
    /// Sets or removes `lhResolution`.
    Resolution(Option<Resolution>),
}

impl LeaseWrite {
    /// Proof that `me` may deliver: renews an assigned lease at the counter read, as `holder`.
    ///
    /// Own attributes that no longer describe the checkpoint are dropped and a new `generation` is minted. Why an earlier
    /// holder stood still is for the new one to find out again.
    #[must_use]
    pub fn adopt(
        lease: &Lease,
        me: &WorkerId,
        holder: Nonce,
        failover: Millis,
        generation: Generation,
        nonce: Nonce,
    ) -> Self {
        let mut changes = vec![
            LeaseChange::RaiseCounter,
            LeaseChange::Nonce(nonce),
            LeaseChange::Holder(Some(holder)),
            LeaseChange::Failover(failover),
        ];
        if !lease.own_attributes_hold() {
            changes.extend([
                LeaseChange::Generation(generation),
                LeaseChange::Batch(BatchOrdinal(0)),
                LeaseChange::State(None),
                LeaseChange::BoundTo(lease.checkpoint),
            ]);
            if lease.own.resolution.is_some() {
                changes.push(LeaseChange::Resolution(None));
            }
        }
        if lease.own.halt.is_some() {
            changes.push(LeaseChange::Halt(None));
        }
        let conditions = vec![
            LeaseCondition::CounterIs(lease.counter),
            LeaseCondition::GenerationIs(lease.own.generation),
            LeaseCondition::OwnerIs(Some(me.clone())),
            LeaseCondition::CheckpointOwnerIs(None),
        ];
        Self { key: lease.key.clone(), conditions, changes }
    }

    /// Keeps a held lease; also the base of every other write of its holder.
    #[must_use]
    pub fn renew(lease: &Lease, me: &WorkerId, nonce: Nonce) -> Self {
        Self {
            key: lease.key.clone(),
            conditions: vec![
                LeaseCondition::CounterIs(lease.counter),
                LeaseCondition::GenerationIs(lease.own.generation),
                LeaseCondition::HeldBy(me.clone()),
            ],
            changes: vec![LeaseChange::RaiseCounter, LeaseChange::Nonce(nonce)],
        }
    }

    /// Moves the checkpoint in one phase; refused while an intent is pending. A state pointer describes the checkpoint
    /// it was committed with, so it goes.
    #[must_use]
    pub fn checkpoint(lease: &Lease, me: &WorkerId, position: Position, nonce: Nonce) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.conditions.push(LeaseCondition::NothingPending);
        write.changes.push(LeaseChange::Checkpoint(position));
        if lease.own.state.is_some() {
            write.changes.push(LeaseChange::State(None));
        }
        write
    }

    /// Writes the intent of batch `ordinal`, even at an unchanged position.
    #[must_use]
    pub fn prepare(
        lease: &Lease,
        me: &WorkerId,
        ordinal: BatchOrdinal,
        intent: PendingCheckpoint,
        nonce: Nonce,
    ) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.conditions.extend([LeaseCondition::NothingPending, LeaseCondition::BatchIs(ordinal)]);
        write.changes.push(LeaseChange::Pending(Some(intent)));
        write
    }

    /// Ends the intent of batch `ordinal` at `position`: checkpoint, ordinal and state pointer move together.
    #[must_use]
    pub fn commit(
        lease: &Lease,
        me: &WorkerId,
        ordinal: BatchOrdinal,
        position: Position,
        state: Option<String>,
        nonce: Nonce,
    ) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.conditions.extend([LeaseCondition::PendingIs(position), LeaseCondition::BatchIs(ordinal)]);
        write.changes.extend([
            LeaseChange::Checkpoint(position),
            LeaseChange::Pending(None),
            LeaseChange::Batch(ordinal.next()),
            LeaseChange::State(state),
        ]);
        if lease.own.resolution.is_some() {
            write.changes.push(LeaseChange::Resolution(None));
        }
        write
    }

    /// Says in the row why the shard stands still, for operators to see.
    #[must_use]
    pub fn note_halt(lease: &Lease, me: &WorkerId, reason: String, nonce: Nonce) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.changes.push(LeaseChange::Halt(Some(reason)));
        write
    }

    /// An operator's write on the row of a halted shard: its holder, which finds the counter moved and its mark gone, gives
    /// up the tenure and adopts anew. `resolution` is about the pending intent, and the next holder carries it out;
    /// without one, what halted is tried again.
    #[must_use]
    pub fn resolve(lease: &Lease, resolution: Option<Resolution>, nonce: Nonce) -> Self {
        let mut changes = vec![
            LeaseChange::RaiseCounter,
            LeaseChange::Nonce(nonce),
            LeaseChange::Holder(None),
            LeaseChange::Halt(None),
        ];
        if resolution.is_some() || lease.own.resolution.is_some() {
            changes.push(LeaseChange::Resolution(resolution));
        }
        let conditions = vec![
            LeaseCondition::CounterIs(lease.counter),
            LeaseCondition::GenerationIs(lease.own.generation),
        ];
        Self { key: lease.key.clone(), conditions, changes }
    }

    /// An operator's write that drops the pending intent: what follows the checkpoint is read again and written under the
    /// names of a new `generation`. State pointer and checkpoint stay.
    #[must_use]
    pub fn rewrite(lease: &Lease, generation: Generation, nonce: Nonce) -> Self {
        let mut write = Self::resolve(lease, None, nonce);
        write.changes.extend([
            LeaseChange::Pending(None),
            LeaseChange::Generation(generation),
            LeaseChange::Batch(BatchOrdinal(0)),
        ]);
        write
    }

    /// Marks the shard as consumed to its end, with the children known and their rows created; nobody owns it afterwards.
    #[must_use]
    pub fn finish(
        lease: &Lease,
        me: &WorkerId,
        children: BTreeSet<ShardId>,
        final_state: Option<String>,
        nonce: Nonce,
    ) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.conditions.push(LeaseCondition::NothingPending);
        write.changes.extend([
            LeaseChange::Checkpoint(Position::ShardEnd),
            LeaseChange::Owner(None),
            LeaseChange::CheckpointOwner(None),
            LeaseChange::Holder(None),
        ]);
        if !children.is_empty() {
            write.changes.push(LeaseChange::Children(children));
        }
        if let Some(pointer) = final_state {
            write.changes.push(LeaseChange::FinalState(pointer));
        }
        write
    }

    /// Gives an expired or unowned lease to `worker`, whoever had it; conditional on the counter observed.
    #[must_use]
    pub fn assign(lease: &Lease, worker: &WorkerId, nonce: Nonce) -> Self {
        let mut changes = vec![
            LeaseChange::RaiseCounter,
            LeaseChange::Nonce(nonce),
            LeaseChange::Owner(Some(worker.clone())),
            LeaseChange::CheckpointOwner(None),
            LeaseChange::Holder(None),
        ];
        if lease.actual_owner().is_some_and(|owner| owner != worker) {
            changes.push(LeaseChange::CountOwnerSwitch);
        }
        let conditions = vec![
            LeaseCondition::CounterIs(lease.counter),
            LeaseCondition::GenerationIs(lease.own.generation),
            LeaseCondition::OwnerIs(lease.owner.clone()),
            LeaseCondition::CheckpointOwnerIs(lease.checkpoint_owner.clone()),
        ];
        Self { key: lease.key.clone(), conditions, changes }
    }

    /// Starts moving a live lease to `worker`; the counter stays, so that the holder goes on renewing until it is done.
    ///
    /// It carries no nonce, the only own write without one: it must not hide the nonce of the holder's last write, by which
    /// the holder settles a lost reply. `holder` is the worker observed as owner. Refused while an intent is pending: a
    /// batch in commit is not moved for balance.
    #[must_use]
    pub fn hand_off(lease: &Lease, holder: &WorkerId, worker: &WorkerId) -> Self {
        Self {
            key: lease.key.clone(),
            conditions: vec![
                LeaseCondition::OwnerIs(Some(holder.clone())),
                LeaseCondition::CheckpointOwnerIs(None),
                LeaseCondition::NothingPending,
            ],
            changes: vec![
                LeaseChange::Owner(Some(worker.clone())),
                LeaseChange::CheckpointOwner(Some(holder.clone())),
            ],
        }
    }

    /// Completes a hand-off: the next owner may adopt.
    #[must_use]
    pub fn complete_hand_off(lease: &Lease, me: &WorkerId, nonce: Nonce) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.conditions.push(LeaseCondition::CheckpointOwnerIs(Some(me.clone())));
        write.changes.extend([
            LeaseChange::CheckpointOwner(None),
            LeaseChange::Holder(None),
            LeaseChange::CountOwnerSwitch,
        ]);
        write
    }

    /// Gives a lease back to nobody; refused if a hand-off has begun, which must then be completed.
    #[must_use]
    pub fn release(lease: &Lease, me: &WorkerId, nonce: Nonce) -> Self {
        let mut write = Self::renew(lease, me, nonce);
        write.conditions.push(LeaseCondition::CheckpointOwnerIs(None));
        write.changes.extend([LeaseChange::Owner(None), LeaseChange::Holder(None)]);
        write
    }

    /// The nonce that this write would leave in the row.
    #[must_use]
    pub fn nonce(&self) -> Option<Nonce> {
        self.changes
            .iter()
            .find_map(|change| if let LeaseChange::Nonce(nonce) = change { Some(*nonce) } else { None })
    }

    /// The same write with another nonce, at the counter of `lease`: the way to settle one whose reply was lost.
    #[must_use]
    pub fn repeated(&self, lease: &Lease, nonce: Nonce) -> Self {
        let mut write = self.clone();
        for condition in &mut write.conditions {
            if let LeaseCondition::CounterIs(counter) = condition {
                *counter = lease.counter;
            }
        }
        for change in &mut write.changes {
            if let LeaseChange::Nonce(old) = change {
                *old = nonce;
            }
        }
        write
    }
}

impl LeaseCondition {
    /// Whether `lease` satisfies the condition.
    #[must_use]
    pub fn holds(&self, lease: &Lease) -> bool {
        match self {
            Self::CounterIs(counter) => lease.counter == *counter,
            Self::OwnerIs(owner) => lease.owner == *owner,
            Self::CheckpointOwnerIs(owner) => lease.checkpoint_owner == *owner,
            Self::HeldBy(worker) => lease.is_held_by(worker),
            Self::NothingPending => lease.pending.is_none(),
            Self::PendingIs(position) => {
                lease.pending.as_ref().is_some_and(|pending| pending.position == *position)
            }
            Self::BatchIs(ordinal) => lease.own.batch == *ordinal,
            Self::GenerationIs(generation) => lease.own.generation == *generation,
        }
    }
}

impl LeaseChange {
    /// Makes the change in `lease`.
    pub fn apply(&self, lease: &mut Lease) {
        match self {
            Self::RaiseCounter => lease.counter = lease.counter.next(),
            Self::Owner(owner) => lease.owner.clone_from(owner),
            Self::CheckpointOwner(owner) => lease.checkpoint_owner.clone_from(owner),
            Self::CountOwnerSwitch => lease.owner_switches += 1,
            Self::Checkpoint(position) => {
                lease.checkpoint = *position;
                lease.own.bound_to = Some(*position);
                lease.owner_switches = 0;
            }
            Self::Pending(pending) => lease.pending.clone_from(pending),
            Self::Children(children) => lease.children.clone_from(children),
            Self::Nonce(nonce) => lease.own.nonce = Some(*nonce),
            Self::Holder(holder) => lease.own.holder = *holder,
            Self::Generation(generation) => lease.own.generation = *generation,
            Self::Batch(ordinal) => lease.own.batch = *ordinal,
            Self::State(pointer) => lease.own.state.clone_from(pointer),
            Self::FinalState(pointer) => lease.own.final_state = Some(pointer.clone()),
            Self::Failover(failover) => lease.own.failover = Some(*failover),
            Self::BoundTo(position) => lease.own.bound_to = Some(*position),
            Self::Halt(reason) => lease.own.halt.clone_from(reason),
            Self::Resolution(resolution) => lease.own.resolution = *resolution,
        }
    }
}
