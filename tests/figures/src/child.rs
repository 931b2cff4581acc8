//! Parts of measurements that run in a process of their own: this program again, with the hidden subcommand `child`.
//!
//! ```text
//! parent: Child::spawn(task) ──JSON argument──▶ child: Task::carry_out ──one JSON value per line──▶ Child::next
//! ```
//!
//! A child ends when its task is done, when it is dropped, or, if its task waits for [`stopped`], when [`Child::stop`]
//! closes its standard input; the death of the parent closes that, too.

use std::os::fd::AsFd as _;
use std::process::Stdio;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::{data_plane, fleet};

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// A part of the data plane's measurements.
    DataPlane(data_plane::Task),
    /// A part of the fleet's measurements.
    Fleet(fleet::Task),
}

impl Task {
    /// Reads what [`Child::spawn`] wrote.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        serde_json::from_str(text).with_context(|| format!("not a task: {text}"))
    }

    /// Carries the task out in this process.
    pub(crate) async fn carry_out(self) -> anyhow::Result<()> {
        match self {
            Self::DataPlane(task) => task.carry_out().await,
            Self::Fleet(task) => task.carry_out().await,
        }
    }
}

/// A running child; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts a child with `task`.
    pub(crate) fn spawn(task: &Task) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let mut process = Command::new(program)
            .arg("child")
            .arg(serde_json::to_string(task)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a child cannot be started")?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("a child without output")?;
        Ok(Self { process, input, output: BufReader::new(output).lines() })
    }

    /// The next value that the child reports.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.output.next_line().await?.context("a child ended without the report expected")?;
        serde_json::from_str(&line).with_context(|| format!("not a report: {line}"))
    }

    /// Asks the child to stop and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        let status = self.process.wait().await?;
        anyhow::ensure!(status.success(), "a child failed: {status}");
        Ok(())
    }
}

/// Reports one value to the parent.
pub(crate) fn report(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Returns when the parent asks this child to stop, or is gone.
///
/// # Errors
/// If the standard input is no pipe.
pub(crate) async fn stopped() -> anyhow::Result<()> {
    let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut input = pipe::Receiver::from_owned_fd(input).context("a child without its parent's pipe")?;
    // An error of the pipe means the same as its end.
    let _ = input.read(&mut [0]).await;
    Ok(())
}
