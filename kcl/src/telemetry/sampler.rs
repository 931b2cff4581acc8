//! Which records of an answer are looked at closely: one at random of each block of equal length.
//!
//! Each record is chosen with the same probability, and counts as often as its block is long: every estimate is unbiased.
//! A producer that repeats its keys in a fixed rhythm cannot fall in step with it, as it could with every n-th record.

use crate::backoff::derive_seed;

/// Draws samples, the same ones for the same seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sampler {
    seed: u64,
    drawn: u64,
}

impl Sampler {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// How many records one sample of an answer of `records` stands for, never 0.
    pub(super) fn stride(records: usize) -> usize {
        records.div_ceil(records / RECORDS_PER_SAMPLE + SAMPLES_PER_ANSWER).max(1)
    }

    /// The places to look at in an answer of `records`, in order.
    pub(super) fn places(&mut self, records: usize) -> impl Iterator<Item = usize> + '_ {
        let stride = Self::stride(records);
        (0..records).step_by(stride).filter_map(move |start| {
            let place = start + self.below(stride);
            (place < records).then_some(place)
        })
    }

    fn below(&mut self, bound: usize) -> usize {
        self.drawn += 1;
        let drawn = u128::from(derive_seed(self.seed, self.drawn));
        usize::try_from((drawn * bound as u128) >> 64).expect("below a bound that is a usize")
    }
}

/// A sample costs about a hundred times what counting a record costs: of great answers both together take 0.5 % of what the
/// worker spends on a record (measured by `kcl/benches/telemetry.rs`).
const RECORDS_PER_SAMPLE: usize = 128;
/// On top of that, for shards at their tip: 2 µs beside the 300 that the call of an answer takes.
const SAMPLES_PER_ANSWER: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_record_is_chosen_as_often_as_the_stride_says() {
        let mut sampler = Sampler::new(7);
        for records in [1, 9, 20, 133, 200] {
            let mut chosen = vec![0_u32; records];
            let rounds = 20_000;
            for _ in 0..rounds {
                sampler.places(records).for_each(|place| chosen[place] += 1);
            }
            let expected = f64::from(rounds) / Sampler::stride(records) as f64;
            for (place, &times) in chosen.iter().enumerate() {
                let deviations = (f64::from(times) - expected).abs() / expected.sqrt();
                assert!(deviations < 5.0, "{place} of {records}: {times} times, expected {expected}");
            }
        }
    }

    proptest! {
        #[test]
        fn places_are_in_order_and_few(seed: u64, records in 0_usize..20_000) {
            let places: Vec<_> = Sampler::new(seed).places(records).collect();
            prop_assert!(places.is_sorted() && places.iter().all(|&place| place < records));
            prop_assert!(places.len() <= records / RECORDS_PER_SAMPLE + SAMPLES_PER_ANSWER);
            prop_assert!(records == 0 || Sampler::stride(records) <= RECORDS_PER_SAMPLE);
        }
    }
}
