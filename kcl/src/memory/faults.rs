//! Faults that real stores and streams have, on demand: throttles, lost requests and replies, writes that land late.
//!
//! A closure decides about each call, so that a test can script them, draw them from a seed, or aim at one write.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::{ListedShard, Millis, ShardFilter, ShardId, StoreReply, StoreRequest};
use parking_lot::Mutex;

use crate::port::{
    Application, Clock, ControlError, FetchError, Fetched, LeaseStore, OpenError, ShardIterator, StartAt,
    StreamControl, StreamIdentity, StreamSource,
};

/// Chooses the fault of a call.
type Decide<C, F> = Box<dyn FnMut(&C) -> F + Send>;

/// What happens to one call to a lease store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Nothing.
    None,
    /// It is refused before it is looked at.
    Throttle,
    /// It never arrives, and the caller is left in the dark.
    LoseRequest,
    /// It is carried out, and the caller is left in the dark.
    LoseReply,
    /// The caller is left in the dark, and it is carried out this much later.
    LandLate(Duration),
    /// It is carried out after the first span, and answered after the second.
    Delay(Duration, Duration),
}

/// A lease store with faults.
pub struct FaultyLeaseStore<S> {
    inner: S,
    clock: Arc<dyn Clock>,
    decide: Mutex<Decide<StoreRequest, StoreFault>>,
    late: Mutex<Vec<(Millis, StoreRequest)>>,
}

impl<S: LeaseStore> FaultyLeaseStore<S> {
    /// `inner` with the faults that `decide` chooses for each request.
    pub fn new(
        inner: S,
        clock: Arc<dyn Clock>,
        decide: impl FnMut(&StoreRequest) -> StoreFault + Send + 'static,
    ) -> Self {
        Self { inner, clock, decide: Mutex::new(Box::new(decide)), late: Mutex::default() }
    }

    /// Carries out what is due. Nobody can see the store but through this one, so it is the same as doing it in time.
    async fn land(&self) {
        let now = self.clock.now();
        let mut due: Vec<(Millis, StoreRequest)> = {
            let mut late = self.late.lock();
            let (due, rest) = late.drain(..).partition(|(at, _)| *at <= now);
            *late = rest;
            due
        };
        due.sort_by_key(|(at, _)| *at);
        for (_, request) in due {
            self.inner.execute(request).await;
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyLeaseStore<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultyLeaseStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: LeaseStore> LeaseStore for FaultyLeaseStore<S> {
    async fn open(&self, application: &Application) -> Result<(), OpenError> {
        self.inner.open(application).await
    }

    async fn execute(&self, request: StoreRequest) -> StoreReply {
        let fault = (self.decide.lock())(&request);
        self.land().await;
        match fault {
            StoreFault::None => self.inner.execute(request).await,
            StoreFault::Throttle => StoreReply::Throttled,
            StoreFault::LoseRequest => StoreReply::Unknown,
            StoreFault::LoseReply => {
                self.inner.execute(request).await;
                StoreReply::Unknown
            }
            StoreFault::LandLate(delay) => {
                self.late.lock().push((self.clock.now() + delay.into(), request));
                StoreReply::Unknown
            }
            StoreFault::Delay(before, after) => {
                tokio::time::sleep(before).await;
                self.land().await;
                let reply = self.inner.execute(request).await;
                tokio::time::sleep(after).await;
                reply
            }
        }
    }
}

/// A call to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamCall {
    /// [`StreamSource::iterator`].
    Iterator(ShardId, StartAt),
    /// [`StreamSource::fetch`].
    Fetch(ShardIterator),
    /// [`StreamControl::describe`].
    Describe,
    /// [`StreamControl::list_shards`].
    ListShards(ShardFilter),
}

/// What happens to one call to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// Nothing.
    None,
    /// It is throttled; a call to the control plane fails.
    Throttle,
    /// Its iterator is said to have expired; a call to the control plane fails.
    Expire,
    /// It fails.
    Fail,
    /// It is answered this much later.
    Delay(Duration),
}

/// A stream with faults.
pub struct FaultyStream<S> {
    inner: S,
    decide: Mutex<Decide<StreamCall, StreamFault>>,
}

impl<S> FaultyStream<S> {
    /// `inner` with the faults that `decide` chooses for each call.
    pub fn new(inner: S, decide: impl FnMut(&StreamCall) -> StreamFault + Send + 'static) -> Self {
        Self { inner, decide: Mutex::new(Box::new(decide)) }
    }

    async fn fetch_fault(&self, call: StreamCall) -> Result<(), FetchError> {
        let fault = (self.decide.lock())(&call);
        match fault {
            StreamFault::None => Ok(()),
            StreamFault::Throttle => Err(FetchError::Throttled),
            StreamFault::Expire => Err(FetchError::IteratorExpired),
            StreamFault::Fail => Err(FetchError::Unavailable { source: "injected failure".into() }),
            StreamFault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
        }
    }

    async fn control_fault(&self, call: StreamCall) -> Result<(), ControlError> {
        self.fetch_fault(call).await.map_err(|error| ControlError::Unavailable {
            stream: "faulty".to_owned(),
            source: Box::new(error),
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyStream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultyStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: StreamSource> StreamSource for FaultyStream<S> {
    async fn iterator(&self, shard: &ShardId, start: StartAt) -> Result<ShardIterator, FetchError> {
        self.fetch_fault(StreamCall::Iterator(shard.clone(), start)).await?;
        self.inner.iterator(shard, start).await
    }

    async fn fetch(&self, iterator: &ShardIterator, limit: usize) -> Result<Fetched, FetchError> {
        self.fetch_fault(StreamCall::Fetch(iterator.clone())).await?;
        self.inner.fetch(iterator, limit).await
    }
}

#[async_trait]
impl<S: StreamControl> StreamControl for FaultyStream<S> {
    async fn describe(&self) -> Result<StreamIdentity, ControlError> {
        self.control_fault(StreamCall::Describe).await?;
        self.inner.describe().await
    }

    async fn list_shards(&self, filter: ShardFilter) -> Result<Vec<ListedShard>, ControlError> {
        self.control_fault(StreamCall::ListShards(filter)).await?;
        self.inner.list_shards(filter).await
    }
}
