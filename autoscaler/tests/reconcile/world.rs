//! Time, processes, row and stream; what a seed makes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use autoscaler::Action;
use autoscaler::reconcile::{Call, CallReply, Refusal, Reply, Request, RequestId, Row};
use fastrand::Rng;

use crate::counters::{Counters, Situation, hear};
use crate::faults::{Faults, HOUR, MINUTE, SECOND};
use crate::oracle::{Arrived, Decided, Oracle, Violation, ensure};
use crate::process::{Process, brief, epoch, plan_as};
use crate::stream::Stream;

/// One simulated world.
pub(crate) struct World {
    now: u64,
    rng: Rng,
    faults: Faults,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    processes: Vec<Process>,
    row: Option<Row>,
    stream: Stream,
    oracle: Oracle,
    /// When somebody else last changed the layout, or a call came late.
    foreign_at: Option<u64>,
    counters: Counters,
    history: Option<Vec<String>>,
}

#[derive(Debug)]
enum Event {
    Arrive { from: Sender, request: Request, decided: Option<Box<Decided>>, not_after: u64 },
    Deliver { to: Sender, reply: Reply },
    Resume { process: usize, incarnation: u64 },
    Start { process: usize },
    Minute,
    Demand,
    Wakes,
    Pause,
    Outside,
    Shutdown,
    Calm,
}

#[derive(Clone, Copy, Debug)]
struct Sender {
    process: usize,
    incarnation: u64,
    id: RequestId,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let faults = Faults::drawn(&mut rng);
        let shards = 1 + rng.u32(..8);
        let demand = rng.f64() * faults.demand_shards_max;
        let processes = (0..faults.processes).map(|_| Process::new(&mut rng)).collect();
        let stream = Stream::new(shards, demand, faults.skew, epoch(0));
        let mut world = Self {
            now: 0,
            rng,
            queue: BTreeMap::new(),
            queued: 0,
            processes,
            row: None,
            stream,
            oracle: Oracle::default(),
            foreign_at: None,
            counters: Counters::default(),
            history: None,
            faults,
        };
        // Metrics begin before the first controller.
        for process in 0..world.processes.len() {
            let at = 5 * MINUTE + world.rng.u64(..2 * MINUTE);
            world.at(at, Event::Start { process });
        }
        world.at(MINUTE, Event::Minute);
        world.at(world.faults.end, Event::Calm);
        let intervals = [
            (world.faults.demand_every, Event::Demand),
            (world.faults.wake_every, Event::Wakes),
            (world.faults.pause_every, Event::Pause),
            (world.faults.outside_every, Event::Outside),
            (world.faults.shutdown_every, Event::Shutdown),
        ];
        for (interval, event) in intervals {
            world.again(interval, event);
        }
        world
    }

    pub(crate) fn keep_history(&mut self) {
        self.history = Some(Vec::new());
    }

    pub(crate) fn history(&self) -> &[String] {
        self.history.as_deref().unwrap_or_default()
    }

    /// Lets the world go on until faults have ended and everything has settled.
    pub(crate) fn run(&mut self) -> Result<Counters, Violation> {
        let mut end = self.faults.end + CALM;
        loop {
            self.run_until(end)?;
            match self.check_rest() {
                Ok(()) => return Ok(std::mem::take(&mut self.counters)),
                // A call that has just come back to the quota may be spent at this very moment.
                Err(_) if end < self.faults.end + 2 * CALM => end += 10 * MINUTE,
                Err(violation) => return Err(violation),
            }
        }
    }

    fn run_until(&mut self, end: u64) -> Result<(), Violation> {
        loop {
            let timer = (0..self.processes.len()).min_by_key(|&place| self.processes[place].wake_at);
            let timer = timer.map(|place| (self.processes[place].wake_at, place));
            let queued = self.queue.first_key_value().map(|(&(at, _), _)| at);
            match (queued, timer) {
                (Some(at), _) if at > end => break,
                (Some(at), Some((wake_at, _))) if at <= wake_at => {
                    let (_, event) = self.queue.pop_first().expect("it was looked at");
                    self.now = at;
                    self.take(event)?;
                }
                (_, Some((wake_at, _))) if wake_at > end => break,
                (_, Some((wake_at, place))) => {
                    self.now = wake_at;
                    self.serve(place)?;
                }
                (_, None) => break,
            }
        }
        self.now = end;
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive { from, request, decided, not_after } => {
                self.arrive(from, request, decided.as_deref(), not_after)?;
            }
            Event::Deliver { to, reply } => self.deliver(to, reply)?,
            Event::Resume { process, incarnation } => self.resume(process, incarnation)?,
            Event::Start { process } => self.start(process)?,
            Event::Minute => {
                self.stream.measure(epoch(self.now));
                self.at(self.now + MINUTE, Event::Minute);
            }
            Event::Demand => {
                self.stream.demand_shards = self.rng.f64() * self.faults.demand_shards_max;
                self.tell(|world| format!("demand {:.2}", world.stream.demand_shards));
                self.again(self.faults.demand_every, Event::Demand);
            }
            Event::Wakes => {
                for _ in 0..1 + self.rng.u8(..4) {
                    self.wake_all()?;
                }
                self.again(self.faults.wake_every, Event::Wakes);
            }
            Event::Pause => {
                let process = self.rng.usize(..self.processes.len());
                let span = SECOND * (1 + self.rng.u64(..600));
                self.pause(process, span);
                self.again(self.faults.pause_every, Event::Pause);
            }
            Event::Outside => {
                self.change_outside();
                self.again(self.faults.outside_every, Event::Outside);
            }
            Event::Shutdown => {
                let process = self.rng.usize(..self.processes.len());
                let (now, within) = (self.now, Duration::from_secs(20));
                let member = &mut self.processes[process];
                let moment = member.moment(now);
                if let Some(controller) = member.controller.as_mut().filter(|_| member.paused_until.is_none())
                {
                    controller.handle_shutdown(within, moment);
                    self.serve(process)?;
                }
                self.again(self.faults.shutdown_every, Event::Shutdown);
            }
            Event::Calm => {
                self.faults.calm();
                self.tell(|_| "faults end".to_owned());
                self.queue.retain(|_, event| {
                    !matches!(
                        event,
                        Event::Demand | Event::Wakes | Event::Pause | Event::Outside | Event::Shutdown
                    )
                });
                for process in 0..self.processes.len() {
                    let incarnation = self.processes[process].incarnation;
                    self.resume(process, incarnation)?;
                }
            }
        }
        Ok(())
    }

    /// Lets a controller look at the time, and takes everything that it says.
    fn serve(&mut self, place: usize) -> Result<(), Violation> {
        let now = self.now;
        let process = &mut self.processes[place];
        let moment = process.moment(now);
        if process.paused_until.is_some() {
            process.wake_at = u64::MAX;
            return Ok(());
        }
        let Some(controller) = &mut process.controller else { return Ok(()) };
        controller.handle_timeout(moment);
        loop {
            let process = &mut self.processes[place];
            if process.paused_until.is_some() {
                process.wake_at = u64::MAX;
                return Ok(());
            }
            let Some(controller) = &mut process.controller else { return Ok(()) };
            if let Some(told) = controller.poll_event() {
                self.tell(|world| format!("{} {told:?}", world.processes[place].name));
                hear(&self.processes[place], &told, &mut self.counters);
            } else if let Some((id, request)) = controller.poll_request(moment) {
                let incarnation = process.incarnation;
                self.send(Sender { process: place, incarnation, id }, request);
            } else if controller.is_finished() {
                self.note(Situation::ReleasedByShutdown);
                self.crash(place);
                return Ok(());
            } else {
                let wake_at = controller.poll_timeout();
                process.wake_at = process.world_time(wake_at, now);
                return ensure(
                    process.wake_at > now || wake_at > moment.steady,
                    "a controller waits for something",
                    || format!("{} wants to be woken at {wake_at}", process.name),
                );
            }
        }
    }

    fn send(&mut self, from: Sender, request: Request) {
        let is_change = matches!(request, Request::Call { .. });
        let process = &self.processes[from.process];
        let decided = if is_change { process.decided().map(Box::new) } else { None };
        let not_after = match &request {
            Request::Call { not_after, .. } => process.world_time(*not_after, 0),
            Request::ReadRow
            | Request::WriteRow(_)
            | Request::Look
            | Request::Observe
            | Request::AccountRoom => u64::MAX,
        };
        self.tell(|world| format!("{} sends {}", world.processes[from.process].name, brief(&request)));
        let crash = if is_change { self.faults.crash_at_call } else { self.faults.crash };
        if self.chance(crash / 2.0) {
            if is_change {
                self.note(Situation::CrashedBeforeCall);
            }
            self.crash(from.process);
            return;
        }
        let mut arrives = self.now + 5 + self.rng.u64(..200);
        if is_change && self.chance(self.faults.brink) {
            let span = SECOND * (5 + self.rng.u64(..1_800));
            self.note(Situation::PausedAtTheBrink);
            self.pause(from.process, span);
            arrives = self.now + span;
            if self.rng.bool() && arrives > not_after {
                self.note(Situation::CaughtByTheDeadline);
                self.at(arrives, Event::Deliver { to: from, reply: Reply::Called(CallReply::NotSent) });
                return;
            }
        } else if self.chance(self.faults.reply_late) {
            arrives += self.rng.u64(..90 * SECOND);
        }
        if self.chance(self.faults.request_lost) {
            self.give_up(from, is_change);
        } else {
            self.at(arrives, Event::Arrive { from, request, decided, not_after });
        }
        if self.chance(crash / 2.0) {
            self.note(Situation::CrashedInFlight);
            self.crash(from.process);
        }
    }

    /// The client's own timeout: nothing is known. Sometimes not even that comes.
    fn give_up(&mut self, to: Sender, is_change: bool) {
        if self.rng.bool() {
            let reply = if is_change { Reply::Called(CallReply::Unknown) } else { Reply::Unknown };
            self.at(self.now + 10 * SECOND, Event::Deliver { to, reply });
        }
    }

    /// A request reaches its service.
    fn arrive(
        &mut self,
        from: Sender,
        request: Request,
        decided: Option<&Decided>,
        not_after: u64,
    ) -> Result<(), Violation> {
        let is_change = matches!(request, Request::Call { .. });
        let is_row = matches!(request, Request::ReadRow | Request::WriteRow(_));
        let reply = if self.chance(self.faults.throttled) {
            match request {
                Request::Call { .. } if self.rng.bool() => {
                    Reply::Called(CallReply::Refused(Refusal::LimitExceeded))
                }
                Request::Call { .. } => Reply::Called(CallReply::Refused(Refusal::Throttled)),
                Request::ReadRow
                | Request::WriteRow(_)
                | Request::Look
                | Request::Observe
                | Request::AccountRoom => Reply::Failed,
            }
        } else {
            self.answer(from, request, decided, not_after)?
        };
        if self.chance(self.faults.reply_lost) {
            if is_row {
                self.note(Situation::RowReplyLost);
            }
            self.give_up(from, is_change);
            return Ok(());
        }
        let mut at = self.now + 5 + self.rng.u64(..100);
        if self.chance(self.faults.reply_late) {
            self.note(Situation::ReplyLate);
            at += self.rng.u64(..60 * SECOND);
        }
        if self.chance(self.faults.reply_twice) {
            self.note(Situation::ReplyDuplicated);
            let again = at + self.rng.u64(..20 * SECOND);
            self.at(again, Event::Deliver { to: from, reply: reply.clone() });
        }
        self.at(at, Event::Deliver { to: from, reply });
        Ok(())
    }

    fn answer(
        &mut self,
        from: Sender,
        request: Request,
        decided: Option<&Decided>,
        not_after: u64,
    ) -> Result<Reply, Violation> {
        let now = epoch(self.now);
        Ok(match request {
            Request::ReadRow => Reply::Row(self.row.clone()),
            Request::WriteRow(write) => match write.apply(&mut self.row) {
                Ok(()) => {
                    self.oracle.check_account(self.row.as_ref(), now)?;
                    Reply::Written
                }
                Err(current) => Reply::Refused(current),
            },
            Request::Look => Reply::Looked(self.stream.look(now)),
            Request::Observe => {
                let (delay, lost, rng) = (self.faults.metrics_delay, self.faults.metrics_lost, &mut self.rng);
                let observation = self.stream.observation(now, delay, || lost > 0.0 && rng.f64() < lost);
                if delay > 10 {
                    self.note(Situation::StaleMetrics);
                }
                Reply::Observed(Box::new(observation))
            }
            Request::AccountRoom => Reply::AccountRoom(self.stream.account_room(now)),
            Request::Call { call, .. } => {
                let decided = decided.expect("a call follows a decision");
                Reply::Called(self.change(from, &call, decided, not_after)?)
            }
        })
    }

    /// A controller's call reaches Kinesis.
    fn change(
        &mut self,
        from: Sender,
        call: &Call,
        decided: &Decided,
        not_after: u64,
    ) -> Result<CallReply, Violation> {
        let now = epoch(self.now);
        let layout = self.stream.layout(now);
        let process = &self.processes[from.process];
        let caller = format!("controller-{}-{}", from.process, from.incarnation);
        let (is_late, is_up) = (self.now > not_after, process.incarnation == from.incarnation);
        let is_raced = self.foreign_at.is_some_and(|at| self.now - at < RESHARD_MAX);
        let arrived = Arrived { call, caller: &caller, decided, is_late, is_raced };
        self.oracle.arrives(&arrived, self.row.as_ref(), &layout)?;
        let was_used_up = self.oracle.is_quota_used_up(now);
        let reply = self.stream.call(call, now);
        self.tell(|_| format!("{call} by {caller}: {reply:?}{}", if is_late { ", late" } else { "" }));
        match &reply {
            CallReply::Accepted => {
                self.oracle.accepted(&arrived, self.row.as_ref(), &layout.boundaries(), now)?;
                self.note(match call {
                    Call::Scale { .. } => Situation::ScaleAccepted,
                    Call::Split { .. } => Situation::SplitAccepted,
                    Call::Merge { .. } => Situation::MergeAccepted,
                });
                if is_late {
                    self.foreign_at = Some(self.now);
                    self.note(Situation::LateCallAccepted);
                }
            }
            CallReply::Refused(refusal) => {
                if is_late {
                    self.note(Situation::LateCallRefused);
                }
                if matches!(call, Call::Scale { .. }) && *refusal == Refusal::LimitExceeded {
                    self.oracle.refused_by_quota(now)?;
                }
                if was_used_up {
                    self.note(Situation::QuotaUsedUp);
                }
                ensure(
                    !matches!(refusal, Refusal::Misfit { .. }) || is_late || is_raced || !is_up,
                    "no call misfits the layout it was decided for",
                    || format!("{call}: {refusal:?}"),
                )?;
            }
            CallReply::NotSent | CallReply::Unknown => {}
        }
        Ok(reply)
    }

    /// An answer reaches its process, which may have died, or may stand still.
    fn deliver(&mut self, to: Sender, reply: Reply) -> Result<(), Violation> {
        let process = &mut self.processes[to.process];
        if process.incarnation != to.incarnation || process.controller.is_none() {
            return Ok(());
        }
        if process.paused_until.is_some() {
            process.inbox.push((to.id, reply));
            return Ok(());
        }
        let is_call = matches!(reply, Reply::Called(_));
        if self.chance(if is_call { self.faults.crash_at_call } else { self.faults.crash }) {
            if is_call {
                self.note(Situation::CrashedBeforeResult);
            }
            self.crash(to.process);
            return Ok(());
        }
        self.hand_over(to.process, to.id, reply)
    }

    fn hand_over(&mut self, place: usize, id: RequestId, reply: Reply) -> Result<(), Violation> {
        let now = self.now;
        let process = &mut self.processes[place];
        let moment = process.moment(now);
        if let Some(controller) = &mut process.controller {
            controller.handle_reply(id, reply, moment);
        }
        self.serve(place)
    }

    fn wake_all(&mut self) -> Result<(), Violation> {
        for place in 0..self.processes.len() {
            let now = self.now;
            let process = &mut self.processes[place];
            let moment = process.moment(now);
            if let Some(controller) = process.controller.as_mut().filter(|_| process.paused_until.is_none()) {
                controller.handle_wake(moment);
                self.note(Situation::WakesAtOnce);
                self.serve(place)?;
            }
        }
        Ok(())
    }

    fn pause(&mut self, place: usize, span: u64) {
        let process = &mut self.processes[place];
        if process.controller.is_some() && process.paused_until.is_none() {
            process.paused_until = Some(self.now + span);
            process.wake_at = u64::MAX;
            let incarnation = process.incarnation;
            self.tell(|world| {
                format!("{} stands still for {} s", world.processes[place].name, span / SECOND)
            });
            self.at(self.now + span, Event::Resume { process: place, incarnation });
        }
    }

    /// A process goes on: time first or replies first, as it happens.
    fn resume(&mut self, place: usize, incarnation: u64) -> Result<(), Violation> {
        let process = &mut self.processes[place];
        if process.incarnation != incarnation || process.paused_until.take().is_none() {
            return Ok(());
        }
        let mut inbox = std::mem::take(&mut process.inbox);
        self.rng.shuffle(&mut inbox);
        if self.rng.bool() {
            self.serve(place)?;
        }
        for (id, reply) in inbox {
            self.hand_over(place, id, reply)?;
        }
        self.serve(place)
    }

    fn start(&mut self, place: usize) -> Result<(), Violation> {
        if self.processes[place].controller.is_some() {
            return Ok(());
        }
        let seed = self.rng.u64(..);
        if self.processes[place].incarnation > 0 {
            self.note(Situation::Restarted);
        }
        self.processes[place].start(place, self.faults.planner, seed, self.now);
        self.tell(|world| format!("{} starts", world.processes[place].name));
        self.serve(place)
    }

    fn crash(&mut self, place: usize) {
        self.tell(|world| format!("{} ends", world.processes[place].name));
        self.processes[place].crash();
        let after = SECOND * (1 + self.rng.u64(..300));
        self.at(self.now + after, Event::Start { process: place });
    }

    fn change_outside(&mut self) {
        let now = epoch(self.now);
        let (call, reply) = self.stream.outside_call(&mut self.rng, now);
        if reply == CallReply::Accepted {
            self.note(Situation::OutsideReshard);
            self.foreign_at = Some(self.now);
            if matches!(call, Call::Scale { .. }) {
                self.oracle.outside_accepted(now);
            }
        }
        self.tell(|_| format!("an operator: {call}: {reply:?}"));
    }

    /// Once everything has settled: one leader, nothing open, and a planner that wants nothing.
    fn check_rest(&mut self) -> Result<(), Violation> {
        let now = self.now;
        let is_leading = |process: &&Process| {
            let steady = process.moment(now).steady;
            process.controller.as_ref().is_some_and(|controller| controller.is_leader(steady))
        };
        let leaders: Vec<_> = self.processes.iter().filter(is_leading).collect();
        ensure(leaders.len() == 1, "one leader is left", || {
            let names: Vec<_> = leaders.iter().map(|process| process.name.as_str()).collect();
            format!("leaders: {names:?}")
        })?;
        let controller = leaders[0].controller.as_ref().expect("it leads");
        let journal = controller.journal().expect("it leads");
        ensure(journal.intent.is_none(), "nothing is left open", || format!("{:?}", journal.intent))?;
        let observation = self.stream.observation(epoch(now), 2, || false);
        let plan = plan_as(self.faults.planner, &observation, &journal.ledger, epoch(now));
        ensure(plan.action == Action::Nothing, "it comes to rest where the planner wants nothing", || {
            let boundaries = observation.layout.boundaries();
            format!(
                "{plan:?} at {} shards, fullest {:.2}",
                boundaries.count(),
                self.stream.fullest(&boundaries)
            )
        })
    }

    fn at(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    /// The next event of its kind, at some time around the interval.
    fn again(&mut self, interval: u64, event: Event) {
        if interval < u64::MAX {
            let after = interval / 4 + self.rng.u64(..interval * 3 / 2);
            self.at(self.now + after, event);
        }
    }

    fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.f64() < chance
    }

    fn note(&mut self, situation: Situation) {
        self.counters.note(situation);
    }

    fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.history.is_some() {
            let line = format!("{:>9.3} s  {}", self.now as f64 / 1000.0, line(self));
            self.history.get_or_insert_default().push(line);
        }
    }
}

/// From the end of faults until all must have settled: late calls, windows, pauses, merges of all shards but one.
const CALM: u64 = 4 * HOUR;
/// No reshard of so few shards takes as long.
const RESHARD_MAX: u64 = 12 * MINUTE;
