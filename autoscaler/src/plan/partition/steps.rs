//! The order of splits and merges between two layouts: each alone keeps the load under a bound.
//!
//! A split only ever lowers shares, so the merges decide the order. A merge whose result is too full waits for a split on
//! one of its sides; such a split exists, because between the target's boundaries everything may be merged.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use kcl_core::HashKey;

use super::rounded_up;
use crate::{Boundaries, LoadMap, Step};

/// The steps from `current` to `target`, first step first. After each, no shard has more of the load than `share_max`, or
/// than the fullest shard of `current` or `target` if that is more.
///
/// First the shards above `share_max` are cut, the fullest first, because they cannot wait. From there each merge is taken
/// as soon as it may be, and a split only before the merge that needs it, from the left to the right, so that few shards
/// exist beyond those of the two layouts. Splits that no merge needs come last.
///
/// Kinesis makes no shard of a single key. A boundary of `target` one key beside one of `current` is reached only if the
/// latter can be merged first; else the latter stays in its stead.
#[must_use]
pub fn steps_between(current: &Boundaries, target: &Boundaries, map: &LoadMap, share_max: f64) -> Vec<Step> {
    let mut way = Way::new(current, target, map, share_max);
    way.relieve(current, map, share_max);
    way.merge_all();
    while let Some((&at, _)) = way.splits.first_key_value() {
        way.split(at);
    }
    way.steps
}

struct Way {
    /// The boundaries, and the share of all keys below each.
    layout: BTreeMap<HashKey, f64>,
    /// Boundaries to come, and the share below each.
    splits: BTreeMap<HashKey, f64>,
    /// Boundaries to go.
    merges: BTreeSet<HashKey>,
    bound: f64,
    steps: Vec<Step>,
}

impl Way {
    fn new(current: &Boundaries, target: &Boundaries, map: &LoadMap, share_max: f64) -> Self {
        let with_below = |keys: &[HashKey]| keys.iter().map(|&key| (key, map.below(key))).collect();
        Self {
            layout: with_below(current.keys()),
            splits: with_below(&target.without(current)),
            merges: current.without(target).into_iter().collect(),
            bound: rounded_up(share_max.max(map.greatest_share(current)).max(map.greatest_share(target))),
            steps: Vec::new(),
        }
    }

    fn relieve(&mut self, current: &Boundaries, map: &LoadMap, share_max: f64) {
        let mut hot: Vec<_> = current.ranges().zip(map.shares(current)).collect();
        hot.retain(|&(_, share)| share > rounded_up(share_max));
        hot.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        for (range, _) in hot {
            let cuts: Vec<_> = self.splits.range(range.start()..=range.end()).map(|(&key, _)| key).collect();
            for cut in cuts {
                self.split(cut);
            }
        }
    }

    fn merge_all(&mut self) {
        for at in self.merges.clone() {
            self.merge_if_it_fits(at);
        }
        while let Some(&at) = self.merges.first() {
            let Some(cut) = self.split_for(at) else {
                self.merges.remove(&at);
                continue;
            };
            self.split(cut);
            let left = self.layout.range(..cut).next_back().map(|(&key, _)| key);
            let right = self.layout.range((Excluded(cut), Unbounded)).next().map(|(&key, _)| key);
            for neighbour in [left, right].into_iter().flatten() {
                self.merge_if_it_fits(neighbour);
            }
        }
    }

    /// The split that makes room for the merge at `at`: the one that suffices alone, or else one of both. None is left when
    /// the merged range lies within one of the target's, so that it fits, unless the target's boundary could not be made.
    fn split_for(&self, at: HashKey) -> Option<HashKey> {
        let (left, right) = self.around(at);
        let before = self.splits.range((Excluded(left.0), Excluded(at))).next_back();
        let after = match right.0 {
            Some(right) => self.splits.range((Excluded(at), Excluded(right))).next(),
            None => self.splits.range((Excluded(at), Unbounded)).next(),
        };
        match (before, after) {
            (Some((&before, &below)), Some((&after, _))) => {
                Some(if right.1 - below <= self.bound { before } else { after })
            }
            (cut, None) | (None, cut) => cut.map(|(&key, _)| key),
        }
    }

    /// Splits unless that would leave a shard of one key: a boundary one key beside goes first, or stays in its stead.
    fn split(&mut self, at: HashKey) {
        let below = self.splits.remove(&at).expect("a boundary to come");
        let near = HashKey(at.0.saturating_sub(1))..=HashKey(at.0.saturating_add(1));
        let beside: Vec<_> = self.layout.range(near.clone()).map(|(&key, _)| key).collect();
        for key in beside {
            self.merge_if_it_fits(key);
        }
        if at.0 == u128::MAX || self.layout.range(near.clone()).next().is_some() {
            self.merges.retain(|key| !near.contains(key));
            return;
        }
        self.layout.insert(at, below);
        self.steps.push(Step::Split { at });
    }

    fn merge_if_it_fits(&mut self, at: HashKey) {
        if !self.merges.contains(&at) {
            return;
        }
        let (left, right) = self.around(at);
        if right.1 - left.1 <= self.bound {
            self.merge(at);
        }
    }

    fn merge(&mut self, at: HashKey) {
        self.merges.remove(&at);
        self.layout.remove(&at);
        self.steps.push(Step::Merge { at });
    }

    /// The boundaries left and right of one, with the shares below them. `None` is the end of the hash space.
    fn around(&self, at: HashKey) -> ((HashKey, f64), (Option<HashKey>, f64)) {
        let left = self.layout.range(..at).next_back().map(|(&key, &below)| (key, below));
        let right = self.layout.range((Excluded(at), Unbounded)).next();
        (
            left.expect("the boundary at 0 stays"),
            right.map_or((None, 1.0), |(&key, &below)| (Some(key), below)),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::super::tests::{layouts, maps};
    use super::super::{fewest, reshape};
    use super::*;

    fn follow(current: &Boundaries, steps: &[Step]) -> Vec<Boundaries> {
        let mut layout = current.clone();
        steps
            .iter()
            .map(|step| {
                step.apply(&mut layout);
                layout.clone()
            })
            .collect()
    }

    /// The least greatest count on any way under the bound, by search over all sets of steps taken.
    fn least_peak(current: &Boundaries, target: &Boundaries, map: &LoadMap, bound: f64) -> u32 {
        let splits = target.without(current).into_iter().map(|at| Step::Split { at });
        let merges = current.without(target).into_iter().map(|at| Step::Merge { at });
        let steps: Vec<_> = splits.chain(merges).collect();
        let mut peaks = vec![u32::MAX; 1 << steps.len()];
        peaks[0] = current.count();
        let mut queue = VecDeque::from([0_usize]);
        while let Some(taken) = queue.pop_front() {
            let mut layout = current.clone();
            steps
                .iter()
                .enumerate()
                .filter(|(bit, _)| taken >> bit & 1 == 1)
                .for_each(|(_, step)| step.apply(&mut layout));
            for (bit, step) in steps.iter().enumerate().filter(|(bit, _)| taken >> bit & 1 == 0) {
                let mut next = layout.clone();
                step.apply(&mut next);
                let peak = peaks[taken].max(next.count());
                if map.greatest_share(&next) <= bound && peak < peaks[taken | 1 << bit] {
                    peaks[taken | 1 << bit] = peak;
                    queue.push_back(taken | 1 << bit);
                }
            }
        }
        peaks[(1 << steps.len()) - 1]
    }

    #[test]
    fn a_hot_shard_is_cut_before_anything_is_merged() {
        let key = |eighth: u128| HashKey(eighth << 125);
        let map = LoadMap::new([(key(0), 1.0), (key(6), 9.0)], []);
        let current = Boundaries::new([key(0), key(3), key(6)]);
        let target = Boundaries::new([key(0), key(6), key(7)]);
        assert_eq!(
            steps_between(&current, &target, &map, 0.5),
            [Step::Split { at: key(7) }, Step::Merge { at: key(3) }]
        );
    }

    #[test]
    fn a_split_waits_for_the_merge_that_needs_it() {
        let (current, target) = (Boundaries::uniform(4), Boundaries::uniform(3));
        let steps = steps_between(&current, &target, &LoadMap::even(), 1.0 / 3.0);
        let counts: Vec<_> = follow(&current, &steps).iter().map(Boundaries::count).collect();
        assert_eq!(counts, [5, 4, 5, 4, 3]);
    }

    #[test]
    fn a_thousand_boundaries_are_replaced_in_order() {
        let (current, target) = (Boundaries::uniform(1_000), Boundaries::uniform(999));
        let steps = steps_between(&current, &target, &LoadMap::even(), 1.0 / 900.0);
        let layouts = follow(&current, &steps);
        assert_eq!(layouts.last(), Some(&target));
        assert_eq!(steps.len(), 998 + 999);
        assert!(layouts.iter().all(|layout| layout.count() <= 1_001));
    }

    proptest! {
        #[test]
        fn kinesis_takes_every_step_however_close_the_keys_are(
            places in proptest::collection::vec((2..30_u128, 0..3_u8), 0..12),
            weights in proptest::collection::vec((0..32_u128, 0.0..1.0_f64), 0..12),
            share_max in 0.1..1.0_f64,
        ) {
            let chosen = |which: u8| {
                let mut layout = Boundaries::uniform(1);
                for &(place, _) in places.iter().filter(|&&(_, side)| side == which || side == 2) {
                    let is_near = |key: &HashKey| key.0.abs_diff(place) < 2;
                    if !layout.keys().iter().any(is_near) {
                        layout.split(HashKey(place));
                    }
                }
                layout
            };
            let map = LoadMap::new([], weights.into_iter().map(|(place, weight)| (HashKey(place), weight)));
            let (current, target) = (chosen(0), chosen(1));
            let steps = steps_between(&current, &target, &map, share_max);
            let bound = share_max.max(map.greatest_share(&current)).max(map.greatest_share(&target));
            for layout in follow(&current, &steps) {
                prop_assert!(layout.keys().windows(2).all(|pair| pair[1].0 - pair[0].0 >= 2), "{:?}", layout);
                prop_assert!(map.greatest_share(&layout) <= bound * (1.0 + 1e-8));
            }
            let reshaped = reshape(&current, &map, share_max, 0.3, 1.0);
            for layout in reshaped.into_iter().chain(fewest(&map, share_max)) {
                prop_assert!(layout.keys().windows(2).all(|pair| pair[1].0 - pair[0].0 >= 2), "{:?}", layout);
                prop_assert!(map.greatest_share(&layout) <= share_max * (1.0 + 1e-8));
            }
        }

        #[test]
        fn the_steps_lead_there_and_none_overfills(
            (current, target) in (layouts(), layouts()), map in maps(), share_max in 0.05..1.0_f64,
        ) {
            let steps = steps_between(&current, &target, &map, share_max);
            let bound = share_max.max(map.greatest_share(&current)).max(map.greatest_share(&target));
            let layouts = follow(&current, &steps);
            for layout in &layouts {
                prop_assert!(map.greatest_share(layout) <= bound * (1.0 + 1e-8));
            }
            prop_assert_eq!(layouts.last().unwrap_or(&current), &target);
            prop_assert_eq!(steps.len(), target.without(&current).len() + current.without(&target).len());
        }

        #[test]
        fn hardly_more_shards_exist_than_on_the_best_way(
            cuts in proptest::collection::vec((1..32_u128, 0..3_u8), 0..9), map in maps(),
        ) {
            let chosen = |which: u8| {
                Boundaries::new(cuts.iter().filter(|&&(_, side)| side == which || side == 2)
                    .map(|&(place, _)| HashKey(place << 123)))
            };
            let (current, target) = (chosen(0), chosen(1));
            let bound = map.greatest_share(&current).max(map.greatest_share(&target));
            let steps = steps_between(&current, &target, &map, bound);
            let peak = follow(&current, &steps).iter().map(Boundaries::count).max().unwrap_or(0).max(current.count());
            let best = least_peak(&current, &target, &map, bound * (1.0 + 1e-9));
            prop_assert!(peak <= best + 1, "{} against {}", peak, best);
        }
    }
}
