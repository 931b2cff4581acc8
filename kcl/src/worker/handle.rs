//! What others can do with a running worker.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::health::{Health, HealthBoard};

/// Watches and stops a worker. Clones are handles of the same worker.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    board: HealthBoard,
    stop: StopSwitch,
    end: watch::Receiver<Option<WorkerEnd>>,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// Its leases are given back, and its row and lock are gone.
    Graceful,
    /// It stopped at once, or never started; its leases expire.
    Aborted,
}

/// The two ways of stopping.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSwitch {
    pub(crate) graceful: CancellationToken,
    pub(crate) hard: CancellationToken,
}

impl WorkerHandle {
    pub(crate) fn new(board: HealthBoard, stop: StopSwitch, end: watch::Receiver<Option<WorkerEnd>>) -> Self {
        Self { board, stop, end }
    }

    /// What the worker does at this moment.
    #[must_use]
    pub fn health(&self) -> Health {
        self.board.read()
    }

    /// Stops gracefully and returns when it is over: consumers drain and checkpoint, leases are given back, and the
    /// worker's row and lock are removed. Bounded by `shutdown_timeout` and a few writes, unless the store is away.
    pub async fn shutdown(&self) -> WorkerEnd {
        self.stop.graceful.cancel();
        self.finished().await
    }

    /// Stops at once: running calls are cancelled, nothing more is written, and leases expire by themselves.
    pub fn abort(&self) {
        self.stop.hard.cancel();
    }

    /// Returns when the worker is over, for whatever reason.
    pub async fn finished(&self) -> WorkerEnd {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.unwrap_or(WorkerEnd::Aborted),
            Err(_) => WorkerEnd::Aborted,
        }
    }
}
