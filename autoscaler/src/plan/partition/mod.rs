//! Where to cut the hash space, and in which order: decisions about a [`LoadMap`] alone, without policy, time or quota.
//!
//! ```text
//!   LoadMap ─▶ Cumulative ─┬─▶ fewest            fewest ranges under a share
//!                          ├─▶ uniform_needed    the same for equal ranges
//!                          ├─▶ balanced          least full shards of a given number
//!                          └─▶ reshape           cheapest layout from where we are
//!                                  └─▶ steps_between   splits and merges that lead there
//! ```
//!
//! A share is a part of the stream's load, so a demand of `d` shards fits a layout when no range has more than `1 / d`.
//! Ranges may exceed a bound by rounding: one part in 10⁹.

mod balance;
mod cumulative;
mod reshape;
mod steps;

use std::ops::RangeInclusive;

use kinesis_model::uniform_ranges;
use thiserror::Error;

pub use self::balance::balanced;
pub(crate) use self::cumulative::Cumulative;
pub use self::reshape::reshape;
pub use self::steps::steps_between;
use crate::{Boundaries, HeavyKey, LoadMap};

/// The layout of fewest shards in which none has more than `share_max` of the load.
///
/// Fills range after range from the left, which no other layout can beat: its first `n` ranges reach at least as far as any
/// other `n`.
///
/// # Errors
/// [`NoPartition`] if a single key carries more, or more than 10,000 shards were needed.
pub fn fewest(map: &LoadMap, share_max: f64) -> Result<Boundaries, NoPartition> {
    Cumulative::of(map).fill(share_max).map(Boundaries::new)
}

/// The fewest equal ranges, of as many as `counts` allows, of which none has more than `share_max` of the load; `None` if no
/// such count is enough or a single key carries more.
///
/// Not every greater count does: the ranges of 50 shards may cut where those of 49 do not.
#[must_use]
pub fn uniform_needed(map: &LoadMap, share_max: f64, counts: RangeInclusive<u32>) -> Option<u32> {
    let least = Cumulative::of(map).count(share_max).ok()?;
    let limit = rounded_up(share_max);
    (least.max(*counts.start())..=*counts.end()).find(|&count| {
        let mut below = 0.0;
        uniform_ranges(count).skip(1).map(|range| map.below(range.start())).chain([1.0]).all(|next| {
            let share = next - below;
            below = next;
            share <= limit
        })
    })
}

/// Why no layout keeps every share under a bound.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum NoPartition {
    /// One key carries more, and no split divides a key.
    #[error(
        "the key at hash {} alone carries {:.4} of the load, more than {share_max:.4}: its producer must spread it",
        .key.hash,
        .key.share
    )]
    HeavyKey {
        /// The key.
        key: HeavyKey,
        /// The bound.
        share_max: f64,
    },
    /// Kinesis allows no stream of so many shards.
    #[error(
        "no more than {share_max} of the load in one shard takes more than 10000 shards: allow a greater share"
    )]
    TooManyShards {
        /// The bound.
        share_max: f64,
    },
}

fn rounded_up(share_max: f64) -> f64 {
    share_max * (1.0 + SHARE_ROUNDING)
}

/// Shares are differences of sums of up to some thousand terms, whose relative error stays far below this.
const SHARE_ROUNDING: f64 = 1e-9;
/// Shards of one stream, by the AWS quotas page.
const SHARDS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kcl_core::HashKey;
    use proptest::prelude::*;

    use super::*;

    /// Maps of segments with light and heavy keys, on a hash space of few distinct places.
    pub(super) fn maps() -> impl Strategy<Value = LoadMap> {
        let weights = |count| proptest::collection::vec((0..64_u128, 0.0..1.0_f64), 0..count);
        (weights(12), weights(6)).prop_map(|(segments, heavy)| {
            let keys = |list: Vec<(u128, f64)>| {
                list.into_iter().map(|(place, weight)| (HashKey(place << 122), weight)).collect::<Vec<_>>()
            };
            LoadMap::new(keys(segments), keys(heavy))
        })
    }

    pub(super) fn layouts() -> impl Strategy<Value = Boundaries> {
        proptest::collection::vec(0..64_u128, 0..12)
            .prop_map(|places| Boundaries::new(places.into_iter().map(|place| HashKey(place << 122))))
    }

    /// The map of `keys` keys whose weights fall by Zipf's law, each where Kinesis hashes it.
    fn zipf(keys: u32, exponent: f64) -> LoadMap {
        let mut segments: BTreeMap<u128, f64> = (0..1024).map(|segment| (segment << 118, 0.0)).collect();
        let mut heavy = Vec::new();
        let weights: Vec<f64> = (1..=keys).map(|rank| f64::from(rank).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        for (rank, weight) in weights.iter().enumerate() {
            let hash = HashKey::of_partition_key(&format!("key-{rank}"));
            if weight / total > 0.000_5 {
                heavy.push((hash, *weight));
            } else {
                *segments.get_mut(&(hash.0 >> 118 << 118)).expect("every segment is there") += weight;
            }
        }
        LoadMap::new(segments.into_iter().map(|(start, weight)| (HashKey(start), weight)), heavy)
    }

    #[test]
    fn an_even_load_takes_as_many_shards_as_its_size() {
        assert_eq!(fewest(&LoadMap::even(), 0.04).expect("no heavy key").count(), 25);
        assert_eq!(uniform_needed(&LoadMap::even(), 0.04, 1..=100), Some(25));
        assert_eq!(uniform_needed(&LoadMap::even(), 0.04, 30..=100), Some(30));
        assert_eq!(uniform_needed(&LoadMap::even(), 0.04, 1..=24), None);
        assert_eq!(fewest(&LoadMap::even(), 2.0).expect("no heavy key"), Boundaries::uniform(1));
    }

    #[test]
    fn a_key_that_is_too_heavy_is_named() {
        let map = LoadMap::new([(HashKey(0), 7.0)], [(HashKey(1 << 100), 3.0)]);
        let refused = fewest(&map, 0.2).expect_err("refused");
        let NoPartition::HeavyKey { key, share_max } = refused else { panic!("{refused}") };
        assert_eq!((key.hash, share_max), (HashKey(1 << 100), 0.2));
        assert!((key.share - 0.3).abs() < 1e-9);
        assert_eq!(uniform_needed(&map, 0.2, 1..=10_000), None);
        assert_eq!(
            fewest(&LoadMap::even(), 1e-6).expect_err("refused"),
            NoPartition::TooManyShards { share_max: 1e-6 }
        );
    }

    /// 20 shards' worth of load at 80 %: equal ranges need several times the shards as soon as the keys are uneven.
    #[test]
    fn cutting_by_load_needs_far_fewer_shards_than_equal_ranges() {
        let share_max = 0.8 / 20.0;
        let mut table = Vec::new();
        for (keys, exponent) in [(1_000, 0.0), (1_000, 0.5), (20_000, 0.0), (20_000, 0.5), (20_000, 0.8)] {
            let map = zipf(keys, exponent);
            let best = fewest(&map, share_max).expect("no key is too heavy").count();
            let uniform = uniform_needed(&map, share_max, 1..=400).expect("possible");
            let fullest = 20.0 * map.greatest_share(&Boundaries::uniform(25));
            table.push((keys, exponent, fullest, uniform, best));
        }
        let within = |row: usize, uniform: RangeInclusive<u32>| {
            assert!(uniform.contains(&table[row].3) && (25..=27).contains(&table[row].4), "{table:?}");
        };
        within(0, 30..=50);
        within(1, 35..=80);
        within(2, 26..=30);
        within(3, 27..=34);
        within(4, 40..=140);
        assert!(matches!(fewest(&zipf(1_000, 0.9), share_max), Err(NoPartition::HeavyKey { .. })));
    }

    proptest! {
        #[test]
        fn the_fewest_ranges_hold_the_bound_and_each_is_filled(map in maps(), share_max in 0.02..1.2_f64) {
            match fewest(&map, share_max) {
                Ok(layout) => {
                    prop_assert!(map.greatest_share(&layout) <= share_max * (1.0 + 1e-8));
                    prop_assert_eq!(layout.count(), Cumulative::of(&map).count(share_max).expect("as fewest"));
                    for pair in map.shares(&layout).windows(2) {
                        prop_assert!(pair[0] + pair[1] > share_max);
                    }
                }
                Err(NoPartition::HeavyKey { key, .. }) => {
                    let single = Boundaries::new([key.hash, HashKey(key.hash.0 + 1)]);
                    let index = single.index_of(key.hash);
                    prop_assert!(map.shares(&single)[index] > share_max);
                }
                Err(other @ NoPartition::TooManyShards { .. }) => prop_assert!(false, "{}", other),
            }
        }

        #[test]
        fn no_layout_of_fewer_ranges_exists(
            weights in proptest::collection::vec(0.01..1.0_f64, 1..9),
            share_max in 0.1..1.0_f64,
        ) {
            let keys = weights.iter().enumerate().map(|(place, &weight)| (HashKey((place as u128 + 1) << 120), weight));
            let map = LoadMap::new([], keys.clone());
            let total: f64 = weights.iter().sum();
            let fits = |chosen: u32| {
                let mut load = 0.0;
                weights.iter().enumerate().all(|(place, weight)| {
                    load = if chosen >> place & 1 == 1 { *weight } else { load + weight };
                    load <= total * share_max * (1.0 + 1e-9)
                })
            };
            let best = (0..1_u32 << weights.len()).filter(|chosen| chosen & 1 == 1 && fits(*chosen))
                .map(u32::count_ones).min();
            prop_assert_eq!(fewest(&map, share_max).ok().map(|layout| layout.count()), best);
        }

        #[test]
        fn equal_ranges_are_the_fewest_that_fit(map in maps(), share_max in 0.1..1.0_f64) {
            let fits = |count| map.greatest_share(&Boundaries::uniform(count)) <= share_max * (1.0 + 1e-9);
            prop_assert_eq!(uniform_needed(&map, share_max, 1..=64), (1..=64).find(|&count| fits(count)));
        }
    }
}
