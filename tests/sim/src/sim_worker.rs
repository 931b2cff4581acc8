//! One simulated process: a coordinator, the consumers it was told to run, and a clock of its own rate.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kcl_core::{
    Command, CommandId, Coordinator, CoordinatorSettings, Event, FencingToken, Lease, LeaseKey, Millis,
    Outcome, PendingCheckpoint, Request, RequestId, Signal,
};

use crate::oracle::{Author, Oracle, Violation, state_pointer, violated};
use crate::schedule::Work;
use crate::stream::{SimStream, number_of, position_of};

/// A running process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SimWorker {
    pub(crate) coordinator: Coordinator,
    pub(crate) author: Author,
    /// It does nothing before this time.
    pub(crate) stalled_until: Millis,
    /// How much faster than the world its clock runs, in parts per million.
    clock_skew_ppm: i64,
    /// How long its clock stood still so far.
    clock_lag: Millis,
    consumers: BTreeMap<LeaseKey, Consumer>,
    commands_made: u64,
    turns: u64,
    /// Leases it adopted and did not lose or give back since, as far as it knows.
    pub(crate) known: BTreeSet<LeaseKey>,
    pub(crate) is_finished: bool,
}

/// What a turn gave.
pub(crate) struct Turn {
    pub(crate) requests: Vec<(RequestId, Request)>,
    pub(crate) events: Vec<Event>,
    pub(crate) started: Vec<(Lease, FencingToken)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Consumer {
    token: FencingToken,
    row: Lease,
    /// The last record it has processed.
    processed: u64,
    awaited: Option<(CommandId, Command)>,
    is_draining: bool,
    /// As the signals said, by the process's own clock.
    deadline: Millis,
}

impl SimWorker {
    pub(crate) fn start(
        settings: CoordinatorSettings,
        author: Author,
        seed: u64,
        clock_skew_ppm: i64,
        now: Millis,
    ) -> Self {
        let local = local_time(now, clock_skew_ppm);
        Self {
            coordinator: Coordinator::new(settings, author.worker.clone(), seed, local),
            author,
            stalled_until: Millis(0),
            clock_skew_ppm,
            clock_lag: Millis(0),
            consumers: BTreeMap::new(),
            commands_made: 0,
            turns: 0,
            known: BTreeSet::new(),
            is_finished: false,
        }
    }

    /// The process's own clock at world time `now`.
    pub(crate) fn local(&self, now: Millis) -> Millis {
        local_time(now, self.clock_skew_ppm) - self.clock_lag
    }

    /// Its clock loses `span`, as one that does not count suspended time.
    pub(crate) fn stop_clock(&mut self, span: Millis) {
        self.clock_lag += span;
    }

    /// Leases that its coordinator or one of its consumers believes to hold, with their deadlines by its own clock.
    pub(crate) fn beliefs(&self, now: Millis) -> impl Iterator<Item = (Author, LeaseKey, Millis)> {
        let local = self.local(now);
        let held = self.coordinator.held_leases(local);
        let held = held.map(|(lease, deadline)| (lease.key.clone(), deadline));
        let consumed = self.consumers.iter().filter(move |(_, consumer)| local < consumer.deadline);
        let mut beliefs: BTreeMap<LeaseKey, Millis> =
            consumed.map(|(key, consumer)| (key.clone(), consumer.deadline)).collect();
        beliefs.extend(held);
        beliefs.into_iter().map(|(key, deadline)| (self.author.clone(), key, deadline))
    }

    /// Whether it asked to be woken by world time `now`.
    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.coordinator.poll_timeout().is_some_and(|at| at <= self.local(now))
    }

    /// Lets the coordinator act and obeys its signals.
    ///
    /// # Errors
    /// If it has output and does not say that it is due, or a needless `handle_timeout` changes something.
    pub(crate) fn turn(&mut self, now: Millis) -> Result<Turn, Violation> {
        let local = self.local(now);
        let due = self.coordinator.poll_timeout();
        self.coordinator.handle_timeout(local);
        let due_after = self.coordinator.poll_timeout();
        let mut turn = Turn { requests: Vec::new(), events: Vec::new(), started: Vec::new() };
        loop {
            while let Some(request) = self.coordinator.poll_request(local) {
                turn.requests.push(request);
            }
            let Some(signal) = self.coordinator.poll_signal() else { break };
            self.obey(signal, &mut turn)?;
        }
        while let Some(event) = self.coordinator.poll_event() {
            if let Event::Adopted { key, .. } = &event {
                self.known.insert(key.clone());
            } else if let Event::Lost { key, .. } = &event {
                self.known.remove(key);
            }
            turn.events.push(event);
        }
        let is_silent = turn.requests.is_empty() && turn.events.is_empty() && turn.started.is_empty();
        if !is_silent && due_after.is_none_or(|at| at > local) {
            let detail = format!(
                "{} has output at {local} and wants to sleep until {due_after:?}",
                self.author.worker
            );
            return violated("contract", detail);
        }
        if !is_silent && due.is_none_or(|at| at > local) {
            let detail = format!("{} acted at {local} and was due at {due:?}", self.author.worker);
            return violated("contract", detail);
        }
        self.turns += 1;
        if self.turns.is_multiple_of(TURNS_PER_CONTRACT_CHECK) {
            let before = self.coordinator.clone();
            self.coordinator.handle_timeout(local);
            if self.coordinator != before {
                let detail =
                    format!("{}: a second handle_timeout at {local} changed the state", self.author.worker);
                return violated("contract", detail);
            }
        }
        Ok(turn)
    }

    /// Lets one consumer, chosen by `pick`, do a piece of work.
    pub(crate) fn work(
        &mut self,
        pick: u8,
        work: Work,
        stream: &SimStream,
        oracle: &mut Oracle,
        now: Millis,
    ) {
        let count = self.consumers.len();
        let Some(key) = self.consumers.keys().nth(usize::from(pick) % count.max(1)).cloned() else { return };
        self.work_on(&key, work, stream, oracle, now);
    }

    /// Lets every consumer take its next step.
    pub(crate) fn work_all(&mut self, stream: &SimStream, oracle: &mut Oracle, now: Millis) {
        for key in self.consumers.keys().cloned().collect::<Vec<_>>() {
            self.work_on(&key, Work::Consume(u64::MAX), stream, oracle, now);
            self.work_on(&key, Work::Next, stream, oracle, now);
        }
    }

    fn work_on(&mut self, key: &LeaseKey, work: Work, stream: &SimStream, oracle: &mut Oracle, now: Millis) {
        let local = self.local(now);
        let Some(consumer) = self.consumers.get_mut(key) else { return };
        let Some(shard) = stream.shard(key) else { return };
        if let Work::Consume(count) = work {
            if local < consumer.deadline && consumer.row.pending.is_none() && !consumer.is_draining {
                consumer.processed = consumer.processed.saturating_add(count).min(shard.records);
                oracle.processed(key, consumer.processed);
            }
            return;
        }
        if consumer.awaited.is_some() {
            return;
        }
        let Some(order) = consumer.order(work, !shard.listed.is_open && consumer.processed == shard.records)
        else {
            return;
        };
        let order = if let Command::Finish { .. } = order {
            Command::Finish { children: stream.children_of(&shard.listed.shard), final_state: None }
        } else {
            order
        };
        self.commands_made += 1;
        let id = CommandId(self.commands_made);
        let token = consumer.token;
        if order == Command::Drained {
            self.consumers.remove(key);
        } else {
            consumer.awaited = Some((id, order.clone()));
        }
        self.coordinator.handle_command(id, key, token, order, local);
    }

    fn obey(&mut self, signal: Signal, turn: &mut Turn) -> Result<(), Violation> {
        match signal {
            Signal::Start { lease, token, deadline } => {
                turn.started.push((*lease.clone(), token));
                let processed = number_of(lease.checkpoint).unwrap_or(0);
                let key = lease.key.clone();
                let consumer =
                    Consumer { token, row: *lease, processed, awaited: None, is_draining: false, deadline };
                self.consumers.insert(key, consumer);
            }
            Signal::Drain { key, .. } => {
                if let Some(consumer) = self.consumers.get_mut(&key) {
                    consumer.is_draining = true;
                }
            }
            Signal::Stop { key } => {
                self.consumers.remove(&key);
            }
            Signal::Completed { command, outcome } => return self.completed(command, outcome),
            Signal::Extend { key, deadline } => {
                if let Some(consumer) = self.consumers.get_mut(&key) {
                    consumer.deadline = deadline;
                }
            }
            Signal::Finished => self.is_finished = true,
        }
        Ok(())
    }

    fn completed(&mut self, command: CommandId, outcome: Outcome) -> Result<(), Violation> {
        let is_awaited =
            |consumer: &Consumer| consumer.awaited.as_ref().is_some_and(|(id, _)| *id == command);
        let awaiting = self.consumers.iter_mut().find(|(_, consumer)| is_awaited(consumer));
        let Some((key, consumer)) = awaiting.map(|(key, consumer)| (key.clone(), consumer)) else {
            return Ok(());
        };
        let order = consumer.awaited.take().map(|(_, order)| order);
        if let (Some(order), Outcome::Done(row)) = (&order, &outcome)
            && !is_done(order, row)
        {
            let detail = format!("{order:?} of {key} is said to be done, the row is {row:?}");
            return violated("outcome", detail);
        }
        match outcome {
            Outcome::Done(row) | Outcome::Refused(row) if !row.is_finished() => {
                consumer.processed = consumer.processed.max(number_of(row.checkpoint).unwrap_or(0));
                consumer.row = *row;
            }
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Lost => {
                self.consumers.remove(&key);
            }
        }
        Ok(())
    }
}

/// Whether the row shows what the command was to do.
fn is_done(order: &Command, row: &Lease) -> bool {
    match order {
        Command::Checkpoint(position) => row.checkpoint == *position,
        Command::Prepare { ordinal, intent } => {
            row.pending.as_ref() == Some(intent) && row.own.batch == *ordinal
        }
        Command::Commit { ordinal, position, .. } => {
            row.checkpoint == *position && row.pending.is_none() && row.own.batch == ordinal.next()
        }
        Command::Finish { .. } => row.is_finished(),
        Command::Halt(reason) => row.own.halt.as_ref() == Some(reason),
        Command::Confirm | Command::Drained => true,
    }
}

impl Consumer {
    /// The command for a piece of work, if it makes sense; `is_at_end` says that the shard is closed and processed. A
    /// careless consumer asks for earlier positions, and for checkpoints and intents while one is pending; it must be
    /// refused.
    fn order(&mut self, work: Work, is_at_end: bool) -> Option<Command> {
        let ordinal = self.row.own.batch;
        let position = position_of(self.processed);
        let is_ahead = Some(self.processed) > number_of(self.row.checkpoint);
        if let Some(pending) = &self.row.pending
            && matches!(work, Work::Commit | Work::Next)
        {
            let position = pending.position;
            return Some(Command::Commit { ordinal, position, state: Some(state_pointer(position)) });
        }
        match work {
            Work::Checkpoint | Work::Next if is_ahead => Some(Command::Checkpoint(position)),
            Work::Checkpoint if self.processed > 1 => {
                Some(Command::Checkpoint(position_of(self.processed - 1)))
            }
            Work::Prepare => {
                let intent = PendingCheckpoint { position, state: Bytes::from_static(b"intent") };
                Some(Command::Prepare { ordinal, intent })
            }
            Work::Finish | Work::Next if is_at_end && !is_ahead => {
                Some(Command::Finish { children: Vec::new(), final_state: None })
            }
            Work::Drained | Work::Next if self.is_draining => Some(Command::Drained),
            Work::Consume(_)
            | Work::Checkpoint
            | Work::Commit
            | Work::Finish
            | Work::Drained
            | Work::Next => None,
        }
    }
}

fn local_time(now: Millis, skew_ppm: i64) -> Millis {
    let rate = u64::try_from(1_000_000 + skew_ppm).expect("a clock does not run backwards");
    Millis((u128::from(now.0) * u128::from(rate) / 1_000_000) as u64)
}

/// Copying a coordinator is what a simulation spends most of its time on.
const TURNS_PER_CONTRACT_CHECK: u64 = 16;
