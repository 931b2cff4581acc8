//! Registered consumers of enhanced fan-out.

use super::Kinesis;
use crate::account::Account;
use crate::api::*;
use crate::operation_time::Operation;
use crate::token::{self, TokenKind};
use crate::validate;
use crate::{EpochMillis, KinesisError, Result};

impl Kinesis {
    /// `RegisterStreamConsumer`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `Validation`; `ResourceInUse` if the stream is not active or the name is taken;
    /// `LimitExceeded` at the twenty-first consumer.
    pub fn register_stream_consumer(
        &self,
        request: RegisterStreamConsumerRequest,
        now: EpochMillis,
    ) -> Result<ConsumerDescription> {
        validate::name("consumerName", &request.consumer_name)?;
        let due = self.due(Operation::RegisterConsumer, now);
        self.control_stream(&StreamRef::arn(request.stream_arn), now, |stream| {
            stream.require_active()?;
            stream.consumers.register(&stream.arn, &request.consumer_name, now, due)
        })
    }

    /// `DeregisterStreamConsumer`. Its subscriptions fail at once.
    ///
    /// # Errors
    /// `ResourceNotFound`, `InvalidArgument`.
    pub fn deregister_stream_consumer(&self, consumer: ConsumerRef, now: EpochMillis) -> Result<()> {
        let due = self.due(Operation::DeregisterConsumer, now);
        self.control(now, |account| {
            let described = describe(account, &consumer)?;
            let stream = account.stream_mut(&StreamRef::arn(&described.stream_arn))?;
            stream.consumers.deregister(&described.consumer_name, due);
            for entry in stream.topology().entries_after(None) {
                let mut log = entry.shard.log.lock();
                log.slots().remove(&described.consumer_arn);
                log.wake();
            }
            Ok(())
        })
    }

    /// `DescribeStreamConsumer`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `InvalidArgument`.
    pub fn describe_stream_consumer(
        &self,
        consumer: ConsumerRef,
        now: EpochMillis,
    ) -> Result<ConsumerDescription> {
        describe(&self.settled(now), &consumer)
    }

    /// `ListStreamConsumers`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `InvalidArgument`, `ExpiredNextToken`, `Validation`.
    pub fn list_stream_consumers(
        &self,
        request: ListStreamConsumersRequest,
        now: EpochMillis,
    ) -> Result<ListStreamConsumersResponse> {
        let page = validate::page("maxResults", request.max_results, PAGE_MAX, PAGE_MAX)?;
        let account = self.settled(now);
        let stream = account.stream(&StreamRef::arn(&request.stream_arn))?;
        self.require_creation(stream, request.stream_creation)?;
        let after = match &request.next_token {
            None => String::new(),
            Some(text) => {
                let ([created, _], after) = token::open::<2>(TokenKind::ListStreamConsumers, text)
                    .filter(|([_, stream_id], _)| *stream_id == stream.id.0)
                    .ok_or_else(|| KinesisError::InvalidArgument("Invalid NextToken.".to_owned()))?;
                self.require_fresh_token(EpochMillis(created), now)?;
                after
            }
        };
        let mut names = stream.consumers.names_after(&after);
        let consumers: Vec<_> = names
            .by_ref()
            .take(page)
            .map(|name| stream.consumers.describe(&stream.arn, name).expect("a listed consumer exists"))
            .collect();
        let next_token = names.next().and(consumers.last()).map(|last| {
            token::seal(TokenKind::ListStreamConsumers, &[now.0, stream.id.0], &last.consumer_name)
        });
        Ok(ListStreamConsumersResponse { consumers, next_token })
    }

    /// The stream of an active consumer.
    pub(super) fn active_consumer_stream(&self, consumer_arn: &str, now: EpochMillis) -> Result<StreamRef> {
        let described = describe(&self.settled(now), &ConsumerRef::arn(consumer_arn))?;
        match described.status {
            ConsumerStatus::Active => Ok(StreamRef::arn(described.stream_arn)),
            ConsumerStatus::Creating | ConsumerStatus::Deleting => Err(KinesisError::ResourceInUse(format!(
                "Consumer {consumer_arn} not ACTIVE, instead in state {}",
                described.status
            ))),
        }
    }
}

fn describe(account: &Account, consumer: &ConsumerRef) -> Result<ConsumerDescription> {
    let not_found = |name: &str| KinesisError::ResourceNotFound(format!("Consumer {name} not found."));
    let ConsumerRef { stream_arn, consumer_name, consumer_arn } = consumer;
    if let Some(arn) = consumer_arn {
        let (stream_arn, _) = arn.split_once(CONSUMER_INFIX).ok_or_else(|| not_found(arn))?;
        let stream = account.stream(&StreamRef::arn(stream_arn))?;
        let name = stream.consumers.name_of(arn).ok_or_else(|| not_found(arn))?;
        return stream.consumers.describe(&stream.arn, name).ok_or_else(|| not_found(arn));
    }
    let (Some(stream_arn), Some(name)) = (stream_arn, consumer_name) else {
        return Err(KinesisError::InvalidArgument(
            "Either a ConsumerARN or both StreamARN and ConsumerName must be provided.".to_owned(),
        ));
    };
    let stream = account.stream(&StreamRef::arn(stream_arn))?;
    stream.consumers.describe(&stream.arn, name).ok_or_else(|| not_found(name))
}

/// Between a stream's ARN and the name in a consumer's ARN.
const CONSUMER_INFIX: &str = "/consumer/";
/// Consumers on one page.
const PAGE_MAX: usize = 100;
