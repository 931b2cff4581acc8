//! The control plane of a stream: reading with the SDK's repetition, changing without.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::builders::ShardFilterBuilder;
use aws_sdk_kinesis::types::{
    ScalingType, Shard, ShardFilter, ShardFilterType, StreamDescriptionSummary, StreamMode, StreamStatus,
};
use kcl_core::{HashKey, HashKeyRange, ShardId};

use super::error::{failed, is_refused, timeouts};
use crate::reconcile::{Call, CallReply, Look, PortError, Refusal, ShardControl};
use crate::{EpochMillis, Layout, OpenShard, StreamState};

/// The control plane of one stream.
#[derive(Clone, Debug)]
pub struct KinesisControl {
    /// Repeats failed calls a few times.
    patient: Client,
    /// Never repeats a call.
    once: Client,
    stream: String,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl KinesisControl {
    /// The control plane of the stream called `stream`; each attempt of a call is given up after `call_timeout`.
    #[must_use]
    pub fn new(config: &SdkConfig, stream: impl Into<String>, call_timeout: Duration) -> Self {
        let client = |retry| {
            let config = Builder::from(config).retry_config(retry).timeout_config(timeouts(call_timeout));
            Client::from_conf(config.build())
        };
        Self {
            patient: client(RetryConfig::standard()),
            once: client(RetryConfig::disabled()),
            stream: stream.into(),
        }
    }

    /// The stream's name.
    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    pub(super) async fn summary(&self) -> Result<StreamDescriptionSummary, PortError> {
        let problem = |source: Source| failed("DescribeStreamSummary", &self.stream, source);
        let describe = self.patient.describe_stream_summary().stream_name(&self.stream);
        let answer = describe.send().await.map_err(|error| problem(error.into()))?;
        answer.stream_description_summary.ok_or_else(|| problem("the answer is empty".into()))
    }

    /// The open shards, all pages.
    pub(super) async fn layout(&self) -> Result<Layout, PortError> {
        let shards = self.shards(ShardFilter::builder().r#type(ShardFilterType::AtLatest)).await?;
        Layout::new(shards).map_err(|error| failed("ListShards", &self.stream, error))
    }

    /// The shards that are open or were at `since`, all pages.
    pub(super) async fn shards_since(&self, since: EpochMillis) -> Result<Vec<OpenShard>, PortError> {
        let since = DateTime::from_millis(i64::try_from(since.0).unwrap_or(i64::MAX));
        let filter = ShardFilter::builder().r#type(ShardFilterType::FromTimestamp).timestamp(since);
        self.shards(filter).await
    }

    async fn shards(&self, filter: ShardFilterBuilder) -> Result<Vec<OpenShard>, PortError> {
        let problem = |source: Source| failed("ListShards", &self.stream, source);
        let filter = filter.build().map_err(|error| problem(error.into()))?;
        let mut shards = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let list = self.patient.list_shards();
            let list = match next.take() {
                Some(token) => list.next_token(token),
                None => list.stream_name(&self.stream).shard_filter(filter.clone()),
            };
            let page = list.send().await.map_err(|error| problem(error.into()))?;
            for shard in page.shards() {
                shards.push(open_shard(shard).map_err(problem)?);
            }
            match page.next_token {
                Some(token) => next = Some(token),
                None => return Ok(shards),
            }
        }
        Err(problem(format!("more than {PAGES_MAX} pages").into()))
    }

    /// The names of the enhanced fan-out consumers, all pages.
    pub(super) async fn consumers(&self, stream_arn: &str) -> Result<Vec<String>, PortError> {
        let problem = |source: Source| failed("ListStreamConsumers", &self.stream, source);
        let mut names = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let list =
                self.patient.list_stream_consumers().stream_arn(stream_arn).set_next_token(next.take());
            let page = list.send().await.map_err(|error| problem(error.into()))?;
            names.extend(page.consumers().iter().map(|consumer| consumer.consumer_name.clone()));
            match page.next_token {
                Some(token) => next = Some(token),
                None => return Ok(names),
            }
        }
        Err(problem(format!("more than {PAGES_MAX} pages").into()))
    }

    fn reply<T, E>(&self, call: &Call, sent: Result<T, SdkError<E, HttpResponse>>) -> CallReply
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Err(error) = sent else { return CallReply::Accepted };
        tracing::debug!(stream = self.stream, %call, error = %DisplayErrorContext(&error), "a call failed");
        if !is_refused(&error) {
            return CallReply::Unknown;
        }
        let message = || error.message().unwrap_or("no message").to_owned();
        CallReply::Refused(match error.code() {
            Some("ResourceInUseException") => Refusal::InUse,
            Some("LimitExceededException") => Refusal::LimitExceeded,
            Some("AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException") => {
                Refusal::Denied { message: message() }
            }
            Some("ThrottlingException" | "RequestLimitExceeded") => Refusal::Throttled,
            Some(_) | None => Refusal::Misfit { message: message() },
        })
    }
}

#[async_trait]
impl ShardControl for KinesisControl {
    /// The state is read before the shards: a change that begins in between is met by the call, which Kinesis then refuses.
    async fn look(&self) -> Result<Look, PortError> {
        let state = state(&self.summary().await?);
        Ok(Look { state, layout: self.layout().await? })
    }

    async fn account_room(&self) -> Result<u32, PortError> {
        let limits = self.patient.describe_limits().send().await;
        let limits = limits.map_err(|error| failed("DescribeLimits", &self.stream, error))?;
        Ok(u32::try_from(limits.shard_limit.saturating_sub(limits.open_shard_count)).unwrap_or(0))
    }

    async fn call(&self, call: &Call) -> CallReply {
        match call {
            Call::Scale { target } => {
                let Ok(count) = i32::try_from(*target) else {
                    return CallReply::Refused(Refusal::Misfit { message: format!("{target} shards") });
                };
                let update = self.once.update_shard_count().stream_name(&self.stream);
                let update = update.target_shard_count(count).scaling_type(ScalingType::UniformScaling);
                self.reply(call, update.send().await)
            }
            Call::Split { shard, at } => {
                let split = self.once.split_shard().stream_name(&self.stream).shard_to_split(shard.as_str());
                self.reply(call, split.new_starting_hash_key(at.to_string()).send().await)
            }
            Call::Merge { lower, upper, .. } => {
                let merge = self.once.merge_shards().stream_name(&self.stream);
                let merge = merge.shard_to_merge(lower.as_str()).adjacent_shard_to_merge(upper.as_str());
                self.reply(call, merge.send().await)
            }
        }
    }
}

/// What a summary says of the stream's state.
pub(super) fn state(summary: &StreamDescriptionSummary) -> StreamState {
    let mode = summary.stream_mode_details().map(|details| details.stream_mode());
    match (summary.stream_status(), mode) {
        (StreamStatus::Deleting, _) => StreamState::Deleting,
        (_, Some(StreamMode::OnDemand)) => StreamState::OnDemand,
        (StreamStatus::Active, _) => StreamState::Active,
        (_, _) => StreamState::Changing,
    }
}

fn open_shard(shard: &Shard) -> Result<OpenShard, Source> {
    let range = shard.hash_key_range().ok_or("a shard without a hash range")?;
    let (start, end) = (HashKey::parse(&range.starting_hash_key)?, HashKey::parse(&range.ending_hash_key)?);
    Ok(OpenShard { id: ShardId::new(&shard.shard_id)?, range: HashKeyRange::new(start, end)? })
}

/// A stream has at most 10,000 open shards, and in a quarter of an hour closes no more; a page has a thousand of them.
const PAGES_MAX: usize = 20;
