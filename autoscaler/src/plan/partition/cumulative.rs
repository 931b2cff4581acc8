//! The cumulative load as a broken line, on which ranges of a given share are found without searching 2^128 keys.

use kcl_core::HashKey;

use super::{NoPartition, SHARDS_MAX, rounded_up};
use crate::{HeavyKey, LoadMap};

/// A [`LoadMap`] by the keys between which its load is even. A heavy key is a piece of one key's width.
#[derive(Clone, Debug)]
pub(crate) struct Cumulative {
    keys: Vec<HashKey>,
    /// The share of all keys below each of `keys`, and 1 at the end.
    below: Vec<f64>,
}

/// A possible boundary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) key: HashKey,
    /// The share of all keys below it.
    pub(super) below: f64,
}

impl Cumulative {
    pub(crate) fn of(map: &LoadMap) -> Self {
        let mut keys: Vec<_> = map.breakpoints().collect();
        keys.sort_unstable();
        keys.dedup();
        let below = keys.iter().map(|&key| map.below(key)).chain([1.0]).collect();
        Self { keys, below }
    }

    /// How many ranges [`super::fewest`] makes.
    pub(crate) fn count(&self, share_max: f64) -> Result<u32, NoPartition> {
        let mut cut = Cut::ZERO;
        for count in 1..=SHARDS_MAX {
            match self.reach(cut, share_max)? {
                Some(next) => cut = next,
                None => return Ok(u32::try_from(count).expect("at most 10,000")),
            }
        }
        Err(NoPartition::TooManyShards { share_max })
    }

    /// The first keys of ranges filled from the left.
    pub(super) fn fill(&self, share_max: f64) -> Result<Vec<HashKey>, NoPartition> {
        let mut cut = Cut::ZERO;
        let mut keys = vec![cut.key];
        while let Some(next) = self.reach(cut, share_max)? {
            if keys.len() == SHARDS_MAX {
                return Err(NoPartition::TooManyShards { share_max });
            }
            keys.push(next.key);
            cut = next;
        }
        Ok(keys)
    }

    /// Where a range that begins at `from` must end at the latest; `None` if it may reach to the end of the hash space.
    ///
    /// No range is of a single key: Kinesis makes no such shard.
    pub(super) fn reach(&self, from: Cut, share_max: f64) -> Result<Option<Cut>, NoPartition> {
        let target = from.below + rounded_up(share_max);
        if target >= 1.0 {
            return Ok(None);
        }
        let place = self.below.partition_point(|&below| below <= target).saturating_sub(1);
        let (start, before) = (self.keys[place], self.below[place]);
        let part = (target - before) / (self.below[place + 1] - before);
        let offset = ((part * self.width(place)) as u128).min(self.keys_in(place));
        let least = from.key.0.saturating_add(RANGE_KEYS_MIN);
        let furthest = start.0 + offset;
        let key = HashKey(furthest.max(least).min(u128::MAX - RANGE_KEYS_MIN + 1));
        let next = Cut { key, below: self.below(key) };
        if key.0 < least || (furthest < least && next.below > target) {
            return Err(NoPartition::HeavyKey { key: self.heavier(from.key), share_max });
        }
        Ok(Some(next))
    }

    /// The heavier one of a key and the next.
    fn heavier(&self, key: HashKey) -> HeavyKey {
        let heavy = |hash: HashKey| {
            let place = self.place(hash);
            HeavyKey { hash, share: (self.below[place + 1] - self.below[place]) / self.width(place) }
        };
        let (one, next) = (heavy(key), heavy(HashKey(key.0.saturating_add(1))));
        if next.share > one.share { next } else { one }
    }

    fn below(&self, key: HashKey) -> f64 {
        let place = self.place(key);
        let (start, before) = (self.keys[place], self.below[place]);
        before + (self.below[place + 1] - before) * ((key.0 - start.0) as f64 / self.width(place))
    }

    /// The piece that holds a key.
    fn place(&self, key: HashKey) -> usize {
        self.keys.partition_point(|&start| start <= key) - 1
    }

    fn width(&self, place: usize) -> f64 {
        self.keys_in(place) as f64 + 1.0
    }

    /// The keys of a piece, without the first.
    fn keys_in(&self, place: usize) -> u128 {
        let last = self.keys.get(place + 1).map_or(u128::MAX, |next| next.0 - 1);
        last - self.keys[place].0
    }
}

impl Cut {
    pub(super) const ZERO: Self = Self { key: HashKey(0), below: 0.0 };
}

/// Of a shard: a split must leave two keys on either side.
pub(super) const RANGE_KEYS_MIN: u128 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::maps;
    use super::*;

    proptest! {
        #[test]
        fn a_reach_is_the_quantile_of_the_map(map in maps(), share_max in 0.01..1.0_f64) {
            match Cumulative::of(&map).reach(Cut::ZERO, share_max) {
                Ok(Some(cut)) => {
                    prop_assert!((map.below(cut.key) - cut.below).abs() < 1e-12);
                    prop_assert!(cut.below <= share_max * (1.0 + 2e-9));
                    let exact = map.quantile(share_max);
                    prop_assert!((map.below(exact) - cut.below).abs() < 1e-8);
                }
                Ok(None) => prop_assert!(share_max > 1.0 - 1e-8),
                Err(_) => prop_assert!(map.below(HashKey(1)) > share_max),
            }
        }
    }
}
