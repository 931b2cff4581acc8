//! The adapters against the local services, over HTTP.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use kcl::SystemClock;
use kcl_core::{HashKey, LeaderLock, LockCondition, LockVersion, Millis, WorkerId};
use local::{Limits, LocalSettings, Services};
use tokio_util::sync::CancellationToken;

use super::{AwsObserver, CloudWatchGauges, DynamoDbRows, KinesisControl, create_table};
use crate::reconcile::{
    Call, CallReply, Gauges, Journal, JsonLines, Observer, PortError, Ports, ReconcileSettings, Reconciler,
    Refusal, RowStore, RowWrite, RowWritten, RunFor, ShardControl, Vitals,
};
use crate::{
    Action, Boundaries, Constraint, Decision, EpochMillis, Ledger, Observation, Plan, ShardLimits,
    StreamState,
};

struct Bed {
    _data: tempfile::TempDir,
    _services: Services,
    config: SdkConfig,
}

impl Bed {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let settings = LocalSettings { limits: Limits::Aws, ..LocalSettings::new(data.path()) };
        let services = Services::start(settings).expect("services start");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(services.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "local", "local", None, None, "local",
            )))
            .build();
        Self { _data: data, _services: services, config }
    }

    async fn control(&self, stream: &str, shards: i32) -> KinesisControl {
        let client = aws_sdk_kinesis::Client::new(&self.config);
        client.create_stream().stream_name(stream).shard_count(shards).send().await.expect("a stream");
        KinesisControl::new(&self.config, stream, CALL_TIMEOUT)
    }
}

/// A place where nothing is published.
#[derive(Debug)]
struct Mute;

#[async_trait::async_trait]
impl Gauges for Mute {
    async fn publish(&self, _: Vitals, _: u64) -> Result<(), PortError> {
        Ok(())
    }
}

fn lock(version: &str, is_released: bool) -> LeaderLock {
    LeaderLock {
        owner: WorkerId::new("controller-a").expect("valid"),
        version: LockVersion(version.to_owned()),
        lease_duration: Millis(60_000),
        is_released,
    }
}

#[tokio::test]
async fn the_item_does_what_the_row_does() {
    let bed = Bed::start();
    create_table(&bed.config, "rows").await.expect("made");
    create_table(&bed.config, "rows").await.expect("there already");
    let rows = DynamoDbRows::new(&bed.config, "rows", "clicks", CALL_TIMEOUT);
    let version = |version: &str| LockVersion(version.to_owned());
    let held = |text: &str| LockCondition::VersionAndOwner(version(text), lock("", false).owner);
    let writes = [
        (held("1"), lock("2", false), None),
        (LockCondition::Absent, lock("1", false), Some("first")),
        (LockCondition::Absent, lock("9", false), Some("never")),
        (held("1"), lock("2", false), None),
        (LockCondition::Released, lock("9", false), None),
        (held("2"), lock("3", true), Some("second")),
        (LockCondition::Released, lock("4", false), None),
        (LockCondition::Version(version("3")), lock("9", false), None),
        (LockCondition::Version(version("4")), lock("5", false), Some("third")),
    ];
    let mut model = None;
    for (condition, lock, journal) in writes {
        let write = RowWrite { condition, lock, journal: journal.map(str::to_owned) };
        let expected = match write.apply(&mut model) {
            Ok(()) => RowWritten::Written,
            Err(current) => RowWritten::Refused(current),
        };
        assert_eq!(rows.write(&write).await, expected, "{write:?}");
        assert_eq!(rows.read().await.expect("read"), model, "{write:?}");
    }
    let missing = DynamoDbRows::new(&bed.config, "no-such-table", "clicks", CALL_TIMEOUT);
    let problem = missing.read().await.expect_err("refused");
    assert_eq!(problem.to_string(), "GetItem of clicks in no-such-table failed");
    let write = RowWrite { condition: LockCondition::Absent, lock: lock("1", false), journal: None };
    assert_eq!(missing.write(&write).await, RowWritten::Failed);
}

#[tokio::test]
async fn the_control_plane_is_seen_and_changed() {
    let bed = Bed::start();
    let control = bed.control("clicks", 2).await;
    let look = control.look().await.expect("looked");
    assert_eq!((look.state, look.layout.boundaries()), (StreamState::Active, Boundaries::uniform(2)));
    assert!(control.account_room().await.expect("told") > 1_000);

    let shard = look.layout.shards()[0].id.clone();
    let split = Call::Split { shard: shard.clone(), at: HashKey(1 << 126) };
    assert_eq!(control.call(&split).await, CallReply::Accepted);
    let split_again = control.call(&split).await;
    assert!(matches!(split_again, CallReply::Refused(Refusal::Misfit { .. })), "{split_again:?}");
    let layout = control.look().await.expect("looked").layout;
    let ids: Vec<_> = layout.shards().iter().map(|shard| shard.id.clone()).collect();
    let merge = Call::Merge { lower: ids[0].clone(), upper: ids[1].clone(), at: HashKey(1 << 126) };
    assert_eq!(control.call(&merge).await, CallReply::Accepted);
    assert_eq!(control.look().await.expect("looked").layout.boundaries(), Boundaries::uniform(2));

    for call in 0..10 {
        let target = if call % 2 == 0 { 4 } else { 2 };
        assert_eq!(control.call(&Call::Scale { target }).await, CallReply::Accepted);
    }
    let eleventh = control.call(&Call::Scale { target: 4 }).await;
    assert_eq!(eleventh, CallReply::Refused(Refusal::LimitExceeded));
    let nowhere = KinesisControl::new(&bed.config, "no-such-stream", CALL_TIMEOUT);
    assert_eq!(nowhere.look().await.expect_err("refused").operation, "DescribeStreamSummary");
}

#[tokio::test]
async fn a_service_that_does_not_answer_leaves_the_outcome_unknown() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", closed.local_addr().expect("bound"));
    let config = Bed::start().config.into_builder().endpoint_url(endpoint).build();
    let control = KinesisControl::new(&config, "clicks", Duration::from_millis(50));
    assert_eq!(control.call(&Call::Scale { target: 4 }).await, CallReply::Unknown);
    let rows = DynamoDbRows::new(&config, "rows", "clicks", Duration::from_millis(50));
    let write = RowWrite { condition: LockCondition::Absent, lock: lock("1", false), journal: None };
    assert_eq!(rows.write(&write).await, RowWritten::Unknown);
    let gauges = CloudWatchGauges::new(&config, "clicks", Duration::from_millis(50));
    let vitals =
        Vitals { shards: 1, utilisation: None, throttle_ratio: None, quota_left: 9, is_changing: false };
    assert_eq!(gauges.publish(vitals, 0).await.expect_err("nobody answers").operation, "PutMetricData");
}

#[tokio::test]
async fn a_reconciler_scales_a_stream_over_the_wire() {
    let bed = Bed::start();
    create_table(&bed.config, "rows").await.expect("made");
    let control = bed.control("clicks", 2).await;
    let window = Duration::from_secs(3_600);
    let observer =
        AwsObserver::new(&bed.config, control.clone(), window, CALL_TIMEOUT, ShardLimits::default());
    let seen = observer.observe(EpochMillis(1_800_000_000_000)).await.expect("observed");
    assert_eq!((seen.state, seen.layout.count(), seen.fan_out_consumers), (StreamState::Active, 2, 0));
    assert!(seen.account_shards_left.is_some_and(|left| left > 1_000));
    assert!(
        seen.minutes.len() == 60 && seen.minutes.iter().all(|minute| minute.bytes.is_none_or(|b| b == 0.0))
    );

    let rows = DynamoDbRows::new(&bed.config, "rows", "clicks", CALL_TIMEOUT);
    let ports = Ports {
        rows: Arc::new(rows.clone()),
        control: Arc::new(control.clone()),
        observer: Arc::new(observer),
        gauges: Arc::new(Mute),
        clock: Arc::new(SystemClock::new()),
    };
    let to_four = |observation: &Observation, _: &Ledger, _: EpochMillis| Plan {
        action: if observation.layout.count() == 4 { Action::Nothing } else { Action::Scale { target: 4 } },
        decision: Decision {
            constraint: Constraint::InBounds,
            demand_shards: None,
            utilisation: None,
            quota_left: None,
            rejected: None,
        },
    };
    for term in 1..=2 {
        let me = WorkerId::new(format!("controller-{term}")).expect("valid");
        let audit = Box::new(JsonLines::new(std::io::sink()));
        let settings = ReconcileSettings::default();
        Reconciler::new("clicks", settings, me, term, to_four, ports.clone(), audit)
            .run(RunFor::OneRound, Arc::default(), CancellationToken::new())
            .await;
        let row = rows.read().await.expect("read").expect("written");
        let journal = Journal::decode(&row.journal).expect("readable");
        assert!(row.lock.is_released);
        assert_eq!((journal.term, journal.ledger.calls().len()), (term, 1));
        assert_eq!(
            journal.intent.is_some(),
            term == 1,
            "the second run sees that the first one's call is done"
        );
    }
    assert_eq!(control.look().await.expect("looked").layout.boundaries(), Boundaries::uniform(4));
}

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
