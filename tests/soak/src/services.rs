//! `leasehold services` in a process of its own, and its throttle.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The running services.
#[derive(Debug)]
pub(crate) struct ServicesProcess {
    child: Child,
    endpoint: String,
}

#[derive(Deserialize)]
struct ThrottleReport {
    throttled_calls: u64,
}

impl ServicesProcess {
    /// Starts them on a free port, with their files below `data`.
    pub(crate) async fn start(program: &Path, data: &Path, logs: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(["services", "--port", "0", "--stop-with-stdin", "--data"])
            .arg(data)
            // A pipe that nobody writes to: it closes when this process ends, however it ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(logs.join("services.log"))?)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first =
            timeout(START_TIMEOUT, lines.next_line()).await.context("the services do not start")??;
        let first = first.context("the services ended at once; see services.log")?;
        let endpoint = first
            .split_whitespace()
            .find_map(|word| word.starts_with("http://").then(|| word.trim_end_matches(';').to_owned()))
            .with_context(|| format!("no address in {first:?}"))?;
        // What else is printed is of no interest, but somebody must read it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, endpoint })
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Fails if they ended by themselves.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("the services ended by themselves ({status}); see services.log"),
        }
    }

    /// Lets DynamoDB refuse `share` of all calls for `span`.
    pub(crate) async fn throttle(&self, share: f64, span: Duration) -> anyhow::Result<()> {
        let order = serde_json::json!({ "share": share, "seconds": span.as_secs_f64() });
        self.call("PUT", &order.to_string()).await?;
        Ok(())
    }

    /// Calls refused so far, as the services count them.
    pub(crate) async fn throttled_calls(&self) -> anyhow::Result<u64> {
        let report: ThrottleReport = serde_json::from_str(&self.call("GET", "").await?)?;
        Ok(report.throttled_calls)
    }

    async fn call(&self, method: &str, body: &str) -> anyhow::Result<String> {
        let address = self.endpoint.trim_start_matches("http://");
        let request = format!(
            "{method} /_leasehold/throttle HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = timeout(CALL_TIMEOUT, exchange).await.context("the throttle does not answer")??;
        let (head, body) = answer.split_once("\r\n\r\n").context("the throttle's answer has no body")?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "the throttle refuses: {body}");
        Ok(body.to_owned())
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
