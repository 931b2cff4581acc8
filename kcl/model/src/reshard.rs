//! Which splits and merges turn the open shards into shards of equal ranges.
//!
//! Pure arithmetic on the hash space. Every boundary that is wanted and missing costs one split, every one that is there
//! and not wanted costs one merge, which is what AWS was seen to do (4 to 3: 2 splits, 3 merges, 7 shards created).

use std::collections::BTreeSet;

use kcl_core::{HashKey, HashKeyRange};

/// Splits first, then merges, each at the first key of the upper shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) splits: Vec<HashKey>,
    pub(crate) merges: Vec<HashKey>,
}

/// The way from `open` to `target` shards of equal ranges.
pub(crate) fn plan(open: &[HashKeyRange], target: u32) -> Plan {
    let present: BTreeSet<_> = open.iter().map(|range| range.start()).collect();
    let wanted: BTreeSet<_> = (0..target).map(|index| boundary(index, target)).collect();
    Plan {
        splits: wanted.difference(&present).copied().collect(),
        merges: present.difference(&wanted).copied().collect(),
    }
}

/// The ranges of `count` equal shards as `UpdateShardCount` makes them: the first keys are `index * 2^128 / count` rounded down.
pub fn uniform_ranges(count: u32) -> impl Iterator<Item = HashKeyRange> {
    (0..count).map(move |index| {
        let end =
            if index + 1 == count { HashKey(u128::MAX) } else { HashKey(boundary(index + 1, count).0 - 1) };
        HashKeyRange::new(boundary(index, count), end).expect("boundaries increase")
    })
}

fn boundary(index: u32, count: u32) -> HashKey {
    let (index, count) = (u128::from(index), u128::from(count));
    // 2^128 = quotient * count + rest, without computing 2^128 itself.
    let (mut quotient, mut rest) = (u128::MAX / count, u128::MAX % count + 1);
    if rest == count {
        (quotient, rest) = (quotient.wrapping_add(1), 0);
    }
    HashKey(quotient.wrapping_mul(index) + rest * index / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(from: u32, to: u32) -> (usize, usize) {
        let plan = plan(&uniform_ranges(from).collect::<Vec<_>>(), to);
        (plan.splits.len(), plan.merges.len())
    }

    #[test]
    fn boundaries_are_those_of_aws() {
        let starts: Vec<_> = uniform_ranges(3).map(|range| range.start().to_string()).collect();
        assert_eq!(
            starts,
            ["0", "113427455640312821154458202477256070485", "226854911280625642308916404954512140970"]
        );
        assert_eq!(uniform_ranges(1).collect::<Vec<_>>(), [HashKeyRange::FULL]);
    }

    #[test]
    fn equal_fractions_are_equal_boundaries() {
        for (index, count) in [(1, 2), (1, 3), (2, 3), (3, 7)] {
            for factor in [2, 3, 5, 100] {
                assert_eq!(boundary(index, count), boundary(index * factor, count * factor));
            }
        }
    }

    #[test]
    fn the_cost_is_the_one_measured_on_aws() {
        assert_eq!(counts(8, 16), (8, 0));
        assert_eq!(counts(8, 12), (8, 4));
        assert_eq!(counts(10, 13), (12, 9));
        assert_eq!(counts(100, 125), (100, 75));
        assert_eq!(counts(4, 3), (2, 3));
        assert_eq!(counts(5, 5), (0, 0));
    }
}
