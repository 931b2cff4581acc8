//! The local services as a process of their own, limits off, and clients for them.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::measurement::Context;
use crate::usage::{Memory, cpu_time_of};

/// A running `leasehold services` that keeps everything in memory; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Services {
    process: Child,
    endpoint: String,
    /// Held open: the program may say more.
    _output: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Services {
    /// Starts the program on a free port and waits until it serves.
    pub(crate) async fn start(context: &Context) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let mut process = Command::new(context.leasehold())
            .args(["services", "--port", "0", "--data"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("leasehold services cannot be started")?;
        let mut output = BufReader::new(process.stdout.take().context("the services have no output")?);
        let mut line = String::new();
        output.read_line(&mut line).await?;
        let endpoint = endpoint(&line).with_context(|| format!("the services named no address: {line:?}"))?;
        Ok(Self { process, endpoint: endpoint.to_owned(), _output: output, _folder: folder })
    }

    /// Where it serves.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Memory of its process.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        Memory::of(self.id()?)
    }

    /// CPU time of its process.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        cpu_time_of(self.id()?)
    }

    fn id(&self) -> anyhow::Result<u32> {
        self.process.id().context("the services have ended by themselves")
    }

    /// Kills it and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("the services cannot be stopped")
    }
}

/// A configuration for all clients of the services at `endpoint`.
pub(crate) fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "figures");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

fn endpoint(line: &str) -> Option<&str> {
    line.split([' ', ';', '\n']).find(|word| word.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_first_line() {
        let line = "Kinesis, DynamoDB and S3 at http://127.0.0.1:4566; objects in data/s3\n";
        assert_eq!(endpoint(line), Some("http://127.0.0.1:4566"));
        assert_eq!(endpoint(""), None);
    }
}
