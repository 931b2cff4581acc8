//! What scans have shown: which rows stand still for how long, and which workers live.
//!
//! All times are the observer's own: a row has expired when it was *seen* unchanged for its failover time, counted from
//! the arrival of the first answer that showed it so, which is never earlier than the write itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::assignment::AssignableLease;
use crate::id::{LeaseCounter, LeaseKey, Nonce, WorkerId};
use crate::row::{Lease, TableView};
use crate::time::Millis;

/// The table as last seen, with its history as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fleet {
    leases: BTreeMap<LeaseKey, Lease>,
    history: BTreeMap<LeaseKey, History>,
    workers: BTreeMap<WorkerId, Life>,
    scans: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct History {
    mark: (LeaseCounter, Option<Nonce>),
    changed_at: Millis,
    hand_off_since: Option<Millis>,
    orphan_since: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Life {
    beat: u64,
    is_draining: bool,
    alive_at: Option<Millis>,
    /// A lease expired under it and it has not beaten since.
    is_suspect: bool,
}

impl Fleet {
    /// Takes in a scan that arrived at `now`.
    pub(super) fn observe(&mut self, view: TableView, failover: Millis, now: Millis) {
        self.scans += 1;
        let present: BTreeSet<LeaseKey> = view.leases.iter().map(|lease| lease.key.clone()).collect();
        self.leases.retain(|key, _| present.contains(key));
        self.history.retain(|key, _| present.contains(key));
        for lease in view.leases {
            self.observe_lease(lease, failover, now);
        }
        let suspects: BTreeSet<WorkerId> = self
            .leases
            .values()
            .filter(|lease| !lease.is_finished() && self.has_expired(lease, failover, now))
            .filter_map(|lease| lease.actual_owner().cloned())
            .collect();
        let alive: BTreeSet<WorkerId> = view.workers.iter().map(|row| row.worker.clone()).collect();
        self.workers.retain(|worker, _| alive.contains(worker));
        for row in view.workers {
            let is_new_since_first_scan = self.scans > 1 && row.age <= failover;
            let is_java_and_fresh = row.beat == 0 && row.age <= ROW_AGE_MAX;
            let is_suspect = suspects.contains(&row.worker);
            let life = self.workers.entry(row.worker).or_insert_with(|| Life {
                beat: row.beat,
                is_draining: row.draining,
                alive_at: is_new_since_first_scan.then_some(now),
                is_suspect: false,
            });
            if life.beat != row.beat || is_java_and_fresh {
                life.alive_at = Some(now);
                life.is_suspect = false;
            } else if is_suspect {
                life.is_suspect = true;
            }
            life.beat = row.beat;
            life.is_draining = row.draining;
        }
    }

    /// Takes in one row, from a scan or the reply of an own write.
    pub(super) fn observe_lease(&mut self, lease: Lease, failover: Millis, now: Millis) {
        let mark = (lease.counter, lease.own.nonce);
        let history = self.history.entry(lease.key.clone()).or_insert(History {
            mark,
            changed_at: now,
            hand_off_since: None,
            orphan_since: None,
        });
        if history.mark != mark {
            *history =
                History { mark, changed_at: now, hand_off_since: history.hand_off_since, orphan_since: None };
        }
        history.hand_off_since =
            lease.checkpoint_owner.as_ref().map(|_| history.hand_off_since.unwrap_or(now));
        let is_orphan =
            !lease.is_finished() && (lease.owner.is_none() || is_expired(&lease, history, failover, now));
        history.orphan_since = is_orphan.then(|| history.orphan_since.unwrap_or(now));
        self.leases.insert(lease.key.clone(), lease);
    }

    /// Every row as last seen.
    pub(super) const fn leases(&self) -> &BTreeMap<LeaseKey, Lease> {
        &self.leases
    }

    /// Whether any scan was seen.
    pub(super) const fn was_scanned(&self) -> bool {
        self.scans > 0
    }

    /// Workers that may get leases: seen alive within `failover`, not draining, no lease expired under them since; and `me`.
    pub(super) fn live_workers(
        &self,
        me: Option<&WorkerId>,
        failover: Millis,
        now: Millis,
    ) -> BTreeSet<WorkerId> {
        let is_live = |life: &Life| {
            let was_seen = life.alive_at.is_some_and(|at| now.since(at) <= failover);
            was_seen && !life.is_draining && !life.is_suspect
        };
        let mut live: BTreeSet<WorkerId> =
            self.workers.iter().filter(|(_, life)| is_live(life)).map(|(worker, _)| worker.clone()).collect();
        live.extend(me.cloned());
        live
    }

    /// The unfinished leases as the planner sees them.
    pub(super) fn assignable(&self, failover: Millis, now: Millis) -> Vec<AssignableLease> {
        let unfinished = self.leases.values().filter(|lease| !lease.is_finished());
        let assignable = |lease: &Lease| {
            let has_expired = self.has_expired(lease, failover, now);
            AssignableLease {
                key: lease.key.clone(),
                owner: lease.owner.clone().filter(|_| !has_expired),
                is_movable: lease.checkpoint_owner.is_none() && lease.pending.is_none(),
                expired_under: lease.actual_owner().filter(|_| has_expired).cloned(),
            }
        };
        unfinished.map(assignable).collect()
    }

    /// Live hand-offs that began before `since`.
    pub(super) fn overdue_hand_offs(&self, since: Millis) -> Vec<Lease> {
        let overdue = |lease: &&Lease| {
            let began = self.history.get(&lease.key).and_then(|history| history.hand_off_since);
            began.is_some_and(|began| began <= since)
        };
        self.leases.values().filter(overdue).cloned().collect()
    }

    /// Hand-offs under way.
    pub(super) fn hand_offs(&self) -> usize {
        self.leases.values().filter(|lease| lease.checkpoint_owner.is_some()).count()
    }

    /// Leases that nobody served since `since` or longer.
    pub(super) fn orphans(&self, since: Millis) -> Vec<Lease> {
        let is_old = |lease: &&Lease| {
            let orphaned = self.history.get(&lease.key).and_then(|history| history.orphan_since);
            orphaned.is_some_and(|orphaned| orphaned <= since)
        };
        self.leases.values().filter(is_old).cloned().collect()
    }

    /// The first time after `now` at which a row that stands still would have expired.
    pub(super) fn next_expiry(&self, failover: Millis, now: Millis) -> Option<Millis> {
        let expiry = |lease: &Lease| {
            let history = self.history.get(&lease.key)?;
            let at = history.changed_at + failover.max(lease.own.failover.unwrap_or_default());
            (lease.owner.is_some() && !lease.is_finished() && at > now).then_some(at)
        };
        self.leases.values().filter_map(expiry).min()
    }

    fn has_expired(&self, lease: &Lease, failover: Millis, now: Millis) -> bool {
        self.history.get(&lease.key).is_some_and(|history| is_expired(lease, history, failover, now))
    }
}

/// Whether an owned row stood still for as long as both its taker and its holder demand.
fn is_expired(lease: &Lease, history: &History, failover: Millis, now: Millis) -> bool {
    let wait = failover.max(lease.own.failover.unwrap_or_default());
    lease.owner.is_some() && now.since(history.changed_at) >= wait
}

/// KCL: a worker is active while its row is at most twice 30 s old.
const ROW_AGE_MAX: Millis = Millis(60_000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Generation;
    use crate::position::Position;
    use crate::row::WorkerRow;

    const FAILOVER: Millis = Millis(10_000);

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).expect("valid")
    }

    fn owned(counter: u64) -> Lease {
        let key = LeaseKey::new("shardId-0").expect("valid");
        let mut lease = Lease::new(key, Position::TrimHorizon, Generation(1));
        lease.owner = Some(worker("a"));
        lease.counter = LeaseCounter(counter);
        lease
    }

    fn row(name: &str, beat: u64) -> WorkerRow {
        WorkerRow { worker: worker(name), beat, draining: false, age: Millis(0) }
    }

    fn view(lease: Lease, workers: Vec<WorkerRow>) -> TableView {
        TableView { leases: vec![lease], workers, unreadable: 0 }
    }

    #[test]
    fn a_row_expires_only_when_seen_unchanged_for_the_longer_failover() {
        let mut fleet = Fleet::default();
        let mut slow = owned(1);
        slow.own.failover = Some(Millis(30_000));
        fleet.observe(view(slow, vec![]), FAILOVER, Millis(5));
        assert!(fleet.assignable(FAILOVER, Millis(30_004))[0].owner.is_some());
        assert!(fleet.assignable(FAILOVER, Millis(30_005))[0].owner.is_none());
    }

    #[test]
    fn a_moved_counter_starts_the_wait_again() {
        let mut fleet = Fleet::default();
        fleet.observe(view(owned(1), vec![]), FAILOVER, Millis(0));
        fleet.observe(view(owned(2), vec![]), FAILOVER, Millis(9_000));
        assert!(fleet.assignable(FAILOVER, Millis(18_999))[0].owner.is_some());
        assert_eq!(fleet.next_expiry(FAILOVER, Millis(9_000)), Some(Millis(19_000)));
    }

    #[test]
    fn a_row_left_by_a_dead_worker_never_counts_as_alive() {
        let mut fleet = Fleet::default();
        for at in [0, 1_000, 2_000] {
            fleet.observe(view(owned(1), vec![row("dead", 7)]), FAILOVER, Millis(at));
        }
        assert!(fleet.live_workers(None, FAILOVER, Millis(2_000)).is_empty());
    }

    #[test]
    fn a_beat_or_a_new_row_shows_life_until_it_stands_still() {
        let mut fleet = Fleet::default();
        fleet.observe(view(owned(1), vec![row("old", 1)]), FAILOVER, Millis(0));
        fleet.observe(view(owned(1), vec![row("old", 2), row("new", 1)]), FAILOVER, Millis(1_000));
        let both: BTreeSet<_> = [worker("old"), worker("new")].into();
        assert_eq!(fleet.live_workers(None, FAILOVER, Millis(11_000)), both);
        assert!(fleet.live_workers(None, FAILOVER, Millis(11_001)).is_empty());
    }
}
