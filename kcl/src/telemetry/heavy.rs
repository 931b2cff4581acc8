//! The heaviest hash keys of a shard, in bounded memory: SpaceSaving (Metwally, Agrawal, El Abbadi 2005).
//!
//! ```text
//!  key known ───▶ its counter grows
//!  a place left ▶ a new counter
//!  else ────────▶ the lightest counter becomes the key's: what it held before is kept as the error
//! ```
//!
//! `load − error` was seen of the key itself since it got the counter, and is never too much. A key that has more than 1/64
//! of all load always has a counter.

use kcl_core::HashKey;

use super::load::Load;

/// The counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HeavyKeys {
    counters: Vec<Counter>,
}

/// What is known of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Counter {
    pub(super) key: HashKey,
    load: Load,
    error: Load,
    samples: f64,
}

impl Counter {
    /// The load that is certainly the key's own, as far as a sample is certain.
    pub(super) fn own(&self) -> Load {
        self.load - self.error
    }

    /// How many samples that is made of, those of the past counting less.
    pub(super) fn samples(&self) -> f64 {
        self.samples
    }

    /// What the key may have had before it got the counter, at most.
    pub(super) fn error(&self) -> Load {
        self.error
    }

    fn weight(&self) -> f64 {
        self.load.shard_seconds()
    }
}

impl HeavyKeys {
    pub(super) fn new() -> Self {
        Self { counters: Vec::with_capacity(KEYS_MAX) }
    }

    /// A sample of `key` that stands for `load`.
    pub(super) fn add(&mut self, key: HashKey, load: Load) {
        if let Some(counter) = self.counters.iter_mut().find(|counter| counter.key == key) {
            counter.load += load;
            counter.samples += 1.0;
            return;
        }
        let mut counter = Counter { key, load, error: Load::default(), samples: 1.0 };
        if self.counters.len() < KEYS_MAX {
            self.counters.push(counter);
            return;
        }
        let lightest = self.counters.iter_mut().min_by(|one, other| one.weight().total_cmp(&other.weight()));
        let lightest = lightest.expect("there are counters");
        counter.error = lightest.load;
        counter.load += lightest.load;
        *lightest = counter;
    }

    pub(super) fn scale(&mut self, factor: f64) {
        for counter in &mut self.counters {
            counter.load = counter.load.times(factor);
            counter.error = counter.error.times(factor);
            counter.samples *= factor;
        }
    }

    /// A key that the other side dropped may have had as much there as its lightest counter.
    pub(super) fn merge(&mut self, other: &Self) {
        let (floor, other_floor) = (self.floor(), other.floor());
        let mut unmatched: Vec<_> = other.counters.clone();
        for counter in &mut self.counters {
            match unmatched.iter().position(|other| other.key == counter.key) {
                Some(place) => {
                    let same = unmatched.swap_remove(place);
                    counter.load += same.load;
                    counter.error += same.error;
                    counter.samples += same.samples;
                }
                None => {
                    counter.load += other_floor;
                    counter.error += other_floor;
                }
            }
        }
        self.counters.extend(unmatched.into_iter().map(|counter| Counter {
            load: counter.load + floor,
            error: counter.error + floor,
            ..counter
        }));
        self.counters.sort_by(|one, other| other.weight().total_cmp(&one.weight()));
        self.counters.truncate(KEYS_MAX);
    }

    pub(super) fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// What a key without a counter may have had at most.
    fn floor(&self) -> Load {
        if self.counters.len() < KEYS_MAX {
            return Load::default();
        }
        let lightest = self.counters.iter().min_by(|one, other| one.weight().total_cmp(&other.weight()));
        lightest.map_or(Load::default(), |counter| counter.load)
    }
}

/// Counters of a shard: a key of 1/64 of its load is never missed, and one of 5 % is told from all others.
pub(super) const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn fill(keys: &[u8]) -> (HeavyKeys, BTreeMap<u128, f64>) {
        let (mut heavy, mut truth) = (HeavyKeys::new(), BTreeMap::new());
        for &key in keys {
            heavy.add(HashKey(u128::from(key)), Load::of_records(1.0, 100));
            *truth.entry(u128::from(key)).or_default() += 1.0;
        }
        (heavy, truth)
    }

    fn check(heavy: &HeavyKeys, truth: &BTreeMap<u128, f64>) {
        assert!(heavy.counters().len() <= KEYS_MAX);
        let total: f64 = truth.values().sum();
        for (&key, &records) in truth {
            let counter = heavy.counters().iter().find(|counter| counter.key.0 == key);
            match counter {
                Some(counter) => {
                    assert!(counter.own().records <= records, "key {key}: {counter:?} of {records}");
                    assert!(counter.load.records >= records, "key {key}: {counter:?} of {records}");
                    assert!(counter.error().records <= total / KEYS_MAX as f64);
                }
                None => assert!(records <= total / KEYS_MAX as f64, "key {key} with {records} was dropped"),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_known_of_a_key_bounds_what_it_has(
            keys in proptest::collection::vec(prop_oneof![any::<u8>(), 0..4_u8], 0..2_000)
        ) {
            let (heavy, truth) = fill(&keys);
            check(&heavy, &truth);
        }

        #[test]
        fn so_does_what_two_halves_know_together(
            keys in proptest::collection::vec(prop_oneof![any::<u8>(), 0..4_u8], 0..2_000)
        ) {
            let (left, right) = keys.split_at(keys.len() / 3);
            let (mut merged, _) = fill(left);
            merged.merge(&fill(right).0);
            check(&merged, &fill(&keys).1);
        }
    }
}
