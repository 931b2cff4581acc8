//! One shard's row as a part of the map and as minutes.
//!
//! A place's weight is the greater of its bytes and its records, each against its limit, and all places of a shard together
//! weigh what the shard weighs by the same measure. So the shares of the layout that was measured are those that its limits
//! see; of another layout the map is right if one limit binds everywhere, and otherwise errs to the safe side.

use kcl::{LoadShare, TelemetryRow};
use kcl_core::HashKey;

use crate::signal::{LoadMap, ShardMinute};
use crate::{EpochMillis, ShardLimits};

/// The map of shards that cover the hash space.
pub(super) fn load_map<'a>(
    rows: impl IntoIterator<Item = &'a TelemetryRow>,
    limits: &ShardLimits,
) -> LoadMap {
    let (mut segments, mut heavy) = (Vec::new(), Vec::new());
    for row in rows {
        let part = ShardPart::of(row, limits);
        segments.extend(part.segments);
        heavy.extend(part.heavy);
    }
    LoadMap::new(segments, heavy)
}

/// The minutes that the row tells.
pub(super) fn minutes(row: &TelemetryRow) -> Vec<ShardMinute> {
    let minute = |figures: &kcl::MinuteFigures| ShardMinute {
        start: EpochMillis(u64::from(figures.epoch_minute) * 60_000),
        bytes: Some(figures.bytes as f64),
        records: Some(f64::from(figures.records)),
        rejected_records: None,
        bytes_second_max: Some(f64::from(figures.bytes_second_max)),
        records_second_max: Some(f64::from(figures.records_second_max)),
    };
    row.minutes.iter().map(minute).collect()
}

/// Weights of one shard, in shards' worth of load.
struct ShardPart {
    segments: Vec<(HashKey, f64)>,
    heavy: Vec<(HashKey, f64)>,
}

impl ShardPart {
    fn of(row: &TelemetryRow, limits: &ShardLimits) -> Self {
        let (bytes, records) = (
            row.bytes_per_second / limits.write_bytes_per_second,
            row.records_per_second / limits.write_records_per_second,
        );
        let weight = |share: Fractions| (share.bytes * bytes).max(share.records * records);
        let (bins, samples) = (row.bins.len() as f64, f64::from(row.samples));
        let even = |share: Fractions| {
            let spread = share.plus(Fractions::of(row.unplaced).times(1.0 / bins));
            let prior = PRIOR_SAMPLES_PER_BIN * bins;
            spread.times(samples).plus(Fractions::EACH.times(prior / bins)).times(1.0 / (samples + prior))
        };
        let mut segments: Vec<_> =
            row.segments().map(|(start, share)| (start, weight(even(Fractions::of(share))))).collect();
        let mut heavy: Vec<_> =
            row.heavy_keys.iter().map(|heavy| (heavy.hash, weight(Fractions::of(heavy.share)))).collect();
        let told: f64 = segments.iter().chain(&heavy).map(|&(_, weight)| weight).sum();
        let factor = if told > 0.0 { bytes.max(records) / told } else { 0.0 };
        for (_, weight) in segments.iter_mut().chain(&mut heavy) {
            *weight *= factor;
        }
        Self { segments, heavy }
    }
}

/// Parts of a shard's bytes and of its records.
#[derive(Clone, Copy)]
struct Fractions {
    bytes: f64,
    records: f64,
}

impl Fractions {
    const EACH: Self = Self { bytes: 1.0, records: 1.0 };

    fn of(share: LoadShare) -> Self {
        Self { bytes: share.bytes.as_f64(), records: share.records.as_f64() }
    }

    fn times(self, factor: f64) -> Self {
        Self { bytes: self.bytes * factor, records: self.records * factor }
    }

    fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, records: self.records + other.records }
    }
}

/// A few samples say little about 64 bins: each bin is taken to have had half a sample before (Jeffreys' prior), so that a
/// quiet shard is thought to be even, and one of thousands of samples to be what they show.
const PRIOR_SAMPLES_PER_BIN: f64 = 0.5;
