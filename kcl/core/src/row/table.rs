//! The executable meaning of a lease store: what each request does to the items, one at a time.

use std::collections::BTreeMap;

use super::lease::Lease;
use super::lock::{LeaderLock, LockCondition};
use super::request::{StoreReply, StoreRequest, TableView};
use super::worker::WorkerRow;
use super::write::LeaseWrite;
use crate::id::{LeaseKey, WorkerId};

/// A lease table in memory, without faults: the reference for every adapter and the store of the simulations.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseTable {
    leases: BTreeMap<LeaseKey, Lease>,
    workers: BTreeMap<WorkerId, WorkerRow>,
    lock: Option<LeaderLock>,
    roster: u64,
}

impl LeaseTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Carries out one request at once; never answers `Throttled` or `Unknown`.
    pub fn execute(&mut self, request: &StoreRequest) -> StoreReply {
        match request {
            StoreRequest::CreateLease(lease) => self.create(lease),
            StoreRequest::UpdateLease(write) => self.update(write),
            StoreRequest::ReadLease(key) => StoreReply::Lease(self.leases.get(key).cloned()),
            StoreRequest::ReadTable => StoreReply::Table(TableView {
                leases: self.leases.values().cloned().collect(),
                workers: self.workers.values().cloned().collect(),
                unreadable: 0,
            }),
            StoreRequest::ReadOwned(worker) => StoreReply::Owned(Some(self.owned_by(worker))),
            StoreRequest::PutWorker(row) => {
                self.workers.insert(row.worker.clone(), row.clone());
                StoreReply::Done
            }
            StoreRequest::DeleteWorker(worker) => {
                self.workers.remove(worker);
                StoreReply::Done
            }
            StoreRequest::ReadLock => StoreReply::Lock(self.lock.clone()),
            StoreRequest::WriteLock { condition, lock } => self.write_lock(condition, Some(lock.clone())),
            StoreRequest::DeleteLock(condition) => self.write_lock(condition, None),
            StoreRequest::ReadRoster => StoreReply::Roster(self.roster),
            StoreRequest::BumpRoster => {
                self.roster += 1;
                StoreReply::Roster(self.roster)
            }
        }
    }

    /// The lease rows, by key.
    #[must_use]
    pub const fn leases(&self) -> &BTreeMap<LeaseKey, Lease> {
        &self.leases
    }

    /// Removes a row, as an operator might by hand.
    pub fn remove_lease(&mut self, key: &LeaseKey) -> Option<Lease> {
        self.leases.remove(key)
    }

    fn create(&mut self, lease: &Lease) -> StoreReply {
        if let Some(present) = self.leases.get(&lease.key) {
            return StoreReply::Refused(Some(present.clone()));
        }
        self.leases.insert(lease.key.clone(), lease.clone());
        StoreReply::Applied(lease.clone())
    }

    fn update(&mut self, write: &LeaseWrite) -> StoreReply {
        let Some(lease) = self.leases.get_mut(&write.key) else {
            return StoreReply::Refused(None);
        };
        if !write.conditions.iter().all(|condition| condition.holds(lease)) {
            return StoreReply::Refused(Some(lease.clone()));
        }
        for change in &write.changes {
            change.apply(lease);
        }
        StoreReply::Applied(lease.clone())
    }

    fn owned_by(&self, worker: &WorkerId) -> Vec<LeaseKey> {
        let owned = self.leases.values().filter(|lease| lease.owner.as_ref() == Some(worker));
        owned.map(|lease| lease.key.clone()).collect()
    }

    fn write_lock(&mut self, condition: &LockCondition, lock: Option<LeaderLock>) -> StoreReply {
        if !condition.holds(self.lock.as_ref()) {
            return StoreReply::LockRefused(self.lock.clone());
        }
        let reply = if lock.is_some() { StoreReply::LockWritten } else { StoreReply::Done };
        self.lock = lock;
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{BatchOrdinal, Generation, Nonce};
    use crate::position::Position;
    use crate::row::PendingCheckpoint;
    use crate::sequence::SequenceNumber;
    use crate::time::Millis;

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).expect("valid")
    }

    fn table_with_lease() -> (LeaseTable, Lease) {
        let mut table = LeaseTable::new();
        let lease =
            Lease::new(LeaseKey::new("shardId-0").expect("valid"), Position::TrimHorizon, Generation(5));
        let created = table.execute(&StoreRequest::CreateLease(Box::new(lease.clone())));
        assert_eq!(created, StoreReply::Applied(lease.clone()));
        (table, lease)
    }

    fn applied(reply: StoreReply) -> Lease {
        if let StoreReply::Applied(lease) = reply { lease } else { panic!("refused: {reply:?}") }
    }

    fn update(table: &mut LeaseTable, write: LeaseWrite) -> StoreReply {
        table.execute(&StoreRequest::UpdateLease(write))
    }

    fn held_by(table: &mut LeaseTable, lease: &Lease, owner: &WorkerId) -> Lease {
        let assigned = applied(update(table, LeaseWrite::assign(lease, owner, Nonce(1))));
        let adopt =
            LeaseWrite::adopt(&assigned, owner, Nonce(77), Millis::from_secs(10), Generation(6), Nonce(2));
        applied(update(table, adopt))
    }

    #[test]
    fn a_row_is_created_once() {
        let (mut table, lease) = table_with_lease();
        let again = table.execute(&StoreRequest::CreateLease(Box::new(lease.clone())));
        assert_eq!(again, StoreReply::Refused(Some(lease)));
    }

    #[test]
    fn a_write_at_an_old_counter_is_refused_and_shows_the_row() {
        let (mut table, lease) = table_with_lease();
        let held = held_by(&mut table, &lease, &worker("a"));
        let stale = update(&mut table, LeaseWrite::renew(&lease, &worker("a"), Nonce(3)));
        assert_eq!(stale, StoreReply::Refused(Some(held)));
    }

    #[test]
    fn the_holder_goes_on_writing_through_a_hand_off_and_the_next_owner_waits() {
        let (mut table, lease) = table_with_lease();
        let (old, new) = (worker("a"), worker("b"));
        let held = held_by(&mut table, &lease, &old);
        let moving = applied(update(&mut table, LeaseWrite::hand_off(&held, &old, &new)));
        assert_eq!(moving.counter, held.counter);

        let adopt =
            LeaseWrite::adopt(&moving, &new, Nonce(88), Millis::from_secs(10), Generation(7), Nonce(4));
        assert!(matches!(update(&mut table, adopt), StoreReply::Refused(_)));

        let renewed = applied(update(&mut table, LeaseWrite::renew(&held, &old, Nonce(5))));
        let done = applied(update(&mut table, LeaseWrite::complete_hand_off(&renewed, &old, Nonce(6))));
        assert_eq!((done.owner, done.checkpoint_owner, done.own.holder), (Some(new), None, None));
    }

    #[test]
    fn only_the_intents_own_commit_moves_the_position_while_it_is_pending() {
        let (mut table, lease) = table_with_lease();
        let me = worker("a");
        let held = held_by(&mut table, &lease, &me);
        let position = Position::record(SequenceNumber::from_parts(0, 9));
        let intent = PendingCheckpoint { position, state: bytes::Bytes::from_static(b"intent") };
        let prepare = LeaseWrite::prepare(&held, &me, BatchOrdinal(0), intent.clone(), Nonce(3));
        let prepared = applied(update(&mut table, prepare));
        assert_eq!(prepared.checkpoint, Position::TrimHorizon);

        let checkpoint = LeaseWrite::checkpoint(&prepared, &me, position, Nonce(4));
        assert!(matches!(update(&mut table, checkpoint), StoreReply::Refused(_)));
        let second = LeaseWrite::prepare(&prepared, &me, BatchOrdinal(0), intent, Nonce(5));
        assert!(matches!(update(&mut table, second), StoreReply::Refused(_)));
        let other_batch = LeaseWrite::commit(&prepared, &me, BatchOrdinal(1), position, None, Nonce(6));
        assert!(matches!(update(&mut table, other_batch), StoreReply::Refused(_)));

        let commit =
            LeaseWrite::commit(&prepared, &me, BatchOrdinal(0), position, Some("state/1".into()), Nonce(7));
        let committed = applied(update(&mut table, commit));
        assert_eq!(committed.pending, None);
        assert_eq!((committed.checkpoint, committed.own.batch), (position, BatchOrdinal(1)));
        assert!(committed.own_attributes_hold());
    }

    #[test]
    fn adopting_after_a_foreign_checkpoint_mints_a_generation() {
        let (mut table, lease) = table_with_lease();
        let me = worker("a");
        let mut foreign = lease;
        foreign.owner = Some(me.clone());
        foreign.checkpoint = Position::record(SequenceNumber::from_parts(0, 3));
        foreign.own.state = Some("state/0".into());
        table.leases.insert(foreign.key.clone(), foreign.clone());
        let adopt =
            LeaseWrite::adopt(&foreign, &me, Nonce(9), Millis::from_secs(10), Generation(6), Nonce(1));
        let adopted = applied(update(&mut table, adopt));
        assert_eq!((adopted.own.generation, adopted.own.state.clone()), (Generation(6), None));
        assert!(adopted.own_attributes_hold());
    }

    #[test]
    fn the_lock_moves_only_from_the_version_observed() {
        let mut table = LeaseTable::new();
        let lock = |owner: &str, version: u128| LeaderLock {
            owner: worker(owner),
            version: Nonce(version).into(),
            lease_duration: Millis::from_secs(10),
            is_released: false,
        };
        let write = |condition, lock| StoreRequest::WriteLock { condition, lock };
        assert_eq!(table.execute(&write(LockCondition::Absent, lock("a", 1))), StoreReply::LockWritten);
        let late = table.execute(&write(LockCondition::Absent, lock("b", 2)));
        assert_eq!(late, StoreReply::LockRefused(Some(lock("a", 1))));
        let beat = LockCondition::VersionAndOwner(Nonce(1).into(), worker("a"));
        assert_eq!(table.execute(&write(beat.clone(), lock("a", 3))), StoreReply::LockWritten);
        assert!(matches!(table.execute(&StoreRequest::DeleteLock(beat)), StoreReply::LockRefused(Some(_))));
        let current = LockCondition::VersionAndOwner(Nonce(3).into(), worker("a"));
        assert_eq!(table.execute(&StoreRequest::DeleteLock(current)), StoreReply::Done);
        assert_eq!(table.execute(&StoreRequest::ReadLock), StoreReply::Lock(None));
    }
}
