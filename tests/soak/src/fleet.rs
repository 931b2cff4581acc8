//! The worker processes: started, killed, stopped, continued, and ended in order.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How every worker is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) logs: PathBuf,
}

/// The processes, by index.
#[derive(Debug)]
pub(crate) struct Fleet {
    launch: Launch,
    workers: Vec<Child>,
    restarts: u64,
}

impl Launch {
    /// The log of a worker, which all its processes share.
    pub(crate) fn log(&self, worker: usize) -> PathBuf {
        self.logs.join(format!("{}.log", name(worker)))
    }

    fn start(&self, worker: usize) -> anyhow::Result<Child> {
        let path = self.log(worker);
        let log = File::options().create(true).append(true).open(&path)?;
        Command::new(&self.program)
            .args(["run", "--stop-with-stdin", "--log", "json", "--endpoint", &self.endpoint])
            .args(["--worker-id", &name(worker), "--config"])
            .arg(&self.config)
            // A pipe that nobody writes to: it closes when this process ends, however it ends.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            // Ctrl-C goes to this process alone, which then ends the workers.
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.program.display()))
    }
}

impl Fleet {
    /// Starts `count` workers.
    pub(crate) fn start(launch: Launch, count: usize) -> anyhow::Result<Self> {
        let workers = (0..count).map(|worker| launch.start(worker)).collect::<anyhow::Result<_>>()?;
        Ok(Self { launch, workers, restarts: 0 })
    }

    /// SIGKILL, and a new process in its place at once.
    pub(crate) async fn kill(&mut self, worker: usize) -> anyhow::Result<()> {
        self.workers[worker].kill().await.with_context(|| format!("{} cannot be killed", name(worker)))?;
        self.workers[worker] = self.launch.start(worker)?;
        Ok(())
    }

    /// SIGSTOP: the process stands still and keeps everything it believes.
    pub(crate) fn stop(&self, worker: usize) -> anyhow::Result<()> {
        self.signal(worker, Signal::SIGSTOP)
    }

    /// SIGCONT; does nothing to a process that runs.
    pub(crate) fn proceed(&self, worker: usize) -> anyhow::Result<()> {
        self.signal(worker, Signal::SIGCONT)
    }

    /// Starts workers again that could not start because a service was not to be reached, where `is_store_down`; fails
    /// if any other ended by itself.
    pub(crate) fn check(&mut self, is_store_down: bool) -> anyhow::Result<()> {
        for worker in 0..self.workers.len() {
            let Some(status) = self.workers[worker].try_wait()? else { continue };
            if !(is_store_down && status.code() == Some(UNAVAILABLE)) {
                let log = self.launch.log(worker);
                anyhow::bail!("{} ended by itself ({status}); its log is {}", name(worker), log.display());
            }
            self.workers[worker] = self.launch.start(worker)?;
            self.restarts += 1;
        }
        Ok(())
    }

    /// Workers started again because the store was down when they began.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Stops all gracefully; the workers that did not end well, with how they ended.
    pub(crate) async fn shut_down(mut self) -> anyhow::Result<Vec<(String, Option<ExitStatus>)>> {
        for worker in 0..self.workers.len() {
            self.proceed(worker)?;
            self.signal(worker, Signal::SIGTERM)?;
        }
        let mut failed = Vec::new();
        for (worker, child) in self.workers.iter_mut().enumerate() {
            let status = timeout(STOP_TIMEOUT, child.wait()).await.ok().transpose()?;
            if !status.is_some_and(|status| status.success()) {
                failed.push((name(worker), status));
            }
        }
        Ok(failed)
    }

    fn signal(&self, worker: usize, signal: Signal) -> anyhow::Result<()> {
        let id = self.workers[worker].id().and_then(|id| i32::try_from(id).ok());
        let id = id.with_context(|| format!("{} has ended", name(worker)))?;
        kill(Pid::from_raw(id), signal)
            .with_context(|| format!("{signal} cannot be sent to {}", name(worker)))
    }
}

/// Name of a worker by its index.
pub(crate) fn name(worker: usize) -> String {
    format!("worker-{}", worker + 1)
}

/// The logs of `count` workers in `logs`.
pub(crate) fn logs_of(launch: &Launch, count: usize) -> Vec<PathBuf> {
    (0..count).map(|worker| launch.log(worker)).collect()
}

/// Exit code of `leasehold run` for a service that cannot be reached.
const UNAVAILABLE: i32 = 5;
/// Several times the workers' own shutdown timeout.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The binary beside this one, as cargo builds them.
pub(crate) fn program_beside_this_one() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program is unknown")?;
    let program = this.parent().unwrap_or(Path::new(".")).join("leasehold");
    anyhow::ensure!(
        program.is_file(),
        "{} does not exist; run `cargo build -p leasehold`, or name the binary with --leasehold",
        program.display()
    );
    Ok(program)
}
