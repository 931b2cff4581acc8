//! One worker's part in sharing the shards of a stream: which leases it holds, until when, and what it does as leader.
//!
//! ```text
//!   handle_timeout(now) ─┐                      ┌─▶ poll_request   calls to the lease store and the control plane
//!   handle_reply ────────┤                      ├─▶ poll_signal    start, extend, drain, stop a consumer
//!   handle_shards ───────┼──▶  Coordinator  ────┼─▶ poll_event     what happened, for logs and tests
//!   handle_command ──────┤     (no IO, no       └─▶ poll_timeout   when to call handle_timeout next
//!   handle_shutdown ─────┘      clock)
//! ```
//!
//! Callers give every input the current time of one monotonic clock, then drain the outputs. Calling `handle_timeout`
//! too often changes nothing. The rules it keeps: a lease is held from the *send* time of the last applied write, never
//! from its reply; one write is in flight per row; a lost reply is settled before anything else is written; live leases
//! move by hand-off only; nothing is adopted because of a name.

mod finishing;
mod fleet;
mod holding;
mod leading;
mod message;
mod outbox;
mod settings;
mod tenure;

use std::collections::{BTreeMap, BTreeSet};

pub use message::{
    ChildShard, Command, CommandId, DrainReason, ListedShard, Outcome, Request, RequestId, ShardFilter,
    Signal,
};
pub use settings::{CoordinatorSettings, InitialPosition, InvalidSettings};

use crate::event::Event;
use crate::id::{FencingToken, Generation, LeaseCounter, LeaseKey, Nonce, WorkerId};
use crate::row::{Lease, StoreReply, StoreRequest, WorkerRow};
use crate::time::Millis;
use fleet::Fleet;
use leading::Lock;
use outbox::{Outbox, Purpose};
use tenure::Tenure;

/// The state machine of one worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinator {
    settings: CoordinatorSettings,
    me: WorkerId,
    seed: u64,
    nonces_made: u64,
    minted: Generation,
    /// This incarnation, as `lhHolder` names it.
    holder: Nonce,
    outbox: Outbox,
    tenures: BTreeMap<LeaseKey, Tenure>,
    /// Rows assigned to this worker by name but held by another incarnation: since when they stand still.
    claims: BTreeMap<LeaseKey, ((LeaseCounter, Option<Nonce>), Millis)>,
    fleet: Fleet,
    lock: Lock,
    phase: Phase,
    beat: u64,
    beat_at: Millis,
    joined_at: Millis,
    discover_at: Millis,
    scan_at: Millis,
    audit_at: Millis,
    roster_at: Millis,
    roster: Option<u64>,
    takes_paused_until: Millis,
    /// The index did not answer last time; scans stand in for it.
    lacks_index: bool,
}

/// Where the worker stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    /// Takes part.
    Member,
    /// Gives back its leases.
    Draining,
    /// Leader without leases: one last plan gives what is free to others.
    LastPlan { scanned: bool },
    /// Removes its traces; so many replies are awaited.
    Leaving { awaited: usize },
    /// Done.
    Gone,
}

impl Coordinator {
    /// A coordinator that joins at once. `seed` must be random per process: nonces and the incarnation derive from it.
    #[must_use]
    pub fn new(settings: CoordinatorSettings, me: WorkerId, seed: u64, now: Millis) -> Self {
        let mut coordinator = Self {
            settings,
            me,
            seed,
            nonces_made: 0,
            minted: Generation::default(),
            holder: Nonce(u128::from(seed) << 64),
            outbox: Outbox::default(),
            tenures: BTreeMap::new(),
            claims: BTreeMap::new(),
            fleet: Fleet::default(),
            lock: Lock::default(),
            phase: Phase::Member,
            beat: 0,
            beat_at: now,
            joined_at: now,
            discover_at: now,
            scan_at: Millis::MAX,
            audit_at: Millis::MAX,
            roster_at: Millis::MAX,
            roster: None,
            takes_paused_until: Millis(0),
            lacks_index: false,
        };
        coordinator.outbox.store(Purpose::LockRead, StoreRequest::ReadLock);
        coordinator.scan_at = now + coordinator.settings.plan_interval;
        coordinator.show_life(now);
        coordinator.outbox.store(Purpose::Presence, StoreRequest::BumpRoster);
        coordinator
    }

    /// The worker this coordinator acts for.
    #[must_use]
    pub fn worker(&self) -> &WorkerId {
        &self.me
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &CoordinatorSettings {
        &self.settings
    }

    /// Whether this worker leads at `now`.
    #[must_use]
    pub fn is_leader(&self, now: Millis) -> bool {
        self.lock.is_leading(now)
    }

    /// Leases that this worker believes to hold at `now`, with their deadlines; one that is being given back, its consumer
    /// stopped, is no longer held.
    pub fn held_leases(&self, now: Millis) -> impl Iterator<Item = (&Lease, Millis)> {
        self.tenures.values().filter_map(move |tenure| match tenure {
            Tenure::Held(held) if now < held.deadline && !held.is_given_back() => {
                Some((&held.row, held.deadline))
            }
            Tenure::Held(_) | Tenure::Reading | Tenure::Adopting => None,
        })
    }

    /// Does what is due at `now`; a no-op if nothing is.
    pub fn handle_timeout(&mut self, now: Millis) {
        if self.phase == Phase::Gone {
            return;
        }
        let due: Vec<LeaseKey> = self
            .tenures
            .iter()
            .filter(|(_, tenure)| wake_at(tenure) <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.tenure_due(&key, now);
        }
        if self.beat_at <= now {
            self.show_life(now);
        }
        if self.lock.wake_at() <= now {
            self.lock_due(now);
        }
        if self.discover_at <= now {
            self.discover(now);
        }
        if self.lock.is_leading(now) && self.roster_at <= now {
            self.roster_at = now + self.settings.roster_interval;
            self.outbox.store(Purpose::Roster, StoreRequest::ReadRoster);
        }
        if self.scan_at <= now {
            self.scan(now);
        }
        self.advance_leaving(now);
    }

    /// Takes the reply of request `id`; a second reply to the same request is ignored.
    pub fn handle_reply(&mut self, id: RequestId, reply: StoreReply, now: Millis) {
        let Some((purpose, sent)) = self.outbox.answered(id) else { return };
        match purpose {
            Purpose::Discover(key) => self.discover_replied(&key, reply, now),
            Purpose::Adopt(key) => self.adopt_replied(&key, reply, sent, now),
            Purpose::Hold(key, nonce) => self.hold_replied(&key, nonce, reply, sent, now),
            Purpose::Settle(key, nonce) => self.settle_replied(&key, nonce, reply, now),
            Purpose::CreateChild(key, child) => self.child_replied(&key, &child, &reply, now),
            Purpose::Parent(key, parent) => self.parent_replied(&key, &parent, reply),
            Purpose::Owned => self.owned_replied(reply, now),
            Purpose::Scan => self.scan_replied(reply, now),
            Purpose::CreateShard(_) => self.shard_row_created(reply, now),
            Purpose::Plan(key) => self.plan_replied(&key, reply, now),
            Purpose::Roster => self.roster_replied(&reply, now),
            Purpose::LockRead => self.lock_read(reply, now),
            Purpose::LockWrite(version) => self.lock_written(version, reply, sent, now),
            Purpose::Leave => {
                if let Phase::Leaving { awaited } = &mut self.phase {
                    *awaited = awaited.saturating_sub(1);
                }
            }
            Purpose::Presence | Purpose::Audit { .. } | Purpose::ParentListing(..) => {}
        }
        self.advance_leaving(now);
    }

    /// Takes the listing that request `id` asked for; `None` if the call failed.
    pub fn handle_shards(&mut self, id: RequestId, listing: Option<Vec<ListedShard>>, now: Millis) {
        let Some((purpose, _)) = self.outbox.answered(id) else { return };
        if let Purpose::Audit { is_first } = purpose {
            self.audited(is_first, listing, now);
        } else if let Purpose::ParentListing(key, parent, filter) = purpose
            && let Some(listing) = listing
        {
            self.parent_listed(&key, &parent, filter, &listing);
        }
    }

    /// Takes a command of the consumer that was started for `key` under `token`; its outcome is a [`Signal::Completed`].
    pub fn handle_command(
        &mut self,
        command: CommandId,
        key: &LeaseKey,
        token: FencingToken,
        order: Command,
        now: Millis,
    ) {
        self.commanded(command, key, token, order, now);
    }

    /// Starts a graceful shutdown: consumers drain, leases go back, then the worker's traces are removed.
    pub fn handle_shutdown(&mut self, now: Millis) {
        if !self.is_member() {
            return;
        }
        self.phase = Phase::Draining;
        self.show_life(now);
        self.outbox.store(Purpose::Presence, StoreRequest::BumpRoster);
        let keys: Vec<LeaseKey> = self.tenures.keys().cloned().collect();
        for key in keys {
            if self.tenures.get(&key) == Some(&Tenure::Reading) {
                self.tenures.remove(&key);
            }
            self.begin_drain(&key, DrainReason::Shutdown, now);
        }
        self.advance_leaving(now);
    }

    /// The next call to make; `now` is its send time, so ask right before sending.
    pub fn poll_request(&mut self, now: Millis) -> Option<(RequestId, Request)> {
        if !self.lock.is_leading(now) {
            self.outbox.forget_plans(&self.me);
        }
        self.outbox.poll_request(now)
    }

    /// The next thing to do with a consumer.
    pub fn poll_signal(&mut self) -> Option<Signal> {
        self.outbox.poll_signal()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.poll_event()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next: time zero if an output is queued, `None` when all is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        if self.outbox.is_ready() {
            return Some(Millis(0));
        }
        if self.phase == Phase::Gone {
            return None;
        }
        let mut at = self.beat_at.min(self.lock_wake_at()).min(self.discover_at).min(self.scan_at);
        if self.lock.has_led() {
            at = at.min(self.roster_at);
        }
        Some(self.tenures.values().map(wake_at).fold(at, Millis::min))
    }

    fn is_member(&self) -> bool {
        self.phase == Phase::Member
    }

    fn next_nonce(&mut self) -> Nonce {
        self.nonces_made += 1;
        Nonce((u128::from(self.seed) << 64) | u128::from(self.nonces_made))
    }

    fn epoch_millis(&self, now: Millis) -> u64 {
        self.settings.epoch_millis_at_zero.saturating_add(now.0)
    }

    /// A generation that no earlier row had: more than the given row's, and than each that this process minted.
    fn minted_generation(&mut self, lease: Option<&Lease>, now: Millis) -> Generation {
        let after = lease.map_or(self.minted, |lease| lease.own.generation.max(self.minted));
        self.minted = Generation::minted(self.epoch_millis(now), self.seed, after);
        self.minted
    }

    /// Writes this worker's row; each second at first, so that a leader soon knows it for alive.
    fn show_life(&mut self, now: Millis) {
        let is_new = now.since(self.joined_at) < self.settings.failover;
        let interval = self.settings.beat_interval();
        self.beat_at = now + if is_new { interval.min(Millis(1000)) } else { interval };
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Gone) {
            return;
        }
        self.beat += 1;
        let row = WorkerRow {
            worker: self.me.clone(),
            beat: self.beat,
            draining: !self.is_member(),
            age: Millis(0),
        };
        self.outbox.store(Purpose::Presence, StoreRequest::PutWorker(row));
    }

    fn discover(&mut self, now: Millis) {
        self.discover_at = now + self.settings.discovery_interval;
        if self.is_member() && self.outbox.count(|purpose| *purpose == Purpose::Owned) == 0 {
            self.outbox.store(Purpose::Owned, StoreRequest::ReadOwned(self.me.clone()));
        }
    }

    /// New keys may be adopted; a held one that is missing may be moving, which its next write shows.
    fn owned_replied(&mut self, reply: StoreReply, now: Millis) {
        let StoreReply::Owned(keys) = reply else { return };
        self.lacks_index = keys.is_none();
        let Some(keys) = keys else {
            self.scan_at = self.scan_at.min(now + self.settings.plan_interval);
            return;
        };
        let keys: BTreeSet<LeaseKey> = keys.into_iter().collect();
        for key in &keys {
            self.discovered(key);
        }
        let interval = self.settings.renewal_interval();
        let is_settled = |held: &tenure::Held| {
            let written = held.renew_at.since(interval);
            held.has_consumer() && now.since(written) >= self.settings.discovery_interval
        };
        let missing: Vec<LeaseKey> = self
            .tenures
            .iter()
            .filter(|(key, tenure)| match tenure {
                Tenure::Held(held) => is_settled(held) && !keys.contains(key),
                Tenure::Reading | Tenure::Adopting => false,
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in missing {
            self.renew_now(&key, now);
        }
    }

    fn scan(&mut self, now: Millis) {
        let is_busy =
            |purpose: &Purpose| matches!(purpose, Purpose::Scan | Purpose::Plan(_) | Purpose::CreateShard(_));
        if self.outbox.count(is_busy) == 0 {
            self.outbox.store(Purpose::Scan, StoreRequest::ReadTable);
        }
        self.scan_at = now + SCAN_RETRY_PAUSE;
    }

    fn scan_replied(&mut self, reply: StoreReply, now: Millis) {
        if let StoreReply::Table(view) = reply {
            self.scanned(view, now);
            if let Phase::LastPlan { scanned } = &mut self.phase {
                *scanned = true;
            }
        } else {
            self.scan_at = now + SCAN_RETRY_PAUSE;
        }
    }

    fn roster_replied(&mut self, reply: &StoreReply, now: Millis) {
        if let StoreReply::Roster(count) = reply
            && self.roster.replace(*count) != Some(*count)
        {
            self.scan_at = self.scan_at.min(now);
        }
    }

    fn lock_wake_at(&self) -> Millis {
        let is_asked =
            self.outbox.count(|purpose| matches!(purpose, Purpose::LockRead | Purpose::LockWrite(_))) > 0;
        if is_asked && !self.lock.has_led() { Millis::MAX } else { self.lock.wake_at() }
    }

    /// Takes the steps of a shutdown as soon as each is possible. The row's deletion waits for the answers to its writes,
    /// lest one of them lands later and leaves the row for ever.
    fn advance_leaving(&mut self, now: Millis) {
        let is_showing_life = self.outbox.count(|purpose| *purpose == Purpose::Presence) > 0;
        if self.phase == Phase::Draining && self.tenures.is_empty() && !is_showing_life {
            if self.lock.is_leading(now) && self.fleet.was_scanned() {
                self.phase = Phase::LastPlan { scanned: false };
                self.outbox.store(Purpose::Scan, StoreRequest::ReadTable);
            } else {
                self.leave();
            }
        }
        if let Phase::LastPlan { scanned } = self.phase {
            let is_planning = self.outbox.count(|purpose| matches!(purpose, Purpose::Plan(_))) > 0;
            if !self.lock.is_leading(now) || (scanned && !is_planning) {
                self.leave();
            }
        }
        if self.phase == (Phase::Leaving { awaited: 0 }) {
            self.phase = Phase::Gone;
            self.outbox.signal(Signal::Finished);
        }
    }

    fn leave(&mut self) {
        let mut last = vec![StoreRequest::DeleteWorker(self.me.clone())];
        last.extend(self.lock.release_condition(&self.me).map(StoreRequest::DeleteLock));
        self.lock.forget();
        last.push(StoreRequest::BumpRoster);
        self.phase = Phase::Leaving { awaited: last.len() };
        for request in last {
            self.outbox.store(Purpose::Leave, request);
        }
    }
}

fn wake_at(tenure: &Tenure) -> Millis {
    match tenure {
        Tenure::Held(held) => held.wake_at(),
        Tenure::Reading | Tenure::Adopting => Millis::MAX,
    }
}

/// Pause before a scan that failed, or found the last plan still being written, is tried again.
const SCAN_RETRY_PAUSE: Millis = Millis(200);

#[cfg(test)]
mod tests;
