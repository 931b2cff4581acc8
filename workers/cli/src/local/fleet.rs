//! The worker processes: started, watched, one of them killed on request, and always ended with this one.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use kcl::LeaseStore as _;
use kcl::aws::DynamoDbLeaseStore;
use kcl_core::{StoreReply, StoreRequest};
use local::ClockAnchor;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use workers::PipelineSettings;

use super::folder::Folder;

/// The processes by name.
pub(crate) struct Fleet {
    workers: Vec<(String, Child)>,
    logs: String,
}

impl Fleet {
    /// Starts `count` workers, each with a log of its own.
    pub(crate) fn start(
        count: u16,
        folder: &Folder,
        endpoint: &str,
        clock: ClockAnchor,
    ) -> anyhow::Result<Self> {
        let logs = folder.logs();
        fs::create_dir_all(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let mut workers = Vec::new();
        for number in 1..=count {
            let name = format!("worker-{number}");
            let log = File::options().create(true).append(true).open(logs.join(format!("{name}.log")))?;
            let child = Command::new(&program)
                .args(["run", "--stop-with-stdin", "--endpoint", endpoint, "--worker-id", &name, "--config"])
                .arg(folder.config())
                .args(["--clock", &clock.to_string()])
                // A pipe that nobody writes to: it closes when this process ends, however it ends.
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(log)
                .kill_on_drop(true)
                // Ctrl-C goes to this process alone, which then stops the workers in order.
                .process_group(0)
                .spawn()
                .with_context(|| format!("{name} cannot be started"))?;
            workers.push((name, child));
        }
        Ok(Self { workers, logs: logs.display().to_string() })
    }

    /// How many run.
    pub(crate) fn alive(&mut self) -> usize {
        self.workers.iter_mut().filter_map(|(_, child)| child.try_wait().ok()).filter(Option::is_none).count()
    }

    /// Fails if a worker ended that was not killed on purpose.
    pub(crate) fn check(&mut self, killed: Option<&String>) -> anyhow::Result<()> {
        for (name, child) in &mut self.workers {
            if Some(&*name) != killed
                && let Some(status) = child.try_wait()?
            {
                anyhow::bail!("{name} ended by itself ({status}); its log is {}/{name}.log", self.logs);
            }
        }
        Ok(())
    }

    /// Sends SIGKILL to a worker that holds a lease; its name, or `None` if nobody holds one at this moment.
    pub(crate) async fn kill_a_holder(
        &mut self,
        sdk: &SdkConfig,
        settings: &PipelineSettings,
    ) -> anyhow::Result<Option<String>> {
        let store = DynamoDbLeaseStore::new(sdk, &settings.application.name, settings.lease.failover);
        let StoreReply::Table(view) = store.execute(StoreRequest::ReadTable).await else { return Ok(None) };
        let owners: Vec<String> =
            view.leases.iter().filter_map(|lease| lease.actual_owner()).map(ToString::to_string).collect();
        for (name, child) in &mut self.workers {
            let holds = owners
                .iter()
                .any(|owner| owner.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('-')));
            if holds && child.try_wait()?.is_none() {
                child.start_kill().with_context(|| format!("{name} cannot be killed"))?;
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Stops all workers gracefully, and at once those that take too long.
    pub(crate) async fn stop(mut self) {
        for (_, child) in &self.workers {
            if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
                // A worker that has just ended needs no signal.
                let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            }
        }
        for (_, child) in &mut self.workers {
            if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
                // Dropping the child kills it as well.
                let _ = child.kill().await;
            }
        }
    }
}

/// More than the workers' own shutdown timeout.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
