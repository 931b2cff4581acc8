//! Families of synthetic streams: fourteen days of traffic as a function of a family and a seed.
//!
//! ```text
//!   seed ─▶ mean, shape, seconds, record sizes ─▶ minutes ─▶ keys (which must know the peaks) ─▶ Trace
//! ```
//!
//! Sizes, waves and disturbances differ from seed to seed as much as published traces of one kind do. No trace asks for what
//! no layout can give: a single key never fills more than 0.8 of a shard.

use kcl_core::HashKey;

use super::draws::Draws;
use super::keys::Population;
use super::{KeySchedule, MinuteLoad, Trace, shape};
use crate::{EpochMillis, LoadMap, ShardLimits};

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Days, weeks and little noise.
    Daily,
    /// Levels that change at once and hold for hours or days.
    Regimes,
    /// Crowds that come within minutes, up to twenty times the load.
    Crowds,
    /// Jobs that run on the clock: square waves.
    Batches,
    /// Producers cut off for up to an hour, who then deliver what they kept.
    Outages,
    /// Seconds far above the mean of their minute.
    Bursts,
    /// A stream that becomes several times as large.
    Growth,
    /// Almost nothing at night.
    QuietNights,
    /// One key that is hot for hours; in the second week there is always one, and it changes.
    HotKeys,
    /// Keys of very different weight, whose ranking drifts.
    SkewedKeys,
    /// Records of sizes that change: bytes bind at times, records at others.
    RecordSizes,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 11] = [
        Self::Daily,
        Self::Regimes,
        Self::Crowds,
        Self::Batches,
        Self::Outages,
        Self::Bursts,
        Self::Growth,
        Self::QuietNights,
        Self::HotKeys,
        Self::SkewedKeys,
        Self::RecordSizes,
    ];

    /// What its traces are named by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Regimes => "regimes",
            Self::Crowds => "crowds",
            Self::Batches => "batches",
            Self::Outages => "outages",
            Self::Bursts => "bursts",
            Self::Growth => "growth",
            Self::QuietNights => "quiet-nights",
            Self::HotKeys => "hot-keys",
            Self::SkewedKeys => "skewed-keys",
            Self::RecordSizes => "record-sizes",
        }
    }

    /// The trace of one seed: fourteen days whose mean is 2 to 40 shards' worth, 9 in the middle of all seeds.
    #[must_use]
    pub fn trace(self, seed: u64) -> Trace {
        let mut draws = Draws::of(self.name(), seed);
        let mean_shards = draws.log_between(2.0, 40.0);
        let sizes = match self {
            Self::RecordSizes => shape::record_sizes(MINUTES, &mut draws),
            Self::Daily
            | Self::Regimes
            | Self::Crowds
            | Self::Batches
            | Self::Outages
            | Self::Bursts
            | Self::Growth
            | Self::QuietNights
            | Self::HotKeys
            | Self::SkewedKeys => vec![draws.log_between(300.0, 8_000.0); MINUTES],
        };
        let load = self.load(&mut draws);
        let mut seconds = shape::calm_seconds(MINUTES, &mut draws);
        if self == Self::Bursts {
            shape::bursts(&mut seconds, &mut draws);
        }
        let minutes = minutes(&load, &sizes, &seconds, mean_shards);
        let name = format!("{}-{seed}", self.name());
        let keys = match self {
            Self::HotKeys => hot_keys(&name, &minutes, &mut draws),
            Self::SkewedKeys => skewed_keys(&name, &minutes, &mut draws),
            Self::Daily
            | Self::Regimes
            | Self::Crowds
            | Self::Batches
            | Self::Outages
            | Self::Bursts
            | Self::Growth
            | Self::QuietNights
            | Self::RecordSizes => KeySchedule::constant(LoadMap::even()),
        };
        Trace { name, start: START, minutes, keys }
    }

    fn load(self, draws: &mut Draws) -> Vec<f64> {
        let mut load = vec![1.0; MINUTES];
        let (daily, weekly) = (draws.between(0.25, 0.5), draws.between(0.05, 0.2));
        match self {
            Self::Daily | Self::Bursts | Self::HotKeys | Self::SkewedKeys | Self::RecordSizes => {
                shape::season(&mut load, draws, daily, weekly);
            }
            Self::Regimes => {
                shape::season(&mut load, draws, daily / 2.0, weekly);
                shape::regimes(&mut load, draws, 0.4, 2.5);
            }
            Self::Crowds => {
                shape::season(&mut load, draws, daily, weekly);
                let per_day = draws.between(0.1, 0.5);
                shape::crowds(&mut load, draws, per_day);
            }
            Self::Batches => {
                shape::season(&mut load, draws, daily / 2.0, weekly / 2.0);
                shape::batches(&mut load, draws);
            }
            Self::Outages => {
                shape::season(&mut load, draws, daily, weekly);
                let per_day = draws.between(0.2, 0.6);
                shape::outages(&mut load, draws, per_day);
            }
            Self::Growth => {
                shape::season(&mut load, draws, daily / 2.0, weekly / 2.0);
                shape::growth(&mut load, draws);
            }
            Self::QuietNights => shape::quiet_nights(&mut load, draws),
        }
        let deviation = draws.between(0.05, 0.15);
        shape::noise(&mut load, draws, deviation);
        load
    }
}

/// The traces of all families under each seed, family by family.
#[must_use]
pub fn suite(seeds: &[u64]) -> Vec<Trace> {
    Family::ALL.iter().flat_map(|family| seeds.iter().map(|&seed| family.trace(seed))).collect()
}

/// The load that eight shards carry at 70 %, then ten times as much within five minutes, held for two hours, and back.
#[must_use]
pub fn surge() -> Trace {
    let steady = 8.0 * 0.7;
    let (calm, ramp, high, after) = (6 * 60, 5, 2 * 60, 12 * 60);
    let rising = (1..=ramp).map(|minute| 1.0 + 9.0 * f64::from(minute) / f64::from(ramp));
    let level = |factor: f64, minutes: usize| std::iter::repeat_n(factor, minutes);
    let load: Vec<_> = level(1.0, calm)
        .chain(rising.clone())
        .chain(level(10.0, high))
        .chain(rising.rev())
        .chain(level(1.0, after))
        .collect();
    let mean = steady * load.iter().sum::<f64>() / load.len() as f64;
    let flat = vec![1.0; load.len()];
    Trace {
        name: "surge".to_owned(),
        start: START,
        minutes: minutes(&load, &vec![1_000.0; load.len()], &flat, mean),
        keys: KeySchedule::constant(LoadMap::even()),
    }
}

/// Minutes whose records follow `load`, scaled to a mean load of so many shards of the default limits.
fn minutes(load: &[f64], record_bytes: &[f64], bursts: &[f64], mean_shards: f64) -> Vec<MinuteLoad> {
    let mut minutes: Vec<_> = load
        .iter()
        .zip(record_bytes)
        .zip(bursts)
        .map(|((&records, &size), &burst)| MinuteLoad { bytes: records * size, records, burst })
        .collect();
    let limits = ShardLimits::default();
    let mean = minutes.iter().map(|minute| minute.shards(&limits)).sum::<f64>() / minutes.len() as f64;
    for minute in &mut minutes {
        minute.bytes *= mean_shards / mean;
        minute.records *= mean_shards / mean;
    }
    minutes
}

/// One key after the other fills 0.3 to 0.75 of a shard at its busiest second: by chance in the first week, each for half
/// an hour to six hours, and all the time in the second, changing every two to six hours.
fn hot_keys(name: &str, minutes: &[MinuteLoad], draws: &mut Draws) -> KeySchedule {
    let population = Population::new(name, 20_000);
    let calm = population.load_map(0.3, 0, None);
    let mut changes = Vec::new();
    let mut at = 0;
    while at < minutes.len() {
        let is_rotating = at >= minutes.len() / 2;
        if !is_rotating {
            changes.push((at, calm.clone()));
            at += draws.exponential(1_440.0) as usize;
        }
        if at >= minutes.len() {
            break;
        }
        let until = at + if is_rotating { draws.minutes(120, 360) } else { draws.minutes(30, 360) };
        let share = draws.between(0.3, 0.75) / peak_shards(minutes, at, until);
        let hash = HashKey::of_partition_key(&format!("{name}-hot-{at}"));
        changes.push((at, population.load_map(0.3, 0, Some((hash, share.min(0.5))))));
        at = until;
    }
    KeySchedule::new(calm, changes)
}

/// Zipf's law with an exponent that drifts from one of the usual ones to another, over 100 to 100,000 keys, and a ranking
/// that changes twice a day.
fn skewed_keys(name: &str, minutes: &[MinuteLoad], draws: &mut Draws) -> KeySchedule {
    let peak = peak_shards(minutes, 0, minutes.len());
    let count = draws.log_between((peak * KEYS_PER_SHARD_MIN).max(100.0), 100_000.0) as usize;
    let population = Population::new(name, count);
    let exponents = [0.0, 0.5, 0.8, 1.0, 1.2];
    let possible = possible_exponent(&population, KEY_SHARDS_MAX / peak);
    let (first, last) = (draws.one_of(&exponents), draws.one_of(&exponents));
    let periods = minutes.len() / PERIOD;
    let mut map = |period: usize| {
        let exponent = first + (last - first) * period as f64 / periods as f64;
        let most_popular = period * (count / 50 + 1) + draws.index(3);
        population.load_map(exponent.min(possible), most_popular, None)
    };
    let first = map(0);
    KeySchedule::new(first, (1..periods).map(|period| (period * PERIOD, map(period))))
}

/// The greatest exponent under which no key has more than `share_max`.
fn possible_exponent(population: &Population, share_max: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.5);
    for _ in 0..10 {
        let middle = f64::midpoint(low, high);
        if population.greatest_share(middle) <= share_max { low = middle } else { high = middle }
    }
    low
}

fn peak_shards(minutes: &[MinuteLoad], from: usize, until: usize) -> f64 {
    let limits = ShardLimits::default();
    let span = &minutes[from.min(minutes.len() - 1)..until.min(minutes.len())];
    span.iter().map(|minute| minute.peak_shards(&limits)).fold(0.0, f64::max)
}

/// Fourteen days.
const MINUTES: usize = 14 * 24 * 60;
/// Monday, 2026-01-05, 00:00 UTC.
const START: EpochMillis = EpochMillis(1_767_571_200_000);
/// How long one ranking of keys holds.
const PERIOD: usize = 12 * 60;
/// What the heaviest key takes at the busiest second, in shards: above 1 no layout helps.
const KEY_SHARDS_MAX: f64 = 0.8;
/// With fewer keys even equal ones would be too heavy.
const KEYS_PER_SHARD_MIN: f64 = 4.0;
