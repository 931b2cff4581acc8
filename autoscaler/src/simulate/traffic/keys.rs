//! Partition keys of a stream: where Kinesis hashes them, and how much of the load each carries.

use kcl_core::HashKey;

use crate::LoadMap;

/// Keys by popularity, of which the most popular changes as time goes.
pub(super) struct Population {
    hashes: Vec<HashKey>,
    /// Logarithm of the rank of each place.
    log_ranks: Vec<f64>,
}

impl Population {
    pub(super) fn new(name: &str, count: usize) -> Self {
        Self {
            hashes: (0..count).map(|key| HashKey::of_partition_key(&format!("{name}-{key}"))).collect(),
            log_ranks: (1..=count).map(|rank| libm::log(rank as f64)).collect(),
        }
    }

    /// The share of the most popular key under Zipf's law.
    pub(super) fn greatest_share(&self, exponent: f64) -> f64 {
        1.0 / self.weights(exponent).sum::<f64>()
    }

    /// The load under Zipf's law, the key `most_popular` being the first of the ranking; and beside it one key that has
    /// `hot_share` of all.
    pub(super) fn load_map(
        &self,
        exponent: f64,
        most_popular: usize,
        hot: Option<(HashKey, f64)>,
    ) -> LoadMap {
        let total: f64 = self.weights(exponent).sum();
        let rest = 1.0 - hot.map_or(0.0, |(_, share)| share);
        let mut segments = vec![0.0; SEGMENTS];
        let mut heavy: Vec<_> = hot.into_iter().collect();
        for (rank, weight) in self.weights(exponent).enumerate() {
            let hash = self.hashes[(most_popular + rank) % self.hashes.len()];
            let share = rest * weight / total;
            if share > HEAVY_SHARE {
                heavy.push((hash, share));
            } else {
                segments[(hash.0 >> SEGMENT_BITS) as usize] += share;
            }
        }
        let starts = (0_u128..).map(|segment| HashKey(segment << SEGMENT_BITS));
        LoadMap::new(starts.zip(segments), heavy)
    }

    fn weights(&self, exponent: f64) -> impl Iterator<Item = f64> + '_ {
        self.log_ranks.iter().map(move |log_rank| libm::exp(-exponent * log_rank))
    }
}

/// Enough that the load within one may count as even: even of 1,000 keys each holds one at most.
const SEGMENTS: usize = 1 << 10;
const SEGMENT_BITS: u32 = 128 - 10;
/// Above it a key stands for itself: 25 shards' worth of load have 8 such keys in one shard.
const HEAVY_SHARE: f64 = 0.005;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Boundaries;

    #[test]
    fn popular_keys_stand_for_themselves_and_all_shares_are_there() {
        let keys = Population::new("key", 1_000);
        let map = keys.load_map(1.0, 3, None);
        let first = map.heavy_keys().find(|key| key.hash == HashKey::of_partition_key("key-3"));
        let share = first.expect("the most popular key").share;
        assert!((share - keys.greatest_share(1.0)).abs() < 1e-12 && (0.12..0.14).contains(&share), "{share}");
        assert!((map.shares(&Boundaries::uniform(7)).iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(map.segment_count(), 1_024);
    }

    #[test]
    fn a_hot_key_takes_its_share_from_all_others() {
        let hot = HashKey(1 << 90);
        let map = Population::new("key", 20_000).load_map(0.0, 0, Some((hot, 0.25)));
        let heavy: Vec<_> = map.heavy_keys().collect();
        assert_eq!(heavy.len(), 1);
        assert!(heavy[0].hash == hot && (heavy[0].share - 0.25).abs() < 1e-12);
    }
}
