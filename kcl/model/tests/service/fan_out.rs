//! `SubscribeToShard` as its consumer sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use kinesis_model::*;

use crate::world::{MIDDLE, World, code, shard_id, stream, texts};

fn consumer(world: &World) -> String {
    let request = RegisterStreamConsumerRequest {
        stream_arn: world.summary().stream_arn,
        consumer_name: "c".to_owned(),
    };
    world.kinesis.register_stream_consumer(request, world.now).expect("free").consumer_arn
}

fn subscribe(world: &World, consumer_arn: &str, position: StartingPosition) -> Result<Subscription> {
    let consumer_arn = consumer_arn.to_owned();
    let request = SubscribeToShardRequest { consumer_arn, shard_id: shard_id(0), position };
    world.kinesis.subscribe_to_shard(request, world.now)
}

fn event(step: SubscriptionStep) -> SubscribeToShardEvent {
    match step {
        SubscriptionStep::Event(event) => event,
        other @ (SubscriptionStep::Idle { .. } | SubscriptionStep::Failed(_) | SubscriptionStep::Ended) => {
            panic!("an event was due: {other:?}")
        }
    }
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn records_are_pushed_as_they_come() {
    let world = World::new(1);
    let arn = consumer(&world);
    world.put("a");
    let mut subscription = subscribe(&world, &arn, StartingPosition::TrimHorizon).expect("free");
    let counter = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(counter.clone());

    let first = event(subscription.poll(world.now, Some(&waker)));
    assert_eq!((texts(&first.records), first.millis_behind_latest), (vec!["a"], 0));
    let idle = subscription.poll(world.now, Some(&waker));
    assert_eq!(idle, SubscriptionStep::Idle { until: world.now.after(Duration::from_secs(5)) });
    assert_eq!(counter.0.load(Ordering::Relaxed), 0);
    world.put("b");
    assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    assert_eq!(texts(&event(subscription.poll(world.now, None)).records), ["b"]);
}

#[test]
fn a_silent_shard_gives_a_continuation_at_once_and_then_heartbeats() {
    let mut world = World::new(1);
    let arn = consumer(&world);
    let mut subscription = subscribe(&world, &arn, StartingPosition::Latest).expect("free");
    let first = event(subscription.poll(world.now, None));
    assert!(first.records.is_empty());
    world.pass(Duration::from_millis(4_999));
    assert!(matches!(subscription.poll(world.now, None), SubscriptionStep::Idle { .. }));
    world.pass(Duration::from_millis(1));
    let heartbeat = event(subscription.poll(world.now, None));
    world.put("a");
    let continuation = heartbeat.continuation_sequence_number.expect("open");
    for position in [
        StartingPosition::AfterSequenceNumber(continuation),
        StartingPosition::AtSequenceNumber(continuation),
    ] {
        world.pass(Duration::from_secs(5));
        let mut resumed = subscribe(&world, &arn, position).expect("five seconds have passed");
        assert_eq!(texts(&event(resumed.poll(world.now, None)).records), ["a"]);
    }
}

#[test]
fn a_closed_shard_ends_with_its_children() {
    let world = World::new(1);
    let arn = consumer(&world);
    let mut subscription = subscribe(&world, &arn, StartingPosition::TrimHorizon).expect("free");
    event(subscription.poll(world.now, None));
    world.put("a");
    world.split(0, MIDDLE).expect("inside");
    let last = event(subscription.poll(world.now, None));
    assert_eq!((texts(&last.records), last.continuation_sequence_number), (vec!["a"], None));
    assert_eq!(last.child_shards.len(), 2);
    assert_eq!(subscription.poll(world.now, None), SubscriptionStep::Ended);
}

#[test]
fn a_subscription_ends_after_five_minutes() {
    let mut world = World::new(1);
    let arn = consumer(&world);
    let mut subscription = subscribe(&world, &arn, StartingPosition::Latest).expect("free");
    world.pass(Duration::from_millis(299_999));
    event(subscription.poll(world.now, None));
    let end = world.now.after(Duration::from_millis(1));
    assert_eq!(subscription.poll(world.now, None), SubscriptionStep::Idle { until: end });
    world.now = end;
    assert_eq!(subscription.poll(world.now, None), SubscriptionStep::Ended);
}

#[test]
fn a_second_call_is_refused_for_five_seconds_and_then_takes_over() {
    let mut world = World::new(1);
    let arn = consumer(&world);
    let mut first = subscribe(&world, &arn, StartingPosition::Latest).expect("free");
    event(first.poll(world.now, None));
    let counter = Arc::new(Count(AtomicUsize::new(0)));
    first.poll(world.now, Some(&Waker::from(counter.clone())));
    world.pass(Duration::from_millis(4_999));
    assert_eq!(code(subscribe(&world, &arn, StartingPosition::Latest)), "ResourceInUseException");
    assert!(matches!(first.poll(world.now, None), SubscriptionStep::Idle { .. }));
    world.pass(Duration::from_millis(1));
    let mut second = subscribe(&world, &arn, StartingPosition::Latest).expect("five seconds have passed");
    assert_eq!(counter.0.load(Ordering::Relaxed), 1, "the first one is told");
    let SubscriptionStep::Failed(error) = first.poll(world.now, None) else { panic!("it was taken over") };
    assert_eq!(error.code(), "ResourceInUseException");
    assert_eq!(first.poll(world.now, None), SubscriptionStep::Ended);
    event(second.poll(world.now, None));
}

#[test]
fn a_subscription_fails_with_its_consumer_or_stream() {
    for is_stream in [false, true] {
        let world = World::new(1);
        let arn = consumer(&world);
        let mut subscription = subscribe(&world, &arn, StartingPosition::Latest).expect("free");
        if is_stream {
            let request = DeleteStreamRequest { stream: stream(), enforce_consumer_deletion: true };
            world.kinesis.delete_stream(request, world.now).expect("active");
        } else {
            world.kinesis.deregister_stream_consumer(ConsumerRef::arn(&arn), world.now).expect("exists");
        }
        let SubscriptionStep::Failed(error) = subscription.poll(world.now, None) else {
            panic!("it is gone")
        };
        assert_eq!(error.code(), "ResourceNotFoundException");
        assert_eq!(code(subscribe(&world, &arn, StartingPosition::Latest)), "ResourceNotFoundException");
    }
}

#[test]
fn bad_subscriptions_do_not_take_the_slot() {
    let world = World::new(1);
    let arn = consumer(&world);
    let future = StartingPosition::AtTimestamp(EpochMillis(world.now.0 + 1));
    assert_eq!(code(subscribe(&world, &arn, future)), "InvalidArgumentException");
    assert_eq!(code(subscribe(&world, "nobody", StartingPosition::Latest)), "ResourceNotFoundException");
    assert_eq!(code(subscribe(&world, &arn, StartingPosition::Latest)), "accepted");
}

#[test]
fn events_are_bounded_and_two_mebibytes_flow_per_second() {
    let mut world = World::aws(1);
    let arn = consumer(&world);
    world.settle();
    let mut subscription = subscribe(&world, &arn, StartingPosition::TrimHorizon).expect("free");
    event(subscription.poll(world.now, None));
    let mut sent = 0;
    for _ in 0..6 {
        world.put(&"x".repeat((1 << 20) - 3));
        world.pass(Duration::from_secs(1));
    }
    let deadline = world.now.after(Duration::from_secs(1));
    loop {
        match subscription.poll(world.now, None) {
            SubscriptionStep::Event(event) => {
                assert_eq!(event.records.len(), 1, "an event carries a mebibyte");
                assert_eq!(event.millis_behind_latest == 0, sent == 5);
                sent += 1;
            }
            SubscriptionStep::Idle { until } if until <= deadline => world.now = until,
            SubscriptionStep::Idle { .. } => break,
            other @ (SubscriptionStep::Failed(_) | SubscriptionStep::Ended) => panic!("{other:?}"),
        }
    }
    assert!((4..=6).contains(&sent), "{sent} MiB within a second, two of them saved up");
}
