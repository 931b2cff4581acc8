//! When the faults stop: within four failover times every shard is served, and what was put is consumed.

use kcl_core::{Lease, LeaseKey, Millis};

use crate::oracle::{Violation, violated};
use crate::stream::number_of;
use crate::world::{DRAIN_TIMEOUT, World};

impl World {
    /// Stops all faults, restarts who is dead, and gives the fleet four failover times and the time to drain. Workers
    /// act when they asked to, no earlier.
    ///
    /// # Errors
    /// `liveness` if some lease is not served then, a backlog is left, or the loads differ by more than one.
    pub fn recover(&mut self) -> Result<(), Violation> {
        self.stale_view = None;
        self.lacks_index = false;
        self.replace_twins();
        for worker in self.slots.iter_mut().flatten() {
            worker.stalled_until = worker.stalled_until.min(self.now);
        }
        let failover = self.settings.failovers.iter().copied().max().unwrap_or_default();
        let generations = Millis(GENERATION_TIME.0 * self.stream.present().count() as u64);
        let end = self.now + failover * 4 + DRAIN_TIMEOUT + generations;
        while self.now < end {
            for slot in 0..self.slots.len() {
                self.restart(slot);
            }
            self.settle_due()?;
            if self.complaint().is_none() {
                return Ok(());
            }
            self.now += self.next_wake();
        }
        match self.complaint() {
            None => Ok(()),
            Some(detail) => violated("liveness", format!("{detail} at {}", self.now)),
        }
    }

    /// What is not well, if something is.
    fn complaint(&self) -> Option<String> {
        let rows = self.table.leases();
        for shard in self.stream.present() {
            let key = LeaseKey::from(&shard.listed.shard);
            let row = rows.get(&key);
            let is_consumed =
                |row: &Lease| number_of(row.checkpoint).is_none_or(|number| number == shard.records);
            if !row.is_some_and(is_consumed) {
                let at = row.map(|row| row.checkpoint);
                return Some(format!("{key} has {} records and its checkpoint is {at:?}", shard.records));
            }
            if !shard.listed.is_open && !row.is_some_and(Lease::is_finished) {
                return Some(format!("{key} is closed and not finished"));
            }
        }
        let loads: Vec<usize> =
            self.slots.iter().flatten().map(|worker| worker.beliefs(self.now).count()).collect();
        let served: usize = loads.iter().sum();
        let spread = loads.iter().max().zip(loads.iter().min()).map_or(0, |(most, least)| most - least);
        let open = self.stream.open_shards();
        (served != open || spread > 1)
            .then(|| format!("{served} of {open} open shards served, loads {loads:?}"))
    }

    /// Everything on its way arrives, workers that are due act, and consumers take their next steps.
    pub(crate) fn settle_due(&mut self) -> Result<(), Violation> {
        for _ in 0..ROUNDS_MAX {
            let mut has_acted = false;
            for slot in 0..self.slots.len() {
                let now = self.now;
                let Some(worker) = self.slots[slot].as_mut().filter(|worker| worker.stalled_until <= now)
                else {
                    continue;
                };
                worker.work_all(&self.stream, &mut self.oracle, now);
                if worker.is_due(now) {
                    self.act(slot)?;
                    has_acted = true;
                }
            }
            while let Some(number) = self.requests.keys().next().copied() {
                self.apply_request(number)?;
                has_acted = true;
            }
            while let Some(number) = self.replies.keys().next().copied() {
                self.deliver_reply(number)?;
                has_acted = true;
            }
            if !has_acted {
                return self.check();
            }
        }
        violated("contract", format!("the workers never rest at {}", self.now))
    }

    /// Two processes under one id are a mistake of the operator that a fleet survives but does not balance.
    fn replace_twins(&mut self) {
        for slot in 0..self.slots.len() {
            let Some(id) = self.slots[slot].as_ref().map(|worker| worker.author.worker.clone()) else {
                continue;
            };
            let earlier = self.slots[..slot].iter().flatten();
            if earlier.into_iter().any(|worker| worker.author.worker == id) {
                self.crash(slot);
            }
        }
    }

    /// Time until the first worker wants to act.
    pub(crate) fn next_wake(&self) -> Millis {
        let awake = self.slots.iter().flatten().filter(|worker| worker.stalled_until <= self.now);
        let wakes = awake.filter_map(|worker| {
            worker.coordinator.poll_timeout().map(|at| at.since(worker.local(self.now)))
        });
        wakes.min().unwrap_or(Millis(1000)).clamp(Millis(1), Millis(1000))
    }
}

/// Honest exchanges at one moment need a few rounds.
const ROUNDS_MAX: usize = 1000;
/// A shard starts when its parents are seen to be finished, which takes a look each half second.
const GENERATION_TIME: Millis = Millis(1000);
