//! A queue in memory, with the guarantees of SQS and no better ones: for tests and for everything on one machine.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{QueueError, QueueMessage, Receipt, WakeQueue};

/// A queue in memory. Its timeouts run on tokio's clock.
#[derive(Debug, Default)]
pub struct MemoryWakeQueue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Stored>,
    sent: u64,
    received: u64,
}

#[derive(Debug)]
struct Stored {
    id: u64,
    receipt: u64,
    body: String,
    hidden_until: Option<Instant>,
}

impl MemoryWakeQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a message into the queue.
    pub fn send(&self, body: impl Into<String>) {
        let mut state = self.state.lock();
        state.sent += 1;
        let id = state.sent;
        state.messages.push_back(Stored { id, receipt: 0, body: body.into(), hidden_until: None });
        self.changed.notify_waiters();
    }

    /// The messages that are not deleted, hidden ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().messages.len()
    }

    /// Whether every message is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until every message is deleted.
    pub async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_empty() {
                return;
            }
            changed.await;
        }
    }

    fn take(&self, count_max: usize, hidden: Duration) -> Vec<QueueMessage> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { messages, received, .. } = &mut *state;
        let visible =
            messages.iter_mut().filter(|stored| stored.hidden_until.is_none_or(|until| until <= now));
        visible
            .take(count_max)
            .map(|stored| {
                *received += 1;
                stored.receipt = *received;
                stored.hidden_until = Some(now + hidden);
                QueueMessage {
                    id: stored.id.to_string(),
                    receipt: Receipt(stored.receipt.to_string()),
                    body: stored.body.clone(),
                }
            })
            .collect()
    }

    /// When the next hidden message comes back.
    fn next_visible(&self) -> Option<Instant> {
        self.state.lock().messages.iter().filter_map(|stored| stored.hidden_until).min()
    }
}

#[async_trait]
impl WakeQueue for MemoryWakeQueue {
    async fn receive(
        &self,
        count_max: usize,
        wait: Duration,
        hidden: Duration,
    ) -> Result<Vec<QueueMessage>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            let messages = self.take(count_max, hidden);
            if !messages.is_empty() {
                return Ok(messages);
            }
            let wake_at = self.next_visible().map_or(deadline, |visible| visible.min(deadline));
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(wake_at) => {
                    if Instant::now() >= deadline {
                        return Ok(Vec::new());
                    }
                }
            }
        }
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        self.state.lock().messages.retain(|stored| !is_one_of(stored, receipts));
        self.changed.notify_waiters();
        Ok(())
    }

    async fn hide(&self, receipts: &[Receipt], hidden: Duration) -> Result<(), QueueError> {
        let until = Instant::now() + hidden;
        for stored in self.state.lock().messages.iter_mut().filter(|stored| is_one_of(stored, receipts)) {
            stored.hidden_until = Some(until);
        }
        self.changed.notify_waiters();
        Ok(())
    }
}

/// Whether a message's last delivery has one of these receipts; earlier receipts are void.
fn is_one_of(stored: &Stored, receipts: &[Receipt]) -> bool {
    let receipt = stored.receipt.to_string();
    receipts.iter().any(|given| given.0 == receipt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_message_comes_back_until_it_is_deleted() {
        let queue = MemoryWakeQueue::new();
        queue.send("a");
        let first = queue.receive(10, Duration::ZERO, HIDDEN).await.expect("memory");
        assert_eq!(queue.receive(10, Duration::from_secs(29), HIDDEN).await, Ok(vec![]), "hidden");
        let second = queue.receive(10, Duration::from_secs(20), HIDDEN).await.expect("memory");
        assert_eq!((second[0].id.as_str(), second[0].body.as_str()), (first[0].id.as_str(), "a"));
        queue.delete(&[first[0].receipt.clone()]).await.expect("memory");
        assert_eq!(queue.len(), 1, "an old receipt deletes nothing");
        queue.delete(&[second[0].receipt.clone()]).await.expect("memory");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reader_gets_what_is_sent_or_released() {
        let queue = MemoryWakeQueue::new();
        let started = Instant::now();
        let (received, ()) = tokio::join!(queue.receive(1, Duration::from_secs(20), HIDDEN), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            queue.send("a");
        });
        let receipts = [received.expect("memory")[0].receipt.clone()];
        assert_eq!(started.elapsed(), Duration::from_secs(3));
        let (received, _) = tokio::join!(
            queue.receive(1, Duration::from_secs(20), HIDDEN),
            queue.hide(&receipts, Duration::ZERO)
        );
        assert_eq!(received.expect("memory").len(), 1);
        assert_eq!(started.elapsed(), Duration::from_secs(3));
    }
}
