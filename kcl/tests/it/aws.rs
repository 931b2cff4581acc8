//! The AWS adapters against the local services: the same suites as in memory, and whole workers over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use bytes::Bytes;
use kcl::aws::{DynamoDbLeaseStore, DynamoDbTelemetryStore, KinesisStream};
use kcl::conformance::{self, Producer};
use kcl::testkit::TestBed;
use kcl::{
    Application, ErrorKind, LeaseStore, OpenError, ShardId, StreamControl, StreamIdentity, TelemetryError,
    TelemetryStore, Worker,
};
use local::{LocalSettings, Services};

use crate::recorder::Recorder;

struct Bed {
    _data: tempfile::TempDir,
    _services: Services,
    config: SdkConfig,
}

impl Bed {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let services = Services::start(LocalSettings::new(data.path())).expect("services start");
        let config = config(&services.endpoint());
        Self { _data: data, _services: services, config }
    }

    async fn stream(&self, name: &str, shards: i32) -> SdkProducer {
        let client = aws_sdk_kinesis::Client::new(&self.config);
        client.create_stream().stream_name(name).shard_count(shards).send().await.expect("a stream");
        SdkProducer { client, stream: name.to_owned() }
    }

    fn store(&self, table: &str) -> DynamoDbLeaseStore {
        DynamoDbLeaseStore::new(&self.config, table, Duration::from_secs(10))
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    async fn table(&self, name: &str, hash_key: &str) {
        let attribute = AttributeDefinition::builder().attribute_name(hash_key);
        let element = KeySchemaElement::builder().attribute_name(hash_key).key_type(KeyType::Hash);
        self.dynamodb()
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute.attribute_type(ScalarAttributeType::S).build().expect("valid"))
            .key_schema(element.build().expect("valid"))
            .send()
            .await
            .expect("a table");
    }

    async fn put_item(&self, table: &str, attributes: &[(&str, AttributeValue)]) {
        let item = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.dynamodb().put_item().table_name(table).set_item(Some(item)).send().await.expect("an item");
    }
}

pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

fn application(name: &str, created_epoch_seconds: u64) -> Application {
    let stream = StreamIdentity {
        arn: "arn:aws:kinesis:eu-west-1:000000000000:stream/s".to_owned(),
        created_epoch_seconds,
    };
    Application { name: name.to_owned(), stream }
}

struct SdkProducer {
    client: aws_sdk_kinesis::Client,
    stream: String,
}

#[async_trait]
impl Producer for SdkProducer {
    async fn put(&self, partition_key: &str, data: Bytes) {
        let put = self.client.put_record().stream_name(&self.stream).partition_key(partition_key);
        let data = aws_sdk_kinesis::primitives::Blob::new(data.to_vec());
        put.data(data).send().await.expect("a put");
    }

    async fn split(&self, shard: &ShardId) {
        let listing = self.client.list_shards().stream_name(&self.stream).send().await.expect("a listing");
        let listed = listing.shards().iter().find(|listed| listed.shard_id() == shard.as_str());
        let range = listed.and_then(|listed| listed.hash_key_range()).expect("the shard is listed");
        let bound = |text: &str| text.parse::<u128>().expect("a hash key");
        let (start, end) = (bound(range.starting_hash_key()), bound(range.ending_hash_key()));
        self.client
            .split_shard()
            .stream_name(&self.stream)
            .shard_to_split(shard.as_str())
            .new_starting_hash_key((start + (end - start) / 2 + 1).to_string())
            .send()
            .await
            .expect("a split");
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_store_conforms() {
    let bed = Bed::start();
    let store = bed.store("conformance");
    store.open(&application("conformance", 1)).await.expect("the table is created");
    conformance::lease_store(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_conforms() {
    let bed = Bed::start();
    let producer = bed.stream("conformance", 2).await;
    let stream = KinesisStream::new(&bed.config, "conformance");
    conformance::stream(&stream, &producer).await;
    let arn = stream.describe().await.expect("the stream is there").arn;
    assert_eq!(KinesisStream::new(&bed.config, arn.clone()).describe().await.expect("by its ARN").arn, arn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_opened_again_by_its_owner_only() {
    let bed = Bed::start();
    let store = bed.store("owned");
    store.open(&application("owned", 7)).await.expect("created");
    store.open(&application("owned", 7)).await.expect("opened again");
    let error =
        store.open(&application("owned", 8)).await.expect_err("the stream was re-created").to_string();
    assert!(error.contains("created at 7") && error.contains("use another table"), "{error}");
    let index = bed.dynamodb().describe_table().table_name("owned").send().await.expect("described");
    let indexes = index.table.expect("a table").global_secondary_indexes.unwrap_or_default();
    assert_eq!(indexes[0].index_name(), Some("LeaseOwnerToLeaseKeyIndex"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telemetry_store_conforms_and_its_rows_expire() {
    let bed = Bed::start();
    conformance::telemetry_store(&DynamoDbTelemetryStore::new(&bed.config, "readers")).await;
    let told =
        bed.dynamodb().describe_time_to_live().table_name("readers-Telemetry").send().await.expect("told");
    let told = told.time_to_live_description.expect("a description");
    assert_eq!(told.attribute_name(), Some("lhExpires"));
    bed.table("orders-Telemetry", "orderId").await;
    let refused =
        DynamoDbTelemetryStore::new(&bed.config, "orders").open().await.expect_err("it is another's");
    assert!(matches!(refused, TelemetryError::Foreign { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_other_layouts_are_refused() {
    let bed = Bed::start();
    let refusal = async |table: &str| match bed.store(table).open(&application(table, 1)).await {
        Err(error @ OpenError::Foreign { .. }) => error.to_string(),
        other => panic!("{table} must be refused, and was {other:?}"),
    };
    bed.table("orders", "orderId").await;
    assert!(refusal("orders").await.contains("a table with hash key orderId"));

    bed.table("two", "leaseKey").await;
    let lease = [
        ("leaseKey", text("shardId-000000000000")),
        ("leaseCounter", number(4)),
        ("checkpoint", text("LATEST")),
    ];
    bed.put_item("two", &lease).await;
    assert!(refusal("two").await.contains("KCL 2.x assigns its leases"));
    bed.put_item(
        "two",
        &[("leaseKey", text("Migration3.0")), ("cv", text("CLIENT_VERSION_UPGRADE_FROM_2X"))],
    )
    .await;
    assert!(refusal("two").await.contains("CLIENT_VERSION_UPGRADE_FROM_2X"));

    bed.table("legacy-CoordinatorState", "key").await;
    assert!(refusal("legacy").await.contains("KCL 3.0–3.4"));

    bed.table("java", "leaseKey").await;
    bed.put_item("java", &lease).await;
    bed.put_item("java", &[("leaseKey", text("Migration3.0")), ("cv", text("CLIENT_VERSION_3X"))]).await;
    bed.store("java").open(&application("java", 1)).await.expect("a KCL 3.5 table is opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_share_a_stream_over_http_and_a_killed_one_is_replaced() {
    let bed = Bed::start();
    let producer = bed.stream("clicks", 4).await;
    for number in 0..200 {
        producer.put(&format!("key-{number}"), number.to_string().into()).await;
    }
    let mut settings = TestBed::settings();
    settings.failover = Duration::from_secs(2);
    let recorder = Recorder::default();
    let worker = || {
        let store = DynamoDbLeaseStore::new(&bed.config, "clicks-readers", settings.failover);
        Worker::builder("clicks-readers", KinesisStream::new(&bed.config, "clicks"))
            .with_lease_store(store)
            .with_settings(settings.clone())
            .build(recorder.clone())
            .expect("valid")
    };
    let a = worker().start().await.expect("the first starts");
    let b = worker().start().await.expect("the second starts");
    until(|| recorder.delivered() == 200 && a.health().shards.len() == 2 && b.health().shards.len() == 2)
        .await;
    a.abort();
    for number in 200..300 {
        producer.put(&format!("key-{number}"), number.to_string().into()).await;
    }
    until(|| distinct(&recorder) == 300).await;
    recorder.assert_ordered_within_tenures();
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_and_a_dead_endpoint_are_told_apart() {
    let bed = Bed::start();
    let worker = |config: &SdkConfig| {
        Worker::builder("nobody", KinesisStream::new(config, "nowhere"))
            .with_lease_store(DynamoDbLeaseStore::new(config, "nobody", Duration::from_secs(10)))
            .with_settings(TestBed::settings())
            .build(Recorder::default())
            .expect("valid")
    };
    let missing = worker(&bed.config).start().await.expect_err("there is no such stream");
    assert_eq!(missing.kind(), ErrorKind::StreamNotFound);
    assert!(missing.to_string().contains("stream nowhere not found in eu-west-1"), "{missing}");
    let dead = worker(&config("http://127.0.0.1:9")).start().await.expect_err("nobody listens");
    assert_eq!(dead.kind(), ErrorKind::Unavailable);
}

fn distinct(recorder: &Recorder) -> usize {
    let payloads = recorder.payloads().into_values().flatten();
    payloads.collect::<std::collections::BTreeSet<_>>().len()
}

/// Waits for a real service, at most a minute.
async fn until(mut predicate: impl FnMut() -> bool) {
    let waiting = async {
        while !predicate() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it happens within a minute");
}
