//! A stream whose readings are drawn at random and whose layout follows the plans.

use std::time::Duration;

use autoscaler::{
    Action, ApplicationLag, Boundaries, Change, EpochMillis, Layout, Ledger, LedgerCall, LoadMap, Minute,
    Observation, OpenShard, Origin, Policy, StreamState, plan,
};
use fastrand::Rng;
use kcl_core::{HashKey, ShardId};

use crate::check::{self, Seen};

pub(crate) struct World {
    random: Rng,
    policy: Policy,
    ledger: Ledger,
    boundaries: Boundaries,
    map: Option<LoadMap>,
    minutes: Vec<Minute>,
    demand: f64,
    now: EpochMillis,
    shards_max: u32,
}

impl World {
    pub(crate) fn new(seed: u64, shards_max: u32) -> Self {
        let mut random = Rng::with_seed(seed);
        let count = random.u32(1..=shards_max);
        let policy = Policy {
            shards_min: random.u32(1..=3),
            shards_max,
            calls_max: random.u32(0..=9),
            ..Policy::default()
        };
        let demand = f64::from(count) * random.f64();
        let mut world = Self {
            random,
            policy,
            ledger: Ledger::default(),
            boundaries: Boundaries::uniform(count),
            map: None,
            minutes: Vec::new(),
            demand,
            now: EpochMillis(1_800_000_000_000),
            shards_max,
        };
        for _ in 0..80 {
            world.pass_minute();
        }
        world
    }

    pub(crate) fn step(&mut self, seen: &mut Seen) -> Result<(), String> {
        for _ in 0..self.random.u32(1..=3) {
            self.pass_minute();
        }
        self.drift();
        let observation = self.observe();
        let plan = plan(&observation, &self.ledger, &self.policy, self.now);
        check::check(&observation, &self.ledger, &self.policy, self.now, &plan)
            .map_err(|broken| format!("{broken}\n{plan:?}\n{observation:?}"))?;
        seen.note(&plan);
        self.carry_out(&plan.action);
        Ok(())
    }

    fn pass_minute(&mut self) {
        self.now = self.now.after(Duration::from_secs(60));
        self.demand = match self.random.u32(0..200) {
            0 => self.demand * 10.0,
            1 => self.demand / 10.0,
            _ => self.demand * (0.97 + 0.06 * self.random.f64()),
        }
        .clamp(0.01, f64::from(self.shards_max) * 1.5);
        let capacity = 1.0 / self.load_map().greatest_share(&self.boundaries);
        let accepted = self.demand.min(capacity);
        let is_lost = self.random.u32(0..100) == 0;
        let records = accepted * 60_000.0;
        let rejected = (self.demand - accepted) * 60_000.0 * (1.0 + 2.0 * self.random.f64());
        self.minutes.push(Minute {
            start: self.now.before(Duration::from_secs(120)),
            bytes: (!is_lost).then_some(accepted * 40_000_000.0),
            records: (!is_lost).then_some(records),
            rejected_records: (rejected > 0.0).then_some(rejected),
            ..Minute::default()
        });
        let surplus = self.minutes.len().saturating_sub(80);
        self.minutes.drain(..surplus);
    }

    /// Keys move, and operators act, now and then.
    fn drift(&mut self) {
        match self.random.u32(0..60) {
            0 => self.map = None,
            1 | 2 => self.map = Some(self.skewed_map()),
            3 => self.boundaries = Boundaries::uniform(self.random.u32(1..=self.shards_max)),
            4 => {
                let at = HashKey(self.random.u128(..));
                self.boundaries.split(at);
            }
            5 => self.policy.is_paused = !self.policy.is_paused,
            6 => self.policy.calls_max = self.random.u32(0..=9),
            _ => {}
        }
    }

    fn skewed_map(&mut self) -> LoadMap {
        let random = &mut self.random;
        let segments: Vec<_> =
            (0..64_u128).map(|segment| (HashKey(segment << 122), random.f64().powi(3))).collect();
        let heavy: Vec<_> =
            (0..random.u32(0..4)).map(|_| (HashKey(random.u128(..)), random.f64() * 8.0)).collect();
        LoadMap::new(segments, heavy)
    }

    fn load_map(&self) -> LoadMap {
        self.map.clone().unwrap_or_else(LoadMap::even)
    }

    fn observe(&mut self) -> Observation {
        let random = &mut self.random;
        let shard = |(index, range)| OpenShard {
            id: ShardId::new(format!("shardId-{index:012}")).expect("valid"),
            range,
        };
        let layout =
            Layout::new(self.boundaries.ranges().enumerate().map(shard).collect()).expect("ranges cover");
        let state = match random.u32(0..40) {
            0 => StreamState::Changing,
            1 => StreamState::OnDemand,
            2 => StreamState::Deleting,
            _ => StreamState::Active,
        };
        let minutes = if random.u32(0..60) == 0 { Vec::new() } else { self.minutes.clone() };
        let applications = (0..random.u32(0..3)).map(|index| ApplicationLag {
            name: format!("application-{index}"),
            behind: (random.u32(0..20) > 0).then(|| Duration::from_secs(random.u64(0..330))),
            is_rising: random.bool(),
            undrained_parents: (random.u32(0..4) > 0).then(|| u32::from(random.u32(0..12) == 0)),
        });
        Observation {
            state,
            layout,
            applications: applications.collect(),
            account_shards_left: (random.u32(0..4) > 0).then(|| random.u32(0..200)),
            fan_out_consumers: random.u32(0..2),
            minutes,
            load_map: self.map.clone(),
            shards: std::collections::BTreeMap::new(),
        }
    }

    fn carry_out(&mut self, action: &Action) {
        let from = self.boundaries.count();
        match action {
            Action::Nothing => self.ledger.reshaping = None,
            Action::Scale { target } => {
                self.ledger.reshaping = None;
                self.ledger.note_call(LedgerCall { at: self.now, target: *target, origin: Origin::Own });
                self.boundaries = Boundaries::uniform(*target);
            }
            Action::Reshape { target, steps } => {
                self.ledger.reshaping = Some(target.clone());
                for step in steps.iter().take(self.random.usize(1..=4)) {
                    step.apply(&mut self.boundaries);
                }
            }
        }
        let to = self.boundaries.count();
        if from != to {
            self.ledger.note_change(Change { at: self.now, from, to });
        }
    }
}
