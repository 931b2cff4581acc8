//! Streams, their settings, consumers, and the times that AWS takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kinesis_model::*;

use crate::world::{MIDDLE, World, code, stream, texts};

#[test]
fn a_stream_is_named_by_name_or_arn() {
    let world = World::new(1);
    let arn = world.summary().stream_arn;
    assert_eq!(arn, "arn:aws:kinesis:us-east-1:000000000000:stream/s");
    let describe = |reference| code(world.kinesis.describe_stream_summary(reference, world.now));
    assert_eq!(describe(StreamRef::arn(&arn)), "accepted");
    assert_eq!(describe(StreamRef { name: Some("s".into()), arn: Some(arn.clone()) }), "accepted");
    assert_eq!(describe(StreamRef { name: Some("t".into()), arn: Some(arn) }), "InvalidArgumentException");
    assert_eq!(describe(StreamRef::default()), "InvalidArgumentException");
    assert_eq!(describe(StreamRef::name("nope")), "ResourceNotFoundException");
    assert_eq!(describe(StreamRef::arn("arn:aws:kinesis:eu-west-1:1:stream/s")), "ResourceNotFoundException");
}

#[test]
fn bad_streams_are_not_created() {
    let world = World::new(1);
    let create = |request| code(world.kinesis.create_stream(request, world.now));
    assert_eq!(create(CreateStreamRequest::provisioned("s", 1)), "ResourceInUseException");
    assert_eq!(create(CreateStreamRequest::provisioned("a b", 1)), "ValidationException");
    assert_eq!(create(CreateStreamRequest::provisioned("t", 0)), "ValidationException");
    assert_eq!(create(CreateStreamRequest::provisioned("t", 20_000)), "LimitExceededException");
    let on_demand = CreateStreamRequest {
        stream_name: "t".into(),
        mode: Some(StreamMode::OnDemand),
        ..CreateStreamRequest::default()
    };
    assert_eq!(
        create(CreateStreamRequest { shard_count: Some(1), ..on_demand.clone() }),
        "ValidationException"
    );
    assert_eq!(create(on_demand), "accepted");
    let scale = UpdateShardCountRequest {
        stream: StreamRef::name("t"),
        target_shard_count: 8,
        scaling_type: ScalingType::Uniform,
    };
    assert_eq!(code(world.kinesis.update_shard_count(scale, world.now)), "ValidationException");
    let limits = world.kinesis.describe_limits(world.now);
    assert_eq!((limits.open_shard_count, limits.on_demand_stream_count), (1, 1));
}

#[test]
fn shards_that_exist_only_while_scaling_count_against_the_account() {
    let settings = Settings { open_shards_max: 21, ..Settings::default() };
    let world = World::with(settings, 10);
    assert_eq!(code(world.scale(13)), "LimitExceededException", "12 splits come before 9 merges");
    assert_eq!(code(world.scale(15)), "accepted");
}

#[test]
fn a_slow_stream_takes_records_only_when_active() {
    let settings = Settings { control_plane: ControlPlane::Aws, ..Settings::default() };
    let mut world = World::with(settings, 1);
    assert_eq!(world.summary().status, StreamStatus::Creating);
    let put =
        |world: &World| code(world.kinesis.put_record(PutRecordRequest::new(stream(), "k", "x"), world.now));
    assert_eq!(put(&world), "ResourceNotFoundException");
    let list = |world: &World| code(world.kinesis.list_shards(ListShardsRequest::all(stream()), world.now));
    assert_eq!(list(&world), "ResourceInUseException");
    assert_eq!(code(world.split(0, MIDDLE)), "ResourceInUseException");
    world.settle();
    assert_eq!(
        (world.summary().status, put(&world), list(&world)),
        (StreamStatus::Active, "accepted", "accepted")
    );
    let delete = DeleteStreamRequest { stream: stream(), ..DeleteStreamRequest::default() };
    world.kinesis.delete_stream(delete, world.now).expect("active");
    assert_eq!(world.summary().status, StreamStatus::Deleting);
    world.settle();
    let summary = world.kinesis.describe_stream_summary(stream(), world.now);
    assert_eq!(code(summary), "ResourceNotFoundException");
    assert_eq!(world.kinesis.stored_bytes(), 0);
}

#[test]
fn retention_moves_within_its_bounds() {
    let mut world = World::new(1);
    let increase = |hours| code(world.kinesis.increase_stream_retention_period(stream(), hours, world.now));
    let decrease = |hours| code(world.kinesis.decrease_stream_retention_period(stream(), hours, world.now));
    assert_eq!(increase(8_761), "InvalidArgumentException");
    assert_eq!(increase(23), "InvalidArgumentException");
    assert_eq!(increase(48), "accepted");
    assert_eq!(increase(47), "InvalidArgumentException");
    assert_eq!(decrease(49), "InvalidArgumentException");
    assert_eq!(world.summary().retention_hours, 48);
    world.put("a");
    world.pass(Duration::from_secs(47 * 3_600));
    assert_eq!(texts(&world.read(&world.iterator(0, StartingPosition::TrimHorizon)).records), ["a"]);
    world.kinesis.decrease_stream_retention_period(stream(), 24, world.now).expect("shorter");
    assert!(world.read(&world.iterator(0, StartingPosition::TrimHorizon)).records.is_empty());
}

#[test]
fn idle_streams_give_expired_memory_back() {
    let mut world = World::new(1);
    world.put("a");
    world.pass(Duration::from_secs(86_401));
    assert_ne!(world.kinesis.stored_bytes(), 0);
    world.kinesis.advance(world.now);
    assert_eq!(world.kinesis.stored_bytes(), 0);
}

#[test]
fn streams_are_listed_page_by_page() {
    let world = World::new(1);
    for name in ["a", "t", "z"] {
        world.kinesis.create_stream(CreateStreamRequest::provisioned(name, 1), world.now).expect("free");
    }
    let list = |request| {
        let page = world.kinesis.list_streams(request, world.now).expect("good");
        let names: Vec<_> = page.streams.into_iter().map(|summary| summary.stream_name).collect();
        (names.join(","), page.next_token)
    };
    let (first, token) = list(ListStreamsRequest { limit: Some(3), ..ListStreamsRequest::default() });
    let (rest, end) = list(ListStreamsRequest { next_token: token, ..ListStreamsRequest::default() });
    assert_eq!((first.as_str(), rest.as_str(), end), ("a,s,t", "z", None));
    let after =
        ListStreamsRequest { exclusive_start_stream_name: Some("s".into()), ..ListStreamsRequest::default() };
    assert_eq!(list(after).0, "t,z");
}

#[test]
fn tags_come_and_go() {
    let world = World::new(1);
    let tags = |count: usize| (0..count).map(|index| (format!("k{index:02}"), "v".to_owned())).collect();
    world.kinesis.add_tags_to_stream(stream(), tags(50), world.now).expect("50 fit");
    let more: BTreeMap<_, _> = [("other".to_owned(), "v".to_owned())].into();
    let add = || code(world.kinesis.add_tags_to_stream(stream(), more.clone(), world.now));
    assert_eq!(add(), "InvalidArgumentException");
    world.kinesis.remove_tags_from_stream(stream(), vec!["k00".into()], world.now).expect("exists");
    assert_eq!(add(), "accepted");
    let request = ListTagsForStreamRequest {
        stream: stream(),
        exclusive_start_tag_key: Some("k48".into()),
        limit: Some(1),
    };
    let page = world.kinesis.list_tags_for_stream(request, world.now).expect("good");
    assert_eq!((page.tags, page.has_more_tags), (vec![("k49".to_owned(), "v".to_owned())], true));
}

#[test]
fn settings_show_in_the_summary() {
    let world = World::new(1);
    let arn = world.summary().stream_arn;
    world.kinesis.start_stream_encryption(stream(), "alias/k".into(), world.now).expect("active");
    world.kinesis.update_stream_mode(arn, StreamMode::OnDemand, world.now).expect("active");
    let all: BTreeSet<_> = ["ALL".to_owned()].into();
    let response = world.kinesis.enable_enhanced_monitoring(stream(), all, world.now).expect("known");
    assert_eq!((response.current.len(), response.desired.len()), (0, 7));
    let one: BTreeSet<_> = ["IncomingBytes".to_owned()].into();
    world.kinesis.disable_enhanced_monitoring(stream(), one, world.now).expect("known");
    let unknown: BTreeSet<_> = ["Nope".to_owned()].into();
    let refused = world.kinesis.enable_enhanced_monitoring(stream(), unknown, world.now);
    assert_eq!(code(refused), "ValidationException");

    let summary = world.summary();
    assert_eq!((summary.encryption_type, summary.key_id.as_deref()), (EncryptionType::Kms, Some("alias/k")));
    assert_eq!((summary.mode, summary.shard_level_metrics.len()), (StreamMode::OnDemand, 6));
    let put = world.kinesis.put_record(PutRecordRequest::new(stream(), "k", "x"), world.now);
    assert_eq!(put.expect("taken").encryption_type, EncryptionType::Kms);
    world.kinesis.stop_stream_encryption(stream(), world.now).expect("active");
    assert_eq!(world.summary().encryption_type, EncryptionType::None);
}

#[test]
fn the_mode_changes_twice_a_day() {
    let mut world = World::aws(1);
    let arn = world.summary().stream_arn;
    for mode in [StreamMode::OnDemand, StreamMode::Provisioned] {
        world.kinesis.update_stream_mode(arn.clone(), mode, world.now).expect("within the quota");
        world.settle();
    }
    let third = world.kinesis.update_stream_mode(arn, StreamMode::OnDemand, world.now);
    assert_eq!(code(third), "LimitExceededException");
}

#[test]
fn consumers_are_registered_listed_and_hold_the_stream() {
    let world = World::new(1);
    let arn = world.summary().stream_arn;
    let register = |name: &str| {
        let request =
            RegisterStreamConsumerRequest { stream_arn: arn.clone(), consumer_name: name.to_owned() };
        world.kinesis.register_stream_consumer(request, world.now)
    };
    let first = register("a").expect("free");
    assert_eq!(first.status, ConsumerStatus::Creating);
    register("b").expect("free");
    assert_eq!(code(register("a")), "ResourceInUseException");
    for reference in [ConsumerRef::arn(&first.consumer_arn), ConsumerRef::named(&arn, "a")] {
        let described = world.kinesis.describe_stream_consumer(reference, world.now).expect("exists");
        assert_eq!((described.status, described.consumer_name.as_str()), (ConsumerStatus::Active, "a"));
    }
    let list = |next_token| {
        let request = ListStreamConsumersRequest {
            stream_arn: arn.clone(),
            next_token,
            max_results: Some(1),
            ..ListStreamConsumersRequest::default()
        };
        world.kinesis.list_stream_consumers(request, world.now).expect("good")
    };
    let page = list(None);
    let rest = list(page.next_token);
    assert_eq!((rest.consumers[0].consumer_name.as_str(), rest.next_token), ("b", None));

    let delete = |enforce_consumer_deletion| {
        let request = DeleteStreamRequest { stream: stream(), enforce_consumer_deletion };
        code(world.kinesis.delete_stream(request, world.now))
    };
    assert_eq!(delete(false), "ResourceInUseException");
    world.kinesis.deregister_stream_consumer(ConsumerRef::named(&arn, "b"), world.now).expect("exists");
    let gone = world.kinesis.describe_stream_consumer(ConsumerRef::named(&arn, "b"), world.now);
    assert_eq!(code(gone), "ResourceNotFoundException");
    assert_eq!(delete(true), "accepted");
}
