//! Steady load whose keys have unequal weights: what a layout is worth, without anything else that changes.

use super::keys::Population;
use super::{KeySchedule, MinuteLoad, Trace};
use crate::{EpochMillis, ShardLimits};

/// A day of even load of so many shards' worth, over keys whose weights fall by Zipf's law.
#[must_use]
pub fn skewed(keys: usize, exponent: f64, shards: f64) -> Trace {
    let limits = ShardLimits::default();
    let minute = MinuteLoad {
        bytes: 60.0 * shards * limits.write_bytes_per_second,
        records: 30.0 * shards * limits.write_records_per_second,
        burst: 1.0,
    };
    let name = format!("{keys} keys, Zipf {exponent}");
    let map = Population::new(&name, keys).load_map(exponent, 0, None);
    Trace { name, start: START, minutes: vec![minute; 24 * 60], keys: KeySchedule::constant(map) }
}

/// Monday, 2026-01-05, 00:00 UTC.
const START: EpochMillis = EpochMillis(1_767_571_200_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_is_as_large_as_asked_and_the_heaviest_key_as_heavy_as_its_law() {
        let trace = skewed(1_000, 1.0, 20.0);
        assert!((trace.mean_shards(&ShardLimits::default()) - 20.0).abs() < 1e-9);
        let harmonic: f64 = (1..=1_000).map(|rank| 1.0 / f64::from(rank)).sum();
        let heaviest = trace.keys.at(0).heaviest_key().map_or(0.0, |key| key.share);
        assert!((heaviest - 1.0 / harmonic).abs() < 1e-9, "{heaviest}");
    }
}
