//! The layout of a given number of shards whose fullest shard has the least of the load.

use kcl_core::HashKey;

use super::{cumulative::RANGE_KEYS_MIN, fewest};
use crate::{Boundaries, LoadMap};

/// The layout of `count` shards in which the fullest has the least share of the load, to one part in a million. Fewer
/// shards only where the hash space cannot be cut any further.
///
/// The least share that `count` shards can hold is found by halving, since [`fewest`] tells for each share how many it takes.
/// Where a single heavy key bounds that share, shards are left over: they halve what is fullest beside it.
#[must_use]
pub fn balanced(map: &LoadMap, count: u32) -> Boundaries {
    let heaviest = map.heaviest_key().map_or(0.0, |heavy| heavy.share);
    let fits = |share| fewest(map, share).ok().filter(|layout| layout.count() <= count);
    let (mut low, mut high) = (heaviest.max(1.0 / f64::from(count.max(1))), 1.0);
    let mut best = fits(low);
    if best.is_none() {
        best = fits(high);
        while high - low > SHARE_PRECISION {
            let middle = low + (high - low) / 2.0;
            match fits(middle) {
                Some(layout) => (best, high) = (Some(layout), middle),
                None => low = middle,
            }
        }
    }
    let mut layout = best.unwrap_or_else(|| Boundaries::uniform(1));
    while layout.count() < count {
        let Some(at) = fullest_cut(map, &layout) else { break };
        layout.split(at);
    }
    layout
}

/// Where the fullest shard that can be cut is cut into halves of its load.
fn fullest_cut(map: &LoadMap, layout: &Boundaries) -> Option<HashKey> {
    let mut shards: Vec<_> = layout.ranges().zip(map.shares(layout)).collect();
    shards.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    shards.into_iter().find_map(|(range, share)| {
        let (start, end) = (range.start().0, range.end().0);
        let (least, most) = (start.checked_add(RANGE_KEYS_MIN)?, end.checked_sub(RANGE_KEYS_MIN - 1)?);
        let middle = map.quantile(map.below(range.start()) + share / 2.0).0;
        (least <= most).then(|| HashKey(middle.clamp(least, most)))
    })
}

/// Finer than any load is known.
const SHARE_PRECISION: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::maps;
    use super::*;

    #[test]
    fn an_even_load_gets_equal_shards_and_a_heavy_key_one_of_its_own() {
        let even = balanced(&LoadMap::even(), 4);
        assert_eq!(even.count(), 4);
        assert!(LoadMap::even().greatest_share(&even) < 0.250_001, "{even:?}");
        let heavy = LoadMap::new([(HashKey(0), 0.6)], [(HashKey(1 << 100), 0.4)]);
        let layout = balanced(&heavy, 6);
        assert_eq!(layout.count(), 6);
        assert!(heavy.greatest_share(&layout) < 0.400_01, "{:?}", heavy.shares(&layout));
    }

    proptest! {
        #[test]
        fn no_equal_ranges_are_better_and_no_shard_is_a_sliver(map in maps(), count in 1_u32..40) {
            let layout = balanced(&map, count);
            prop_assert!(layout.count() <= count);
            let (ours, uniform) = (map.greatest_share(&layout), map.greatest_share(&Boundaries::uniform(count)));
            prop_assert!(ours <= uniform + 2.0 * SHARE_PRECISION, "{ours} for {uniform}");
            for range in layout.ranges() {
                prop_assert!(range.end().0 - range.start().0 >= RANGE_KEYS_MIN - 1);
            }
        }
    }
}
