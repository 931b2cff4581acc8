//! The services as an AWS SDK sees them: real clients, real sockets, one instance per test.

mod alarms;
mod cloudwatch;
mod dynamodb;
mod front;
mod kinesis;
mod kinesis_restart;
mod notify;
mod s3;
mod throttle;
mod time_scale;

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use local::{LocalSettings, Services};
use tempfile::TempDir;

/// Running services with a folder of their own.
struct Local {
    services: Services,
    folder: TempDir,
}

impl Local {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut LocalSettings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = LocalSettings::new(folder.path());
        change(&mut settings);
        Self { services: Services::start(settings).expect("starts"), folder }
    }

    fn kinesis(&self) -> aws_sdk_kinesis::Client {
        aws_sdk_kinesis::Client::new(&config(&self.services))
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&config(&self.services))
    }

    fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&config(&self.services))
    }

    fn sns(&self) -> aws_sdk_sns::Client {
        aws_sdk_sns::Client::new(&config(&self.services))
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&config(&self.services))
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        let config =
            aws_sdk_s3::config::Builder::from(&config(&self.services)).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }
}

/// Any credentials do. No retries: a test must see the first answer.
fn config(services: &Services) -> SdkConfig {
    let credentials = Credentials::new("any", "any", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(services.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build()
}

/// Fails a test that waits for what does not come.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}
