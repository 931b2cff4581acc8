//! One simulated process: a coordinator, the consumers it was told to run, and a clock of its own rate.

use std::collections::{BTreeMap, BTreeSet};

use kcl_core::{
    Command, CommandId, Coordinator, CoordinatorSettings, Event, FencingToken, LeaseKey, Millis, Nonce,
    Outcome, Position, Request, RequestId, SequenceNumber, Signal, WorkerId,
};

use crate::oracle::Violation;

/// A running process.
#[derive(Clone, Debug)]
pub(crate) struct SimWorker {
    pub(crate) coordinator: Coordinator,
    pub(crate) id: WorkerId,
    pub(crate) holder: Nonce,
    /// How much faster than the world its clock runs, in parts per million.
    pub(crate) clock_skew_ppm: i64,
    /// It does nothing before this time.
    pub(crate) stalled_until: Millis,
    consumers: BTreeMap<LeaseKey, Consumer>,
    commands_made: u64,
    turns: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) is_finished: bool,
}

#[derive(Clone, Debug)]
struct Consumer {
    token: FencingToken,
    position: Position,
    awaited: Option<CommandId>,
}

impl SimWorker {
    pub(crate) fn start(
        settings: CoordinatorSettings,
        id: WorkerId,
        seed: u64,
        clock_skew_ppm: i64,
        now: Millis,
    ) -> Self {
        let local = local_time(now, clock_skew_ppm);
        Self {
            coordinator: Coordinator::new(settings, id.clone(), seed, local),
            id,
            holder: Nonce(u128::from(seed) << 64),
            clock_skew_ppm,
            stalled_until: Millis(0),
            consumers: BTreeMap::new(),
            commands_made: 0,
            turns: 0,
            events: Vec::new(),
            is_finished: false,
        }
    }

    /// The process's own clock at world time `now`.
    pub(crate) fn local(&self, now: Millis) -> Millis {
        local_time(now, self.clock_skew_ppm)
    }

    /// Leases it believes to hold.
    pub(crate) fn beliefs(&self, now: Millis) -> BTreeSet<LeaseKey> {
        self.coordinator.held_leases(self.local(now)).map(|(lease, _)| lease.key.clone()).collect()
    }

    /// Lets the coordinator act and obeys its signals; the requests it makes are returned.
    ///
    /// # Errors
    /// If a needless `handle_timeout` changes something, or output stays queued.
    pub(crate) fn turn(&mut self, now: Millis) -> Result<Vec<(RequestId, Request)>, Violation> {
        let local = self.local(now);
        self.coordinator.handle_timeout(local);
        let mut requests = Vec::new();
        loop {
            while let Some(request) = self.coordinator.poll_request(local) {
                requests.push(request);
            }
            let Some(signal) = self.coordinator.poll_signal() else { break };
            self.obey(signal, local);
        }
        while let Some(event) = self.coordinator.poll_event() {
            self.events.push(event);
        }
        self.turns += 1;
        if !self.turns.is_multiple_of(TURNS_PER_CONTRACT_CHECK) {
            return Ok(requests);
        }
        let before = self.coordinator.clone();
        self.coordinator.handle_timeout(local);
        if self.coordinator != before {
            let detail = format!("{}: a second handle_timeout at {local} changed the state", self.id);
            return Err(Violation { property: "contract", detail });
        }
        Ok(requests)
    }

    /// One consumer, chosen by `pick`, reports progress.
    pub(crate) fn checkpoint(&mut self, pick: u8, now: Millis) {
        let local = self.local(now);
        let count = self.consumers.len();
        let Some((key, consumer)) = self.consumers.iter_mut().nth(usize::from(pick) % count.max(1)) else {
            return;
        };
        if consumer.awaited.is_some() {
            return;
        }
        let next = match consumer.position {
            Position::At(record) => record.sequence.next().expect("a simulation ends long before"),
            Position::AtTimestamp | Position::TrimHorizon | Position::Latest | Position::ShardEnd => {
                SequenceNumber::from_parts(0, 1)
            }
        };
        consumer.position = Position::record(next);
        self.commands_made += 1;
        let id = CommandId(self.commands_made);
        consumer.awaited = Some(id);
        let (key, token) = (key.clone(), consumer.token);
        let order = Command::Checkpoint(Position::record(next));
        self.coordinator.handle_command(id, &key, token, order, local);
    }

    fn obey(&mut self, signal: Signal, local: Millis) {
        match signal {
            Signal::Start { lease, token, .. } => {
                let consumer = Consumer { token, position: lease.checkpoint, awaited: None };
                self.consumers.insert(lease.key.clone(), consumer);
            }
            Signal::Drain { key, .. } => {
                if let Some(consumer) = self.consumers.remove(&key) {
                    self.commands_made += 1;
                    let id = CommandId(self.commands_made);
                    self.coordinator.handle_command(id, &key, consumer.token, Command::Drained, local);
                }
            }
            Signal::Stop { key } => {
                self.consumers.remove(&key);
            }
            Signal::Completed { command, outcome } => {
                let awaiting = self.consumers.values_mut().find(|consumer| consumer.awaited == Some(command));
                if let Some(consumer) = awaiting {
                    consumer.awaited = None;
                    if let Outcome::Done(lease) | Outcome::Refused(lease) = outcome {
                        consumer.position = lease.checkpoint;
                    }
                }
            }
            Signal::Extend { .. } => {}
            Signal::Finished => self.is_finished = true,
        }
    }
}

fn local_time(now: Millis, skew_ppm: i64) -> Millis {
    let rate = u64::try_from(1_000_000 + skew_ppm).expect("a clock does not run backwards");
    Millis((u128::from(now.0) * u128::from(rate) / 1_000_000) as u64)
}

/// Copying a coordinator is what a simulation spends most of its time on.
const TURNS_PER_CONTRACT_CHECK: u64 = 16;
