//! A stream on Kinesis: data plane without the SDK's retries, control plane with them.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    self, ShardFilterType, ShardIteratorType, StreamDescriptionSummary, StreamStatus,
};
use bytes::Bytes;
use kcl_core::{
    ChildShard, HashKey, HashKeyRange, ListedShard, Millis, RecordPosition, ShardFilter, ShardId,
};

use super::answer::Taken;
use crate::port::{
    ControlError, FetchError, Fetched, NextFetch, ShardIterator, StartAt, StreamControl, StreamIdentity,
    StreamSource,
};
use crate::record::Record;

/// One stream, by name or ARN.
#[derive(Clone, Debug)]
pub struct KinesisStream {
    /// Never repeats a call.
    data: Client,
    /// Repeats failed calls a few times.
    control: Client,
    name: Option<String>,
    arn: Option<String>,
    region: String,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl KinesisStream {
    /// The stream called `name_or_arn`.
    #[must_use]
    pub fn new(config: &SdkConfig, name_or_arn: impl Into<String>) -> Self {
        let name_or_arn = name_or_arn.into();
        let is_arn = name_or_arn.starts_with("arn:");
        let timeouts = |attempt| {
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(attempt)
                .build()
        };
        let data = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(FETCH_TIMEOUT))
            .build();
        let control = Builder::from(config)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(CONTROL_TIMEOUT))
            .build();
        Self {
            data: Client::from_conf(data),
            control: Client::from_conf(control),
            name: (!is_arn).then(|| name_or_arn.clone()),
            arn: is_arn.then_some(name_or_arn),
            region: config.region().map_or_else(|| "no region".to_owned(), ToString::to_string),
        }
    }

    fn label(&self) -> String {
        self.name.clone().or_else(|| self.arn.clone()).unwrap_or_default()
    }

    fn not_found(&self) -> ControlError {
        ControlError::NotFound { stream: self.label(), region: self.region.clone() }
    }

    fn control_error<E, R>(&self, error: SdkError<E, R>) -> ControlError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        if error.code() == Some("ResourceNotFoundException") {
            self.not_found()
        } else {
            self.unavailable(Box::new(error))
        }
    }

    fn unavailable(&self, source: Source) -> ControlError {
        ControlError::Unavailable { stream: self.label(), source }
    }

    async fn summary(&self) -> Result<StreamDescriptionSummary, ControlError> {
        let describe = self
            .control
            .describe_stream_summary()
            .set_stream_name(self.name.clone())
            .set_stream_arn(self.arn.clone());
        let answer = describe.send().await.map_err(|error| self.control_error(error))?;
        answer.stream_description_summary.ok_or_else(|| self.unavailable("the answer is empty".into()))
    }
}

#[async_trait]
impl StreamSource for KinesisStream {
    async fn iterator(&self, shard: &ShardId, start: StartAt) -> Result<ShardIterator, FetchError> {
        let request = self
            .data
            .get_shard_iterator()
            .set_stream_name(self.name.clone())
            .set_stream_arn(self.arn.clone())
            .shard_id(shard.as_str());
        let request = match start {
            StartAt::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            StartAt::Timestamp(epoch_millis) => {
                let time = DateTime::from_millis(i64::try_from(epoch_millis).unwrap_or(i64::MAX));
                request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(time)
            }
            StartAt::At(record) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(record.sequence.to_string()),
            StartAt::After(record) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(record.sequence.to_string()),
        };
        let answer = request.send().await.map_err(fetch_error)?;
        answer.shard_iterator.map(ShardIterator).ok_or_else(|| malformed("an answer without an iterator"))
    }

    async fn fetch(&self, iterator: &ShardIterator, limit: usize) -> Result<Fetched, FetchError> {
        let request = self
            .data
            .get_records()
            .shard_iterator(&iterator.0)
            .set_stream_arn(self.arn.clone())
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let taken = Taken::default();
        let answer = request.customize().interceptor(taken.clone()).send().await.map_err(fetch_error)?;
        let records = match taken.into_records() {
            Some(records) => records,
            None => answer.records.into_iter().map(record).collect::<Result<_, _>>()?,
        };
        let next = match answer.next_shard_iterator {
            Some(next) => NextFetch::Iterator(ShardIterator(next)),
            None => {
                let children = answer.child_shards.unwrap_or_default().into_iter().map(child_shard);
                NextFetch::ShardEnd(children.collect::<Result<_, _>>()?)
            }
        };
        Ok(Fetched {
            records,
            next,
            behind_latest: Millis(unsigned(answer.millis_behind_latest.unwrap_or(0))),
        })
    }
}

#[async_trait]
impl StreamControl for KinesisStream {
    async fn describe(&self) -> Result<StreamIdentity, ControlError> {
        let mut waited = Duration::ZERO;
        loop {
            let summary = self.summary().await?;
            let status = summary.stream_status();
            if matches!(status, StreamStatus::Active | StreamStatus::Updating) {
                return Ok(StreamIdentity {
                    arn: summary.stream_arn().to_owned(),
                    created_epoch_seconds: unsigned(summary.stream_creation_timestamp().secs()),
                });
            }
            if *status == StreamStatus::Deleting {
                return Err(self.not_found());
            }
            if waited >= CREATION_WAIT_MAX {
                return Err(self.unavailable(format!("after {waited:?} it is still {status}").into()));
            }
            tokio::time::sleep(CREATION_POLL_INTERVAL).await;
            waited += CREATION_POLL_INTERVAL;
        }
    }

    async fn list_shards(&self, filter: ShardFilter) -> Result<Vec<ListedShard>, ControlError> {
        let (mut shards, mut next): (Vec<ListedShard>, Option<String>) = (Vec::new(), None);
        loop {
            let request = self.control.list_shards();
            let request = match next.take() {
                Some(token) => request.next_token(token),
                None => {
                    let filter = shard_filter(filter).map_err(|source| self.unavailable(source))?;
                    request
                        .set_stream_name(self.name.clone())
                        .set_stream_arn(self.arn.clone())
                        .set_shard_filter(filter)
                }
            };
            let page = request.send().await.map_err(|error| self.control_error(error))?;
            for shard in page.shards.unwrap_or_default() {
                shards.push(listed_shard(&shard).map_err(|source| self.unavailable(source))?);
            }
            if page.next_token.is_none() {
                return Ok(shards);
            }
            next = page.next_token;
        }
    }
}

fn record(record: types::Record) -> Result<Record, FetchError> {
    let sequence = record.sequence_number.parse().map_err(malformed)?;
    let arrived = record.approximate_arrival_timestamp.as_ref().map_or(0, epoch_millis);
    Ok(Record {
        position: RecordPosition::first_of(sequence),
        partition_key: record.partition_key.unwrap_or_default().into(),
        data: Bytes::from(record.data.into_inner()),
        arrival_epoch_millis: arrived,
    })
}

fn child_shard(child: types::ChildShard) -> Result<ChildShard, FetchError> {
    let parents = child.parent_shards.iter().map(ShardId::new).collect::<Result<_, _>>();
    Ok(ChildShard {
        shard: ShardId::new(&child.shard_id).map_err(malformed)?,
        parents: parents.map_err(malformed)?,
        hash_range: hash_range(child.hash_key_range.as_ref()).map_err(malformed)?,
    })
}

fn listed_shard(shard: &types::Shard) -> Result<ListedShard, Source> {
    let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
    let range = shard.sequence_number_range.as_ref().ok_or("a shard without sequence numbers")?;
    Ok(ListedShard {
        shard: ShardId::new(&shard.shard_id)?,
        parents: parents.into_iter().flatten().map(ShardId::new).collect::<Result<_, _>>()?,
        hash_range: hash_range(shard.hash_key_range.as_ref())?,
        starting_sequence: range.starting_sequence_number.parse()?,
        is_open: range.ending_sequence_number.is_none(),
    })
}

fn hash_range(range: Option<&types::HashKeyRange>) -> Result<HashKeyRange, Source> {
    let range = range.ok_or("a shard without a hash range")?;
    Ok(HashKeyRange::new(HashKey::parse(&range.starting_hash_key)?, HashKey::parse(&range.ending_hash_key)?)?)
}

fn shard_filter(filter: ShardFilter) -> Result<Option<types::ShardFilter>, Source> {
    let builder = types::ShardFilter::builder();
    let builder = match filter {
        ShardFilter::All => return Ok(None),
        ShardFilter::AtTrimHorizon => builder.r#type(ShardFilterType::AtTrimHorizon),
        ShardFilter::AtLatest => builder.r#type(ShardFilterType::AtLatest),
        ShardFilter::AtTimestamp(epoch_millis) => {
            let time = DateTime::from_millis(i64::try_from(epoch_millis)?);
            builder.r#type(ShardFilterType::AtTimestamp).timestamp(time)
        }
    };
    Ok(Some(builder.build()?))
}

fn fetch_error<E, R>(error: SdkError<E, R>) -> FetchError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let detail = || error.message().unwrap_or("no message").to_owned();
    match error.code() {
        Some(
            "ProvisionedThroughputExceededException" | "KMSThrottlingException" | "LimitExceededException",
        ) => FetchError::Throttled,
        Some("ExpiredIteratorException") => FetchError::IteratorExpired,
        Some("ResourceNotFoundException") => FetchError::NotFound { detail: detail() },
        Some("InvalidArgumentException") => FetchError::InvalidPosition { detail: detail() },
        Some(_) | None => FetchError::Unavailable { source: Box::new(error) },
    }
}

fn malformed(source: impl Into<Source>) -> FetchError {
    FetchError::Unavailable { source: source.into() }
}

/// The wire carries seconds as a floating-point number, which lies a little beside the millisecond that is meant.
fn epoch_millis(time: &DateTime) -> u64 {
    u64::try_from((time.as_nanos() + 500_000) / 1_000_000).unwrap_or(0)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// An answer of 10 MB over a slow line; the KCL allows 30 s.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream takes up to half a minute to become active.
const CREATION_WAIT_MAX: Duration = Duration::from_secs(60);
const CREATION_POLL_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> KinesisStream {
        let config = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        KinesisStream::new(&config, name)
    }

    #[test]
    fn a_stream_is_named_or_given_by_arn() {
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks";
        assert_eq!((stream("clicks").name, stream("clicks").arn), (Some("clicks".to_owned()), None));
        assert_eq!((stream(arn).name, stream(arn).arn), (None, Some(arn.to_owned())));
        assert_eq!(stream(arn).label(), arn);
    }

    #[test]
    fn times_are_those_that_were_sent() {
        for sent in [0, 1_795_231_844_622_u64, 1_795_231_844_623, 1_795_231_844_999] {
            let received = DateTime::from_secs_f64(sent as f64 / 1000.0);
            assert_eq!(epoch_millis(&received), sent);
        }
    }

    #[test]
    fn filters_are_those_of_the_service() {
        assert!(shard_filter(ShardFilter::AtTimestamp(u64::MAX)).is_err());
        assert!(shard_filter(ShardFilter::All).expect("valid").is_none());
    }
}
