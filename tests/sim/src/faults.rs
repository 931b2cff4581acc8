//! What may go wrong: everything that a fleet of workers must bear.

use std::collections::BTreeMap;

use kcl_core::{
    Generation, Lease, LeaseChange, LeaseKey, LeaseWrite, Millis, Nonce, Position, Request, Resolution,
    StoreReply, StoreRequest, WorkerId,
};

use crate::counters::Situation;
use crate::oracle::{Author, Violation};
use crate::stream::{number_of, position_of};
use crate::world::{Answer, Content, Fault, World, chosen};

impl World {
    /// Loses one reply: the request was carried out, and its author is told that nothing is known.
    ///
    /// # Errors
    /// The property that broke.
    pub fn lose_reply(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(number) = chosen(&self.replies, pick) {
            self.lose_number(number)?;
        }
        self.check()
    }

    /// Loses the reply of this number.
    ///
    /// # Errors
    /// The property that broke.
    pub fn lose_number(&mut self, number: u64) -> Result<(), Violation> {
        if let Some(answer) = self.replies.get_mut(&number) {
            answer.content = match answer.content {
                Content::Store(_) => Content::Store(Box::new(StoreReply::Unknown)),
                Content::Shards(_) => Content::Shards(None),
            };
        }
        self.deliver_number(number)
    }

    /// Delivers one reply twice.
    ///
    /// # Errors
    /// The property that broke.
    pub fn duplicate_reply(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(number) = chosen(&self.replies, pick) {
            let answer: Answer = self.replies[&number].clone();
            self.deliver_reply(number)?;
            self.made += 1;
            self.replies.insert(self.made, Answer { written: None, ..answer });
            self.oracle.counters.note(Situation::ReplyDuplicated);
            self.deliver_reply(self.made)?;
        }
        self.check()
    }

    /// Carries out one request twice, as when the connection breaks and a layer below repeats it; the second answer counts.
    ///
    /// # Errors
    /// The property that broke.
    pub fn apply_twice(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(sent) = chosen(&self.requests, pick).and_then(|number| self.requests.remove(&number)) {
            self.execute(&sent)?;
            let content = self.execute(&sent)?;
            if !sent.is_orphaned {
                self.answer(&sent, content);
            }
        }
        self.check()
    }

    /// Refuses one request before it is looked at.
    ///
    /// # Errors
    /// The property that broke.
    pub fn throttle(&mut self, pick: u8) -> Result<(), Violation> {
        if let Some(sent) = chosen(&self.requests, pick).and_then(|number| self.requests.remove(&number)) {
            self.oracle.counters.note(Situation::Throttled);
            let content = match sent.request {
                Request::Store(_) => Content::Store(Box::new(StoreReply::Throttled)),
                Request::ListShards(_) => Content::Shards(None),
            };
            if !sent.is_orphaned {
                self.answer(&sent, content);
            }
        }
        self.check()
    }

    /// Gives up on one request that is still on its way; it may land at any later time.
    ///
    /// # Errors
    /// The property that broke.
    pub fn time_out_request(&mut self, pick: u8) -> Result<(), Violation> {
        chosen(&self.requests, pick).map_or(Ok(()), |number| self.time_out_number(number))
    }

    /// Gives up on the request of this number.
    ///
    /// # Errors
    /// The property that broke.
    pub fn time_out_number(&mut self, number: u64) -> Result<(), Violation> {
        if let Some(sent) = self.requests.get_mut(&number)
            && !sent.is_orphaned
        {
            sent.is_orphaned = true;
            let sent = sent.clone();
            let content = match sent.request {
                Request::Store(_) => Content::Store(Box::new(StoreReply::Unknown)),
                Request::ListShards(_) => Content::Shards(None),
            };
            self.answer(&sent, content);
            self.deliver_reply(self.made)?;
        }
        self.check()
    }

    /// Stops a worker for `span`, as a pause of the process or a suspended machine: it neither acts nor hears, and its
    /// clock goes on.
    pub fn stall(&mut self, slot: usize, span: Millis) {
        let until = self.now + span;
        let stops_clock = self.settings.fault == Fault::ClockStopsInStall;
        if let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until < until) {
            if stops_clock {
                worker.stop_clock(until.since(worker.stalled_until.max(self.now)));
            }
            worker.stalled_until = until;
            let id = worker.author.worker.clone();
            self.say(|| format!("{id} stalls until {until}"));
        }
    }

    /// Kills a worker; what it sent may still land.
    pub fn crash(&mut self, slot: usize) {
        let now = self.now;
        if let Some(worker) = self.slots[slot].take() {
            self.say(|| format!("{} dies", worker.author.worker));
            if worker.coordinator.is_leader(worker.local(now)) {
                self.oracle.counters.note(Situation::LeaderDied);
            }
            let id = Some(&worker.author.worker);
            let is_cut = |lease: &Lease| {
                lease.checkpoint_owner.is_some()
                    && (lease.checkpoint_owner.as_ref() == id || lease.owner.as_ref() == id)
            };
            if self.table.leases().values().any(is_cut) {
                self.oracle.counters.note(Situation::HandOffCut);
            }
        }
    }

    /// Kills whoever leads.
    pub fn crash_leader(&mut self) {
        let now = self.now;
        let leads = |worker: &crate::sim_worker::SimWorker| worker.coordinator.is_leader(worker.local(now));
        if let Some(slot) = self.slots.iter().position(|slot| slot.as_ref().is_some_and(leads)) {
            self.crash(slot);
        }
    }

    /// Kills the worker that hands over a lease, or the one that is to get it.
    pub fn cut_hand_off(&mut self, pick: u8) {
        let moving: Vec<&Lease> =
            self.table.leases().values().filter(|lease| lease.checkpoint_owner.is_some()).collect();
        let Some(lease) = moving.get(usize::from(pick >> 1) % moving.len().max(1)) else { return };
        let victim =
            if pick.is_multiple_of(2) { lease.checkpoint_owner.clone() } else { lease.owner.clone() };
        let is_victim =
            |worker: &crate::sim_worker::SimWorker| Some(&worker.author.worker) == victim.as_ref();
        if let Some(slot) = self.slots.iter().position(|slot| slot.as_ref().is_some_and(is_victim)) {
            self.crash(slot);
        }
    }

    /// Starts a process in an empty slot under the worker id of a live one.
    pub fn start_twin(&mut self, slot: usize) {
        let live = self.slots.iter().flatten().map(|worker| worker.author.worker.clone()).next();
        if let Some(worker) = live.filter(|_| self.slots[slot].is_none()) {
            self.start_as(slot, worker);
            self.oracle.counters.note(Situation::Twins);
        }
    }

    /// From here on scans and the index show the table as it is at this moment, or the truth again.
    pub fn toggle_stale_reads(&mut self) {
        self.stale_view = match self.stale_view {
            Some(_) => None,
            None if self.table.leases().is_empty() => None,
            None => Some(self.table.clone()),
        };
    }

    /// The index stops answering, or answers again.
    pub fn toggle_index(&mut self) {
        self.lacks_index = !self.lacks_index;
    }

    /// A shard is split, or two are merged if `pick` is odd.
    pub fn reshard(&mut self, pick: u8) {
        let is_moving = |lease: &Lease| lease.checkpoint_owner.is_some() || lease.pending.is_some();
        let is_mid_flight = self.table.leases().values().any(is_moving);
        let is_done =
            if pick.is_multiple_of(2) { self.stream.split(pick >> 1) } else { self.stream.merge(pick >> 1) };
        if is_done {
            self.say(|| "the stream is resharded".to_owned());
            if is_mid_flight {
                self.oracle.counters.note(Situation::ReshardedMidFlight);
            }
        }
    }

    /// Retention passes a finished shard whose children have rows, and somebody deletes its row.
    pub fn clean_up(&mut self, pick: u8) {
        let has_rows = |lease: &&Lease| {
            let rows = self.table.leases();
            lease.is_finished()
                && lease.children.iter().all(|child| rows.contains_key(&LeaseKey::from(child)))
        };
        let finished: Vec<LeaseKey> =
            self.table.leases().values().filter(has_rows).map(|lease| lease.key.clone()).collect();
        if let Some(key) = finished.get(usize::from(pick) % finished.len().max(1)) {
            self.stream.forget(key);
            self.table.remove_lease(key);
        }
    }

    /// Somebody deletes the row of a lease that nobody believes to hold.
    pub fn delete_row(&mut self, pick: u8) {
        let idle = self.idle_leases();
        let Some(key) = idle.get(usize::from(pick) % idle.len().max(1)) else { return };
        self.say(|| format!("the row of {key} is deleted"));
        self.table.remove_lease(key);
        self.stale_view = None;
        self.oracle.row_deleted(key);
        self.oracle.counters.note(Situation::RowRecreated);
    }

    /// A worker of the Java library takes a lease that nobody believes to hold, moves on by a record, and dies.
    pub fn foreign_tenure(&mut self, pick: u8) {
        let idle = self.idle_leases();
        let Some(key) = idle.get(usize::from(pick) % idle.len().max(1)) else { return };
        let lease = self.table.leases()[key].clone();
        let is_finished =
            |parent| self.table.leases().get(&LeaseKey::from(parent)).is_some_and(Lease::is_finished);
        if lease.checkpoint == Position::TrimHorizon && !lease.parents.iter().all(is_finished) {
            return;
        }
        let at = number_of(lease.checkpoint).unwrap_or(0);
        let records = self.stream.shard(key).map_or(0, |shard| shard.records);
        let java = WorkerId::new("java").expect("valid");
        let mut changes = vec![
            LeaseChange::RaiseCounter,
            LeaseChange::Owner(Some(java)),
            LeaseChange::CheckpointOwner(None),
        ];
        if at < records {
            changes.extend([LeaseChange::Checkpoint(position_of(at + 1)), LeaseChange::Pending(None)]);
            if let Some(bound) = lease.own.bound_to {
                changes.push(LeaseChange::BoundTo(bound));
            }
            self.oracle.processed(key, at + 1);
        }
        self.say(|| format!("a foreign worker had {key}"));
        self.table.execute(&StoreRequest::UpdateLease(LeaseWrite {
            key: key.clone(),
            conditions: Vec::new(),
            changes,
        }));
    }

    /// An operator decides about a shard, as `leasehold leases resolve` does: a third of the time by dropping the intent.
    /// A holder that has not heard of it yet believes on, for no longer than a write that landed before can extend it.
    pub fn decide(&mut self, pick: u8) {
        let is_open = |lease: &&Lease| !lease.is_finished();
        let leases: Vec<Lease> = self.table.leases().values().filter(is_open).cloned().collect();
        let Some(lease) = leases.get(usize::from(pick) % leases.len().max(1)) else { return };
        self.made += 1;
        let nonce = Nonce(u128::MAX - u128::from(self.made));
        let write = match pick % 3 {
            0 => LeaseWrite::resolve(lease, None, nonce),
            1 => LeaseWrite::resolve(lease, lease.pending.as_ref().map(|_| Resolution::RecordGap), nonce),
            _ => {
                self.oracle.intent_dropped(&lease.key);
                LeaseWrite::rewrite(lease, Generation(lease.own.generation.0 + 1), nonce)
            }
        };
        for worker in self.slots.iter().flatten() {
            let longest = worker.local(self.now) + self.coordinator_settings(worker.author.slot).failover;
            if worker.beliefs(self.now).any(|(_, key, _)| key == lease.key) {
                self.oracle.taken_by_force(&lease.key, worker.author.holder, longest);
            }
        }
        self.say(|| format!("an operator decides about {}", lease.key));
        self.table.execute(&StoreRequest::UpdateLease(write));
        self.oracle.counters.note(Situation::OperatorDecided);
    }

    /// `slot` stands still while its last replies are on the road for `delay`, hears them, and is cut off for `span`; the
    /// others go on as they wish to, to the millisecond.
    ///
    /// # Errors
    /// The property that broke.
    pub fn cut_off(&mut self, slot: usize, delay: Millis, span: Millis) -> Result<(), Violation> {
        let of_slot = |author: &Author| author.slot == slot;
        self.act(slot)?;
        let sent: Vec<u64> = self.requests.keys().copied().collect();
        for number in sent {
            self.apply_request(number)?;
        }
        let answers = std::mem::take(&mut self.replies).into_iter();
        let (late, others): (BTreeMap<u64, Answer>, _) =
            answers.partition(|(_, answer)| of_slot(&answer.author));
        self.replies = others;
        self.stall(slot, delay);
        self.run_until(self.now + delay)?;
        let numbers: Vec<u64> = late.keys().copied().collect();
        self.replies.extend(late);
        for number in numbers {
            self.deliver_reply(number)?;
        }
        self.requests.retain(|_, sent| !of_slot(&sent.author));
        self.stall(slot, span);
        self.run_until(self.now + span)
    }

    fn run_until(&mut self, end: Millis) -> Result<(), Violation> {
        while self.now < end {
            self.settle_due()?;
            self.now += self.next_wake().min(end.since(self.now));
        }
        self.check()
    }

    /// Unfinished leases that no live worker believes to hold.
    fn idle_leases(&self) -> Vec<LeaseKey> {
        let held: Vec<LeaseKey> = self
            .slots
            .iter()
            .flatten()
            .flat_map(|worker| worker.beliefs(self.now))
            .map(|(_, key, _)| key)
            .collect();
        let is_idle = |lease: &&Lease| !lease.is_finished() && !held.contains(&lease.key);
        self.table.leases().values().filter(is_idle).map(|lease| lease.key.clone()).collect()
    }
}
