//! The stream as one process reaches it: throttled, failing, slow, with iterators that expire and ends that tell nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl::{
    ControlError, FetchError, Fetched, NextFetch, ShardIterator, StartAt, StreamControl, StreamIdentity,
    StreamSource,
};
use kcl_core::{ListedShard, ShardFilter, ShardId};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::draws::Draws;
use crate::lab::{Lab, PortBug};
use crate::process::Process;
use crate::situation::Situation;

/// The way of one process to the stream.
#[derive(Debug)]
pub struct ProcessStream {
    lab: Arc<Lab>,
    process: Arc<Process>,
    draws: Mutex<Draws>,
}

impl ProcessStream {
    /// The way of `process`.
    #[must_use]
    pub fn new(lab: Arc<Lab>, process: Arc<Process>, draws: Draws) -> Self {
        Self { lab, process, draws: Mutex::new(draws) }
    }

    fn strikes(&self, fault: Situation) -> bool {
        self.lab.strikes(fault, &mut self.draws.lock())
    }

    fn drawn(&self, min_millis: u64, max_millis: u64) -> Duration {
        self.draws.lock().between(min_millis, max_millis)
    }

    /// The request's way to the service.
    async fn arrive(&self) -> Result<(), FetchError> {
        self.process.thawed().await;
        let is_slow = self.strikes(Situation::FetchDelayed);
        sleep(if is_slow { self.drawn(1_000, 15_000) } else { self.drawn(1, 10) }).await;
        self.process.thawed().await;
        if self.strikes(Situation::FetchThrottled) {
            return Err(FetchError::Throttled);
        }
        if self.strikes(Situation::FetchFailed) {
            return Err(FetchError::Unavailable { source: "injected failure".into() });
        }
        Ok(())
    }

    fn through_bug(&self, mut fetched: Fetched) -> Fetched {
        match self.lab.bug() {
            Some(PortBug::RecordSkipped) if fetched.records.len() > 2 => {
                fetched.records.remove(1);
            }
            Some(PortBug::EarlyEnd) if self.draws.lock().per_mille(EARLY_ENDS_PER_MILLE) => {
                fetched.next = NextFetch::ShardEnd(Vec::new());
            }
            _ => {}
        }
        fetched
    }
}

#[async_trait]
impl StreamSource for ProcessStream {
    async fn iterator(&self, shard: &ShardId, start: StartAt) -> Result<ShardIterator, FetchError> {
        self.arrive().await?;
        self.lab.stream().iterator(shard, start).await
    }

    async fn fetch(&self, iterator: &ShardIterator, limit: usize) -> Result<Fetched, FetchError> {
        self.arrive().await?;
        if self.strikes(Situation::IteratorExpired) {
            return Err(FetchError::IteratorExpired);
        }
        let mut fetched = self.lab.stream().fetch(iterator, limit).await?;
        if let NextFetch::ShardEnd(children) = &mut fetched.next
            && self.strikes(Situation::ChildrenUntold)
        {
            children.clear();
        }
        Ok(self.through_bug(fetched))
    }
}

#[async_trait]
impl StreamControl for ProcessStream {
    async fn describe(&self) -> Result<StreamIdentity, ControlError> {
        self.process.thawed().await;
        self.lab.stream().describe().await
    }

    async fn list_shards(&self, filter: ShardFilter) -> Result<Vec<ListedShard>, ControlError> {
        self.process.thawed().await;
        sleep(self.drawn(1, 30)).await;
        self.process.thawed().await;
        if self.strikes(Situation::ListingFailed) {
            let source = Box::new(FetchError::Throttled);
            return Err(ControlError::Unavailable { stream: "numbers".to_owned(), source });
        }
        self.lab.stream().list_shards(filter).await
    }
}

/// Often enough that a planted early end comes up in every run.
const EARLY_ENDS_PER_MILLE: u32 = 20;
