//! How a shard's load lies on its own hash range: equal bins, so that a stream is resolved into shards × 64 of them.

use kcl_core::{HashKey, HashKeyRange};

use super::load::Load;

/// The load of each bin of a range.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    range: HashKeyRange,
    bins: [Load; BINS_MAX],
}

impl Histogram {
    pub(super) fn new(range: HashKeyRange) -> Self {
        Self { range, bins: [Load::default(); BINS_MAX] }
    }

    pub(super) fn range(&self) -> HashKeyRange {
        self.range
    }

    /// The bins that hold a key of the range; all of them, unless it is narrower than their number.
    pub(super) fn bins(&self) -> &[Load] {
        &self.bins[..=bin_of(self.range, self.range.end())]
    }

    /// `key` must lie in the range.
    pub(super) fn add(&mut self, key: HashKey, load: Load) {
        self.bins[bin_of(self.range, key)] += load;
    }

    pub(super) fn scale(&mut self, factor: f64) {
        for bin in &mut self.bins {
            *bin = bin.times(factor);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            *bin += *other;
        }
    }
}

/// Which bin of `range` holds `key`.
pub(super) fn bin_of(range: HashKeyRange, key: HashKey) -> usize {
    usize::try_from((key.0 - range.start().0) / bin_width(range)).expect("a range is at most 64 bins wide")
}

/// Keys of one bin; the last one may have fewer.
pub(super) fn bin_width(range: HashKeyRange) -> u128 {
    (range.end().0 - range.start().0) / BINS_MAX as u128 + 1
}

/// Bins of a shard: with fewer, targeted splits would cut too coarsely; with more, each would hold too few samples.
pub(super) const BINS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_narrow_range_has_a_bin_for_each_key() {
        let range = HashKeyRange::new(HashKey(10), HashKey(12)).expect("start before end");
        let mut histogram = Histogram::new(range);
        histogram.add(HashKey(12), Load::of_records(1.0, 5));
        let records: Vec<_> = histogram.bins().iter().map(|bin| bin.records).collect();
        assert_eq!(records, [0.0, 0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn every_key_of_a_range_has_a_bin_and_bins_are_in_order(a: u128, b: u128, c: u128) {
            let mut keys = [a, b, c].map(HashKey);
            keys.sort_unstable();
            let range = HashKeyRange::new(keys[0], keys[2]).expect("start before end");
            prop_assert_eq!(bin_of(range, keys[0]), 0);
            prop_assert!(bin_of(range, keys[1]) <= bin_of(range, keys[2]));
            prop_assert!(bin_of(range, keys[2]) < BINS_MAX);
        }
    }
}
