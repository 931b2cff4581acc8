//! The seams to the outside: a lease store, a stream, its control plane, and the clock.
//!
//! Each port has few required methods, no default bodies and one conformance suite that runs against all its adapters.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use kcl_core::{
    ChildShard, LeaseKey, ListedShard, Millis, RecordPosition, ShardFilter, ShardId, StoreReply, StoreRequest,
};

use crate::record::Record;

mod error;

pub use error::{ControlError, FetchError, OpenError, TelemetryError};

/// Where the leases of one application live.
#[async_trait]
pub trait LeaseStore: Debug + Send + Sync {
    /// Makes sure that the table exists, belongs to this application and stream, and has a layout that we write.
    ///
    /// # Errors
    /// [`OpenError`] saying what was found and what to do.
    async fn open(&self, application: &Application) -> Result<(), OpenError>;

    /// Carries out one request; a call whose effect is not known answers [`StoreReply::Unknown`].
    async fn execute(&self, request: StoreRequest) -> StoreReply;
}

/// Whose table it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Name of the application, and of its table.
    pub name: String,
    /// The stream it consumes.
    pub stream: StreamIdentity,
}

/// What makes a stream the same one: a deleted and re-created stream differs in its creation time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamIdentity {
    /// ARN of the stream.
    pub arn: String,
    /// `StreamCreationTimestamp` in epoch seconds.
    pub created_epoch_seconds: u64,
}

/// The data plane of one stream.
#[async_trait]
pub trait StreamSource: Debug + Send + Sync {
    /// An iterator for `shard`.
    ///
    /// # Errors
    /// [`FetchError`], retryable or not by its kind.
    async fn iterator(&self, shard: &ShardId, start: StartAt) -> Result<ShardIterator, FetchError>;

    /// The next records of an iterator, at most `limit` Kinesis records.
    ///
    /// # Errors
    /// [`FetchError`], retryable or not by its kind.
    async fn fetch(&self, iterator: &ShardIterator, limit: usize) -> Result<Fetched, FetchError>;
}

/// Where an iterator starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The oldest record.
    TrimHorizon,
    /// The first record that arrived at or after this epoch millisecond.
    Timestamp(u64),
    /// The Kinesis record of this position, sub-records before and at it included.
    At(RecordPosition),
    /// The first Kinesis record after the one of this position.
    After(RecordPosition),
}

/// An opaque iterator; valid for five minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator(pub String);

/// One answer of the data plane.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Kinesis records in order, aggregates not yet taken apart.
    pub records: Vec<Record>,
    /// Where to go on, or what follows the closed shard.
    pub next: NextFetch,
    /// `MillisBehindLatest`.
    pub behind_latest: Millis,
}

/// What follows an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextFetch {
    /// More may come.
    Iterator(ShardIterator),
    /// The shard is closed and drained; its children, possibly not told.
    ShardEnd(Vec<ChildShard>),
}

/// The control plane of one stream.
#[async_trait]
pub trait StreamControl: Debug + Send + Sync {
    /// Identity of the stream, once it can be read from.
    ///
    /// # Errors
    /// [`ControlError`] if it does not exist or cannot be asked.
    async fn describe(&self) -> Result<StreamIdentity, ControlError>;

    /// All shards that `filter` admits, all pages.
    ///
    /// # Errors
    /// [`ControlError`] if it does not exist or cannot be asked.
    async fn list_shards(&self, filter: ShardFilter) -> Result<Vec<ListedShard>, ControlError>;
}

/// Where the telemetry rows of one application lie, one for each lease.
///
/// Rows are told without condition: one that a former holder still writes is replaced at the holder's next beat.
#[async_trait]
pub trait TelemetryStore: Debug + Send + Sync {
    /// Makes sure that the table exists and is one of telemetry.
    ///
    /// # Errors
    /// [`TelemetryError`] saying what was found.
    async fn open(&self) -> Result<(), TelemetryError>;

    /// Writes rows of different leases in place of earlier ones, at most [`TelemetryItem::PUT_MAX`] of them.
    ///
    /// # Errors
    /// [`TelemetryError::Unavailable`]; each row may or may not have been written.
    async fn put(&self, items: Vec<TelemetryItem>) -> Result<(), TelemetryError>;

    /// All rows, in any order. One just written may be missing, one that has expired may still be there.
    ///
    /// # Errors
    /// [`TelemetryError::Unavailable`].
    async fn list(&self) -> Result<Vec<TelemetryItem>, TelemetryError>;
}

/// A stored telemetry row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryItem {
    /// Whose row it is.
    pub key: LeaseKey,
    /// What [`TelemetryRow::encode`](crate::TelemetryRow::encode) made; whatever somebody put there, when it was read.
    pub row: Bytes,
    /// From when on the store may drop it.
    pub expires_epoch_seconds: u64,
}

impl TelemetryItem {
    /// Rows of one call: as many as DynamoDB takes. A call for each row would cost more than all counting does.
    pub const PUT_MAX: usize = 25;
}

/// Time, from one place.
pub trait Clock: Debug + Send + Sync {
    /// Monotonic time that goes on while the machine is suspended.
    fn now(&self) -> Millis;

    /// Wall clock in epoch milliseconds; for arrival times and names, never for leases.
    fn epoch_millis(&self) -> u64;
}
