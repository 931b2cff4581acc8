//! Splits, merges, scaling, listings and what readers see of them.

use std::time::Duration;

use kcl_core::{HashKeyRange, covers_hash_space};
use kinesis_model::*;

use crate::world::{MIDDLE, World, code, shard_id, stream, texts};

fn listed(world: &World, filter: ShardFilter) -> Vec<String> {
    let request = ListShardsRequest { shard_filter: Some(filter), ..ListShardsRequest::all(stream()) };
    let response = world.kinesis.list_shards(request, world.now).expect("a good filter");
    response.shards.iter().map(|shard| shard.shard_id.as_str()[19..].to_owned()).collect()
}

fn parents(child: &ChildShard) -> Vec<&str> {
    child.parent_shards.iter().map(|parent| &parent.as_str()[19..]).collect()
}

#[test]
fn a_split_shard_drains_and_names_its_children() {
    let world = World::new(1);
    world.put("a");
    let latest = world.iterator(0, StartingPosition::Latest);
    world.split(0, MIDDLE).expect("inside");
    let (low, high) = (world.put_at(0, "low"), world.put_at(MIDDLE, "high"));
    assert_eq!((low.shard_id, high.shard_id), (shard_id(1), shard_id(2)));

    let read = world.read(&world.iterator(0, StartingPosition::TrimHorizon));
    assert_eq!(
        (texts(&read.records), read.next_shard_iterator, read.millis_behind_latest),
        (vec!["a"], None, 0)
    );
    assert_eq!(
        read.child_shards.iter().map(|child| child.shard_id.clone()).collect::<Vec<_>>(),
        [shard_id(1), shard_id(2)]
    );
    assert!(read.child_shards.iter().all(|child| parents(child) == ["0"]));
    assert_eq!(read.child_shards[1].hash_key_range.start().0, MIDDLE);

    for iterator in [latest, world.iterator(0, StartingPosition::Latest)] {
        let end = world.read(&iterator);
        assert!(end.records.is_empty() && end.next_shard_iterator.is_none() && end.child_shards.len() == 2);
    }
    let shards = world.shards();
    let ending = shards[0].ending_sequence_number.expect("closed");
    assert!(shards[1..].iter().all(|child| ending < child.starting_sequence_number));
    assert!(low.sequence_number > ending);
    let after_end = world.read(&world.iterator(0, StartingPosition::AfterSequenceNumber(ending)));
    assert_eq!(after_end.next_shard_iterator, None);
}

#[test]
fn a_merged_shard_names_both_parents() {
    let world = World::new(2);
    world.merge(0, 1).expect("adjacent");
    let merged = world.open_shards().into_iter().next().expect("one is open");
    assert_eq!(merged.parent_shard_id, Some(shard_id(0)));
    assert_eq!(merged.adjacent_parent_shard_id, Some(shard_id(1)));
    assert_eq!(merged.hash_key_range, HashKeyRange::FULL);
    for shard in 0..2 {
        let end = world.read(&world.iterator(shard, StartingPosition::TrimHorizon));
        assert_eq!(end.child_shards.len(), 1);
        assert_eq!(parents(&end.child_shards[0]), ["0", "1"]);
    }
}

#[test]
fn impossible_reshards_are_refused() {
    let world = World::new(3);
    assert_eq!(code(world.split(9, MIDDLE)), "ResourceNotFoundException");
    assert_eq!(code(world.split(0, MIDDLE)), "InvalidArgumentException");
    assert_eq!(code(world.split(0, 1)), "InvalidArgumentException");
    assert_eq!(code(world.merge(0, 2)), "InvalidArgumentException");
    assert_eq!(code(world.merge(0, 0)), "InvalidArgumentException");
    assert_eq!(code(world.split(0, 2)), "accepted");
    assert_eq!(code(world.split(0, 2)), "InvalidArgumentException", "already split");
    assert_eq!(code(world.scale(0)), "ValidationException");
}

#[test]
fn scaling_keeps_lineage_and_covers_the_hash_space() {
    let world = World::new(1);
    for target in [2, 4, 3, 7, 2, 1, 10] {
        let response = world.scale(target).expect("no limits");
        assert_eq!(response.target_shard_count, target as usize);
        let open = world.open_shards();
        assert_eq!((open.len(), world.summary().open_shard_count), (target as usize, target as usize));
        assert!(covers_hash_space(open.iter().map(|shard| shard.hash_key_range)));
        assert!(open.iter().all(|shard| shard.parent_shard_id.is_some()));
    }
}

#[test]
fn filters_follow_a_split_in_time() {
    let mut world = World::new(1);
    world.pass(Duration::from_millis(500));
    let before = world.now;
    world.pass(Duration::from_millis(500));
    world.split(0, MIDDLE).expect("inside");
    world.pass(Duration::from_millis(1));
    assert_eq!(listed(&world, ShardFilter::AtLatest), ["1", "2"]);
    assert_eq!(listed(&world, ShardFilter::AtTrimHorizon), ["0"]);
    assert_eq!(listed(&world, ShardFilter::FromTrimHorizon), ["0", "1", "2"]);
    assert_eq!(listed(&world, ShardFilter::AtTimestamp(before)), ["0"]);
    assert_eq!(listed(&world, ShardFilter::AtTimestamp(world.now)), ["1", "2"]);
    assert_eq!(listed(&world, ShardFilter::FromTimestamp(world.now)), ["1", "2"]);
    assert_eq!(listed(&world, ShardFilter::AfterShardId(shard_id(0))), ["1", "2"]);
    world.pass(Duration::from_secs(86_400));
    assert_eq!(listed(&world, ShardFilter::AtTrimHorizon), ["1", "2"]);
    assert_eq!(world.shards().len(), 2, "a closed shard goes with its last record");
    assert_eq!(code(world.try_iterator(0, StartingPosition::TrimHorizon)), "ResourceNotFoundException");
}

#[test]
fn listings_go_page_by_page_and_tokens_stand_alone() {
    let mut world = World::new(5);
    let mut request = ListShardsRequest { max_results: Some(2), ..ListShardsRequest::all(stream()) };
    let mut seen = Vec::new();
    let mut tokens = Vec::new();
    loop {
        let page = world.kinesis.list_shards(request, world.now).expect("good");
        seen.extend(page.shards.into_iter().map(|shard| shard.shard_id));
        let Some(token) = page.next_token else { break };
        tokens.push(token.clone());
        request = ListShardsRequest {
            next_token: Some(token),
            max_results: Some(2),
            ..ListShardsRequest::default()
        };
    }
    assert_eq!(seen, (0..5).map(shard_id).collect::<Vec<_>>());

    let token = tokens.into_iter().next();
    let with = |change: fn(&mut ListShardsRequest)| {
        let mut request = ListShardsRequest { next_token: token.clone(), ..ListShardsRequest::default() };
        change(&mut request);
        request
    };
    for change in [
        (|request| request.stream = stream()) as fn(&mut ListShardsRequest),
        |request| request.shard_filter = Some(ShardFilter::AtLatest),
        |request| request.exclusive_start_shard_id = Some(shard_id(0)),
        |request| request.next_token = Some("bogus".to_owned()),
    ] {
        assert_eq!(code(world.kinesis.list_shards(with(change), world.now)), "InvalidArgumentException");
    }
    world.pass(Duration::from_millis(300_001));
    assert_eq!(code(world.kinesis.list_shards(with(|_| ()), world.now)), "ExpiredNextTokenException");
    let after =
        ListShardsRequest { exclusive_start_shard_id: Some(shard_id(3)), ..ListShardsRequest::all(stream()) };
    assert_eq!(world.kinesis.list_shards(after, world.now).expect("good").shards.len(), 1);
    let describe =
        DescribeStreamRequest { stream: stream(), limit: Some(4), ..DescribeStreamRequest::default() };
    let described = world.kinesis.describe_stream(describe, world.now).expect("good");
    assert_eq!((described.shards.len(), described.has_more_shards), (4, true));
}

#[test]
fn scaling_has_its_quotas() {
    let mut world = World::aws(4);
    assert_eq!(code(world.scale(9)), "InvalidArgumentException");
    assert_eq!(code(world.scale(1)), "InvalidArgumentException");
    for target in [8, 4, 2, 4, 8, 4, 2, 4, 8, 4] {
        assert_eq!(code(world.scale(target)), "accepted");
        assert_eq!(code(world.scale(target)), "ResourceInUseException", "one at a time");
        world.settle();
    }
    assert_eq!(code(world.scale(8)), "LimitExceededException");
    assert_eq!(code(world.split(lowest_open(&world), 1 << 100)), "accepted", "splits have no daily quota");
    world.settle();
    world.pass(Duration::from_secs(86_400));
    assert_eq!(code(world.scale(8)), "accepted");
}

#[test]
fn records_flow_into_the_parents_until_a_slow_reshard_is_done() {
    let mut world = World::aws(1);
    world.split(0, MIDDLE).expect("inside");
    assert_eq!(world.summary().status, StreamStatus::Updating);
    assert_eq!(world.put_at(MIDDLE, "a").shard_id, shard_id(0));
    world.pass(Duration::from_millis(29_999));
    assert_eq!(world.put_at(MIDDLE, "b").shard_id, shard_id(0));
    world.pass(Duration::from_millis(1));
    assert_eq!(world.put_at(MIDDLE, "c").shard_id, shard_id(2));
    assert_eq!(world.summary().status, StreamStatus::Active);
    let read = world.read(&world.iterator(0, StartingPosition::TrimHorizon));
    assert_eq!((texts(&read.records), read.child_shards.len()), (vec!["a", "b"], 2));
}

/// The number of the open shard that begins at 0.
fn lowest_open(world: &World) -> u32 {
    let first = world.open_shards().into_iter().find(|shard| shard.hash_key_range.start().0 == 0);
    let id = first.expect("the hash space is covered").shard_id;
    id.as_str().trim_start_matches("shardId-").parse().expect("a number")
}
