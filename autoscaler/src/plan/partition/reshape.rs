//! The cheapest layout that holds a bound, judged by its shards and by the way to it.
//!
//! A dynamic program over possible cuts. A boundary that is not there yet may as well lie as far to the right as the bound
//! allows, so the possible cuts are the present boundaries and what is reached by filling ranges from each of them. With `B`
//! boundaries before a cut among the present ones, the cheapest way to it is
//!
//! ```text
//!   cost(cut) = shard + step·[cut is new] + min over earlier cuts e within the bound of (cost(e) + step·(B(cut) − B(e)))
//! ```
//!
//! and the minimum is that of a sliding window, so the whole takes linear time after sorting.

use std::collections::VecDeque;

use kcl_core::HashKey;

use super::cumulative::{Cumulative, Cut, RANGE_KEYS_MIN};
use super::{NoPartition, SHARDS_MAX, rounded_up};
use crate::{Boundaries, LoadMap};

/// The layout of the least `price_of_shard` · shards + `price_of_step` · (splits and merges from `current`) in which no
/// shard has more than `share_max` of the load.
///
/// Exact as long as the fillings from all boundaries have at most 16,384 cuts together; beyond, each filling but the first is
/// cut short, so that a new boundary lies near a present one.
///
/// # Errors
/// [`NoPartition`] if a single key carries more, or more than 10,000 shards were needed.
pub fn reshape(
    current: &Boundaries,
    map: &LoadMap,
    share_max: f64,
    price_of_step: f64,
    price_of_shard: f64,
) -> Result<Boundaries, NoPartition> {
    let candidates = candidates(current, map, share_max)?;
    let window = rounded_up(rounded_up(share_max));
    let mut reached: Vec<Reached> = Vec::with_capacity(candidates.len());
    let mut open: VecDeque<usize> = VecDeque::new();
    let mut opened = 0;
    let mut kept = 0;
    for (index, candidate) in candidates.iter().enumerate() {
        while opened < index && candidate.key().0 - candidates[opened].key().0 >= RANGE_KEYS_MIN {
            let cost = |place: usize| reached[place].cost_without_merges;
            while open.back().is_some_and(|&last| cost(last) >= cost(opened)) {
                open.pop_back();
            }
            open.push_back(opened);
            opened += 1;
        }
        while open.front().is_some_and(|&first| candidate.below() - candidates[first].below() > window) {
            open.pop_front();
        }
        let from = open.front().copied();
        let start = if index == 0 { 0.0 } else { f64::INFINITY };
        let until_here =
            from.map_or(start, |from| reached[from].cost_without_merges + price_of_step * f64::from(kept));
        let own_step = if candidate.is_current { 0.0 } else { price_of_step };
        kept += u32::from(candidate.is_current);
        let cost = until_here + price_of_shard + own_step;
        reached.push(Reached { from, cost_without_merges: cost - price_of_step * f64::from(kept) });
    }
    let last = (0..candidates.len()).rev().take_while(|&place| 1.0 - candidates[place].below() <= window);
    let last = last.min_by(|&one, &other| {
        reached[one].cost_without_merges.total_cmp(&reached[other].cost_without_merges)
    });
    let mut keys = Vec::new();
    let mut place = last;
    while let Some(index) = place {
        keys.push(candidates[index].key());
        place = reached[index].from;
    }
    Ok(Boundaries::new(keys))
}

struct Candidate {
    cut: Cut,
    is_current: bool,
}

struct Reached {
    /// `None` for the first, and for cuts that no earlier one can stand before.
    from: Option<usize>,
    /// The cost of the cheapest way here, less a step for each present boundary up to here.
    cost_without_merges: f64,
}

impl Candidate {
    fn key(&self) -> HashKey {
        self.cut.key
    }

    fn below(&self) -> f64 {
        self.cut.below
    }
}

fn candidates(current: &Boundaries, map: &LoadMap, share_max: f64) -> Result<Vec<Candidate>, NoPartition> {
    let load = Cumulative::of(map);
    let filling_max = CANDIDATES_MAX / current.keys().len();
    let mut candidates = Vec::new();
    for (index, &key) in current.keys().iter().enumerate() {
        let mut cut = Cut { key, below: map.below(key) };
        candidates.push(Candidate { cut, is_current: true });
        let cuts_max = if index == 0 { SHARDS_MAX } else { filling_max };
        for cuts in 0.. {
            let next = match load.reach(cut, share_max) {
                Ok(Some(_)) if cuts == SHARDS_MAX => return Err(NoPartition::TooManyShards { share_max }),
                Ok(Some(next)) if cuts < cuts_max => next,
                Err(refused) if index == 0 => return Err(refused),
                // Other boundaries need not stay.
                Ok(_) | Err(_) => break,
            };
            candidates.push(Candidate { cut: next, is_current: false });
            cut = next;
        }
    }
    candidates.sort_unstable_by_key(|candidate| (candidate.key(), !candidate.is_current));
    candidates.dedup_by_key(|candidate| candidate.key());
    Ok(candidates)
}

/// Bounds the time of one decision: some milliseconds.
const CANDIDATES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fewest;
    use super::super::tests::{layouts, maps};
    use super::*;

    fn cost(current: &Boundaries, layout: &Boundaries, step: f64, shard: f64) -> f64 {
        let steps = layout.without(current).len() + current.without(layout).len();
        step * steps as f64 + shard * f64::from(layout.count())
    }

    #[test]
    fn a_layout_that_holds_the_bound_stays_when_steps_are_dear_and_goes_when_they_are_cheap() {
        let map = LoadMap::even();
        let current = Boundaries::uniform(9);
        let stay = reshape(&current, &map, 0.25, 10.0, 1.0).expect("possible");
        assert_eq!(stay, current);
        let go = reshape(&current, &map, 0.25, 0.0, 1.0).expect("possible");
        assert_eq!(go.count(), 4);
        let merged = reshape(&current, &map, 0.25, 0.9, 1.0).expect("possible");
        assert!(merged.without(&current).is_empty() && merged.count() == 5, "{merged:?}");
    }

    #[test]
    fn a_thousand_boundaries_and_thousands_of_segments_take_milliseconds() {
        let segments =
            (0..4_096_u128).map(|place| (HashKey(place << 116), f64::from(place as u32 * 37 % 101 + 1)));
        let map = LoadMap::new(segments, []);
        let current = Boundaries::uniform(1_000);
        let target = reshape(&current, &map, 1.0 / 700.0, 0.1, 1.0).expect("possible");
        assert!(map.greatest_share(&target) <= (1.0 + 1e-8) / 700.0);
        assert!((700..=2_000).contains(&target.count()), "{}", target.count());
    }

    proptest! {
        #[test]
        fn free_steps_lead_to_the_fewest_shards(current in layouts(), map in maps(), share_max in 0.02..1.2_f64) {
            let free = reshape(&current, &map, share_max, 0.0, 1.0).map(|layout| layout.count());
            prop_assert_eq!(free, fewest(&map, share_max).map(|layout| layout.count()));
        }

        #[test]
        fn no_layout_over_a_grid_is_cheaper(
            current in proptest::collection::vec(0..8_u128, 0..5),
            weights in proptest::collection::vec(0.0..1.0_f64, 8),
            share_max in 0.15..1.0_f64,
            step in 0.0..2.0_f64,
        ) {
            let key = |place: u128| HashKey(place << 125);
            let current = Boundaries::new(current.into_iter().map(key));
            let map = LoadMap::new((0..8).map(|place| (key(place), weights[place as usize])), []);
            let target = reshape(&current, &map, share_max, step, 1.0).expect("no heavy key");
            prop_assert!(map.greatest_share(&target) <= share_max * (1.0 + 1e-8));
            let best = (0..1_u32 << 8)
                .map(|chosen| Boundaries::new((0..8).filter(|place| chosen >> place & 1 == 1).map(key)))
                .filter(|layout| map.greatest_share(layout) <= share_max)
                .map(|layout| cost(&current, &layout, step, 1.0))
                .fold(f64::INFINITY, f64::min);
            prop_assert!(cost(&current, &target, step, 1.0) <= best + 1e-9);
        }
    }
}
