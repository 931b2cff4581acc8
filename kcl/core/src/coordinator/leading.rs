//! The leader: holding the lock, planning from scans, auditing the stream's shards; and what a worker does for itself
//! when no leader makes progress.
//!
//! ```text
//! lock absent, released or standing still ──▶ leading ──▶ scan ─▶ plan ─▶ conditional writes ─▶ scan …
//!                                                └─ each write re-checks the lock's deadline before it is queued
//! ```

use std::collections::BTreeMap;

use super::Coordinator;
use super::message::ListedShard;
use super::outbox::Purpose;
use crate::assignment::plan_moves;
use crate::event::Event;
use crate::id::{LeaseKey, WorkerId};
use crate::row::{
    LeaderLock, Lease, LeaseWrite, LockCondition, LockVersion, StoreReply, StoreRequest, TableView,
};
use crate::shard_graph::{first_leases, initial_filter, missing_leases};
use crate::time::Millis;

/// What this worker knows of the leader lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lock {
    leading: Option<Leading>,
    seen: Option<Seen>,
    /// A write whose reply was lost: the version it would leave, and when it was sent.
    unsettled: Option<(LockVersion, Millis)>,
    read_at: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Leading {
    version: LockVersion,
    deadline: Millis,
    beat_at: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Seen {
    owner: WorkerId,
    version: LockVersion,
    since: Millis,
    duration: Millis,
}

impl Lock {
    /// Whether this worker leads and may write as leader at `now`.
    pub(super) fn is_leading(&self, now: Millis) -> bool {
        self.leading.as_ref().is_some_and(|leading| now < leading.deadline)
    }

    /// Whether this worker believes it leads, deadline or not.
    pub(super) const fn has_led(&self) -> bool {
        self.leading.is_some()
    }

    /// Whether a leader that is not this worker has missed a heartbeat.
    pub(super) fn looks_stalled(&self, now: Millis) -> bool {
        self.seen.as_ref().is_some_and(|seen| now.since(seen.since) > Millis(seen.duration.0 / 2))
    }

    pub(super) fn wake_at(&self) -> Millis {
        if let Some(leading) = &self.leading {
            return leading.beat_at.min(leading.deadline);
        }
        self.read_at
    }

    /// Looks again after `interval`, or as soon as the lock would have expired.
    fn read_after(&mut self, interval: Millis, now: Millis) {
        let expiry = self.seen.as_ref().map(|seen| seen.since + seen.duration + Millis(1));
        let regular = now + interval;
        self.read_at = expiry.filter(|at| *at > now).map_or(regular, |at| at.min(regular));
    }

    /// Gives up leading without a word, for the lock is being deleted.
    pub(super) fn forget(&mut self) {
        self.leading = None;
    }

    /// Who held the lock when it was last read, if it was not this worker.
    fn leader_seen(&self) -> Option<&WorkerId> {
        self.seen.as_ref().map(|seen| &seen.owner)
    }

    /// The condition under which the current leader may delete the lock.
    pub(super) fn release_condition(&self, me: &WorkerId) -> Option<LockCondition> {
        let leading = self.leading.as_ref()?;
        Some(LockCondition::VersionAndOwner(leading.version.clone(), me.clone()))
    }
}

impl Coordinator {
    /// Heartbeat as leader, or a look at the lock as contender.
    pub(super) fn lock_due(&mut self, now: Millis) {
        if self.outbox.count(|purpose| matches!(purpose, Purpose::LockRead | Purpose::LockWrite(_))) > 0 {
            if self.lock.leading.as_ref().is_some_and(|leading| leading.deadline <= now) {
                self.step_down(now);
            }
            return;
        }
        if let Some(leading) = self.lock.leading.as_mut() {
            if leading.deadline <= now {
                self.step_down(now);
            } else if leading.beat_at <= now {
                leading.beat_at = leading.deadline;
                let condition = LockCondition::VersionAndOwner(leading.version.clone(), self.me.clone());
                self.write_lock(condition);
            }
        } else if self.lock.wake_at() <= now {
            self.lock.read_after(self.settings.discovery_interval, now);
            self.outbox.store(Purpose::LockRead, StoreRequest::ReadLock);
        }
    }

    pub(super) fn lock_read(&mut self, reply: StoreReply, now: Millis) {
        let StoreReply::Lock(current) = reply else {
            self.lock.read_at = now + RETRY_PAUSE;
            return;
        };
        if let Some((version, sent)) = self.lock.unsettled.clone()
            && current.as_ref().is_some_and(|lock| lock.version == version && lock.owner == self.me)
        {
            self.lead(version, sent, now);
            return;
        }
        if let Some(leading) = self.lock.leading.as_mut() {
            if current.as_ref().is_some_and(|lock| lock.version == leading.version) {
                leading.beat_at = now;
            } else {
                self.step_down(now);
                self.saw(current, now);
            }
            return;
        }
        let free = match &current {
            None => Some(LockCondition::Absent),
            Some(lock) if lock.is_released => Some(LockCondition::Released),
            Some(lock) => {
                let stood_still = self.lock.seen.as_ref().is_some_and(|seen| {
                    seen.version == lock.version && now.since(seen.since) > lock.lease_duration
                });
                stood_still.then(|| LockCondition::Version(lock.version.clone()))
            }
        };
        self.saw(current, now);
        if let Some(condition) = free.filter(|_| self.is_member()) {
            self.write_lock(condition);
        }
    }

    pub(super) fn lock_written(
        &mut self,
        version: LockVersion,
        reply: StoreReply,
        sent: Millis,
        now: Millis,
    ) {
        if reply == StoreReply::LockWritten {
            self.lead(version, sent, now);
        } else if let StoreReply::LockRefused(current) = reply {
            let unsettled = self.lock.unsettled.take();
            if let Some((earlier, sent)) = unsettled
                && current.as_ref().is_some_and(|lock| lock.version == earlier && lock.owner == self.me)
            {
                self.lead(earlier, sent, now);
                return;
            }
            if self.lock.leading.is_some() {
                self.step_down(now);
            }
            self.saw(current, now);
        } else if reply == StoreReply::Throttled {
            self.lock.read_at = now + RETRY_PAUSE;
            if let Some(leading) = self.lock.leading.as_mut() {
                leading.beat_at = now + RETRY_PAUSE;
            }
        } else {
            self.lock.unsettled = Some((version, sent));
            self.outbox.store(Purpose::LockRead, StoreRequest::ReadLock);
        }
    }

    /// Plans if leading; helps itself if nobody makes progress.
    pub(super) fn scanned(&mut self, view: TableView, now: Millis) {
        if view.unreadable > 0 {
            self.outbox.event(Event::UnreadableItems { count: view.unreadable });
        }
        let assigned: Vec<LeaseKey> = view
            .leases
            .iter()
            .filter(|lease| lease.owner.as_ref() == Some(&self.me) && lease.checkpoint_owner.is_none())
            .filter(|lease| !lease.is_finished())
            .map(|lease| lease.key.clone())
            .collect();
        self.fleet.observe(view, self.settings.failover, now);
        for key in assigned {
            self.discovered(&key);
        }
        if self.lock.is_leading(now) {
            if self.audit_at <= now {
                self.audit(now);
            }
            self.plan(now);
        } else {
            self.help_itself(now);
        }
        self.scan_at = self.next_scan(now);
    }

    /// Rows that the stream's shards need and the table lacks.
    pub(super) fn audited(&mut self, is_first: bool, listing: Option<Vec<ListedShard>>, now: Millis) {
        let Some(listing) = listing else {
            self.audit_at = now + self.settings.plan_interval;
            return;
        };
        if !self.lock.is_leading(now) {
            return;
        }
        let generation = self.minted_generation(None, now);
        let rows = if is_first {
            let epoch_millis = self.epoch_millis(now);
            first_leases(&listing, self.settings.initial_position, epoch_millis, generation)
        } else {
            missing_leases(&listing, self.fleet.leases(), generation)
        };
        for row in rows {
            let purpose = Purpose::CreateShard(row.key.clone());
            self.outbox.store(purpose, StoreRequest::CreateLease(Box::new(row)));
        }
    }

    pub(super) fn shard_row_created(&mut self, reply: StoreReply, now: Millis) {
        if let StoreReply::Applied(row) = reply {
            self.outbox.event(Event::LeaseCreated { key: row.key });
        } else if reply == StoreReply::Throttled || reply == StoreReply::Unknown {
            self.audit_at = self.audit_at.min(now + self.settings.plan_interval);
        }
        if self.outbox.count(|purpose| matches!(purpose, Purpose::CreateShard(_))) == 0 {
            self.scan_at = now;
        }
    }

    pub(super) fn plan_replied(&mut self, key: &LeaseKey, reply: StoreReply, now: Millis) {
        if let StoreReply::Applied(row) = reply {
            self.fleet.observe_lease(row.clone(), self.settings.failover, now);
            if row.checkpoint_owner.as_ref() == Some(&self.me) {
                self.renew_now(key, now);
            }
            self.consider(row, now);
        } else if let StoreReply::Refused(_) = reply {
            self.takes_paused_until = now + self.settings.plan_interval * 2;
            self.outbox.event(Event::PlanRefused { key: key.clone() });
        }
    }

    /// When to scan next. The leader scans at its pace, and when a row may expire. So does its deputy, the first of the
    /// other live workers: should the leader die, the deputy has watched the leader's rows stand still all along. The next
    /// in line scans once per failover time, for the case that the leader makes no progress and the deputy has died.
    /// Others scan so seldom that together they add one scan per failover time, unless the leader looks stalled.
    pub(super) fn next_scan(&self, now: Millis) -> Millis {
        let pace =
            self.settings.plan_interval + Millis(self.fleet.leases().len() as u64 / ROWS_PER_MILLISECOND);
        let expiry = self.fleet.next_expiry(self.settings.failover, now).unwrap_or(Millis::MAX);
        if self.lock.has_led() {
            return (now + pace).min(expiry.max(now + SCAN_PAUSE_MIN));
        }
        if self.lock.looks_stalled(now) || self.lacks_index {
            return now + pace;
        }
        let mut workers = self.fleet.live_workers(Some(&self.me), self.settings.failover, now);
        let count = workers.len() as u64;
        if let Some(leader) = self.lock.leader_seen() {
            workers.remove(leader);
        }
        let failovers = match workers.iter().position(|worker| *worker == self.me) {
            Some(0) => 0,
            Some(1) => 1,
            Some(_) | None => count,
        };
        now + (self.settings.failover * failovers).max(pace)
    }

    fn audit(&mut self, now: Millis) {
        if self.outbox.count(|purpose| matches!(purpose, Purpose::Audit { .. } | Purpose::CreateShard(_))) > 0
        {
            return;
        }
        self.audit_at = now + self.settings.shard_audit_interval;
        let is_first = self.fleet.leases().is_empty();
        let filter = if is_first {
            initial_filter(self.settings.initial_position)
        } else {
            super::message::ShardFilter::All
        };
        self.outbox.list_shards(Purpose::Audit { is_first }, filter);
    }

    fn plan(&mut self, now: Millis) {
        let failover = self.settings.failover;
        let me = self.is_member().then(|| self.me.clone());
        let live = self.fleet.live_workers(me.as_ref(), failover, now);
        let overdue = self.fleet.overdue_hand_offs(now.since(self.settings.hand_off_timeout));
        if now >= self.settings.hand_off_timeout {
            for lease in &overdue {
                if let Some(to) = lease.owner.clone().filter(|owner| live.contains(owner)) {
                    self.outbox.event(Event::HandOffForced { key: lease.key.clone(), to: to.clone() });
                    self.write_plan(lease, None, &to);
                }
            }
        }
        let room = HAND_OFFS_MAX.saturating_sub(self.fleet.hand_offs());
        let leases: BTreeMap<LeaseKey, Lease> = self.fleet.leases().clone();
        let moves = plan_moves(&self.fleet.assignable(failover, now), &live, room);
        for change in moves.into_iter().take(PLAN_WRITES_MAX) {
            let Some(lease) = leases.get(&change.key) else { continue };
            let (key, to) = (change.key, change.to);
            match change.from.clone() {
                Some(from) => {
                    self.outbox.event(Event::HandOffStarted { key, from, to: to.clone() });
                }
                None => self.outbox.event(Event::Assigned { key, to: to.clone() }),
            }
            self.write_plan(lease, change.from.as_ref(), &to);
        }
    }

    fn write_plan(&mut self, lease: &Lease, from: Option<&WorkerId>, to: &WorkerId) {
        let write = match from {
            Some(from) => LeaseWrite::hand_off(lease, from, to),
            None => LeaseWrite::assign(lease, to, self.next_nonce()),
        };
        self.outbox.store(Purpose::Plan(lease.key.clone()), StoreRequest::UpdateLease(write));
    }

    /// Takes a fair share of the leases that nobody served for longer than any working leader would leave them.
    ///
    /// Each worker starts at its own place in the list, so that two of them rarely try for the same lease.
    fn help_itself(&mut self, now: Millis) {
        if !self.is_member() || now < self.takes_paused_until {
            return;
        }
        let patience = self.settings.failover + self.settings.plan_interval * 3;
        if now < patience {
            return;
        }
        let orphans = self.fleet.orphans(now.since(patience));
        if orphans.is_empty() {
            return;
        }
        let workers = self.fleet.live_workers(Some(&self.me), self.settings.failover, now).len();
        let share = orphans.len().div_ceil(workers.max(1)).min(PLAN_WRITES_MAX);
        let start = usize::try_from(self.seed % orphans.len() as u64).unwrap_or(0);
        let me = self.me.clone();
        for lease in orphans.iter().cycle().skip(start).take(share) {
            self.outbox.event(Event::TakenWithoutLeader { key: lease.key.clone() });
            self.write_plan(lease, None, &me);
        }
    }

    fn write_lock(&mut self, condition: LockCondition) {
        let version = LockVersion::from(self.next_nonce());
        let lock = LeaderLock {
            owner: self.me.clone(),
            version: version.clone(),
            lease_duration: self.settings.leader_lease,
            is_released: false,
        };
        self.outbox.store(Purpose::LockWrite(version), StoreRequest::WriteLock { condition, lock });
    }

    fn lead(&mut self, version: LockVersion, sent: Millis, now: Millis) {
        self.lock.unsettled = None;
        let deadline = sent + self.settings.leader_tenure();
        if now >= deadline {
            if self.lock.leading.is_some() {
                self.step_down(now);
            }
            self.lock.read_at = now;
            return;
        }
        let beat_at = sent + Millis(self.settings.leader_lease.0 / 3);
        let was_leading = self.lock.leading.replace(Leading { version, deadline, beat_at }).is_some();
        self.lock.seen = None;
        if !was_leading {
            self.outbox.event(Event::BecameLeader);
            self.scan_at = now;
            self.audit_at = now;
            self.roster_at = now;
        }
    }

    fn step_down(&mut self, now: Millis) {
        self.lock.leading = None;
        self.lock.seen = None;
        self.lock.read_at = now + self.settings.discovery_interval;
        self.outbox.event(Event::SteppedDown);
    }

    fn saw(&mut self, current: Option<LeaderLock>, now: Millis) {
        let since = |version: &LockVersion| {
            let same = self.lock.seen.as_ref().filter(|seen| seen.version == *version);
            same.map_or(now, |seen| seen.since)
        };
        self.lock.seen = current.map(|lock| Seen {
            since: since(&lock.version),
            owner: lock.owner,
            duration: lock.lease_duration,
            version: lock.version,
        });
        self.lock.read_after(self.settings.discovery_interval, now);
        if self.lock.looks_stalled(now) {
            self.scan_at = self.scan_at.min(now + self.settings.plan_interval);
        }
    }
}

/// Pause after a call that was throttled or failed.
const RETRY_PAUSE: Millis = Millis(100);
/// No two scans of a leader follow each other faster than this.
const SCAN_PAUSE_MIN: Millis = Millis(100);
/// A scan is slowed by a second for each 2000 rows, which keeps a leader below about 250 read units per second.
const ROWS_PER_MILLISECOND: u64 = 2;
/// Hand-offs under way at a time: each stops a shard for a moment, and the next plan starts more.
const HAND_OFFS_MAX: usize = 128;
/// Writes of one plan; what is left over follows with the next scan.
const PLAN_WRITES_MAX: usize = 1024;
