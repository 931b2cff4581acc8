//! The ports of one worker, in memory and behind its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kcl::{
    Application, Clock, ControlError, FetchError, Fetched, LeaseStore, MemoryLeaseStore, MemoryStream,
    OpenError, Position, ShardId, ShardIterator, StartAt, StreamControl, StreamIdentity, StreamSource,
};
use kcl_core::{LeaseChange, LeaseWrite, ListedShard, Millis, ShardFilter, StoreReply, StoreRequest};
use parking_lot::Mutex;

use super::gate::{Fault, Gate, Step, StepKind};
use crate::sink::{
    ListPage, MemoryStore, NewObject, ObjectMetadata, ObjectStore, PutOutcome, StoreError, StoreOperation,
    StoredObject,
};

/// The lease table: each write of a row is counted, everything else passes while the worker is not cut off.
#[derive(Debug)]
pub(super) struct GatedLeases {
    pub(super) gate: Gate,
    pub(super) inner: MemoryLeaseStore,
}

#[async_trait]
impl LeaseStore for GatedLeases {
    async fn open(&self, application: &Application) -> Result<(), OpenError> {
        self.inner.open(application).await
    }

    async fn execute(&self, request: StoreRequest) -> StoreReply {
        let name = match &request {
            StoreRequest::UpdateLease(write) => aim_of(write),
            StoreRequest::CreateLease(_) => "create row",
            StoreRequest::ReadLease(_)
            | StoreRequest::ReadTable
            | StoreRequest::ReadOwned(_)
            | StoreRequest::PutWorker(_)
            | StoreRequest::DeleteWorker(_)
            | StoreRequest::ReadLock
            | StoreRequest::WriteLock { .. }
            | StoreRequest::DeleteLock(_)
            | StoreRequest::ReadRoster
            | StoreRequest::BumpRoster => {
                self.gate.open().await;
                return self.inner.execute(request).await;
            }
        };
        let inner = self.inner.clone();
        let effect = async move { inner.execute(request).await };
        let step = Step { kind: StepKind::Row, name: name.to_owned() };
        let failed =
            |fault| if fault == Fault::LoseReply { StoreReply::Unknown } else { StoreReply::Throttled };
        self.gate.pass(step, effect, failed).await
    }
}

/// What a write on a row is for.
fn aim_of(write: &LeaseWrite) -> &'static str {
    let has = |is_wanted: fn(&LeaseChange) -> bool| write.changes.iter().any(is_wanted);
    if has(|change| matches!(change, LeaseChange::Pending(Some(_)))) {
        "prepare"
    } else if has(|change| matches!(change, LeaseChange::Pending(None))) {
        "commit"
    } else if has(|change| matches!(change, LeaseChange::Checkpoint(Position::ShardEnd))) {
        "finish"
    } else if has(|change| matches!(change, LeaseChange::Checkpoint(_))) {
        "checkpoint"
    } else if has(|change| matches!(change, LeaseChange::Holder(Some(_)))) {
        "adopt"
    } else if has(|change| matches!(change, LeaseChange::Owner(Some(_)))) {
        "assign"
    } else if has(|change| matches!(change, LeaseChange::Owner(None))) {
        "release"
    } else {
        "renew"
    }
}

/// The object store; a multipart upload is creation, parts and conditional completion, as in S3.
#[derive(Debug)]
pub(super) struct GatedObjects {
    pub(super) gate: Gate,
    pub(super) inner: MemoryStore,
    /// Counts conditional puts that found their key taken.
    pub(super) taken: Arc<AtomicUsize>,
}

impl GatedObjects {
    async fn pass<T: Send + 'static>(
        &self,
        kind: StepKind,
        verb: &str,
        key: &str,
        operation: StoreOperation,
        effect: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let step = Step { kind, name: format!("{verb} {key}") };
        let key = key.to_owned();
        let failed = |fault| {
            let source = format!("{fault:?}").into();
            Err(match fault {
                Fault::LoseReply | Fault::HangBefore | Fault::HangAfter => {
                    StoreError::Unknown { operation, key, source }
                }
                Fault::NotDone => StoreError::NotDone { operation, key, source },
                Fault::Refuse => StoreError::Refused { operation, key, source },
            })
        };
        self.gate.pass(step, effect, failed).await
    }
}

#[async_trait]
impl ObjectStore for GatedObjects {
    async fn put_new(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
        let (inner, name, new) = (self.inner.clone(), key.to_owned(), object.clone());
        let taken = Arc::clone(&self.taken);
        let effect = async move { counted(inner.put_new(&name, &new).await, &taken) };
        self.pass(StepKind::ObjectWrite, "put", key, StoreOperation::Put, effect).await
    }

    async fn put_new_in_parts(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
        let operation = StoreOperation::PutInParts;
        self.pass(StepKind::ObjectWrite, "begin parts of", key, operation, async { Ok(()) }).await?;
        for number in 1..=PARTS {
            let verb = format!("part {number} of");
            self.pass(StepKind::ObjectWrite, &verb, key, operation, async { Ok(()) }).await?;
        }
        let (inner, name, new) = (self.inner.clone(), key.to_owned(), object.clone());
        let taken = Arc::clone(&self.taken);
        let effect = async move { counted(inner.put_new_in_parts(&name, &new).await, &taken) };
        self.pass(StepKind::ObjectWrite, "complete", key, operation, effect).await
    }

    async fn get(&self, key: &str) -> Result<Option<StoredObject>, StoreError> {
        let (inner, name) = (self.inner.clone(), key.to_owned());
        let effect = async move { inner.get(&name).await };
        self.pass(StepKind::ObjectRead, "get", key, StoreOperation::Get, effect).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMetadata>, StoreError> {
        let (inner, name) = (self.inner.clone(), key.to_owned());
        let effect = async move { inner.head(&name).await };
        self.pass(StepKind::ObjectRead, "head", key, StoreOperation::Head, effect).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.gate.open().await;
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        panic!("a processor never deletes, and this one deletes {key}");
    }
}

fn counted(outcome: Result<PutOutcome, StoreError>, taken: &AtomicUsize) -> Result<PutOutcome, StoreError> {
    if let Ok(PutOutcome::Exists(_)) = outcome {
        taken.fetch_add(1, Ordering::SeqCst);
    }
    outcome
}

/// The stream.
#[derive(Clone, Debug)]
pub(super) struct GatedStream {
    pub(super) gate: Gate,
    pub(super) inner: MemoryStream,
}

impl GatedStream {
    async fn pass<T: Send + 'static>(
        &self,
        name: &str,
        effect: impl Future<Output = Result<T, FetchError>> + Send + 'static,
    ) -> Result<T, FetchError> {
        let step = Step { kind: StepKind::Stream, name: name.to_owned() };
        let failed = |fault| Err(FetchError::Unavailable { source: format!("{fault:?}").into() });
        self.gate.pass(step, effect, failed).await
    }
}

#[async_trait]
impl StreamSource for GatedStream {
    async fn iterator(&self, shard: &ShardId, start: StartAt) -> Result<ShardIterator, FetchError> {
        let (inner, shard) = (self.inner.clone(), shard.clone());
        self.pass("iterator", async move { inner.iterator(&shard, start).await }).await
    }

    async fn fetch(&self, iterator: &ShardIterator, limit: usize) -> Result<Fetched, FetchError> {
        let (inner, iterator) = (self.inner.clone(), iterator.clone());
        self.pass("fetch", async move { inner.fetch(&iterator, limit).await }).await
    }
}

#[async_trait]
impl StreamControl for GatedStream {
    async fn describe(&self) -> Result<StreamIdentity, ControlError> {
        self.inner.describe().await
    }

    async fn list_shards(&self, filter: ShardFilter) -> Result<Vec<ListedShard>, ControlError> {
        self.gate.open().await;
        self.inner.list_shards(filter).await
    }
}

/// A clock that can be stopped, for a worker that does not notice how much time has passed.
#[derive(Debug)]
pub(super) struct StoppableClock {
    inner: Arc<dyn Clock>,
    stopped: Mutex<Option<(Millis, u64)>>,
}

impl StoppableClock {
    pub(super) fn new(inner: Arc<dyn Clock>) -> Self {
        Self { inner, stopped: Mutex::new(None) }
    }

    pub(super) fn stop(&self) {
        *self.stopped.lock() = Some((self.inner.now(), self.inner.epoch_millis()));
    }
}

impl Clock for StoppableClock {
    fn now(&self) -> Millis {
        self.stopped.lock().map_or_else(|| self.inner.now(), |(now, _)| now)
    }

    fn epoch_millis(&self) -> u64 {
        self.stopped.lock().map_or_else(|| self.inner.epoch_millis(), |(_, epoch)| epoch)
    }
}

/// Parts of each multipart upload.
const PARTS: usize = 2;
