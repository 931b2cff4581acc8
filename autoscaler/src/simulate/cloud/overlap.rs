//! Which part of what lay in the old shards belongs to which new ones, when the shards change.

use crate::{Boundaries, LoadMap};

/// A range that lies in one old and one new shard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Overlap {
    pub(super) old: usize,
    pub(super) new: usize,
    /// The part of the old shard's load that lies here. An old shard's parts sum to 1.
    pub(super) part: f64,
}

/// The overlaps of two layouts, in the order of their hash keys.
pub(super) fn overlaps(old: &Boundaries, new: &Boundaries, keys: &LoadMap) -> Vec<Overlap> {
    let (old_keys, new_keys) = (old.keys(), new.keys());
    let old_shares = keys.shares(old);
    let mut cuts = new.clone();
    old_keys.iter().for_each(|&key| cuts.split(key));
    let mut overlaps: Vec<Overlap> = cuts
        .keys()
        .iter()
        .zip(keys.shares(&cuts))
        .scan((0, 0), |(in_old, in_new), (key, share)| {
            *in_old += usize::from(old_keys.get(*in_old + 1) == Some(key));
            *in_new += usize::from(new_keys.get(*in_new + 1) == Some(key));
            Some(Overlap { old: *in_old, new: *in_new, part: share / old_shares[*in_old] })
        })
        .collect();
    let mut seen = None;
    for overlap in &mut overlaps {
        if old_shares[overlap.old] <= 0.0 {
            overlap.part = if seen == Some(overlap.old) { 0.0 } else { 1.0 };
        }
        seen = Some(overlap.old);
    }
    overlaps
}

#[cfg(test)]
mod tests {
    use kcl_core::HashKey;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_split_divides_by_load_and_a_shard_that_stays_keeps_all() {
        let keys = LoadMap::new([(HashKey(0), 3.0), (HashKey(1 << 126), 1.0), (HashKey(1 << 127), 4.0)], []);
        let old = Boundaries::uniform(2);
        let new = Boundaries::new([HashKey(1 << 126), HashKey(1 << 127)]);
        let parts: Vec<_> = overlaps(&old, &new, &keys)
            .iter()
            .map(|overlap| (overlap.old, overlap.new, overlap.part))
            .collect();
        assert_eq!(parts, [(0, 0, 0.75), (0, 1, 0.25), (1, 2, 1.0)]);
    }

    proptest! {
        #[test]
        fn each_old_shards_parts_sum_to_one(
            old in proptest::collection::vec(any::<u128>(), 0..8),
            new in proptest::collection::vec(any::<u128>(), 0..8),
            heavy in any::<u128>(),
        ) {
            let boundaries = |keys: Vec<u128>| Boundaries::new(keys.into_iter().map(HashKey));
            let (old, new) = (boundaries(old), boundaries(new));
            let keys = LoadMap::new([], [(HashKey(heavy), 1.0)]);
            let mut sums = vec![0.0; old.count() as usize];
            for overlap in overlaps(&old, &new, &keys) {
                sums[overlap.old] += overlap.part;
                let ranges = (old.ranges().nth(overlap.old), new.ranges().nth(overlap.new));
                prop_assert!(ranges.0.expect("a shard").overlaps(ranges.1.expect("a shard")));
            }
            prop_assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-9), "{sums:?}");
        }
    }
}
