//! A thousand shards under a load known in 4,096 parts: one situation for every branch of the planner.

use std::collections::BTreeMap;
use std::time::Duration;

use autoscaler::{
    Action, ApplicationLag, Boundaries, Change, EpochMillis, Layout, Ledger, LedgerCall, LoadMap, Minute,
    Observation, OpenShard, Origin, Plan, Policy, Step, StreamState, plan,
};
use fastrand::Rng;
use kcl_core::{HashKey, ShardId};

/// What the planner is given, and what it answers to it.
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    /// The kind of the answer.
    pub(crate) answer: &'static str,
    observation: Observation,
    ledger: Ledger,
    policy: Policy,
}

/// All of them.
pub(crate) fn situations() -> Vec<Situation> {
    let uniform = Boundaries::uniform(SHARDS);
    let rough = rough_map(0.2, 1.0);
    // The fullest shard of the uniform layout is at 62 %: as much as the planner aims at.
    let fitting = 0.62 / rough.greatest_share(&uniform);
    let hot = rough_map(0.2, 4.0);
    let too_hot = 1.5 / hot.greatest_share(&uniform);
    let steady = |name, answer, demand| Situation::new(name, answer, &uniform, &rough, demand);
    let mut all = vec![
        steady("within bounds", "nothing", fitting),
        steady("overload", "grow", fitting * 1.8),
        steady("overload, two calls left", "grow", fitting * 1.8).with_calls(7),
        steady("overload, no call left", "grow", fitting * 1.8).with_calls(9),
        steady("surplus, to be merged", "shrink", fitting * 0.3).with_calls(6),
        steady("surplus, calls are plenty", "shrink", fitting * 0.3),
        steady("surplus, readers behind", "nothing", fitting * 0.3).with_lag(),
        Situation::new("hot range", "grow", &uniform, &hot, too_hot),
        Situation::new(
            "skewed and too large",
            "shrink",
            &by_load(&rough_map(3.0, 1.0)),
            &rough,
            fitting * 0.3,
        ),
    ];
    for name in ["surplus, to be merged", "hot range"] {
        let first = all.iter().find(|situation| situation.name == name).expect("listed");
        all.push(first.half_done());
    }
    all
}

impl Situation {
    fn new(
        name: &'static str,
        answer: &'static str,
        boundaries: &Boundaries,
        map: &LoadMap,
        demand: f64,
    ) -> Self {
        let shard = |(index, range)| OpenShard {
            id: ShardId::new(format!("shardId-{index:012}")).expect("valid"),
            range,
        };
        let layout = Layout::new(boundaries.ranges().enumerate().map(shard).collect()).expect("covers");
        let minute = |ago: u64| Minute {
            start: NOW.before(Duration::from_secs(60 * (ago + 2))),
            bytes: Some(demand * 60e6),
            records: Some(demand * 30_000.0),
            ..Minute::default()
        };
        let observation = Observation {
            state: StreamState::Active,
            layout,
            account_shards_left: Some(20_000),
            fan_out_consumers: 0,
            minutes: (0..75).rev().map(minute).collect(),
            load_map: Some(map.clone()),
            shards: BTreeMap::new(),
            applications: Vec::new(),
        };
        let policy = Policy { shards_max: 10_000, ..Policy::default() };
        Self { name, answer, observation, ledger: Ledger::default(), policy }
    }

    /// The answer.
    pub(crate) fn plan(&self) -> Plan {
        plan(&self.observation, &self.ledger, &self.policy, NOW)
    }

    fn with_calls(mut self, count: u64) -> Self {
        for call in 0..count {
            let at = NOW.before(Duration::from_secs(3600 * (call + 2)));
            self.ledger.note_call(LedgerCall { at, target: SHARDS, origin: Origin::Own });
        }
        self
    }

    fn with_lag(mut self) -> Self {
        self.observation.applications.push(ApplicationLag {
            name: "behind".to_owned(),
            behind: Some(Duration::from_secs(3600)),
            is_rising: true,
            undrained_parents: None,
        });
        self
    }

    /// The same when half of its steps are done.
    fn half_done(&self) -> Self {
        let Action::Reshape { target, steps } = self.plan().action else {
            panic!("{}: {:?}", self.name, self.plan().action)
        };
        let mut boundaries = self.observation.layout.boundaries();
        steps[..steps.len() / 2].iter().for_each(|step| step.apply(&mut boundaries));
        let map = self.observation.load_map.as_ref().expect("known");
        let demand = self.observation.minutes[0].bytes.expect("known") / 60e6;
        let mut half = Self::new("a layout half reached", self.answer, &boundaries, map, demand);
        half.ledger.reshaping = Some(target);
        let to = boundaries.count();
        half.ledger.note_change(Change { at: NOW.before(Duration::from_secs(30)), from: SHARDS, to });
        half
    }
}

/// What kind of answer it is.
pub(crate) fn kind(plan: &Plan) -> &'static str {
    let is_merge = |step: &Step| matches!(step, Step::Merge { .. });
    match &plan.action {
        Action::Nothing => "nothing",
        Action::Scale { target } if *target < SHARDS => "shrink",
        Action::Scale { .. } => "grow",
        Action::Reshape { target, .. } if target.count() < SHARDS => "shrink",
        Action::Reshape { steps, .. } if steps.iter().all(is_merge) => "shrink",
        Action::Reshape { .. } => "grow",
    }
}

/// Parts that differ by as much as `roughness`, of which 40 have `heat` times as much, and eight heavy keys.
fn rough_map(roughness: f64, heat: f64) -> LoadMap {
    let mut random = Rng::with_seed(7);
    let width = u128::MAX / u128::from(BINS) + 1;
    let bins: Vec<_> = (0..u128::from(BINS))
        .map(|bin| {
            let part = 1.0 + roughness * random.f64().powi(6);
            (HashKey(bin * width), if (1_000..1_040).contains(&bin) { part * heat } else { part })
        })
        .collect();
    let heavy: Vec<_> = (0..8).map(|_| (HashKey(random.u128(..)), 1.0 + random.f64())).collect();
    LoadMap::new(bins, heavy)
}

/// As many shards, cut by another load.
fn by_load(map: &LoadMap) -> Boundaries {
    Boundaries::new((0..SHARDS).map(|place| map.quantile(f64::from(place) / f64::from(SHARDS))))
}

const SHARDS: u32 = 1_000;
const BINS: u32 = 4_096;
const NOW: EpochMillis = EpochMillis(1_800_000_000_000);
