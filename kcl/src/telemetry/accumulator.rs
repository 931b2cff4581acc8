//! The telemetry of one shard, from answers of its reader to a row.
//!
//! Pure: time and randomness are arguments. It never fails and never grows: see [`ShardTelemetry::BYTES_MAX`].
//!
//! ```text
//!   half-life of a minute, by arrival time:      total, span ─▶ rates
//!     what lies back d counts 2^(−d ⁄ 60 s)      histogram, heavy keys, unplaced ─▶ shares
//!   exact, by the clock:                         minutes
//! ```

use std::time::Duration;

use kcl_core::{HashKey, HashKeyRange, SequenceNumber};

use super::heavy::{Counter, HeavyKeys, KEYS_MAX};
use super::histogram::{Histogram, bin_of};
use super::load::Load;
use super::minutes::Minutes;
use super::row::{HEAVY_KEYS_MAX, HeavyHash, StreamDigest, TelemetryRow};
use super::sampler::Sampler;
use crate::aggregate::has_aggregate_prefix;
use crate::record::Record;

/// What one reader of a shard has seen of its load.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardTelemetry {
    sampler: Sampler,
    minutes: Minutes,
    lags: [Lag; LAGS_KEPT],
    /// Exact, decayed.
    total: Load,
    /// The arrival time that `total` covers, decayed like it.
    span_millis: f64,
    histogram: Histogram,
    heavy: HeavyKeys,
    unplaced: Load,
    samples: f64,
    counted_to: Option<SequenceNumber>,
    covered: Option<Covered>,
    /// Where the last answer ended, by arrival time.
    reader_at_epoch_millis: Option<u64>,
}

/// The arrival times between which every record was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Covered {
    from_epoch_millis: u64,
    to_epoch_millis: u64,
}

/// How far the reader was behind in one minute of the wall clock, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lag {
    epoch_minute: u64,
    behind_millis: u64,
}

impl ShardTelemetry {
    /// Bytes that one shard takes, heap included.
    pub const BYTES_MAX: usize = size_of::<Self>() + KEYS_MAX * size_of::<Counter>();

    /// Nothing seen of a shard of this range; equal seeds sample equal places.
    #[must_use]
    pub fn new(range: HashKeyRange, seed: u64) -> Self {
        Self {
            sampler: Sampler::new(seed),
            minutes: Minutes::default(),
            lags: [Lag::default(); LAGS_KEPT],
            total: Load::default(),
            span_millis: 0.0,
            histogram: Histogram::new(range),
            heavy: HeavyKeys::new(),
            unplaced: Load::default(),
            samples: 0.0,
            counted_to: None,
            covered: None,
            reader_at_epoch_millis: None,
        }
    }

    /// An answer came: Kinesis records in order, aggregates not taken apart, from a reader that was then `behind` the tip.
    ///
    /// What was counted before is skipped, so that a reader may go back.
    pub fn observe(&mut self, records: &[Record], behind: Duration, now_epoch_millis: u64) {
        let behind_millis = u64::try_from(behind.as_millis()).unwrap_or(u64::MAX);
        let at = now_epoch_millis.saturating_sub(behind_millis);
        self.reader_at_epoch_millis = Some(at);
        self.note_lag(now_epoch_millis, behind_millis);
        let counted = self.counted_to;
        let new = match counted {
            Some(last) => &records[records.partition_point(|record| record.position.sequence <= last)..],
            None => records,
        };
        let weight = self.advance(new.first().map_or(at, |record| record.arrival_epoch_millis), at);
        if let Some(last) = new.last() {
            self.counted_to = Some(last.position.sequence);
            self.count(new, weight);
            self.sample(new, weight);
        }
    }

    /// Takes in what another reader of the same shard has seen of other records, before or after these.
    ///
    /// # Panics
    /// If `other` is of another range.
    pub fn merge(&mut self, mut other: Self) {
        assert_eq!(self.histogram.range(), other.histogram.range(), "only telemetry of one shard is merged");
        let (end, other_end) = (self.covered_to(), other.covered_to());
        self.age(other_end.saturating_sub(end));
        other.age(end.saturating_sub(other_end));
        self.minutes.merge(&other.minutes);
        self.total += other.total;
        self.span_millis += other.span_millis;
        self.histogram.merge(&other.histogram);
        self.heavy.merge(&other.heavy);
        self.unplaced += other.unplaced;
        self.samples += other.samples;
        self.counted_to = self.counted_to.max(other.counted_to);
        self.covered = match (self.covered, other.covered) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        self.reader_at_epoch_millis = self.reader_at_epoch_millis.max(other.reader_at_epoch_millis);
        for lag in other.lags {
            self.include_lag(lag);
        }
    }

    /// What is to be told of the shard at this moment.
    #[must_use]
    pub fn row(&self, stream: StreamDigest, now_epoch_millis: u64) -> TelemetryRow {
        let mut bins = self.histogram.bins().to_vec();
        let sampled = bins.iter().fold(self.unplaced, |sum, &bin| sum + bin);
        let mut heavy: Vec<_> =
            self.heavy.counters().iter().filter(|counter| is_heavy(counter, sampled)).collect();
        heavy.sort_by(|one, other| other.own().shard_seconds().total_cmp(&one.own().shard_seconds()));
        heavy.truncate(HEAVY_KEYS_MAX);
        for counter in &heavy {
            let bin = &mut bins[bin_of(self.histogram.range(), counter.key)];
            *bin = *bin - counter.own();
        }
        let seconds = (self.span_millis / 1000.0).max(f64::EPSILON);
        let before = (now_epoch_millis / MINUTE_MILLIS).saturating_sub(LAG_BEFORE_MINUTES);
        let lag_before = self.lags[lag_slot(before)];
        TelemetryRow {
            stream,
            range: self.histogram.range(),
            written_epoch_millis: now_epoch_millis,
            behind: self
                .reader_at_epoch_millis
                .map(|at| Duration::from_millis(now_epoch_millis.saturating_sub(at))),
            behind_before: (lag_before.epoch_minute == before)
                .then(|| Duration::from_millis(lag_before.behind_millis)),
            covered: Duration::from_millis(self.span_millis as u64),
            bytes_per_second: self.total.bytes / seconds,
            records_per_second: self.total.records / seconds,
            samples: self.samples as u32,
            bins: bins.iter().map(|bin| bin.share_of(sampled)).collect(),
            unplaced: self.unplaced.share_of(sampled),
            heavy_keys: heavy
                .into_iter()
                .map(|counter| HeavyHash {
                    hash: counter.key,
                    share: counter.own().share_of(sampled),
                    error: counter.error().share_of(sampled),
                })
                .collect(),
            minutes: self.covered.map_or_else(Vec::new, |covered| {
                let to = covered.to_epoch_millis.saturating_sub(SETTLE_MILLIS);
                self.minutes.within(covered.from_epoch_millis, to)
            }),
        }
    }

    /// Moves on to arrival time `at`, and says what a record counts that arrived evenly on the way.
    fn advance(&mut self, first_arrival: u64, at: u64) -> f64 {
        let covered = *self.covered.get_or_insert(Covered {
            from_epoch_millis: first_arrival.min(at),
            to_epoch_millis: first_arrival.min(at),
        });
        let elapsed = at.saturating_sub(covered.to_epoch_millis);
        self.covered = Some(Covered { to_epoch_millis: covered.to_epoch_millis.max(at), ..covered });
        self.age(elapsed);
        let weight = weight_within(elapsed);
        self.span_millis += elapsed as f64 * weight;
        weight
    }

    /// Lets everything that decays lie `millis` further back.
    fn age(&mut self, millis: u64) {
        if millis == 0 {
            return;
        }
        let factor = weight_after(millis);
        self.total = self.total.times(factor);
        self.span_millis *= factor;
        self.unplaced = self.unplaced.times(factor);
        self.samples *= factor;
        self.histogram.scale(factor);
        self.heavy.scale(factor);
    }

    fn count(&mut self, records: &[Record], weight: f64) {
        self.minutes.add(records.iter().map(|record| (record.arrival_epoch_millis, record.bytes())));
        let bytes: usize = records.iter().map(Record::bytes).sum();
        self.total += Load { bytes: bytes as f64, records: records.len() as f64 }.times(weight);
    }

    fn sample(&mut self, records: &[Record], weight: f64) {
        let stride = Sampler::stride(records.len()) as f64;
        for place in self.sampler.places(records.len()) {
            let record = &records[place];
            let load = Load::of_records(stride * weight, record.bytes());
            self.samples += weight;
            match place_of(record, self.histogram.range()) {
                Some(key) => {
                    self.histogram.add(key, load);
                    self.heavy.add(key, load);
                }
                None => self.unplaced += load,
            }
        }
    }

    fn note_lag(&mut self, now_epoch_millis: u64, behind_millis: u64) {
        self.include_lag(Lag { epoch_minute: now_epoch_millis / MINUTE_MILLIS, behind_millis });
    }

    fn include_lag(&mut self, lag: Lag) {
        let kept = &mut self.lags[lag_slot(lag.epoch_minute)];
        if kept.epoch_minute < lag.epoch_minute {
            *kept = lag;
        } else if kept.epoch_minute == lag.epoch_minute {
            kept.behind_millis = kept.behind_millis.max(lag.behind_millis);
        }
    }

    fn covered_to(&self) -> u64 {
        self.covered.map_or(0, |covered| covered.to_epoch_millis)
    }
}

impl Covered {
    /// Both together if they meet, else the later one: a minute in between would be told too low.
    fn and(self, other: Self) -> Self {
        let (first, last) =
            if self.to_epoch_millis <= other.to_epoch_millis { (self, other) } else { (other, self) };
        let from = if last.from_epoch_millis <= first.to_epoch_millis {
            first.from_epoch_millis.min(last.from_epoch_millis)
        } else {
            last.from_epoch_millis
        };
        Self { from_epoch_millis: from, ..last }
    }
}

/// Where the record lies in the hash space, unless that cannot be known.
fn place_of(record: &Record, range: HashKeyRange) -> Option<HashKey> {
    let has_hidden_hash_key = &*record.partition_key == KPL_PLACEHOLDER && has_aggregate_prefix(&record.data);
    let key = HashKey::of_partition_key(&record.partition_key);
    (range.contains(key) && !has_hidden_hash_key).then_some(key)
}

/// Whether a key stands out enough, and was seen often enough for that not to be chance.
fn is_heavy(counter: &Counter, sampled: Load) -> bool {
    let own = counter.own();
    let is_great =
        own.bytes >= HEAVY_SHARE_MIN * sampled.bytes || own.records >= HEAVY_SHARE_MIN * sampled.records;
    is_great && counter.samples() >= HEAVY_SAMPLES_MIN
}

/// What something counts that lies `millis` back.
fn weight_after(millis: u64) -> f64 {
    (-(millis as f64) / HALF_LIFE_MILLIS).exp2()
}

/// What something counts on average that lies anywhere within the last `millis`.
fn weight_within(millis: u64) -> f64 {
    if millis == 0 {
        return 1.0;
    }
    (1.0 - weight_after(millis)) * HALF_LIFE_MILLIS / (std::f64::consts::LN_2 * millis as f64)
}

fn lag_slot(epoch_minute: u64) -> usize {
    (epoch_minute % LAGS_KEPT as u64) as usize
}

/// Long enough for some thousand samples of a busy shard, short enough that a key which becomes hot is half of what it
/// really is after one minute.
const HALF_LIFE_MILLIS: f64 = 60_000.0;
/// Lighter keys divide well enough among the shards without being named.
const HEAVY_SHARE_MIN: f64 = 0.01;
/// Ten samples are known to a third.
const HEAVY_SAMPLES_MIN: f64 = 10.0;
/// Arrival times and the worker's clock agree only roughly: a minute is told this much after its end.
const SETTLE_MILLIS: u64 = 2_000;
const MINUTE_MILLIS: u64 = 60_000;
/// With how far the reader was behind this long ago it is compared.
const LAG_BEFORE_MINUTES: u64 = 10;
/// Those, the running minute, and one to spare.
const LAGS_KEPT: usize = 12;
/// The partition key of every aggregate of the KPL: it puts them by an explicit hash key.
const KPL_PLACEHOLDER: &str = "a";

const _: () =
    assert!(ShardTelemetry::BYTES_MAX <= 8 << 10, "a worker of a thousand shards spends at most 8 MiB");

#[cfg(test)]
mod tests;
