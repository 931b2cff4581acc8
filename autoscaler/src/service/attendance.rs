//! Several streams at once: each has its reconciler, and wakes find it by the stream's name.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::reconcile::{Planner, Reconciler, RunFor};
use crate::trigger::{StreamName, Wake};

/// The streams that one process looks after.
pub struct Attendance<P> {
    streams: BTreeMap<StreamName, Reconciler<P>>,
}

impl<P: Planner> Attendance<P> {
    /// No stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { streams: BTreeMap::new() }
    }

    /// With one more stream.
    #[must_use]
    pub fn with(mut self, stream: StreamName, reconciler: Reconciler<P>) -> Self {
        self.streams.insert(stream, reconciler);
        self
    }

    /// Runs every stream's reconciler until all are over or `stop` is cancelled, and hands each of `wakes` to its stream.
    /// Answers in how many rounds each stream was looked at.
    pub async fn run(
        self,
        run_for: RunFor,
        mut wakes: mpsc::Receiver<Wake>,
        stop: CancellationToken,
    ) -> BTreeMap<StreamName, u64> {
        let bells: BTreeMap<StreamName, Arc<Notify>> =
            self.streams.keys().map(|stream| (stream.clone(), Arc::default())).collect();
        let mut running: FuturesUnordered<_> = self
            .streams
            .into_iter()
            .map(|(stream, reconciler)| {
                let running = reconciler.run(run_for, Arc::clone(&bells[&stream]), stop.clone());
                async move { (stream, running.await) }
            })
            .collect();
        let mut rounds = BTreeMap::new();
        let mut is_listening = true;
        while !running.is_empty() {
            tokio::select! {
                biased;
                Some((stream, looked)) = running.next() => {
                    rounds.insert(stream, looked);
                }
                wake = wakes.recv(), if is_listening => match wake {
                    Some(wake) => match bells.get(&wake.stream) {
                        Some(bell) => bell.notify_one(),
                        None => tracing::warn!(%wake, "nobody looks after this stream here"),
                    },
                    None => is_listening = false,
                },
            }
        }
        rounds
    }
}

impl<P: Planner> Default for Attendance<P> {
    fn default() -> Self {
        Self::new()
    }
}
