//! The world: workers, the table, the stream, and everything on its way between them.
//!
//! What goes on without harm is here; what hurts is in `faults`, what must follow when the hurting stops in `recovery`.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::{
    CoordinatorSettings, Event, InitialPosition, Lease, LeaseChange, LeaseCondition, LeaseCounter, LeaseKey,
    LeaseTable, LeaseWrite, ListedShard, Millis, Nonce, Request, RequestId, StoreReply, StoreRequest,
    WorkerId,
};

use crate::counters::{Counters, Situation};
use crate::oracle::{Author, Oracle, Violation, is_of_holder, violated};
use crate::schedule::Work;
use crate::sim_worker::SimWorker;
use crate::stream::SimStream;

/// How a world is set up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorldSettings {
    /// Worker slots; each holds at most one running process.
    pub workers: usize,
    /// Shards of the stream at first.
    pub shards: usize,
    /// Failover time of each slot, repeated from the start if there are more slots.
    pub failovers: Vec<Millis>,
    /// Clock rate of each slot, in parts per million over the world's, alternating in sign.
    pub clock_skew_ppm: i64,
    /// A fault of the surroundings, planted to see whether the oracle notices.
    pub fault: Fault,
}

/// What is wrong with the surroundings, beyond what the workers are made to bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing.
    None,
    /// The store does not check conditions on `leaseCounter`.
    CounterIgnored,
    /// The clocks of stalled workers stand still, as `CLOCK_MONOTONIC` does while a machine is suspended.
    ClockStopsInStall,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// World time.
    pub now: Millis,
    /// The watcher.
    pub oracle: Oracle,
    pub(crate) settings: WorldSettings,
    pub(crate) table: LeaseTable,
    pub(crate) stream: SimStream,
    pub(crate) slots: Vec<Option<SimWorker>>,
    pub(crate) incarnations: u64,
    pub(crate) requests: BTreeMap<u64, Sent>,
    pub(crate) replies: BTreeMap<u64, Answer>,
    pub(crate) made: u64,
    /// What scans and the index show in place of the table.
    pub(crate) stale_view: Option<LeaseTable>,
    pub(crate) lacks_index: bool,
    log: Option<Vec<String>>,
}

/// A request on its way to the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) author: Author,
    pub(crate) id: RequestId,
    pub(crate) request: Request,
    /// The sender has been told that the outcome is unknown; nobody waits for the reply.
    pub(crate) is_orphaned: bool,
}

/// A reply on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    pub(crate) author: Author,
    pub(crate) id: RequestId,
    pub(crate) content: Content,
    /// The lease that the holder's write was about, and the counter it named.
    pub(crate) written: Option<(LeaseKey, LeaseCounter)>,
    /// Whether it answers a write of a lease row, by a holder or not.
    pub(crate) is_of_write: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    Store(Box<StoreReply>),
    Shards(Option<Vec<ListedShard>>),
}

impl World {
    /// A world in which every slot's worker has just started.
    #[must_use]
    pub fn new(settings: WorldSettings) -> Self {
        let slots = (0..settings.workers).map(|_| None).collect();
        let mut world = Self {
            now: Millis(1),
            oracle: Oracle::default(),
            stream: SimStream::new(settings.shards),
            settings,
            table: LeaseTable::new(),
            slots,
            incarnations: 0,
            requests: BTreeMap::new(),
            replies: BTreeMap::new(),
            made: 0,
            stale_view: None,
            lacks_index: false,
            log: Some(Vec::new()),
        };
        for slot in 0..world.slots.len() {
            world.restart(slot);
        }
        world
    }

    /// The same world without log and counters, so that histories that lead to one state are the same.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.log = None;
        self.oracle.counters = Counters::off();
        self
    }

    /// What happened, line by line, with world time.
    #[must_use]
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{} {}", self.now, line()));
        }
    }

    /// Lets time pass, then lets every worker that is not stalled act.
    ///
    /// # Errors
    /// The property that broke.
    pub fn advance(&mut self, span: Millis) -> Result<(), Violation> {
        self.now += span;
        for slot in 0..self.slots.len() {
            self.act(slot)?;
        }
        self.check()
    }

    /// Applies one request that is on its way; `pick` chooses.
    ///
    /// # Errors
    /// The property that broke.
    pub fn apply(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(number) = chosen(&self.requests, pick) {
            self.apply_request(number)?;
        }
        self.check()
    }

    /// Applies the request of this number.
    ///
    /// # Errors
    /// The property that broke.
    pub fn apply_number(&mut self, number: u64) -> Result<(), Violation> {
        self.apply_request(number)?;
        self.check()
    }

    /// Delivers the reply of this number.
    ///
    /// # Errors
    /// The property that broke.
    pub fn deliver_number(&mut self, number: u64) -> Result<(), Violation> {
        self.deliver_reply(number)?;
        self.check()
    }

    /// Delivers one reply that is on its way; `pick` chooses.
    ///
    /// # Errors
    /// The property that broke.
    pub fn deliver(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(number) = chosen(&self.replies, pick) {
            self.deliver_reply(number)?;
        }
        self.check()
    }

    /// Without any fault: everything on its way arrives, in order, until all is quiet at this moment.
    ///
    /// # Errors
    /// The property that broke, or `contract` if the workers never rest.
    pub fn settle(&mut self) -> Result<(), Violation> {
        for slot in 0..self.slots.len() {
            self.act(slot)?;
        }
        for _ in 0..SETTLE_STEPS_MAX {
            let request = self.requests.keys().next().copied();
            let reply = self.replies.iter().find(|(_, answer)| !self.is_stalled(answer.author.slot));
            let reply = reply.map(|(number, _)| *number);
            match (request, reply) {
                (Some(number), _) => self.apply_request(number)?,
                (None, Some(number)) => self.deliver_reply(number)?,
                (None, None) => return self.check(),
            }
        }
        violated("contract", format!("the workers never rest at {}", self.now))
    }

    /// Starts a new process in an empty slot.
    pub fn restart(&mut self, slot: usize) {
        let id = format!("worker-{slot}-{}", self.incarnations + 1);
        self.start_as(slot, WorkerId::new(id).expect("valid"));
    }

    /// Starts a graceful shutdown.
    ///
    /// # Errors
    /// The property that broke.
    pub fn shut_down(&mut self, slot: usize) -> Result<(), Violation> {
        let now = self.now;
        if let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now) {
            let local = worker.local(now);
            worker.coordinator.handle_shutdown(local);
            let id = worker.author.worker.clone();
            self.say(|| format!("{id} shuts down"));
        }
        self.act(slot)
    }

    /// Lets one consumer of a worker do a piece of work.
    ///
    /// # Errors
    /// The property that broke.
    pub fn work(&mut self, slot: usize, pick: u8, work: Work) -> Result<(), Violation> {
        let now = self.now;
        if let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now) {
            worker.work(pick, work, &self.stream, &mut self.oracle, now);
        }
        self.act(slot)?;
        self.check()
    }

    /// Requests on their way that write a lease row: what an exhaustive search delays, loses and reorders.
    #[must_use]
    pub fn lease_writes(&self) -> Vec<u64> {
        let is_write = |sent: &Sent| matches!(sent.request, Request::Store(StoreRequest::UpdateLease(_)));
        self.requests.iter().filter(|(_, sent)| is_write(sent)).map(|(number, _)| *number).collect()
    }

    /// Replies to writes of lease rows that are on their way to workers that listen.
    #[must_use]
    pub fn lease_replies(&self) -> Vec<u64> {
        let is_heard = |answer: &Answer| answer.is_of_write && !self.is_stalled(answer.author.slot);
        self.replies.iter().filter(|(_, answer)| is_heard(answer)).map(|(number, _)| *number).collect()
    }

    /// Everything on its way but writes of lease rows and their replies arrives.
    ///
    /// # Errors
    /// The property that broke.
    pub fn settle_all_but_writes(&mut self) -> Result<(), Violation> {
        for _ in 0..SETTLE_STEPS_MAX {
            let (writes, replies) = (self.lease_writes(), self.replies.keys());
            let request = self.requests.keys().find(|number| !writes.contains(number)).copied();
            let is_other = |number: &&u64| {
                let answer = &self.replies[*number];
                !answer.is_of_write && !self.is_stalled(answer.author.slot)
            };
            let reply = replies.into_iter().find(is_other).copied();
            match (request, reply) {
                (Some(number), _) => self.apply_request(number)?,
                (None, Some(number)) => self.deliver_reply(number)?,
                (None, None) => return self.check(),
            }
        }
        violated("contract", format!("the workers never rest at {}", self.now))
    }

    /// Producers put one record into an open shard.
    pub fn put(&mut self, pick: u8) {
        self.stream.put(pick, 1);
    }

    /// Whether the author of this request no longer waits for it.
    #[must_use]
    pub fn is_given_up(&self, number: u64) -> bool {
        self.requests.get(&number).is_some_and(|sent| sent.is_orphaned)
    }

    /// Slots in which a process runs that does not stand still.
    #[must_use]
    pub fn running(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|slot| self.slots[*slot].is_some() && !self.is_stalled(*slot)).collect()
    }

    /// Who believes to hold what: slot and lease.
    #[must_use]
    pub fn holders(&self) -> Vec<(usize, LeaseKey)> {
        let beliefs = self.slots.iter().flatten().flat_map(|worker| worker.beliefs(self.now));
        beliefs.map(|(author, key, _)| (author.slot, key)).collect()
    }

    /// Every consumer processes what there is and takes its next step.
    ///
    /// # Errors
    /// The property that broke.
    pub fn work_all(&mut self) -> Result<(), Violation> {
        for slot in 0..self.slots.len() {
            let now = self.now;
            if let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now) {
                worker.work_all(&self.stream, &mut self.oracle, now);
            }
            self.act(slot)?;
        }
        self.check()
    }

    pub(crate) fn coordinator_settings(&self, slot: usize) -> CoordinatorSettings {
        let failovers = &self.settings.failovers;
        let failover = failovers[slot % failovers.len()];
        let mut settings = CoordinatorSettings::new(failover, InitialPosition::TrimHorizon);
        settings.shutdown_timeout = DRAIN_TIMEOUT;
        settings.hand_off_timeout = failover + DRAIN_TIMEOUT;
        settings.shard_audit_interval = AUDIT_INTERVAL;
        settings
    }

    pub(crate) fn start_as(&mut self, slot: usize, worker: WorkerId) {
        if self.slots[slot].is_some() {
            return;
        }
        self.incarnations += 1;
        let seed = self.incarnations;
        let ppm = self.settings.clock_skew_ppm;
        let skew = if slot.is_multiple_of(2) { ppm } else { -ppm };
        self.say(|| format!("{worker} starts"));
        let author = Author { slot, worker, holder: Nonce(u128::from(seed) << 64) };
        let settings = self.coordinator_settings(slot);
        self.slots[slot] = Some(SimWorker::start(settings, author, seed, skew, self.now));
    }

    pub(crate) fn act(&mut self, slot: usize) -> Result<(), Violation> {
        let now = self.now;
        let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now) else {
            return Ok(());
        };
        let turn = worker.turn(now)?;
        let author = worker.author.clone();
        let is_leader = worker.coordinator.is_leader(worker.local(now));
        let was_stalled = worker.stalled_until > Millis(0);
        let has_left = worker.is_finished.then(|| worker.known.clone());
        for event in turn.events {
            if matches!(event, Event::AmbiguousWriteApplied { .. }) {
                self.oracle.counters.note(Situation::AmbiguousWriteApplied);
            } else if was_stalled && matches!(event, Event::Lost { .. }) {
                self.oracle.counters.note(Situation::LoserAwoken);
            }
            self.say(|| format!("{}: {event:?}", author.worker));
        }
        for (id, request) in turn.requests {
            self.check_sent(&author, &request, is_leader)?;
            self.made += 1;
            let sent = Sent { author: author.clone(), id, request, is_orphaned: false };
            self.requests.insert(self.made, sent);
        }
        for (lease, token) in turn.started {
            self.oracle.started(&author, &lease, token, &self.table, &self.stream)?;
        }
        if let Some(known) = has_left {
            self.check_left(&author, &known)?;
            self.slots[slot] = None;
        }
        Ok(())
    }

    /// One write in flight per row and tenure, which is to say that no counter is named twice at once; plans only while
    /// leading.
    fn check_sent(&self, author: &Author, request: &Request, is_leader: bool) -> Result<(), Violation> {
        let Request::Store(StoreRequest::UpdateLease(write)) = request else { return Ok(()) };
        if let Some(target) = written(request) {
            let is_same = |other: &Author, named: Option<&(LeaseKey, LeaseCounter)>| {
                other == author && named == Some(&target)
            };
            let on_its_way = self
                .requests
                .values()
                .any(|sent| !sent.is_orphaned && is_same(&sent.author, written(&sent.request).as_ref()));
            let unanswered =
                self.replies.values().any(|answer| is_same(&answer.author, answer.written.as_ref()));
            if on_its_way || unanswered {
                return violated(
                    "one write",
                    format!("{} writes to {} twice at once", author.worker, write.key),
                );
            }
            return Ok(());
        }
        let is_for_another = write
            .changes
            .iter()
            .any(|change| matches!(change, LeaseChange::Owner(Some(owner)) if *owner != author.worker));
        if is_for_another && !is_leader {
            return violated("plan", format!("{} gives away {} and does not lead", author.worker, write.key));
        }
        Ok(())
    }

    /// Who has left gracefully has given back every lease that it knew to be its own.
    fn check_left(&mut self, author: &Author, known: &BTreeSet<LeaseKey>) -> Result<(), Violation> {
        self.say(|| format!("{} has left", author.worker));
        self.oracle.counters.note(Situation::Left);
        let is_kept = |lease: &&Lease| {
            lease.own.holder == Some(author.holder) && !lease.is_finished() && known.contains(&lease.key)
        };
        if let Some(lease) = self.table.leases().values().find(is_kept) {
            return violated("trace", format!("{} has left and still holds {}", author.worker, lease.key));
        }
        Ok(())
    }

    pub(crate) fn apply_request(&mut self, number: u64) -> Result<(), Violation> {
        let Some(sent) = self.requests.remove(&number) else { return Ok(()) };
        let content = self.execute(&sent)?;
        if sent.is_orphaned {
            self.oracle.counters.note(Situation::LandedLate);
        } else {
            self.answer(&sent, content);
        }
        Ok(())
    }

    pub(crate) fn answer(&mut self, sent: &Sent, content: Content) {
        self.made += 1;
        let written = written(&sent.request);
        let is_of_write = matches!(sent.request, Request::Store(StoreRequest::UpdateLease(_)));
        let answer = Answer { author: sent.author.clone(), id: sent.id, content, written, is_of_write };
        self.replies.insert(self.made, answer);
    }

    /// What the store or the control plane makes of a request.
    pub(crate) fn execute(&mut self, sent: &Sent) -> Result<Content, Violation> {
        let request = match &sent.request {
            Request::ListShards(filter) => return Ok(Content::Shards(Some(self.stream.listing(*filter)))),
            Request::Store(request) => self.settings.fault.applied_to(request.clone()),
        };
        if let StoreRequest::ReadOwned(_) = &request
            && self.lacks_index
        {
            self.oracle.counters.note(Situation::IndexMissing);
            return Ok(Content::Store(Box::new(StoreReply::Owned(None))));
        }
        if let (StoreRequest::ReadOwned(_) | StoreRequest::ReadTable, Some(view)) =
            (&request, &mut self.stale_view)
        {
            self.oracle.counters.note(Situation::StaleRead);
            return Ok(Content::Store(Box::new(view.execute(&request))));
        }
        let StoreRequest::UpdateLease(write) = &request else {
            if let StoreRequest::CreateLease(lease) = &request {
                self.oracle.created(&lease.key);
            }
            return Ok(Content::Store(Box::new(self.table.execute(&request))));
        };
        let before = self.table.leases().get(&write.key).cloned();
        self.note_force(write, before.as_ref());
        let reply = self.table.execute(&request);
        if let (StoreReply::Applied(after), Some(before)) = (&reply, &before) {
            self.oracle.accepted(&sent.author, write, before, after, &self.stream)?;
        } else if let StoreReply::Refused(current) = &reply {
            self.oracle.refused(&sent.author, current.as_ref());
        }
        Ok(Content::Store(Box::new(reply)))
    }

    /// A hand-off that is about to be forced: its holder may go on believing, and the oracle must know.
    fn note_force(&mut self, write: &LeaseWrite, before: Option<&Lease>) {
        let Some(before) = before.filter(|before| before.checkpoint_owner.is_some()) else { return };
        let ends_hand_off = write.changes.contains(&LeaseChange::CheckpointOwner(None));
        let is_applied = write.conditions.iter().all(|condition| condition.holds(before));
        if is_of_holder(write) || !ends_hand_off || !is_applied {
            return;
        }
        for worker in self.slots.iter().flatten() {
            let beliefs: Vec<_> = worker.beliefs(self.now).filter(|(_, key, _)| *key == before.key).collect();
            for (author, key, deadline) in beliefs {
                self.oracle.taken_by_force(&key, author.holder, deadline);
            }
        }
    }

    pub(crate) fn deliver_reply(&mut self, number: u64) -> Result<(), Violation> {
        let now = self.now;
        let Some(answer) = self.replies.get(&number) else { return Ok(()) };
        let slot = answer.author.slot;
        if self.is_stalled(slot) {
            return Ok(());
        }
        let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.author == answer.author) else {
            self.replies.remove(&number);
            return Ok(());
        };
        let local = worker.local(now);
        let answer = self.replies.remove(&number).expect("looked up above");
        match answer.content {
            Content::Store(reply) => worker.coordinator.handle_reply(answer.id, *reply, local),
            Content::Shards(listing) => worker.coordinator.handle_shards(answer.id, listing, local),
        }
        self.act(slot)
    }

    fn is_stalled(&self, slot: usize) -> bool {
        self.slots[slot].as_ref().is_some_and(|worker| worker.stalled_until > self.now)
    }

    pub(crate) fn check(&self) -> Result<(), Violation> {
        self.oracle.beliefs(self.slots.iter().flatten().flat_map(|worker| worker.beliefs(self.now)))
    }
}

impl Fault {
    fn applied_to(self, mut request: StoreRequest) -> StoreRequest {
        if let (Self::CounterIgnored, StoreRequest::UpdateLease(write)) = (self, &mut request) {
            write.conditions.retain(|condition| !matches!(condition, LeaseCondition::CounterIs(_)));
        }
        request
    }
}

/// The lease that a holder's write is about, and the counter it names.
fn written(request: &Request) -> Option<(LeaseKey, LeaseCounter)> {
    let Request::Store(StoreRequest::UpdateLease(write)) = request else { return None };
    let counter = write.conditions.iter().find_map(|condition| {
        if let LeaseCondition::CounterIs(counter) = condition { Some(*counter) } else { None }
    });
    counter.filter(|_| is_of_holder(write)).map(|counter| (write.key.clone(), counter))
}

pub(crate) fn chosen<T>(items: &BTreeMap<u64, T>, pick: u8) -> Option<u64> {
    items.keys().nth(usize::from(pick) % items.len().max(1)).copied()
}

/// Far more than any honest exchange at one moment needs.
const SETTLE_STEPS_MAX: usize = 100_000;
/// How long a consumer may take to stop; short, so that schedules reach what follows when it takes longer.
pub(crate) const DRAIN_TIMEOUT: Millis = Millis(4000);
/// Short, so that lost rows come back within a schedule.
const AUDIT_INTERVAL: Millis = Millis(2000);
