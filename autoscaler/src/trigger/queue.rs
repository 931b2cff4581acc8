//! The port of a queue of messages, as SQS has it: at least once, in any order, hidden while somebody works on it.

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

/// A queue of messages that may wake.
#[async_trait]
pub trait WakeQueue: Send + Sync {
    /// Takes up to `count_max` messages, waiting up to `wait` for the first. They stay hidden from others for `hidden`,
    /// after which they are given out again unless deleted.
    ///
    /// # Errors
    /// [`QueueError`] if the queue did not answer as it should; messages may be hidden nevertheless.
    async fn receive(
        &self,
        count_max: usize,
        wait: Duration,
        hidden: Duration,
    ) -> Result<Vec<QueueMessage>, QueueError>;

    /// Deletes messages for good. Deleting again what is gone succeeds.
    ///
    /// # Errors
    /// [`QueueError`] if some may still be there; those come again.
    async fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError>;

    /// Hides messages for `hidden` from now on; zero gives them to the next that asks.
    ///
    /// # Errors
    /// [`QueueError`] if some may come at their former time.
    async fn hide(&self, receipts: &[Receipt], hidden: Duration) -> Result<(), QueueError>;
}

/// A message taken from a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMessage {
    /// The message, over all its deliveries.
    pub id: String,
    /// This delivery of it.
    pub receipt: Receipt,
    /// The text.
    pub body: String,
}

/// The right to delete or hide one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A call of the queue that failed. All are retried: what is missing may be created or allowed later.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call} of queue {queue} failed: {reason}")]
pub struct QueueError {
    /// The call, by its name in SQS.
    pub call: &'static str,
    /// The queue.
    pub queue: String,
    /// Why.
    pub reason: String,
}
