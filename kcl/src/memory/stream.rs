//! A stream in memory: the model of Kinesis on the worker's clock.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use kcl_core::{ChildShard, HashKey, ListedShard, Millis, RecordPosition, ShardFilter, ShardId};
use kinesis_model::{
    CreateStreamRequest, EpochMillis, GetRecordsRequest, GetShardIteratorRequest, Kinesis, KinesisError,
    ListShardsRequest, MergeShardsRequest, PutRecordRequest, SplitShardRequest, StartingPosition, StreamRef,
};

use crate::port::{
    Clock, ControlError, FetchError, Fetched, NextFetch, ShardIterator, StartAt, StreamControl,
    StreamIdentity, StreamSource,
};
use crate::record::Record;

/// One stream of a modelled account. Clones share it.
#[derive(Clone, Debug)]
pub struct MemoryStream {
    kinesis: Arc<Kinesis>,
    stream: StreamRef,
    clock: Arc<dyn Clock>,
}

impl MemoryStream {
    /// A new stream of `shards` shards in an account of its own.
    ///
    /// # Panics
    /// If the model refuses the name or the number of shards.
    #[must_use]
    pub fn create(name: &str, shards: u32, clock: Arc<dyn Clock>) -> Self {
        let kinesis = Arc::new(Kinesis::new(kinesis_model::Settings::default()));
        let stream = Self::existing(kinesis, name, clock);
        let request = CreateStreamRequest::provisioned(name, shards);
        stream.kinesis.create_stream(request, stream.now()).expect("the model accepts the stream");
        stream
    }

    /// The stream `name` of an account, which may be missing.
    #[must_use]
    pub fn existing(kinesis: Arc<Kinesis>, name: &str, clock: Arc<dyn Clock>) -> Self {
        Self { kinesis, stream: StreamRef::name(name), clock }
    }

    /// The account.
    #[must_use]
    pub fn kinesis(&self) -> &Arc<Kinesis> {
        &self.kinesis
    }

    /// Puts one record and says where it went.
    ///
    /// # Panics
    /// If the model refuses it.
    pub fn put(&self, partition_key: &str, data: impl Into<Bytes>) -> (ShardId, RecordPosition) {
        let request = PutRecordRequest::new(self.stream.clone(), partition_key, data);
        let response = self.kinesis.put_record(request, self.now()).expect("the model takes the record");
        (response.shard_id, RecordPosition::first_of(response.sequence_number))
    }

    /// Splits an open shard in the middle of its hash range.
    ///
    /// # Panics
    /// If the model refuses it.
    pub fn split(&self, shard: &ShardId) {
        let request = ListShardsRequest::all(self.stream.clone());
        let shards = self.kinesis.list_shards(request, self.now()).expect("the stream is listed").shards;
        let shard = shards.iter().find(|listed| listed.shard_id == *shard).expect("the shard exists");
        let (start, end) = (shard.hash_key_range.start().0, shard.hash_key_range.end().0);
        let request = SplitShardRequest {
            stream: self.stream.clone(),
            shard_to_split: shard.shard_id.clone(),
            new_starting_hash_key: HashKey(start + (end - start) / 2 + 1),
        };
        self.kinesis.split_shard(request, self.now()).expect("the model splits the shard");
    }

    /// Merges two open shards that lie side by side.
    ///
    /// # Panics
    /// If the model refuses it.
    pub fn merge(&self, shard: &ShardId, adjacent: &ShardId) {
        let request = MergeShardsRequest {
            stream: self.stream.clone(),
            shard_to_merge: shard.clone(),
            adjacent_shard_to_merge: adjacent.clone(),
        };
        self.kinesis.merge_shards(request, self.now()).expect("the model merges the shards");
    }

    fn now(&self) -> EpochMillis {
        EpochMillis(self.clock.epoch_millis())
    }

    fn name(&self) -> String {
        self.stream.name.clone().expect("the stream is referred to by name")
    }

    fn control_error(&self, error: KinesisError) -> ControlError {
        let stream = self.name();
        if matches!(error, KinesisError::ResourceNotFound(_)) {
            ControlError::NotFound { stream, region: self.kinesis.settings().region.clone() }
        } else {
            ControlError::Unavailable { stream, source: Box::new(error) }
        }
    }
}

#[async_trait]
impl StreamSource for MemoryStream {
    async fn iterator(&self, shard: &ShardId, start: StartAt) -> Result<ShardIterator, FetchError> {
        let position = match start {
            StartAt::TrimHorizon => StartingPosition::TrimHorizon,
            StartAt::Timestamp(epoch_millis) => StartingPosition::AtTimestamp(EpochMillis(epoch_millis)),
            StartAt::At(record) => StartingPosition::AtSequenceNumber(record.sequence),
            StartAt::After(record) => StartingPosition::AfterSequenceNumber(record.sequence),
        };
        let request =
            GetShardIteratorRequest { stream: self.stream.clone(), shard_id: shard.clone(), position };
        self.kinesis.get_shard_iterator(request, self.now()).map(ShardIterator).map_err(fetch_error)
    }

    async fn fetch(&self, iterator: &ShardIterator, limit: usize) -> Result<Fetched, FetchError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let request = GetRecordsRequest { limit: Some(limit), ..GetRecordsRequest::new(&*iterator.0) };
        let response = self.kinesis.get_records(request, self.now()).map_err(fetch_error)?;
        let record = |record: kinesis_model::Record| Record {
            position: RecordPosition::first_of(record.sequence_number),
            partition_key: record.partition_key.as_str().into(),
            data: record.data,
            arrival_epoch_millis: record.arrival.0,
        };
        let child = |child: kinesis_model::ChildShard| ChildShard {
            shard: child.shard_id,
            parents: child.parent_shards.into_iter().collect(),
            hash_range: child.hash_key_range,
        };
        let next = match response.next_shard_iterator {
            Some(next) => NextFetch::Iterator(ShardIterator(next)),
            None => NextFetch::ShardEnd(response.child_shards.into_iter().map(child).collect()),
        };
        Ok(Fetched {
            records: response.records.into_iter().map(record).collect(),
            next,
            behind_latest: Millis(response.millis_behind_latest),
        })
    }
}

#[async_trait]
impl StreamControl for MemoryStream {
    async fn describe(&self) -> Result<StreamIdentity, ControlError> {
        let summary = self
            .kinesis
            .describe_stream_summary(self.stream.clone(), self.now())
            .map_err(|error| self.control_error(error))?;
        Ok(StreamIdentity { arn: summary.stream_arn, created_epoch_seconds: summary.creation.seconds() })
    }

    async fn list_shards(&self, filter: ShardFilter) -> Result<Vec<ListedShard>, ControlError> {
        let shard_filter = match filter {
            ShardFilter::All => None,
            ShardFilter::AtTrimHorizon => Some(kinesis_model::ShardFilter::AtTrimHorizon),
            ShardFilter::AtLatest => Some(kinesis_model::ShardFilter::AtLatest),
            ShardFilter::AtTimestamp(epoch_millis) => {
                Some(kinesis_model::ShardFilter::AtTimestamp(EpochMillis(epoch_millis)))
            }
        };
        let mut request = ListShardsRequest { shard_filter, ..ListShardsRequest::all(self.stream.clone()) };
        let mut shards = Vec::new();
        loop {
            let page =
                self.kinesis.list_shards(request, self.now()).map_err(|error| self.control_error(error))?;
            shards.extend(page.shards.into_iter().map(|shard| ListedShard {
                shard: shard.shard_id,
                parents: shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect(),
                hash_range: shard.hash_key_range,
                starting_sequence: shard.starting_sequence_number,
                is_open: shard.ending_sequence_number.is_none(),
            }));
            let Some(next_token) = page.next_token else {
                return Ok(shards);
            };
            request = ListShardsRequest { next_token: Some(next_token), ..ListShardsRequest::default() };
        }
    }
}

fn fetch_error(error: KinesisError) -> FetchError {
    match error {
        KinesisError::ProvisionedThroughputExceeded(_) => FetchError::Throttled,
        KinesisError::ExpiredIterator(_) => FetchError::IteratorExpired,
        KinesisError::ResourceNotFound(detail) => FetchError::NotFound { detail },
        KinesisError::InvalidArgument(detail) => FetchError::InvalidPosition { detail },
        other @ (KinesisError::ResourceInUse(_)
        | KinesisError::Validation(_)
        | KinesisError::LimitExceeded(_)
        | KinesisError::ExpiredNextToken(_)
        | KinesisError::InternalFailure(_)) => FetchError::Unavailable { source: Box::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::conformance::{self, Producer};

    #[async_trait]
    impl Producer for MemoryStream {
        async fn put(&self, partition_key: &str, data: Bytes) {
            self.put(partition_key, data);
        }

        async fn split(&self, shard: &ShardId) {
            self.split(shard);
        }
    }

    #[tokio::test]
    async fn conforms() {
        let stream = MemoryStream::create("conformance", 2, Arc::new(SystemClock::new()));
        conformance::stream(&stream, &stream).await;
        conformance::clock(&SystemClock::new()).await;
    }

    #[tokio::test]
    async fn a_missing_stream_is_named() {
        let kinesis = Arc::new(Kinesis::new(kinesis_model::Settings::default()));
        let stream = MemoryStream::existing(kinesis, "clicks", Arc::new(SystemClock::new()));
        let error = stream.describe().await.expect_err("there is none").to_string();
        assert!(error.starts_with("stream clicks not found in us-east-1"), "{error}");
    }
}
