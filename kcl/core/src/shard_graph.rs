//! Which lease rows a stream's shards need: the first ones of an application, and those that got lost.
//!
//! Children of a consumed shard are created by its last holder; this module only says what the leader's audit must add.
//! A shard with an ancestor that still has an unfinished lease needs nothing: its row comes when the ancestor ends.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::{InitialPosition, ListedShard, ShardFilter};
use crate::id::{Generation, LeaseKey, ShardId};
use crate::position::Position;
use crate::row::Lease;

/// The listing from which the first rows of an application are made.
#[must_use]
pub const fn initial_filter(initial: InitialPosition) -> ShardFilter {
    match initial {
        InitialPosition::TrimHorizon => ShardFilter::AtTrimHorizon,
        InitialPosition::Latest => ShardFilter::AtLatest,
        InitialPosition::AtTimestamp(epoch_millis) => ShardFilter::AtTimestamp(epoch_millis),
    }
}

/// Rows for an empty table: one for each shard of the initial listing, all with one start time.
///
/// `now_epoch_millis` becomes the start of [`InitialPosition::Latest`], once for the whole application, so that a shard
/// that changes hands before its first checkpoint skips nothing.
#[must_use]
pub fn first_leases(
    listing: &[ListedShard],
    initial: InitialPosition,
    now_epoch_millis: u64,
    generation: Generation,
) -> Vec<Lease> {
    let (checkpoint, start) = match initial {
        InitialPosition::TrimHorizon => (Position::TrimHorizon, None),
        InitialPosition::Latest => (Position::Latest, Some(now_epoch_millis)),
        InitialPosition::AtTimestamp(epoch_millis) => (Position::AtTimestamp, Some(epoch_millis)),
    };
    let row = |shard: &ListedShard| {
        let mut lease = row_of(shard, checkpoint, generation);
        lease.own.start_epoch_millis = start;
        lease
    };
    listing.iter().map(row).collect()
}

/// Rows that a non-empty table lacks, found by walking up from each open shard of a complete listing.
///
/// - An ancestor with an unfinished row: nothing, the children come when it ends.
/// - An ancestor with a finished row: the shard below it was lost; it starts at the trim horizon.
/// - No ancestor with a row: the oldest listed ancestor starts at the trim horizon, so that nothing retained is skipped.
///
/// A row that still waits at the trim horizon does not stop the walk: a parent that it waits for may have lost its row.
#[must_use]
pub fn missing_leases(
    listing: &[ListedShard],
    present: &BTreeMap<LeaseKey, Lease>,
    generation: Generation,
) -> Vec<Lease> {
    let by_id: BTreeMap<&ShardId, &ListedShard> = listing.iter().map(|shard| (&shard.shard, shard)).collect();
    let mut missing = BTreeSet::new();
    for shard in listing.iter().filter(|shard| shard.is_open) {
        let mut seen = BTreeSet::new();
        lost_above(shard, &by_id, present, &mut seen, &mut missing);
    }
    let mut rows: Vec<&&ListedShard> = missing.iter().filter_map(|shard| by_id.get(shard)).collect();
    rows.sort_by_key(|shard| shard.starting_sequence);
    rows.into_iter().map(|shard| row_of(shard, Position::TrimHorizon, generation)).collect()
}

/// Adds what is lost at or above `shard`; whether anything at or above it has a row or was added.
fn lost_above<'a>(
    shard: &'a ListedShard,
    by_id: &BTreeMap<&ShardId, &'a ListedShard>,
    present: &BTreeMap<LeaseKey, Lease>,
    seen: &mut BTreeSet<&'a ShardId>,
    missing: &mut BTreeSet<&'a ShardId>,
) {
    if !seen.insert(&shard.shard) {
        return;
    }
    let row = present.get(&LeaseKey::from(&shard.shard));
    if row.is_some_and(|row| row.checkpoint != Position::TrimHorizon) {
        return;
    }
    let parents: Vec<&ListedShard> =
        shard.parents.iter().filter_map(|parent| by_id.get(parent).copied()).collect();
    let is_finished = |parent: &ShardId| present.get(&LeaseKey::from(parent)).is_some_and(Lease::is_finished);
    if row.is_none() && (parents.is_empty() || shard.parents.iter().any(is_finished)) {
        missing.insert(&shard.shard);
        return;
    }
    for parent in parents {
        lost_above(parent, by_id, present, seen, missing);
    }
}

/// A row for a listed shard.
fn row_of(shard: &ListedShard, checkpoint: Position, generation: Generation) -> Lease {
    let mut lease = Lease::new(LeaseKey::from(&shard.shard), checkpoint, generation);
    lease.parents.clone_from(&shard.parents);
    lease.hash_range = Some(shard.hash_range);
    lease
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash_key::HashKeyRange;
    use crate::sequence::SequenceNumber;

    fn id(name: &str) -> ShardId {
        ShardId::new(name).expect("valid")
    }

    fn shard(name: &str, parents: &[&str], is_open: bool) -> ListedShard {
        ListedShard {
            shard: id(name),
            parents: parents.iter().map(|parent| id(parent)).collect(),
            hash_range: HashKeyRange::FULL,
            starting_sequence: SequenceNumber::from_parts(0, name.len() as u128),
            is_open,
        }
    }

    fn table(rows: &[(&str, Position)]) -> BTreeMap<LeaseKey, Lease> {
        let row = |(name, checkpoint): &(&str, Position)| {
            let key = LeaseKey::from(&id(name));
            (key.clone(), Lease::new(key, *checkpoint, Generation(1)))
        };
        rows.iter().map(row).collect()
    }

    fn missing(listing: &[ListedShard], rows: &[(&str, Position)]) -> Vec<String> {
        let leases = missing_leases(listing, &table(rows), Generation(2));
        leases.iter().map(|lease| lease.key.to_string()).collect()
    }

    fn split() -> [ListedShard; 3] {
        [shard("p", &[], false), shard("a1", &["p"], true), shard("b22", &["p"], true)]
    }

    #[test]
    fn latest_gets_one_start_time_for_every_row() {
        let leases = first_leases(&split()[1..], InitialPosition::Latest, 77, Generation(1));
        let starts: Vec<_> =
            leases.iter().map(|lease| (lease.checkpoint, lease.own.start_epoch_millis)).collect();
        assert_eq!(starts, [(Position::Latest, Some(77)), (Position::Latest, Some(77))]);
    }

    #[test]
    fn children_of_an_unfinished_parent_are_left_to_its_holder() {
        assert_eq!(missing(&split(), &[("p", Position::TrimHorizon)]), Vec::<String>::new());
    }

    #[test]
    fn a_lost_child_of_a_finished_parent_is_created() {
        let rows = [("p", Position::ShardEnd), ("a1", Position::TrimHorizon)];
        assert_eq!(missing(&split(), &rows), ["b22"]);
    }

    #[test]
    fn without_any_row_of_the_family_the_oldest_listed_ancestor_is_created() {
        assert_eq!(missing(&split(), &[("other", Position::TrimHorizon)]), ["p"]);
    }

    #[test]
    fn an_orphan_whose_parents_are_gone_is_created() {
        assert_eq!(missing(&[shard("a1", &["gone"], true)], &[("other", Position::TrimHorizon)]), ["a1"]);
    }
}
