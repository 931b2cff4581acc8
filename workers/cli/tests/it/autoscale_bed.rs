//! Services, a stream, and processes of the autoscaler beside it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use local::{LocalSettings, Services};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinHandle;

use crate::support::leasehold;

/// Services on a port of their own.
pub(crate) struct Bed {
    pub(crate) folder: tempfile::TempDir,
    services: Services,
    pub(crate) sdk: SdkConfig,
}

impl Bed {
    pub(crate) fn start(change: impl FnOnce(&mut LocalSettings)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = LocalSettings::new(folder.path());
        change(&mut settings);
        let services = Services::start(settings).expect("services start");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(services.endpoint())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "local", "local", None, None, "local",
            )))
            .build();
        Self { folder, services, sdk }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn endpoint(&self) -> String {
        self.services.endpoint()
    }

    pub(crate) async fn create(&self, stream: &str, shards: i32) {
        let client = aws_sdk_kinesis::Client::new(&self.sdk);
        client.create_stream().stream_name(stream).shard_count(shards).send().await.expect("a stream");
    }

    pub(crate) async fn shards(&self, stream: &str) -> i32 {
        let client = aws_sdk_kinesis::Client::new(&self.sdk);
        let summary = client.describe_stream_summary().stream_name(stream).send().await.expect("described");
        summary.stream_description_summary().expect("a summary").open_shard_count()
    }

    /// `leasehold autoscale <mode> --stream orders` against these services, on their clock.
    pub(crate) fn autoscale(&self, mode: &str, more: &[&str]) -> Command {
        let mut command = leasehold(self.path());
        command.args(["autoscale", mode, "--stream", "orders", "--endpoint", &self.endpoint()]);
        if ["observe", "plan", "apply", "rebalance"].contains(&mode) {
            command.args(["--clock", &self.services.clock().anchor().to_string()]);
        }
        command.args(more);
        command
    }

    /// Puts small records on a stream at this rate until dropped; the hash key of each by its number.
    pub(crate) fn feed(
        &self,
        stream: &'static str,
        records_per_second: u64,
        hash_key: fn(u64) -> u128,
    ) -> Feed {
        let client = aws_sdk_kinesis::Client::new(&self.sdk);
        Feed(tokio::spawn(async move {
            let pause = Duration::from_millis(1_000 * RECORDS_OF_A_PUT / records_per_second);
            let mut ticks = tokio::time::interval(pause);
            for round in 0_u64.. {
                ticks.tick().await;
                let entry = |number: u64| {
                    let number = round * RECORDS_OF_A_PUT + number;
                    let entry = PutRecordsRequestEntry::builder().data(Blob::new(vec![b'x'; 100]));
                    let entry = entry.partition_key(number.to_string());
                    entry.explicit_hash_key(hash_key(number).to_string()).build().expect("complete")
                };
                let entries = (0..RECORDS_OF_A_PUT).map(entry).collect();
                client
                    .put_records()
                    .stream_name(stream)
                    .set_records(Some(entries))
                    .send()
                    .await
                    .expect("put");
            }
        }))
    }
}

/// A task that puts records, while the test waits for processes.
pub(crate) struct Feed(JoinHandle<()>);

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A process whose standard error is followed; killed when dropped.
pub(crate) struct Followed {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Followed {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line that has `text` in it; fails when the process ends before, or says nothing of it in time.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?} after:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal and waits for the end: the exit code.
    pub(crate) fn end(mut self, signal: Signal) -> Option<i32> {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the signal is sent");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        // Fails only if the process has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body that `address` serves under `path`.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("somebody listens");
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("answered");
    answer
}

/// A minute in a second, and ten records a second fill a shard.
pub(crate) fn fast(settings: &mut LocalSettings) {
    settings.time_scale = NonZeroU32::new(60).expect("not zero");
    settings.record_weight = NonZeroU32::new(100).expect("not zero");
    settings.metrics_delay = Duration::ZERO;
}

/// A walk over the hash space that meets every part of it as often.
pub(crate) fn evenly(number: u64) -> u128 {
    u128::from(number).wrapping_mul(GOLDEN)
}

/// Asks again until the answer holds; fails if it does not in time.
pub(crate) async fn until<T>(mut ask: impl AsyncFnMut() -> T, mut holds: impl FnMut(&T) -> bool) -> T
where
    T: std::fmt::Debug,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if holds(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came to hold: {answer:?}");
        tokio::task::yield_now().await;
    }
}

/// What takes a second on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(90);
const RECORDS_OF_A_PUT: u64 = 2;
const GOLDEN: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
