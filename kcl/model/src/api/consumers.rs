//! Registered consumers of enhanced fan-out.

use super::ConsumerStatus;
use crate::EpochMillis;

/// A registered consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// Its name.
    pub consumer_name: String,
    /// Its ARN.
    pub consumer_arn: String,
    /// What it is doing.
    pub status: ConsumerStatus,
    /// When it was registered.
    pub creation: EpochMillis,
    /// The stream it may read.
    pub stream_arn: String,
}

/// How a request names a consumer: by its own ARN, or by stream and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerRef {
    /// `StreamARN`.
    pub stream_arn: Option<String>,
    /// `ConsumerName`.
    pub consumer_name: Option<String>,
    /// `ConsumerARN`.
    pub consumer_arn: Option<String>,
}

impl ConsumerRef {
    /// The consumer with this ARN.
    #[must_use]
    pub fn arn(consumer_arn: impl Into<String>) -> Self {
        Self { consumer_arn: Some(consumer_arn.into()), ..Self::default() }
    }

    /// The consumer of that stream with this name.
    #[must_use]
    pub fn named(stream_arn: impl Into<String>, consumer_name: impl Into<String>) -> Self {
        Self {
            stream_arn: Some(stream_arn.into()),
            consumer_name: Some(consumer_name.into()),
            consumer_arn: None,
        }
    }
}

/// Input of `RegisterStreamConsumer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterStreamConsumerRequest {
    /// The stream.
    pub stream_arn: String,
    /// 1 to 128 of `a-z A-Z 0-9 _ . -`.
    pub consumer_name: String,
}

/// Input of `ListStreamConsumers`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListStreamConsumersRequest {
    /// The stream; needed also beside `next_token`.
    pub stream_arn: String,
    /// Page to go on with.
    pub next_token: Option<String>,
    /// 1 to 100; 100 if absent.
    pub max_results: Option<u32>,
    /// When the stream was created, to tell it from an earlier one of the same name.
    pub stream_creation: Option<EpochMillis>,
}

/// Output of `ListStreamConsumers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStreamConsumersResponse {
    /// In the order of their names.
    pub consumers: Vec<ConsumerDescription>,
    /// Present if there are more.
    pub next_token: Option<String>,
}
