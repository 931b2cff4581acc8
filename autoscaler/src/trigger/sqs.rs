//! The queue on SQS. Endpoint, region and credentials come from the given configuration.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
};

use super::{Excerpt, QueueError, QueueMessage, Receipt, WakeQueue};

/// A queue of SQS. It needs the permissions `sqs:ReceiveMessage`, `sqs:DeleteMessage` and `sqs:ChangeMessageVisibility`.
#[derive(Clone, Debug)]
pub struct SqsWakeQueue {
    client: Client,
    url: String,
}

impl SqsWakeQueue {
    /// The queue at `url`. A call that hangs is ended after half a minute, which the longest wait of SQS fits into.
    #[must_use]
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_MAX)
            .operation_attempt_timeout(ATTEMPT_MAX)
            .build();
        let config = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), url: url.into() }
    }

    fn error(&self, call: &'static str, reason: &str) -> QueueError {
        let reason = Excerpt::of(reason, REASON_CHARS_MAX).to_string();
        QueueError { call, queue: self.url.clone(), reason }
    }

    fn failed<E, R>(&self, call: &'static str, error: &SdkError<E, R>) -> QueueError
    where
        SdkError<E, R>: ProvideErrorMetadata + std::error::Error,
    {
        match (error.code(), error.message()) {
            (Some(code), message) => {
                self.error(call, &format!("{code}: {}", message.unwrap_or("without a message")))
            }
            (None, _) => self.error(call, &DisplayErrorContext(error).to_string()),
        }
    }

    /// A batch can fail in part.
    fn check_batch(&self, call: &'static str, failed: &[BatchResultErrorEntry]) -> Result<(), QueueError> {
        let Some(first) = failed.first() else { return Ok(()) };
        let message = first.message().unwrap_or("without a message");
        Err(self.error(call, &format!("{} messages, the first: {}: {message}", failed.len(), first.code())))
    }
}

#[async_trait]
impl WakeQueue for SqsWakeQueue {
    async fn receive(
        &self,
        count_max: usize,
        wait: Duration,
        hidden: Duration,
    ) -> Result<Vec<QueueMessage>, QueueError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(count_max.clamp(1, BATCH_MAX)).unwrap_or(1))
            .wait_time_seconds(seconds(wait).min(WAIT_SECONDS_MAX))
            .visibility_timeout(seconds(hidden))
            .send()
            .await
            .map_err(|error| self.failed("ReceiveMessage", &error))?;
        let messages = received.messages.unwrap_or_default().into_iter().filter_map(|message| {
            Some(QueueMessage {
                id: message.message_id.unwrap_or_default(),
                receipt: Receipt(message.receipt_handle?),
                body: message.body.unwrap_or_default(),
            })
        });
        Ok(messages.collect())
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        const CALL: &str = "DeleteMessageBatch";
        for batch in receipts.chunks(BATCH_MAX) {
            let entries = batch.iter().enumerate().map(|(index, receipt)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&receipt.0)
                    .build()
                    .expect("an entry has an id and a receipt")
            });
            let call = self.client.delete_message_batch().queue_url(&self.url);
            let deleted = call.set_entries(Some(entries.collect())).send().await;
            let deleted = deleted.map_err(|error| self.failed(CALL, &error))?;
            self.check_batch(CALL, deleted.failed())?;
        }
        Ok(())
    }

    async fn hide(&self, receipts: &[Receipt], hidden: Duration) -> Result<(), QueueError> {
        const CALL: &str = "ChangeMessageVisibilityBatch";
        for batch in receipts.chunks(BATCH_MAX) {
            let entries = batch.iter().enumerate().map(|(index, receipt)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&receipt.0)
                    .visibility_timeout(seconds(hidden))
                    .build()
                    .expect("an entry has an id and a receipt")
            });
            let call = self.client.change_message_visibility_batch().queue_url(&self.url);
            let changed = call.set_entries(Some(entries.collect())).send().await;
            let changed = changed.map_err(|error| self.failed(CALL, &error))?;
            self.check_batch(CALL, changed.failed())?;
        }
        Ok(())
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// Messages of one call, by SQS.
const BATCH_MAX: usize = 10;
/// The longest wait, by SQS.
const WAIT_SECONDS_MAX: i32 = 20;
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The longest wait of SQS, and as much as an answer may take besides.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
const REASON_CHARS_MAX: usize = 256;
