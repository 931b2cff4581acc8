use std::collections::VecDeque;

use kcl_core::{HashKey, HashKeyRange, LeaderLock, LockVersion, ShardId};

use super::*;
use crate::reconcile::event::{CallResult, Withheld};
use crate::reconcile::judge::Move;
use crate::reconcile::message::{Refusal, Row};
use crate::{Action, Boundaries, Constraint, Decision, Layout, OpenShard, Origin, Step, StreamState};

type Plans = Box<dyn FnMut(&Observation, &Ledger, EpochMillis) -> Plan>;

/// One controller, a row, and a stream that does what it is told after 30 s.
struct Bench {
    controller: Controller<Plans>,
    now: Moment,
    row: Option<Row>,
    boundaries: Boundaries,
    /// What the stream is changing to, and when that is done.
    changing: Option<(Boundaries, Millis)>,
    room: u32,
    /// Answers in place of the stream's own.
    answers: VecDeque<CallReply>,
    calls: Vec<Call>,
    events: Vec<Event>,
}

impl Bench {
    fn new(plans: impl FnMut(&Observation, &Ledger, EpochMillis) -> Action + 'static) -> Self {
        let now = Moment { steady: Millis(0), epoch: EpochMillis(1_800_000_000_000) };
        Self { controller: controller(plans, now), ..Self::without_controller(now) }
    }

    fn without_controller(now: Moment) -> Self {
        Self {
            controller: controller(|_, _, _| Action::Nothing, now),
            now,
            row: None,
            boundaries: Boundaries::uniform(4),
            changing: None,
            room: 1_000,
            answers: VecDeque::new(),
            calls: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Lets time pass, and answers every request at once.
    fn run(&mut self, seconds: u64) {
        let end = self.now.steady + Millis::from_secs(seconds);
        loop {
            while let Some((id, request)) = self.controller.poll_request(self.now) {
                let reply = self.answer(request);
                self.controller.handle_reply(id, reply, self.now);
            }
            while let Some(event) = self.controller.poll_event() {
                self.events.push(event);
            }
            let next = self.controller.poll_timeout().max(self.now.steady);
            if next > end {
                self.pass(end.since(self.now.steady));
                return;
            }
            self.pass(next.since(self.now.steady));
            self.controller.handle_timeout(self.now);
        }
    }

    fn next_request(&mut self) -> (RequestId, Request) {
        self.controller.handle_timeout(self.now);
        self.controller.poll_request(self.now).expect("something is due")
    }

    fn pass(&mut self, time: Millis) {
        self.now.steady += time;
        self.now.epoch = self.now.epoch.after(time.into());
        if let Some((boundaries, _)) = self.changing.take_if(|(_, done_at)| *done_at <= self.now.steady) {
            self.boundaries = boundaries;
        }
    }

    fn answer(&mut self, request: Request) -> Reply {
        match request {
            Request::ReadRow => Reply::Row(self.row.clone()),
            Request::WriteRow(write) => match write.apply(&mut self.row) {
                Ok(()) => Reply::Written,
                Err(current) => Reply::Refused(current),
            },
            Request::Look => Reply::Looked(Look { state: self.state(), layout: self.layout() }),
            Request::Observe => Reply::Observed(Box::new(self.observation())),
            Request::AccountRoom => Reply::AccountRoom(self.room),
            Request::Call { call, not_after } => {
                assert!(self.now.steady <= not_after);
                let stored = Journal::decode(&self.row.as_ref().expect("fenced").journal).expect("readable");
                assert!(stored.intent.is_some(), "the intent is written before the call");
                let reply = self.answers.pop_front().unwrap_or_else(|| {
                    let after = match &call {
                        Call::Scale { target } => Boundaries::uniform(*target),
                        Call::Split { at, .. } => {
                            Move::Step(Step::Split { at: *at }).applied(&self.boundaries)
                        }
                        Call::Merge { at, .. } => {
                            Move::Step(Step::Merge { at: *at }).applied(&self.boundaries)
                        }
                    };
                    self.changing = Some((after, self.now.steady + Millis(30_000)));
                    CallReply::Accepted
                });
                self.calls.push(call);
                Reply::Called(reply)
            }
        }
    }

    fn state(&self) -> StreamState {
        if self.changing.is_some() { StreamState::Changing } else { StreamState::Active }
    }

    fn layout(&self) -> Layout {
        let shard = |range: HashKeyRange| OpenShard {
            id: ShardId::new(format!("shard-at-{}", range.start())).expect("valid"),
            range,
        };
        Layout::new(self.boundaries.ranges().map(shard).collect()).expect("covers")
    }

    fn observation(&self) -> Observation {
        Observation {
            state: self.state(),
            layout: self.layout(),
            account_shards_left: None,
            fan_out_consumers: 0,
            minutes: Vec::new(),
            load_map: None,
            shards: std::collections::BTreeMap::new(),
            applications: Vec::new(),
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.controller.journal().expect("leading").ledger
    }

    fn stored(&self) -> Journal {
        Journal::decode(&self.row.as_ref().expect("written").journal).expect("readable")
    }

    fn results(&self) -> Vec<&CallResult> {
        fn result(event: &Event) -> Option<&CallResult> {
            if let Event::Called { result, .. } = event { Some(result) } else { None }
        }
        self.events.iter().filter_map(result).collect()
    }
}

fn controller(
    mut plans: impl FnMut(&Observation, &Ledger, EpochMillis) -> Action + 'static,
    now: Moment,
) -> Controller<Plans> {
    let plan = move |observation: &Observation, ledger: &Ledger, at: EpochMillis| Plan {
        action: plans(observation, ledger, at),
        decision: Decision {
            constraint: Constraint::InBounds,
            demand_shards: None,
            utilisation: Some((0.5, 0.5)),
            quota_left: None,
            rejected: None,
        },
    };
    let me = WorkerId::new("controller-a").expect("valid");
    Controller::new("clicks", ReconcileSettings::default(), me, 7, Box::new(plan), now)
}

/// Wants this many shards, by one call.
fn wants(target: u32) -> impl FnMut(&Observation, &Ledger, EpochMillis) -> Action {
    move |observation, ledger, now| {
        if observation.layout.count() == target || ledger.calls_used(now) >= 9 {
            return Action::Nothing;
        }
        Action::Scale { target }
    }
}

#[test]
fn a_scale_is_written_down_carried_out_and_learnt_from() {
    let mut bench = Bench::new(wants(8));
    bench.run(120);
    assert_eq!(bench.calls, [Call::Scale { target: 8 }]);
    assert_eq!(bench.boundaries.count(), 8);
    let journal = bench.stored();
    assert_eq!((journal.term, journal.intent, journal.trials.len()), (1, None, 1));
    let seen = journal.ledger.durations.scale.expect("learnt").as_secs();
    assert!((30..=40).contains(&seen), "{seen}");
    assert_eq!(journal.ledger.grown_at(), bench.ledger().grown_at());
    assert_eq!(journal.ledger.calls().len(), 1);
    assert!(bench.events.iter().any(|event| matches!(event, Event::Done { .. })));
}

#[test]
fn a_way_of_steps_goes_on_from_the_layout_and_ends_there() {
    let target = Boundaries::uniform(2);
    let way = target.clone();
    let mut bench = Bench::new(move |observation, _, _| {
        let gone = observation.layout.boundaries().without(&way);
        if gone.is_empty() {
            return Action::Nothing;
        }
        Action::Reshape { target: way.clone(), steps: gone.iter().map(|&at| Step::Merge { at }).collect() }
    });
    bench.run(180);
    assert_eq!(bench.boundaries, target);
    assert_eq!(bench.calls.len(), 2);
    assert_eq!(bench.ledger().calls_used(bench.now.epoch), 0, "merges do not count");
    assert_eq!(bench.ledger().reshaping, None);
}

#[test]
fn an_unknown_outcome_counts_as_used_whether_or_not_it_happened() {
    let mut bench = Bench::new(wants(8));
    bench.answers.extend([CallReply::Unknown]);
    bench.run(30);
    assert_eq!(bench.ledger().calls_used(bench.now.epoch), 1);
    assert_eq!(bench.calls.len(), 1, "nothing is called while it may still come");
    bench.run(120);
    assert!(bench.events.iter().any(|event| matches!(event, Event::DidNotHappen { .. })));
    assert_eq!(bench.boundaries.count(), 8, "and then it is decided anew");
    let counted = bench.ledger().calls().next().expect("counted").at;
    assert!(
        counted >= EpochMillis(1_800_000_050_000),
        "it may have come as late as it was waited for: {counted}"
    );
    assert_eq!(bench.ledger().calls_used(bench.now.epoch), 2);
}

#[test]
fn a_refused_call_does_not_count() {
    let mut bench = Bench::new(wants(8));
    let denied = || CallReply::Refused(Refusal::Denied { message: "no".to_owned() });
    bench.answers.extend((0..5).map(|_| denied()));
    bench.run(20);
    assert_eq!(bench.results(), [&CallResult::Refused(Refusal::Denied { message: "no".to_owned() })]);
    assert_eq!(bench.ledger().calls_used(bench.now.epoch), 0);
    assert_eq!(bench.stored().intent, None);
    bench.run(200);
    assert_eq!(bench.calls.len(), 1, "rights do not come back within minutes");
}

#[test]
fn a_limit_is_told_by_the_accounts_room_and_then_by_repetition() {
    let mut full = Bench::new(wants(8));
    full.room = 3;
    full.answers.extend([CallReply::Refused(Refusal::LimitExceeded)]);
    full.run(14 * 60);
    assert_eq!(full.calls.len(), 1, "the account is full for a while");

    let mut spent = Bench::new(wants(8));
    spent.answers.extend((0..9).map(|_| CallReply::Refused(Refusal::LimitExceeded)));
    spent.run(59 * 60);
    assert!(spent.events.contains(&Event::QuotaSpentOutside));
    assert_eq!(spent.calls.len(), 2, "too fast once, and then the quota");
    assert_eq!(spent.ledger().calls_used(spent.now.epoch), 10);
}

#[test]
fn outside_changes_are_inferred_from_the_layout() {
    let mut bench = Bench::new(|_, _, _| Action::Nothing);
    bench.run(10);
    bench.boundaries = Boundaries::uniform(16);
    bench.run(600);
    assert!(bench.events.contains(&Event::ChangedOutside { from: 4, to: 16, calls: 2 }));
    assert!(bench.ledger().calls().all(|call| call.origin == Origin::Outside && call.target == 16));
    assert_eq!(bench.ledger().calls_used(bench.now.epoch), 2);
    bench.boundaries.split(HashKey(5));
    bench.run(600);
    assert!(bench.events.contains(&Event::ChangedOutside { from: 16, to: 17, calls: 0 }));
    assert_eq!(bench.stored().settled, Some(crate::reconcile::journal::Settled::of(&bench.boundaries)));
}

#[test]
fn a_deposed_controller_is_stopped_by_its_fence() {
    let mut bench = Bench::new(wants(8));
    let observed = loop {
        let (id, request) = bench.next_request();
        if request == Request::Observe {
            break id;
        }
        let reply = bench.answer(request);
        bench.controller.handle_reply(id, reply, bench.now);
    };
    let row = bench.row.as_mut().expect("taken");
    row.lock = LeaderLock {
        owner: WorkerId::new("controller-b").expect("valid"),
        version: LockVersion("b".to_owned()),
        ..row.lock.clone()
    };
    let reply = Reply::Observed(Box::new(bench.observation()));
    bench.controller.handle_reply(observed, reply, bench.now);
    bench.run(30);
    assert_eq!(bench.calls, []);
    assert!(bench.events.contains(&Event::SteppedDown));
}

#[test]
fn a_decision_that_waited_for_too_long_is_not_carried_out() {
    let mut bench = Bench::new(wants(8));
    let commit = loop {
        let (id, request) = bench.next_request();
        let reply = bench.answer(request);
        if bench.row.is_some() && bench.stored().intent.is_some() {
            break id;
        }
        bench.controller.handle_reply(id, reply, bench.now);
    };
    bench.pass(Millis(9_000));
    bench.controller.handle_reply(commit, Reply::Written, bench.now);
    bench.pass(Millis(31_000));
    bench.controller.handle_timeout(bench.now);
    bench.run(1);
    assert_eq!(bench.results(), [&CallResult::NotSent]);
    assert_eq!(bench.ledger().calls_used(bench.now.epoch), 0);
}

#[test]
fn a_shutdown_finishes_what_is_under_way_and_gives_the_row_back() {
    let mut bench = Bench::new(wants(8));
    bench.run(5);
    bench.controller.handle_shutdown(Duration::from_secs(20), bench.now);
    bench.run(1);
    assert!(bench.controller.is_finished());
    let row = bench.row.as_ref().expect("kept");
    assert!(row.lock.is_released && bench.stored().intent.is_some(), "the successor waits for the change");
    let next = Bench { controller: controller(wants(8), bench.now), ..bench };
    let mut bench = next;
    bench.run(60);
    assert_eq!(bench.stored().term, 2);
    assert_eq!((bench.calls.len(), bench.boundaries.count()), (1, 8));
}

#[test]
fn a_newer_journal_is_left_alone() {
    let mut bench = Bench::new(wants(8));
    bench.run(1);
    let row = bench.row.as_mut().expect("taken");
    row.journal = r#"{"format":9}"#.to_owned();
    row.lock.is_released = true;
    let bench_row = bench.row.clone();
    let mut next = Bench {
        controller: controller(wants(8), bench.now),
        row: bench_row.clone(),
        ..Bench::without_controller(bench.now)
    };
    next.run(600);
    assert_eq!((next.row, next.calls.len()), (bench_row, 0));
    assert!(matches!(next.events[0], Event::JournalRefused(_)));
}

#[test]
fn alarms_are_one_look_and_an_unsound_plan_is_none() {
    let mut bench = Bench::new(|_, _, _| Action::Scale { target: 9 });
    bench.run(1);
    for _ in 0..50 {
        bench.controller.handle_wake(bench.now);
    }
    bench.run(10);
    let withheld = |event: &&Event| matches!(event, Event::Withheld(Withheld::Unsound(_)));
    assert_eq!(bench.events.iter().filter(withheld).count(), 2);
    assert_eq!(bench.calls, []);
}
