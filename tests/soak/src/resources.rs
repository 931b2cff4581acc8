//! What a run needs before its first event: stream, bucket, and the settings file of the workers.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use workers::{PipelineSettings, Preset, S3Store};

/// Clients of the local services, and the pipeline that runs on them.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) sdk: SdkConfig,
    pub(crate) settings: PipelineSettings,
    pub(crate) store: S3Store,
}

impl Resources {
    /// Creates stream and bucket, and writes the settings to `config`.
    pub(crate) async fn create(endpoint: &str, shards: u16, config: &Path) -> anyhow::Result<Self> {
        let settings = settings_of_run(endpoint);
        std::fs::write(config, settings.to_commented_toml())
            .with_context(|| format!("{} cannot be written", config.display()))?;
        let sdk = sdk_config(endpoint).await;
        let stream = &settings.stream.name;
        let created = Client::new(&sdk).create_stream().stream_name(stream).shard_count(i32::from(shards));
        created.send().await.with_context(|| format!("stream {stream} cannot be created"))?;
        let s3 = S3Store::client(&sdk, Some(endpoint));
        let bucket = &settings.sink.bucket;
        s3.create_bucket()
            .bucket(bucket)
            .send()
            .await
            .with_context(|| format!("bucket {bucket} cannot be created"))?;
        let store = S3Store::new(s3, bucket, "");
        Ok(Self { sdk, settings, store })
    }

    /// A Kinesis client that repeats nothing by itself.
    pub(crate) fn kinesis_once(&self) -> Client {
        let config = aws_sdk_kinesis::config::Builder::from(&self.sdk).retry_config(RetryConfig::disabled());
        Client::from_conf(config.build())
    }

    /// Name of the lease table.
    pub(crate) fn table(&self) -> &str {
        &self.settings.application.name
    }
}

/// The `clicks` preset with times that suit a run of minutes.
fn settings_of_run(endpoint: &str) -> PipelineSettings {
    let mut settings = Preset::Clicks.settings();
    settings.application.name = "leasehold-soak".to_owned();
    settings.stream.name = "soak".to_owned();
    settings.stream.endpoint = Some(endpoint.to_owned());
    settings.lease.failover = FAILOVER;
    settings.lease.shutdown_timeout = Duration::from_secs(5);
    settings.fetch.poll_interval = Duration::from_millis(250);
    settings.sink.batch_age_max = BATCH_AGE_MAX;
    settings
}

async fn sdk_config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "leasehold-soak"))
        .load()
        .await
}

/// A lease that was not renewed for this long is taken; stops are measured by it.
pub(crate) const FAILOVER: Duration = Duration::from_secs(3);
/// Short, so that most signals meet a worker in the middle of a commit.
const BATCH_AGE_MAX: Duration = Duration::from_millis(500);
