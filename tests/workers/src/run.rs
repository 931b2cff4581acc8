//! One run: a plan drawn from the seed, incidents for a while, then calm, in which all must become well.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kcl::{InitialPosition, WorkerSettings};
use kcl_core::{Lease, Millis, WorkerId};
use tokio::runtime::Builder;
use tokio::time::{advance, sleep, timeout};

use crate::draws::Draws;
use crate::fleet::{Fleet, Member};
use crate::lab::{Lab, PortBug};
use crate::menu::Menu;
use crate::oracle::Violation;
use crate::processor::Style;
use crate::situation::{Counters, Situation};

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Shards at the beginning.
    pub shards: u32,
    /// Members of the fleet when all are well.
    pub workers: usize,
    /// Shortest failover time of its members.
    pub failover: Duration,
    /// Where the application begins.
    pub initial_position: InitialPosition,
    /// How its processors work.
    pub style: Style,
    /// For how long things go wrong.
    pub faults_last: Duration,
    /// Incidents per thousand steps.
    pub incidents_per_mille: u32,
    /// Faults of single calls.
    pub menu: Menu,
}

impl Plan {
    /// The plan of `seed`.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let draws = &mut Draws::of(seed, "plan", 0);
        let position = draws.one_of(&[
            InitialPosition::TrimHorizon,
            InitialPosition::TrimHorizon,
            InitialPosition::Latest,
        ]);
        Self {
            shards: 1 + u32::try_from(draws.below(5)).expect("a few"),
            workers: 2 + usize::try_from(draws.below(3)).expect("a few"),
            failover: Duration::from_secs(draws.one_of(&[3, 5, 10])),
            initial_position: position,
            style: draws.one_of(&[Style::Durable, Style::Lagging, Style::TwoPhase]),
            faults_last: draws.between(50_000, 110_000),
            incidents_per_mille: 30 + u32::try_from(draws.below(120)).expect("a chance"),
            menu: Menu::drawn(draws),
        }
    }

    /// Settings of one process.
    #[must_use]
    pub fn settings(&self, draws: &mut Draws) -> WorkerSettings {
        let mut settings = WorkerSettings::starting_at(self.initial_position);
        settings.failover = self.failover * draws.one_of(&[1, 1, 2]);
        settings.worker_id = Some(format!("w{}", draws.below(3)));
        settings.shutdown_timeout = draws.between(2_000, 20_000);
        settings.checkpoint_interval = draws.between(200, 5_000);
        settings.idle_call_interval = draws.between(500, 2_000);
        settings.retry_pause_min = Duration::from_millis(200);
        settings.retry_pause_max = Duration::from_secs(2);
        settings.fetch.records_per_call_max = draws.one_of(&[3, 20, 10_000]);
        settings
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What came up.
    pub counters: Counters,
    /// What happened, in order.
    pub trace: Vec<String>,
    /// The property that broke, if one did.
    pub violation: Option<Violation>,
}

/// The run of `seed`, with `bug` planted into its ports.
///
/// # Panics
/// If there is no memory for a runtime.
#[must_use]
pub fn run(seed: u64, bug: Option<PortBug>) -> Report {
    on_paused_time(async {
        let plan = Plan::drawn(seed);
        let lab = Lab::new(plan.shards, plan.menu.clone(), bug);
        let run = Run {
            fleet: Fleet::new(Arc::clone(&lab), seed, plan.style),
            draws: Draws::of(seed, "run", 0),
            numbers: vec![0; KEYS],
            lab: Arc::clone(&lab),
            plan,
        };
        run.play().await;
        let oracle = lab.oracle();
        Report {
            seed,
            counters: oracle.counters.clone(),
            trace: oracle.trace().to_vec(),
            violation: oracle.violation().cloned(),
        }
    })
}

/// Runs `work` on one thread, with time that passes as fast as nothing is left to do.
///
/// # Panics
/// If there is no memory for a runtime.
pub fn on_paused_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without IO can be built").block_on(work)
}

struct Run {
    lab: Arc<Lab>,
    plan: Plan,
    fleet: Fleet,
    draws: Draws,
    /// Of each partition key, the next number.
    numbers: Vec<u64>,
}

/// Something that befalls the fleet or the stream.
#[derive(Clone, Copy, Debug)]
enum Incident {
    Crash,
    CrashLeader,
    CutHandOff,
    StopHard,
    Leave,
    Join,
    Freeze,
    SlowLink,
    Suspend,
    Split,
    Merge,
    StaleReads,
    MissingIndex,
}

impl Run {
    async fn play(mut self) {
        self.lab.look_at_stream().await;
        self.put_some(8);
        for _ in 0..self.plan.workers {
            self.join();
        }
        let end = self.lab.now() + self.plan.faults_last.into();
        while self.lab.now() < end && self.is_fine() {
            sleep(self.draws.between(50, 500)).await;
            self.fleet.sweep().await;
            self.fleet.check_beliefs();
            let puts = self.draws.below(4);
            self.put_some(puts);
            if self.fleet.staying().len() < self.plan.workers && self.draws.per_mille(REPLACED_PER_MILLE) {
                self.join();
            }
            if self.draws.per_mille(self.plan.incidents_per_mille) {
                let incident = self.draws.one_of(&INCIDENTS);
                self.suffer(incident).await;
            }
        }
        if self.is_fine() {
            self.recover().await;
        }
        if self.is_fine() {
            self.shut_down().await;
        }
    }

    fn is_fine(&self) -> bool {
        self.lab.oracle().violation().is_none()
    }

    fn join(&mut self) {
        let settings = self.plan.settings(&mut self.draws);
        let rate_ppm = self.draws.one_of(&[-CLOCK_RATE_PPM, 0, CLOCK_RATE_PPM]);
        if !self.fleet.members().is_empty() {
            self.lab.note(Situation::Joined);
        }
        self.fleet.start(settings, rate_ppm);
    }

    fn put_some(&mut self, puts: u64) {
        for _ in 0..puts {
            let key = self.draws.index(KEYS).expect("there are keys");
            let count = if self.draws.per_mille(AGGREGATES_PER_MILLE) { 2 + self.draws.below(4) } else { 1 };
            let first = self.numbers[key];
            self.numbers[key] += count;
            self.lab.put(key as u64, first..first + count);
        }
    }

    async fn suffer(&mut self, incident: Incident) {
        let staying: Vec<usize> = (0..self.fleet.members().len())
            .filter(|index| !self.fleet.members()[*index].is_leaving())
            .collect();
        let chosen = self.draws.index(staying.len()).map(|index| staying[index]);
        match (incident, chosen) {
            (Incident::Crash, Some(index)) => self.fleet.crash(index).await,
            (Incident::CrashLeader, _) => {
                if let Some(index) = self.fleet.leader() {
                    self.fleet.crash(index).await;
                }
            }
            (Incident::CutHandOff, _) => {
                let is_giver = self.draws.per_mille(500);
                if let Some(index) = self.fleet.end_of_hand_off(is_giver) {
                    self.lab.note(Situation::HandOffCut);
                    self.fleet.crash(index).await;
                }
            }
            (Incident::StopHard, Some(index)) => self.fleet.stop_hard(index),
            (Incident::Leave, Some(index)) => self.fleet.ask_to_leave(index),
            (Incident::Join, _) => {
                if self.fleet.members().len() <= self.plan.workers {
                    self.join();
                }
            }
            (Incident::Freeze, Some(index)) => {
                let longest = Millis::from(self.plan.failover).0 * FREEZE_FAILOVERS;
                let span = self.draws.between(500, longest.min(FREEZE_MILLIS_MAX));
                self.fleet.freeze(index, span);
            }
            (Incident::SlowLink, Some(index)) => {
                let span = self.draws.between(2_000, SLOW_MILLIS_MAX);
                let each_way_max = self.draws.one_of(&[self.plan.failover * 2 / 5, EACH_WAY_MAX]);
                self.fleet.slow_down(index, span, each_way_max);
            }
            (Incident::Suspend, _) => {
                let failover = Millis::from(self.plan.failover).0;
                let longest = self.draws.one_of(&[failover, SUSPEND_MILLIS_MAX]);
                let span = self.draws.between(failover / 4, longest);
                self.lab.note(Situation::Suspended);
                self.lab.say(|| format!("everybody stands still for {}", Millis::from(span)));
                advance(span).await;
            }
            (Incident::Split, _) => self.reshard(true).await,
            (Incident::Merge, _) => self.reshard(false).await,
            (Incident::StaleReads, _) => self.lab.toggle_stale_reads(),
            (Incident::MissingIndex, _) => self.lab.toggle_index(),
            (
                Incident::Crash
                | Incident::StopHard
                | Incident::Leave
                | Incident::Freeze
                | Incident::SlowLink,
                None,
            ) => {}
        }
    }

    async fn reshard(&mut self, is_split: bool) {
        let open = self.lab.oracle().open_shards();
        let Some(index) = self.draws.index(open.len()) else { return };
        let is_moving = |lease: &Lease| {
            !lease.is_finished() && (lease.checkpoint_owner.is_some() || lease.owner.is_none())
        };
        let is_mid_flight = self.lab.rows().leases.iter().any(is_moving);
        let is_done = if is_split {
            open.len() < OPEN_SHARDS_MAX && self.lab.split(&open[index])
        } else {
            open.get(index + 1).is_some_and(|next| self.lab.merge(&open[index], next))
        };
        if is_done {
            self.lab.note(if is_split { Situation::Split } else { Situation::Merged });
            if is_mid_flight {
                self.lab.note(Situation::ReshardedMidFlight);
            }
            self.lab.say(|| format!("{} is {}", open[index], if is_split { "split" } else { "merged" }));
            self.lab.look_at_stream().await;
        }
    }

    /// Nothing goes wrong any more: within a bounded time everything put is consumed, and the load is shared evenly.
    async fn recover(&mut self) {
        self.lab.say(|| "the faults stop".to_owned());
        self.lab.calm();
        self.put_some(KEYS as u64);
        let failover_max = Millis::from(self.plan.failover * 2);
        let settled_at = self.lab.now() + UNDER_WAY_MAX;
        let end = settled_at + failover_max * 4 + RECOVERY_TIME;
        while self.is_fine() {
            self.fleet.sweep().await;
            while self.fleet.staying().len() < self.plan.workers {
                self.join();
            }
            self.fleet.check_beliefs();
            match self.complaint() {
                None if self.lab.now() >= settled_at => return,
                Some(complaint) if self.lab.now() >= end => {
                    self.lab.oracle().violated("liveness", complaint);
                }
                Some(_) | None => {}
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    fn complaint(&self) -> Option<String> {
        if let Some(backlog) = self.lab.watched(|oracle, table| oracle.backlog(table)) {
            return Some(backlog);
        }
        if let Some(leaving) = self.fleet.members().iter().find(|member| member.is_leaving()) {
            return Some(format!("process {} has not left", leaving.process.number()));
        }
        let open = self.lab.oracle().open_shards().len();
        let loads: Vec<usize> =
            self.fleet.members().iter().map(|member| member.handle.health().shards.len()).collect();
        let served: usize = loads.iter().sum();
        let spread = loads.iter().max().zip(loads.iter().min()).map_or(0, |(most, least)| most - least);
        (served != open || spread > 1).then(|| format!("{served} of {open} open shards served: {loads:?}"))
    }

    /// Everybody leaves: in time, and without a trace.
    async fn shut_down(&mut self) {
        let began = self.lab.now();
        let leaving: Vec<WorkerId> =
            self.fleet.members().iter().map(|member| member.process.worker()).collect();
        for index in 0..self.fleet.members().len() {
            self.fleet.ask_to_leave(index);
        }
        for member in self.fleet.members() {
            self.await_end(member).await;
        }
        self.fleet.sweep().await;
        let took = self.lab.now().since(began);
        self.lab.say(|| format!("everybody left within {took}"));
        let rows = self.lab.rows();
        let mut oracle = self.lab.oracle();
        if let Some(row) = rows.workers.iter().find(|row| leaving.contains(&row.worker)) {
            oracle.violated("shutdown", format!("the row of {} is left", row.worker));
        }
        let is_left = |lease: &&Lease| {
            lease.own.holder.is_some() && lease.owner.as_ref().is_some_and(|owner| leaving.contains(owner))
        };
        if let Some(lease) = rows.leases.iter().find(is_left) {
            oracle.violated("shutdown", format!("{} is left to {:?}", lease.key, lease.owner));
        }
    }

    async fn await_end(&self, member: &Member) {
        if timeout(SHUTDOWN_TIME, member.handle.finished()).await.is_err() {
            let detail = format!("process {} takes longer than {SHUTDOWN_TIME:?}", member.process.number());
            self.lab.oracle().violated("shutdown", detail);
        }
    }
}

const INCIDENTS: [Incident; 16] = [
    Incident::Crash,
    Incident::CrashLeader,
    Incident::CutHandOff,
    Incident::CutHandOff,
    Incident::StopHard,
    Incident::Leave,
    Incident::Join,
    Incident::Freeze,
    Incident::SlowLink,
    Incident::SlowLink,
    Incident::Suspend,
    Incident::Split,
    Incident::Split,
    Incident::Merge,
    Incident::StaleReads,
    Incident::MissingIndex,
];
/// Partition keys, a few for each shard.
const KEYS: usize = 24;
/// Shards that may be open at once.
const OPEN_SHARDS_MAX: usize = 8;
/// Puts that carry several records.
const AGGREGATES_PER_MILLE: u32 = 200;
/// Chance at each step that a missing process is replaced.
const REPLACED_PER_MILLE: u32 = 200;
/// Half of the bound on the rate of one clock against another.
const CLOCK_RATE_PPM: i64 = 500;
/// Of a freeze, the longest in failover times.
const FREEZE_FAILOVERS: u64 = 10;
const FREEZE_MILLIS_MAX: u64 = 40_000;
/// Longest time for which everybody stands still: all leases expire.
const SUSPEND_MILLIS_MAX: u64 = 20_000;
/// Longest time for which a link is slow; a call over it takes up to 16 s more.
const SLOW_MILLIS_MAX: u64 = 24_000;
/// What a call takes at most each way over the slowest link: longer than most leases live.
const EACH_WAY_MAX: Duration = Duration::from_secs(8);
/// What was under way when the faults stopped has ended by then: freezes, calls to the store, calls of processors.
const UNDER_WAY_MAX: Millis = Millis(FREEZE_MILLIS_MAX + 1_000);
/// Beside four failover times: the time that a consumer has to drain, and a second for each generation of shards.
const RECOVERY_TIME: Millis = Millis(30_000 + 10_000);
/// Between two looks at a recovering fleet.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// A graceful stop without faults, of processors that answer at once.
const SHUTDOWN_TIME: Duration = Duration::from_secs(2);
