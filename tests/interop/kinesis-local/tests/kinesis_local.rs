//! The stream conformance suite against `kinesis-local` (npm), which nobody here wrote.
//!
//! ```text
//! conformance::stream ─▶ KinesisStream (the AWS adapter) ─▶ SDK, HTTP ─▶ node kinesis-local
//! ```
//!
//! It passes except where kinesis-local is known to differ from the service; each difference is named, and the suite
//! fails once one of them is gone. `just interop` installs the package and runs this.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::StreamStatus;
use bytes::Bytes;
use kcl::ShardId;
use kcl::aws::KinesisStream;
use kcl::conformance::{self, Producer, StreamException};
use tokio::net::TcpStream;

/// What kinesis-local 0.6.2 does otherwise.
const EXCEPTIONS: [StreamException; 2] = [
    // It answers as for FROM_TRIM_HORIZON; LocalStack, which is built on it, has the same fault (localstack issues
    // 10939 and 12833).
    StreamException::TrimHorizonListsLaterShards,
    // It looks for a record with that sequence number and answers ResourceNotFoundException when there is none; the
    // service refuses the number itself with InvalidArgumentException.
    StreamException::PositionBeyondShardsNotFound,
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node and the installed npm package: just interop"]
async fn the_stream_conforms_but_for_the_named_exceptions() {
    let server = KinesisLocal::start().await;
    let producer = server.stream("conformance", 2).await;
    let stream = KinesisStream::new(&server.config, "conformance");
    conformance::stream_except(&stream, &producer, &EXCEPTIONS).await;
    println!("kinesis-local {VERSION}: the stream suite passes, exceptions: {EXCEPTIONS:?}");
}

/// The process of kinesis-local, on loopback ports of its own, until dropped.
struct KinesisLocal {
    process: Child,
    config: SdkConfig,
}

impl KinesisLocal {
    async fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let package: PathBuf = here.join("node_modules/kinesis-local");
        assert!(
            package.join("main.js").is_file(),
            "{} is not installed; run just interop",
            package.display()
        );
        let (plain, tls) = (free_port(), free_port());
        let process = Command::new("node")
            .arg("--require")
            .arg(here.join("loopback.cjs"))
            .arg("main.js")
            // Its certificate is found in the working directory.
            .current_dir(&package)
            .env("KINESIS_MOCK_PLAIN_PORT", plain.port().to_string())
            .env("KINESIS_MOCK_TLS_PORT", tls.port().to_string())
            .env("LOG_LEVEL", "ERROR")
            .spawn()
            .expect("node starts");
        let credentials = Credentials::new("test", "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(format!("http://{plain}"))
            .build();
        let server = Self { process, config };
        within_a_minute("kinesis-local listens", async {
            while TcpStream::connect(plain).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await;
        server
    }

    async fn stream(&self, name: &str, shards: i32) -> SdkProducer {
        let client = Client::new(&self.config);
        client.create_stream().stream_name(name).shard_count(shards).send().await.expect("a stream");
        let producer = SdkProducer { client, stream: name.to_owned() };
        producer.until_active().await;
        producer
    }
}

impl Drop for KinesisLocal {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed.
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}

struct SdkProducer {
    client: Client,
    stream: String,
}

impl SdkProducer {
    async fn until_active(&self) {
        within_a_minute("the stream is active", async {
            loop {
                let described = self.client.describe_stream_summary().stream_name(&self.stream).send().await;
                let summary = described.expect("described").stream_description_summary.expect("a summary");
                if *summary.stream_status() == StreamStatus::Active {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await;
    }
}

#[async_trait]
impl Producer for SdkProducer {
    async fn put(&self, partition_key: &str, data: Bytes) {
        let put = self.client.put_record().stream_name(&self.stream).partition_key(partition_key);
        put.data(Blob::new(data.to_vec())).send().await.expect("a put");
    }

    async fn split(&self, shard: &ShardId) {
        let listing = self.client.list_shards().stream_name(&self.stream).send().await.expect("a listing");
        let listed = listing.shards().iter().find(|listed| listed.shard_id() == shard.as_str());
        let range = listed.and_then(|listed| listed.hash_key_range()).expect("the shard is listed");
        let bound = |text: &str| text.parse::<u128>().expect("a hash key");
        let (start, end) = (bound(range.starting_hash_key()), bound(range.ending_hash_key()));
        let split = self.client.split_shard().stream_name(&self.stream).shard_to_split(shard.as_str());
        split
            .new_starting_hash_key((start + (end - start) / 2 + 1).to_string())
            .send()
            .await
            .expect("a split");
        self.until_active().await;
    }
}

/// A port that nobody listens on; kinesis-local takes numbers only.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// Waits for another process.
async fn within_a_minute(what: &str, waiting: impl Future<Output = ()>) {
    let outcome = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    outcome.unwrap_or_else(|_| panic!("not within a minute: {what}"));
}

const VERSION: &str = "0.6.2";
/// Between two looks at another process.
const PAUSE: Duration = Duration::from_millis(50);
