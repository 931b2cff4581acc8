//! How the load of a stream lies on its hash space.
//!
//! A measure of total 1: evenly spread within each segment, and lumps at single heavy keys, which no split can divide.
//! Every question is answered from the cumulative load, so the same code serves a stream of unknown distribution (one even
//! segment), metrics by shard (one segment for each) and the workers' histograms (thousands).

use kcl_core::{HashKey, HashKeyRange};

use crate::Boundaries;

/// A single hash key that carries a noticeable part of the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeavyKey {
    /// Where the key falls.
    pub hash: HashKey,
    /// Its part of the stream's load, 0 to 1.
    pub share: f64,
}

/// How the load lies on the hash space. All shares together are 1.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadMap {
    /// First key of each segment, the first 0, and the share of all segments before it.
    segments: Vec<(HashKey, f64)>,
    /// By hash, and the share of all heavy keys before each.
    heavy: Vec<(HeavyKey, f64)>,
    even_share: f64,
}

impl LoadMap {
    /// Load spread evenly, as many light keys make it.
    #[must_use]
    pub fn even() -> Self {
        Self { segments: vec![(HashKey(0), 0.0)], heavy: Vec::new(), even_share: 1.0 }
    }

    /// The map of weights of any unit: each segment from its first key to the next one's, and single keys on top of them.
    ///
    /// Weights of the same key add up. Weights that are negative or not finite count as nothing. Without any weight the map is [`LoadMap::even`].
    #[must_use]
    pub fn new(
        segments: impl IntoIterator<Item = (HashKey, f64)>,
        heavy: impl IntoIterator<Item = (HashKey, f64)>,
    ) -> Self {
        let sound = |weight: f64| if weight.is_finite() { weight.max(0.0) } else { 0.0 };
        let mut segments: Vec<_> = segments.into_iter().map(|(key, weight)| (key, sound(weight))).collect();
        let mut heavy: Vec<_> = heavy.into_iter().map(|(key, weight)| (key, sound(weight))).collect();
        segments.sort_by_key(|&(key, _)| key);
        heavy.retain(|&(_, weight)| weight > 0.0);
        heavy.sort_by_key(|&(key, _)| key);
        for list in [&mut segments, &mut heavy] {
            list.dedup_by(|next, kept| {
                let is_same = next.0 == kept.0;
                kept.1 += if is_same { next.1 } else { 0.0 };
                is_same
            });
        }
        let even: f64 = segments.iter().map(|&(_, weight)| weight).sum();
        let total = even + heavy.iter().map(|&(_, weight)| weight).sum::<f64>();
        if total <= 0.0 {
            return Self::even();
        }
        if segments.first().is_none_or(|&(key, _)| key.0 > 0) {
            segments.insert(0, (HashKey(0), 0.0));
        }
        let mut before = 0.0;
        for (_, weight) in &mut segments {
            let share = *weight / total;
            *weight = before;
            before += share;
        }
        let even_share = before;
        let mut before = 0.0;
        let heavy = heavy
            .into_iter()
            .map(|(hash, weight)| {
                let entry = (HeavyKey { hash, share: weight / total }, before);
                before += entry.0.share;
                entry
            })
            .collect();
        Self { segments, heavy, even_share }
    }

    /// The share of all keys below `key`.
    #[must_use]
    pub fn below(&self, key: HashKey) -> f64 {
        let place = self.heavy.partition_point(|(heavy, _)| heavy.hash < key);
        let lumps = place.checked_sub(1).map_or(0.0, |last| self.heavy[last].1 + self.heavy[last].0.share);
        self.even_below(key) + lumps
    }

    /// The share of a range.
    #[must_use]
    pub fn share(&self, range: HashKeyRange) -> f64 {
        let upper = range.end().0.checked_add(1).map_or(1.0, |next| self.below(HashKey(next)));
        (upper - self.below(range.start())).max(0.0)
    }

    /// The shares of the shards that begin at `boundaries`.
    #[must_use]
    pub fn shares(&self, boundaries: &Boundaries) -> Vec<f64> {
        let mut below: Vec<_> = boundaries.keys().iter().map(|&key| self.below(key)).collect();
        below.push(1.0);
        below.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).collect()
    }

    /// The share of the fullest of those shards: the stream's capacity is the limit of a shard divided by it.
    #[must_use]
    pub fn greatest_share(&self, boundaries: &Boundaries) -> f64 {
        self.shares(boundaries).into_iter().fold(0.0, f64::max)
    }

    /// The greatest key below which lies at most `share` of the load.
    #[must_use]
    pub fn quantile(&self, share: f64) -> HashKey {
        let (mut low, mut high) = (0_u128, u128::MAX);
        while low < high {
            let middle = low + (high - low) / 2 + 1;
            if self.below(HashKey(middle)) <= share {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        HashKey(low)
    }

    /// The heavy keys by hash.
    pub fn heavy_keys(&self) -> impl ExactSizeIterator<Item = HeavyKey> + '_ {
        self.heavy.iter().map(|&(heavy, _)| heavy)
    }

    /// The heaviest of them.
    #[must_use]
    pub fn heaviest_key(&self) -> Option<HeavyKey> {
        self.heavy_keys().max_by(|one, other| one.share.total_cmp(&other.share))
    }

    /// The keys between which the load is even, in no order: where segments begin, and each heavy key and the key after it.
    pub(crate) fn breakpoints(&self) -> impl Iterator<Item = HashKey> + '_ {
        let segments = self.segments.iter().map(|&(start, _)| start);
        let lumps = self.heavy.iter().map(|(heavy, _)| heavy.hash);
        segments.chain(lumps.clone()).chain(lumps.filter_map(|hash| hash.0.checked_add(1).map(HashKey)))
    }

    /// How many segments the map is made of.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    fn even_below(&self, key: HashKey) -> f64 {
        let place = self.segments.partition_point(|&(start, _)| start <= key) - 1;
        let (start, before) = self.segments[place];
        let (width, share) = match self.segments.get(place + 1) {
            Some(&(next, next_before)) => ((next.0 - start.0) as f64, next_before - before),
            None => ((u128::MAX - start.0) as f64 + 1.0, self.even_share - before),
        };
        before + share * ((key.0 - start.0) as f64 / width)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_even_map_gives_each_equal_shard_the_same() {
        let map = LoadMap::even();
        for share in map.shares(&Boundaries::uniform(7)) {
            assert!((share - 1.0 / 7.0).abs() < 1e-12, "{share}");
        }
        assert!(
            (map.greatest_share(&Boundaries::new([HashKey(1 << 127), HashKey(3 << 126)])) - 0.5).abs()
                < 1e-12
        );
    }

    #[test]
    fn a_heavy_key_belongs_to_one_shard_alone() {
        let map = LoadMap::new([(HashKey(0), 3.0)], [(HashKey(1 << 127), 1.0)]);
        let shares = map.shares(&Boundaries::new([HashKey(1 << 127), HashKey((1 << 127) + 1)]));
        assert!((shares[0] - 0.375).abs() < 1e-9 && (shares[1] - 0.25).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn weights_of_one_key_add_up() {
        let key = HashKey(1 << 127);
        let twice = LoadMap::new([(key, 1.0), (key, 2.0)], [(key, 3.0), (key, 4.0)]);
        assert_eq!(twice, LoadMap::new([(key, 3.0)], [(key, 7.0)]));
        assert_eq!(twice.below(key), 0.0);
    }

    #[test]
    fn weights_that_are_no_weights_count_as_nothing() {
        let map = LoadMap::new([(HashKey(0), f64::NAN), (HashKey(8), -1.0)], [(HashKey(3), f64::INFINITY)]);
        assert_eq!(map, LoadMap::even());
    }

    proptest! {
        #[test]
        fn shares_of_any_layout_sum_to_one_and_quantiles_agree_with_them(
            segments in proptest::collection::vec((any::<u128>(), 0.0..10.0), 0..20),
            heavy in proptest::collection::vec((any::<u128>(), 0.0..10.0), 0..5),
            cuts in proptest::collection::vec(any::<u128>(), 0..20),
            share in 0.0..1.0_f64,
        ) {
            let keys = |list: Vec<(u128, f64)>| list.into_iter().map(|(key, weight)| (HashKey(key), weight));
            let map = LoadMap::new(keys(segments), keys(heavy));
            let boundaries = Boundaries::new(cuts.into_iter().map(HashKey));
            let shares = map.shares(&boundaries);
            prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            for (range, share) in boundaries.ranges().zip(&shares) {
                prop_assert!((map.share(range) - share).abs() < 1e-9);
            }
            let quantile = map.quantile(share);
            prop_assert!(map.below(quantile) <= share);
            if quantile.0 < u128::MAX {
                prop_assert!(map.below(HashKey(quantile.0 + 1)) > share);
            }
        }
    }
}
