//! Which worker should own which lease: by count, within one, sticky, and without moves at steady state.
//!
//! Pure and deterministic: the same leases and workers always give the same moves. Owns no notion of time; the caller
//! says which leases nobody serves, which may move, and which workers live.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{LeaseKey, WorkerId};

/// A lease as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignableLease {
    /// The lease.
    pub key: LeaseKey,
    /// Who serves it, or will after a hand-off under way; nobody if it is unowned or expired.
    pub owner: Option<WorkerId>,
    /// Whether a live owner may be asked to hand it off: no hand-off under way, nothing in commit.
    pub is_movable: bool,
    /// The worker that let it expire; gets it again only if no other worker lives.
    pub expired_under: Option<WorkerId>,
}

/// One change of owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Move {
    /// The lease.
    pub key: LeaseKey,
    /// The live owner that hands it off, or nobody.
    pub from: Option<WorkerId>,
    /// Who gets it.
    pub to: WorkerId,
}

/// Assigns every lease that nobody serves, then hands off as few as needed for all loads to differ by at most one.
///
/// At most `hand_offs_max` live leases are moved. A lease whose owner is not among `workers` but has not expired stays
/// where it is and counts for nobody. Without workers nothing moves.
///
/// Cost: O((leases + moves) · log workers).
#[must_use]
pub fn plan_moves(
    leases: &[AssignableLease],
    workers: &BTreeSet<WorkerId>,
    hand_offs_max: usize,
) -> Vec<Move> {
    let mut loads = Loads::new(leases, workers);
    let mut moves: Vec<Move> = leases
        .iter()
        .filter(|lease| lease.owner.is_none())
        .filter_map(|lease| {
            let to = loads.take_least(lease.expired_under.as_ref())?;
            Some(Move { key: lease.key.clone(), from: None, to })
        })
        .collect();
    moves.extend((0..hand_offs_max).map_while(|_| loads.move_one()));
    moves
}

/// Leases per worker, and the workers in order of load.
struct Loads {
    counts: BTreeMap<WorkerId, usize>,
    by_load: BTreeSet<(usize, WorkerId)>,
    movable: BTreeMap<WorkerId, Vec<LeaseKey>>,
}

impl Loads {
    fn new(leases: &[AssignableLease], workers: &BTreeSet<WorkerId>) -> Self {
        let mut counts: BTreeMap<WorkerId, usize> =
            workers.iter().map(|worker| (worker.clone(), 0)).collect();
        let mut movable: BTreeMap<WorkerId, Vec<LeaseKey>> = BTreeMap::new();
        for lease in leases {
            let Some(owner) = lease.owner.as_ref() else { continue };
            let Some(count) = counts.get_mut(owner) else { continue };
            *count += 1;
            if lease.is_movable {
                movable.entry(owner.clone()).or_default().push(lease.key.clone());
            }
        }
        let by_load = counts.iter().map(|(worker, count)| (*count, worker.clone())).collect();
        Self { counts, by_load, movable }
    }

    /// The least loaded worker, `barred` only if it is the only one; counts one lease more for it.
    fn take_least(&mut self, barred: Option<&WorkerId>) -> Option<WorkerId> {
        let is_allowed = |worker: &WorkerId| Some(worker) != barred;
        let chosen = self.by_load.iter().find(|(_, worker)| is_allowed(worker)).or(self.by_load.first());
        let worker = chosen?.1.clone();
        self.change(&worker, |count| count + 1);
        Some(worker)
    }

    /// Moves one lease from the most loaded worker that has a movable one to the least loaded, if they differ by two or more.
    fn move_one(&mut self) -> Option<Move> {
        let (least, to) = self.by_load.first()?.clone();
        let donor =
            |(_, worker): &&(usize, WorkerId)| self.movable.get(worker).is_some_and(|keys| !keys.is_empty());
        let (most, from) =
            self.by_load.iter().rev().take_while(|(count, _)| *count > least + 1).find(donor)?.clone();
        debug_assert!(most > least + 1, "the donor has at least two leases more");
        let key = self.movable.get_mut(&from)?.pop()?;
        self.change(&from, |count| count - 1);
        self.change(&to, |count| count + 1);
        Some(Move { key, from: Some(from), to })
    }

    fn change(&mut self, worker: &WorkerId, update: impl Fn(usize) -> usize) {
        if let Some(count) = self.counts.get_mut(worker) {
            self.by_load.remove(&(*count, worker.clone()));
            *count = update(*count);
            self.by_load.insert((*count, worker.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(index: usize) -> WorkerId {
        WorkerId::new(format!("worker-{index}")).expect("valid")
    }

    fn lease(index: usize, owner: Option<usize>) -> AssignableLease {
        AssignableLease {
            key: LeaseKey::new(format!("shardId-{index:012}")).expect("valid"),
            owner: owner.map(worker),
            is_movable: true,
            expired_under: None,
        }
    }

    fn workers(count: usize) -> BTreeSet<WorkerId> {
        (0..count).map(worker).collect()
    }

    fn loads_after(leases: &[AssignableLease], moves: &[Move], count: usize) -> Vec<usize> {
        let mut owners: BTreeMap<_, _> =
            leases.iter().map(|lease| (&lease.key, lease.owner.as_ref())).collect();
        for change in moves {
            owners.insert(&change.key, Some(&change.to));
        }
        (0..count)
            .map(|index| owners.values().filter(|owner| **owner == Some(&worker(index))).count())
            .collect()
    }

    #[test]
    fn a_joining_worker_gets_half_and_nothing_else_moves() {
        let leases: Vec<_> = (0..40).map(|index| lease(index, Some(0))).collect();
        let moves = plan_moves(&leases, &workers(2), usize::MAX);
        assert_eq!(moves.len(), 20);
        assert_eq!(loads_after(&leases, &moves, 2), [20, 20]);
    }

    #[test]
    fn an_expired_lease_goes_to_another_worker_unless_there_is_none() {
        let mut expired = lease(0, None);
        expired.expired_under = Some(worker(0));
        assert_eq!(plan_moves(&[expired.clone()], &workers(2), 9)[0].to, worker(1));
        assert_eq!(plan_moves(&[expired], &workers(1), 9)[0].to, worker(0));
    }

    #[test]
    fn a_lease_in_commit_stays() {
        let mut leases: Vec<_> = (0..4).map(|index| lease(index, Some(0))).collect();
        for pinned in &mut leases[..3] {
            pinned.is_movable = false;
        }
        let moves = plan_moves(&leases, &workers(2), 9);
        assert_eq!(moves.len(), 1);
        assert_eq!(moves[0].key, leases[3].key);
    }

    proptest! {
        #[test]
        fn loads_end_within_one_with_the_fewest_moves_and_then_rest(
            owners in prop::collection::vec(prop::option::of(0_usize..6), 0..80),
            count in 1_usize..6,
        ) {
            let leases: Vec<_> = owners.iter().enumerate().map(|(index, owner)| {
                lease(index, owner.filter(|owner| *owner < count))
            }).collect();
            let moves = plan_moves(&leases, &workers(count), usize::MAX);
            let loads = loads_after(&leases, &moves, count);
            let spread = loads.iter().max().zip(loads.iter().min()).map(|(most, least)| most - least);
            prop_assert!(spread <= Some(1), "{loads:?}");

            let before = loads_after(&leases, &[], count);
            let hand_offs = moves.iter().filter(|change| change.from.is_some()).count();
            let ceiling = leases.len().div_ceil(count);
            let surplus: usize = before.iter().map(|load| load.saturating_sub(ceiling)).sum();
            let deficit: usize = before.iter().map(|load| (leases.len() / count).saturating_sub(*load)).sum();
            let unowned = leases.iter().filter(|lease| lease.owner.is_none()).count();
            let fewest = surplus.max(deficit.saturating_sub(unowned));
            prop_assert_eq!(hand_offs, fewest);

            let settled: Vec<_> = leases.iter().map(|lease| {
                let owner = moves.iter().find(|change| change.key == lease.key).map(|change| change.to.clone());
                AssignableLease { owner: owner.or_else(|| lease.owner.clone()), ..lease.clone() }
            }).collect();
            prop_assert_eq!(plan_moves(&settled, &workers(count), usize::MAX), []);
        }
    }
}
