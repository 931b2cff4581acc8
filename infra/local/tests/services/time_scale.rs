use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::types::{ScalingType, ShardIteratorType, StreamStatus};
use local::{Clock, ControlPlane, Limits, LocalSettings};

use crate::kinesis::{FIRST_SHARD, bodies, create, get, iterator, put};
use crate::{Local, soon};

fn scaled(settings: &mut LocalSettings, scale: u32) {
    settings.time_scale = scale.try_into().expect("not zero");
}

/// Lets `span` pass on the clock of the services.
async fn pass(clock: &Clock, span: Duration) {
    let end = clock.now().after(span);
    while clock.now() < end {
        tokio::time::sleep(clock.real(Duration::from_millis(end.millis_since(clock.now())))).await;
    }
}

async fn wait_until_active(client: &Client, stream: &str) {
    soon(async {
        loop {
            let output =
                client.describe_stream_summary().stream_name(stream).send().await.expect("described");
            let summary = output.stream_description_summary.expect("a summary");
            if summary.stream_status == StreamStatus::Active {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reshard_of_minutes_is_over_in_as_many_parts_of_a_second() {
    let local = Local::start_with(|settings| {
        scaled(settings, 600);
        settings.control_plane = ControlPlane::Aws;
    });
    let (client, clock) = (local.kinesis(), local.services.clock());
    create(&client, "orders", 2).await;
    wait_until_active(&client, "orders").await;
    let (begun, real) = (clock.now(), Instant::now());
    let update = client.update_shard_count().stream_name("orders").target_shard_count(4);
    soon(update.scaling_type(ScalingType::UniformScaling).send()).await.expect("accepted");
    wait_until_active(&client, "orders").await;
    let took = Duration::from_millis(clock.now().millis_since(begun));
    assert!(took >= Duration::from_secs(120), "{took:?} on the clock");
    assert!(real.elapsed() < Duration::from_secs(60), "{:?}", real.elapsed());
}

#[tokio::test]
async fn the_quota_of_a_day_holds_for_a_day_on_the_clock() {
    let local = Local::start_with(|settings| {
        scaled(settings, 1000);
        settings.limits = Limits::Aws;
    });
    let (client, clock) = (local.kinesis(), local.services.clock());
    create(&client, "orders", 2).await;
    let update = async |target| {
        let update = client.update_shard_count().stream_name("orders").target_shard_count(target);
        soon(update.scaling_type(ScalingType::UniformScaling).send()).await
    };
    let begun = clock.now();
    for call in 0..10 {
        update(if call % 2 == 0 { 3 } else { 2 }).await.expect("within the quota");
    }
    let refused = update(3).await.expect_err("the eleventh");
    let day = Duration::from_secs(86_400);
    assert!(Duration::from_millis(clock.now().millis_since(begun)) < day, "the calls took more than a day");
    assert_eq!(refused.code(), Some("LimitExceededException"));
}

#[tokio::test]
async fn what_a_reader_holds_lives_as_long_as_the_reader_takes() {
    let local = Local::start_with(|settings| scaled(settings, 1000));
    let (client, clock) = (local.kinesis(), local.services.clock());
    create(&client, "orders", 1).await;
    put(&client, "orders", &["a"]).await;
    let start = iterator(&client, "orders", FIRST_SHARD, ShardIteratorType::TrimHorizon).await;
    // Twice as long as an iterator lives, in less than a second.
    pass(&clock, Duration::from_secs(600)).await;
    assert_eq!(bodies(&get(&client, start).await), ["a"]);
}

#[tokio::test]
async fn a_shard_grants_its_calls_by_the_reader_s_second() {
    let local = Local::start_with(|settings| {
        scaled(settings, 1000);
        settings.limits = Limits::Aws;
    });
    let (client, begun) = (local.kinesis(), Instant::now());
    create(&client, "orders", 1).await;
    let start = iterator(&client, "orders", FIRST_SHARD, ShardIteratorType::TrimHorizon).await;
    let mut granted = 0;
    for _ in 0..20 {
        let answer = soon(client.get_records().shard_iterator(&start).send()).await;
        granted += usize::from(answer.is_ok());
    }
    // Five are saved up, and five come with every second of the test, whatever the clock shows.
    let granted_max = 6 + 5 * usize::try_from(begun.elapsed().as_secs() + 1).expect("a short test");
    assert!((5..=granted_max.min(20)).contains(&granted), "{granted} in {:?}", begun.elapsed());
    assert!(granted < 20 || begun.elapsed() > Duration::from_secs(2), "nothing was throttled");
}
