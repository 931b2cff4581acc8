//! The world: workers, the table, and everything on its way between them.

use std::collections::BTreeMap;

use kcl_core::{
    CoordinatorSettings, Event, HashKeyRange, InitialPosition, LeaseCondition, LeaseTable, ListedShard,
    Millis, Request, RequestId, SequenceNumber, ShardId, StoreReply, StoreRequest, WorkerId,
};

use crate::oracle::{Oracle, Violation};
use crate::sim_worker::SimWorker;

/// How a world is set up.
#[derive(Clone, Debug)]
pub struct WorldSettings {
    /// Worker slots; each holds at most one running process.
    pub workers: usize,
    /// Shards of the stream.
    pub shards: usize,
    /// Failover time of the application.
    pub failover: Millis,
    /// Clock rate of each slot, in parts per million over the world's, alternating in sign.
    pub clock_skew_ppm: i64,
    /// A fault of the store, planted to see whether the oracle notices.
    pub fault: Fault,
}

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Conditions on `leaseCounter` are not checked.
    CounterIgnored,
}

/// Everything there is.
#[derive(Clone, Debug)]
pub struct World {
    /// World time.
    pub now: Millis,
    /// The watcher.
    pub oracle: Oracle,
    settings: WorldSettings,
    table: LeaseTable,
    listing: Vec<ListedShard>,
    slots: Vec<Option<SimWorker>>,
    incarnations: u64,
    requests: BTreeMap<u64, Sent>,
    replies: BTreeMap<u64, Answer>,
    made: u64,
    log: Vec<String>,
}

/// A request on its way to the store.
#[derive(Clone, Debug)]
struct Sent {
    slot: usize,
    worker: WorkerId,
    holder: kcl_core::Nonce,
    id: RequestId,
    request: Request,
    /// The sender has been told that the outcome is unknown; nobody waits for the reply.
    is_orphaned: bool,
}

/// A reply on its way back.
#[derive(Clone, Debug)]
struct Answer {
    slot: usize,
    worker: WorkerId,
    id: RequestId,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Store(Box<StoreReply>),
    Shards(Option<Vec<ListedShard>>),
}

impl World {
    /// A world in which every slot's worker has just started.
    #[must_use]
    pub fn new(settings: WorldSettings) -> Self {
        let listing = (0..settings.shards).map(listed).collect();
        let slots = (0..settings.workers).map(|_| None).collect();
        let mut world = Self {
            now: Millis(1),
            oracle: Oracle::default(),
            settings,
            table: LeaseTable::new(),
            listing,
            slots,
            incarnations: 0,
            requests: BTreeMap::new(),
            replies: BTreeMap::new(),
            made: 0,
            log: Vec::new(),
        };
        for slot in 0..world.slots.len() {
            world.restart(slot);
        }
        world
    }

    /// What happened, line by line, with world time.
    #[must_use]
    pub fn log(&self) -> &[String] {
        &self.log
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

    /// Loses one reply: the write was applied, and its author is told that nothing is known.
    ///
    /// # Errors
    /// The property that broke.
    pub fn lose_reply(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(number) = chosen(&self.replies, pick) {
            if let Some(answer) = self.replies.get_mut(&number) {
                answer.content = match answer.content {
                    Content::Store(_) => Content::Store(Box::new(StoreReply::Unknown)),
                    Content::Shards(_) => Content::Shards(None),
                };
            }
            self.deliver_reply(number)?;
        }
        self.check()
    }

    /// Gives up on one request that is still on its way; it may land at any later time.
    ///
    /// # Errors
    /// The property that broke.
    pub fn time_out_request(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(number) = chosen(&self.requests, pick)
            && let Some(sent) = self.requests.get_mut(&number)
            && !sent.is_orphaned
        {
            sent.is_orphaned = true;
            let content = match sent.request {
                Request::Store(_) => Content::Store(Box::new(StoreReply::Unknown)),
                Request::ListShards(_) => Content::Shards(None),
            };
            let answer = Answer { slot: sent.slot, worker: sent.worker.clone(), id: sent.id, content };
            self.made += 1;
            self.replies.insert(self.made, answer);
            self.deliver_reply(self.made)?;
        }
        self.check()
    }

    /// Stops a worker for `span`: it neither acts nor hears, and its clock goes on.
    pub fn stall(&mut self, slot: usize, span: Millis) {
        let until = self.now + span;
        if let Some(worker) = self.slots[slot].as_mut() {
            worker.stalled_until = worker.stalled_until.max(until);
            self.log.push(format!("{} {} stalls until {until}", self.now, worker.id));
        }
    }

    /// Kills a worker; what it sent may still land.
    pub fn crash(&mut self, slot: usize) {
        if let Some(worker) = self.slots[slot].take() {
            self.log.push(format!("{} {} dies", self.now, worker.id));
        }
    }

    /// Starts a new process in an empty slot.
    pub fn restart(&mut self, slot: usize) {
        if self.slots[slot].is_some() {
            return;
        }
        self.incarnations += 1;
        let id = WorkerId::new(format!("worker-{slot}-{}", self.incarnations)).expect("valid");
        let settings = CoordinatorSettings::new(self.settings.failover, InitialPosition::TrimHorizon);
        let skew =
            if slot.is_multiple_of(2) { self.settings.clock_skew_ppm } else { -self.settings.clock_skew_ppm };
        self.log.push(format!("{} {id} starts", self.now));
        self.slots[slot] = Some(SimWorker::start(settings, id, self.incarnations, skew, self.now));
    }

    /// Starts a graceful shutdown.
    pub fn shut_down(&mut self, slot: usize) {
        let now = self.now;
        if let Some(worker) = self.slots[slot].as_mut() {
            let local = worker.local(now);
            worker.coordinator.handle_shutdown(local);
            self.log.push(format!("{now} {} shuts down", worker.id));
        }
    }

    /// Lets one consumer of a worker report progress.
    ///
    /// # Errors
    /// The property that broke.
    pub fn checkpoint(&mut self, slot: usize, pick: u8) -> Result<(), Violation> {
        let now = self.now;
        if let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now) {
            worker.checkpoint(pick, now);
        }
        self.act(slot)?;
        self.check()
    }

    /// Without any fault: everything on its way arrives, in order, until all is quiet at this moment.
    ///
    /// # Errors
    /// The property that broke, or `contract` if the workers never rest.
    pub fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..SETTLE_STEPS_MAX {
            for slot in 0..self.slots.len() {
                self.act(slot)?;
            }
            let request = self.requests.keys().next().copied();
            let reply = self.replies.keys().next().copied();
            match (request, reply) {
                (Some(number), _) => self.apply_request(number)?,
                (None, Some(number)) => self.deliver_reply(number)?,
                (None, None) => return self.check(),
            }
        }
        Err(Violation { property: "contract", detail: format!("the workers never rest at {}", self.now) })
    }

    /// Stops all faults, restarts who is dead, and gives the fleet four failover times.
    ///
    /// # Errors
    /// `liveness` if some lease is not served then, or the loads differ by more than one.
    pub fn recover(&mut self) -> Result<(), Violation> {
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|worker| worker.is_finished) {
                self.slots[slot] = None;
            }
            self.restart(slot);
            if let Some(worker) = self.slots[slot].as_mut() {
                worker.stalled_until = Millis(0);
            }
        }
        let end = self.now + self.settings.failover * 4 + self.longest_drain();
        while self.now < end {
            self.settle()?;
            self.advance(self.next_wake())?;
            for slot in 0..self.slots.len() {
                if self.slots[slot].as_ref().is_some_and(|worker| worker.is_finished) {
                    self.slots[slot] = None;
                    self.restart(slot);
                }
            }
        }
        self.settle()?;
        let loads: Vec<usize> =
            self.slots.iter().flatten().map(|worker| worker.beliefs(self.now).len()).collect();
        let served: usize = loads.iter().sum();
        let spread = loads.iter().max().zip(loads.iter().min()).map_or(0, |(most, least)| most - least);
        if served != self.settings.shards || spread > 1 {
            let detail = format!(
                "{served} of {} shards served, loads {loads:?} at {}",
                self.settings.shards, self.now
            );
            return Err(Violation { property: "liveness", detail });
        }
        Ok(())
    }

    /// Time until the first worker wants to act, at least a little and at most a second.
    fn next_wake(&self) -> Millis {
        let span = |worker: &SimWorker| {
            let local = worker.local(self.now);
            worker.coordinator.poll_timeout().map(|at| at.since(local))
        };
        let next = self.slots.iter().flatten().filter_map(span).min().unwrap_or(Millis(1000));
        next.clamp(Millis(5), Millis(1000))
    }

    /// A shutdown begun before the faults stopped may still be waiting for its consumers.
    fn longest_drain(&self) -> Millis {
        let settings = CoordinatorSettings::new(self.settings.failover, InitialPosition::TrimHorizon);
        settings.shutdown_timeout
    }

    fn act(&mut self, slot: usize) -> Result<(), Violation> {
        let now = self.now;
        let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now) else {
            return Ok(());
        };
        let requests = worker.turn(now)?;
        let (id, holder) = (worker.id.clone(), worker.holder);
        for event in worker.events.drain(..) {
            if matches!(event, Event::AmbiguousWriteApplied { .. }) {
                self.oracle.counters.ambiguous_writes_applied += 1;
            }
            if matches!(event, Event::Lost { .. }) && worker.stalled_until > Millis(0) {
                self.oracle.counters.losers_awoken += 1;
            }
            self.log.push(format!("{now} {id}: {event:?}"));
        }
        for (request_id, request) in requests {
            self.made += 1;
            let sent = Sent { slot, worker: id.clone(), holder, id: request_id, request, is_orphaned: false };
            self.requests.insert(self.made, sent);
        }
        Ok(())
    }

    fn apply_request(&mut self, number: u64) -> Result<(), Violation> {
        let Some(sent) = self.requests.remove(&number) else { return Ok(()) };
        let content = match sent.request {
            Request::ListShards(_) => Content::Shards(Some(self.listing.clone())),
            Request::Store(request) => {
                let request = self.settings.fault.applied_to(request);
                let before = if let StoreRequest::UpdateLease(write) = &request {
                    self.table.leases().get(&write.key).cloned()
                } else {
                    None
                };
                let reply = self.table.execute(&request);
                self.judge(&sent.worker, sent.holder, &request, before.as_ref(), &reply)?;
                Content::Store(Box::new(reply))
            }
        };
        if !sent.is_orphaned {
            self.made += 1;
            self.replies
                .insert(self.made, Answer { slot: sent.slot, worker: sent.worker, id: sent.id, content });
        }
        Ok(())
    }

    fn judge(
        &mut self,
        worker: &WorkerId,
        holder: kcl_core::Nonce,
        request: &StoreRequest,
        before: Option<&kcl_core::Lease>,
        reply: &StoreReply,
    ) -> Result<(), Violation> {
        let StoreRequest::UpdateLease(write) = request else { return Ok(()) };
        if let StoreReply::Applied(after) = reply {
            let before = before.expect("an applied update had a row");
            self.oracle.check_accepted(worker, holder, write, before, after)?;
        } else if let StoreReply::Refused(current) = reply {
            self.oracle.note_refused(holder, current.as_ref());
        }
        Ok(())
    }

    fn deliver_reply(&mut self, number: u64) -> Result<(), Violation> {
        let now = self.now;
        let Some(answer) = self.replies.remove(&number) else { return Ok(()) };
        let Some(worker) = self.slots[answer.slot].as_mut().filter(|worker| worker.id == answer.worker)
        else {
            return Ok(());
        };
        if worker.stalled_until > now {
            self.replies.insert(number, answer);
            self.advance(worker_wait(self.slots.iter().flatten(), now))?;
            return Ok(());
        }
        let local = worker.local(now);
        match answer.content {
            Content::Store(reply) => worker.coordinator.handle_reply(answer.id, *reply, local),
            Content::Shards(listing) => worker.coordinator.handle_shards(answer.id, listing, local),
        }
        self.act(answer.slot)
    }

    fn check(&self) -> Result<(), Violation> {
        let beliefs = self
            .slots
            .iter()
            .flatten()
            .flat_map(|worker| worker.beliefs(self.now).into_iter().map(|key| (&worker.id, key)));
        self.oracle.check_beliefs(beliefs)
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

/// Time until the first stalled worker wakes; what waits for it cannot arrive earlier.
fn worker_wait<'a>(workers: impl Iterator<Item = &'a SimWorker>, now: Millis) -> Millis {
    let wakes = workers.map(|worker| worker.stalled_until).filter(|until| *until > now);
    wakes.min().map_or(Millis(1), |until| until.since(now))
}

fn chosen<T>(items: &BTreeMap<u64, T>, pick: u8) -> Option<u64> {
    items.keys().nth(usize::from(pick) % items.len().max(1)).copied()
}

fn listed(index: usize) -> ListedShard {
    ListedShard {
        shard: ShardId::new(format!("shardId-{index:012}")).expect("valid"),
        parents: std::collections::BTreeSet::new(),
        hash_range: HashKeyRange::FULL,
        starting_sequence: SequenceNumber::from_parts(0, index as u128),
        is_open: true,
    }
}

/// Far more than any honest exchange at one moment needs.
const SETTLE_STEPS_MAX: usize = 100_000;
