//! A worker process as its parent sees it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::journal::{Entry, Journal};
use super::worker::WorkerTask;
use crate::child::Task;

/// A worker process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Member {
    number: usize,
    process: Child,
    journal: Journal,
}

impl Member {
    /// Starts process `number`, which reports to `journal`.
    pub(crate) fn start(number: usize, task: WorkerTask, journal: &Journal) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let task = Task::Fleet(super::Task::Worker(task));
        let mut process = Command::new(program)
            .arg("child")
            .arg(serde_json::to_string(&task)?)
            // A pipe that nobody writes to: it closes when this process ends, however it ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a worker process cannot be started")?;
        let lines = process.stdout.take().context("a worker process without output")?;
        tokio::spawn(keep_journal(number, lines, journal.clone()));
        Ok(Self { number, process, journal: journal.clone() })
    }

    /// Waits until its worker runs.
    pub(crate) async fn started(&self) -> anyhow::Result<u64> {
        self.journal.until("a worker starts", START_TIMEOUT, |said| said.started(self.number)).await
    }

    /// Ends it without warning.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("a worker process cannot be killed")
    }

    /// Asks it to stop; returns at once.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        let id = self.process.id().context("the worker process has ended by itself")?;
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)
            .context("a worker process cannot be signalled")
    }

    /// Waits until it has ended in order.
    pub(crate) async fn ended(mut self) -> anyhow::Result<()> {
        let status =
            timeout(STOP_TIMEOUT, self.process.wait()).await.context("a worker process does not stop")??;
        anyhow::ensure!(status.success(), "worker process {} ended with {status}", self.number);
        Ok(())
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.terminate()?;
        self.ended().await
    }
}

async fn keep_journal(member: usize, lines: ChildStdout, journal: Journal) -> anyhow::Result<()> {
    let mut lines = BufReader::new(lines).lines();
    while let Some(line) = lines.next_line().await? {
        let (at, fact) = serde_json::from_str(&line).with_context(|| format!("not a fact: {line}"))?;
        journal.add(Entry { member, at, fact });
    }
    Ok(())
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// More than the worker's own shutdown timeout.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
