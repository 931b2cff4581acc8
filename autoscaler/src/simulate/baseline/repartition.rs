//! The split-and-merge fallback of amazon-kinesis-scaling-utils: shards are cut to an equal width from left to right.
//!
//! Source: `scaleStream` in `StreamScaler.java` at the commit named in [`super::scaling_utils`]. One operation follows the
//! other, each waits until the stream is active again:
//!
//! ```text
//!   narrower than the target, together with its neighbour not wider   ─▶ merge the two, look at the result again
//!   narrower, together wider                                          ─▶ split the neighbour at the rest, merge, go on
//!   as wide as the target, to nine digits                             ─▶ go on
//!   wider                                                             ─▶ split off the target's width, go on
//! ```

use kcl_core::HashKey;

use crate::{Boundaries, Step};

/// A re-partition under way. All shards before the cursor have the target's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repartition {
    target: u32,
    cursor: HashKey,
}

impl Repartition {
    pub(super) fn new(target: u32) -> Self {
        Self { target, cursor: HashKey(0) }
    }

    /// The next operation on this layout, or `None` if all is done.
    pub(super) fn next(&mut self, boundaries: &Boundaries) -> Option<Step> {
        let wanted = 1.0 / f64::from(self.target);
        let mut place = boundaries.index_of(self.cursor);
        loop {
            let start = boundaries.keys()[place];
            self.cursor = start;
            let width = width(boundaries, place);
            let next = boundaries.keys().get(place + 1).copied();
            if is_equal(width, wanted) {
                next?;
                place += 1;
            } else if width > wanted {
                return Some(Step::Split { at: offset(start, wanted) });
            } else {
                let next = next?;
                let together = width + self::width(boundaries, place + 1);
                let is_wider = together > wanted && !is_equal(together, wanted);
                return Some(if is_wider {
                    Step::Split { at: offset(next, wanted - width) }
                } else {
                    Step::Merge { at: next }
                });
            }
        }
    }
}

/// The part of the hash space that a shard holds.
fn width(boundaries: &Boundaries, place: usize) -> f64 {
    let start = boundaries.keys()[place];
    let end = boundaries.keys().get(place + 1).map_or(u128::MAX, |next| next.0);
    (end - start.0) as f64 / u128::MAX as f64
}

fn offset(start: HashKey, width: f64) -> HashKey {
    HashKey(start.0.saturating_add((u128::MAX as f64 * width) as u128))
}

fn is_equal(left: f64, right: f64) -> bool {
    (left - right).abs() < WIDTH_TOLERANCE
}

/// The tool rounds to ten digits and lets the last one vary.
const WIDTH_TOLERANCE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(from: u32, to: u32) -> (usize, usize, Boundaries) {
        let mut boundaries = Boundaries::uniform(from);
        let mut repartition = Repartition::new(to);
        let (mut splits, mut merges) = (0, 0);
        while let Some(step) = repartition.next(&boundaries) {
            match step {
                Step::Split { .. } => splits += 1,
                Step::Merge { .. } => merges += 1,
            }
            step.apply(&mut boundaries);
            assert!(splits + merges <= 1_000, "{from} → {to} does not end");
        }
        (splits, merges, boundaries)
    }

    #[test]
    fn it_takes_the_operations_of_a_uniform_reshard_and_ends_uniform() {
        for (from, to, splits, merges) in
            [(8, 16, 8, 0), (8, 12, 8, 4), (4, 3, 2, 3), (16, 8, 0, 8), (1, 2, 1, 0), (100, 101, 100, 99)]
        {
            let (split, merged, boundaries) = run(from, to);
            assert_eq!((split, merged), (splits, merges), "{from} → {to}");
            assert_eq!(boundaries.count(), to);
            for place in 0..boundaries.keys().len() {
                assert!((width(&boundaries, place) * f64::from(to) - 1.0).abs() < 1e-6, "{from} → {to}");
            }
        }
    }

    #[test]
    fn it_goes_on_from_where_the_cursor_stands() {
        let mut boundaries = Boundaries::uniform(2);
        let mut repartition = Repartition::new(3);
        let first = repartition.next(&boundaries).expect("a split");
        assert_eq!(repartition.next(&boundaries), Some(first), "asked twice, the same answer");
        first.apply(&mut boundaries);
        assert!(matches!(repartition.next(&boundaries), Some(Step::Split { at }) if at > HashKey(1 << 127)));
    }
}
