//! How soon a hot shard is split, on the model's clock: from the first rejected record to the call.
//!
//! A stream of even load gets a hot range within one shard, at once or within minutes. The range is splittable: no key in it
//! carries much. Everything else is drawn from the seed: how many shards there are, how full, where the range lies, how wide
//! and how hot it is, and CloudWatch's faults.

use std::time::Duration;

use autoscaler::{
    Boundaries, CloudSettings, EpochMillis, KeySchedule, LoadMap, MinuteLoad, OperationKind, Ours, Policy,
    Run, TelemetrySettings, Trace, run,
};
use fastrand::Rng;
use kcl_core::HashKey;

/// A hot range, and the stream that it comes up in.
struct Case {
    trace: Trace,
    shards: u32,
    /// The hot shard's place among them.
    place: usize,
}

impl Case {
    fn draw(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let shards = random.u32(4..=48);
        let utilisation = 0.3 + 0.3 * random.f64();
        let place = random.usize(0..shards as usize);
        let boundaries = Boundaries::uniform(shards);
        let shard = boundaries.ranges().nth(place).expect("drawn below the count");
        let width = (shard.end().0 - shard.start().0) >> random.u32(0..=3);
        let start = shard.start().0 + random.u128(0..=shard.end().0 - shard.start().0 - width);
        // The shard's whole load at the end, in parts of its limit.
        let heat = 1.15 + 2.35 * random.f64();
        let ramp = if random.bool() { 0 } else { random.usize(1..=10) };
        let begins = CALM_MINUTES + random.usize(0..30);

        let even = f64::from(shards) * utilisation;
        let extra = |minute: usize| {
            let risen = match (minute.checked_sub(begins), ramp) {
                (None, _) => 0.0,
                (Some(_), 0) => 1.0,
                (Some(since), ramp) => ((since + 1) as f64 / ramp as f64).min(1.0),
            };
            (heat - utilisation) * risen
        };
        let load = |minute| MinuteLoad {
            bytes: (even + extra(minute)) * 42e6,
            records: (even + extra(minute)) * 60_000.0,
            burst: 1.0 + 0.1 * (seed % 3) as f64,
        };
        let density = even / u128::MAX as f64;
        let end = HashKey(start + width);
        let hot = |minute| {
            let range = extra(minute) + density * width as f64;
            let (below, above) = (density * start as f64, density * (u128::MAX - end.0) as f64);
            LoadMap::new([(HashKey(0), below), (HashKey(start), range), (end, above)], [])
        };
        let changes = (begins..begins + ramp.max(1)).map(|minute| (minute, hot(minute)));
        Self {
            trace: Trace {
                name: format!("hot-range-{seed}"),
                start: START,
                minutes: (0..begins + MINUTES_AFTER).map(load).collect(),
                keys: KeySchedule::new(LoadMap::even(), changes),
            },
            shards,
            place,
        }
    }

    fn run(&self, settings: CloudSettings) -> Run {
        let settings = CloudSettings { shards: Some(self.shards), ..settings };
        // Nothing is merged before the range gets hot, so that the first call answers it.
        let policy = Policy { shards_min: self.shards, ..Policy::default() };
        run(&self.trace, &settings, &mut Ours::new(policy))
    }

    /// From the first rejected record to the first call, which must split the hot shard; no time at all if the call comes
    /// before any is rejected.
    fn time_to_split(&self, run: &Run) -> Duration {
        let name = &self.trace.name;
        let call = run.operations.first().unwrap_or_else(|| panic!("{name}: nothing was called"));
        assert_eq!(call.kind, OperationKind::Split, "{name}: {call:?}");
        let (_, before) = &run.layouts[0];
        let (_, after) = &run.layouts[1];
        let cut = after.without(before);
        assert_eq!(cut.iter().map(|&key| before.index_of(key)).collect::<Vec<_>>(), [self.place], "{name}");
        let Some(first) = run.minutes.iter().position(|minute| minute.throttled_records > 0.0) else {
            return Duration::ZERO;
        };
        // A shard that is too full is so from the minute's first second.
        let rejected_at = START.after(MINUTE * first as u32);
        Duration::from_millis(call.at.millis_since(rejected_at))
    }
}

/// The longest of all seeds, and for how many the stream takes everything within half an hour.
fn worst(settings: &CloudSettings) -> (Duration, u64) {
    let mut times = Vec::new();
    let mut calm = 0;
    for seed in 0..SEEDS {
        let case = Case::draw(seed);
        let run = case.run(CloudSettings { seed, ..settings.clone() });
        times.push((case.time_to_split(&run), seed));
        let last = run.minutes.last().expect("a trace has minutes");
        calm += u64::from(last.throttled_records <= 0.0);
    }
    times.sort_unstable();
    let (worst, seed) = *times.last().expect("there are seeds");
    let (median, _) = times[times.len() / 2];
    println!(
        "median {} s, worst {} s (seed {seed}), {calm} of {SEEDS} calm",
        median.as_secs(),
        worst.as_secs()
    );
    (worst, calm)
}

#[test]
fn with_worker_telemetry_a_hot_shard_is_split_within_three_minutes() {
    let settings =
        CloudSettings { telemetry: Some(TelemetrySettings::default()), ..CloudSettings::default() };
    let (worst, calm) = worst(&settings);
    assert!(worst <= Duration::from_secs(180), "{worst:?}");
    assert_eq!(calm, SEEDS);
}

#[test]
fn with_metrics_by_shard_alone_a_hot_shard_is_split_within_five_minutes() {
    let settings = CloudSettings { shard_metrics: true, ..CloudSettings::default() };
    let (worst, calm) = worst(&settings);
    assert!(worst <= Duration::from_secs(300), "{worst:?}");
    assert_eq!(calm, SEEDS);
}

const SEEDS: u64 = 200;
const MINUTE: Duration = Duration::from_secs(60);
/// Long enough for a planner to have looked at the whole shrink window.
const CALM_MINUTES: usize = 90;
const MINUTES_AFTER: usize = 45;
/// Monday, 2026-01-05, 00:00 UTC.
const START: EpochMillis = EpochMillis(1_767_571_200_000);
