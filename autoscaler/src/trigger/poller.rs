//! Takes messages from a queue and hands their wakes to the reconciler.
//!
//! ```text
//!  queue ──receive──▶ read ─┬─ refused: logged, counted ───────────────┐
//!                           ├─ repeated: counted ──────────────────────┼──▶ delete
//!                           └─ wakes ─▶ channel of the reconciler ─────┘
//!                                         │ full: hidden for longer
//!                                         └ stopping: given back to the queue
//! ```
//!
//! A message is deleted once its wakes are handed over: what the reconciler then does with a wake is its own, and a wake
//! that dies with the process is made up for by the next poll. A refused message is deleted, too, and not left for a
//! dead-letter queue: its content can never become good, and left there it would be read again until it expires.
//!
//! One batch is in hand at a time, so at most ten messages are in flight.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::envelope::read_message;
use super::{QueueError, QueueMessage, Receipt, SeenWindow, Tally, TriggerSettings, Wake, WakeQueue};

/// Turns the messages of a queue into wakes, until it is stopped.
pub struct WakePoller {
    queue: Arc<dyn WakeQueue>,
    settings: TriggerSettings,
    tally: Arc<Tally>,
    seen: SeenWindow,
    started_at: Instant,
    pauses: ExponentialBackoff,
    failures: u32,
}

/// Why polling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollEnd {
    /// It was asked to stop.
    Stopped,
    /// Nobody listens for wakes any more.
    NoListener,
}

impl WakePoller {
    /// A poller of one queue. Settings must be valid.
    #[must_use]
    pub fn new(queue: Arc<dyn WakeQueue>, settings: TriggerSettings, tally: Arc<Tally>) -> Self {
        let (seen, started_at, pauses) = (SeenWindow::default(), Instant::now(), pauses().build());
        Self { queue, settings, tally, seen, started_at, pauses, failures: 0 }
    }

    /// Polls until `stop` is cancelled or the receiver of `wakes` is dropped. Failures of the queue end nothing: they are
    /// logged, counted and retried with growing pauses. A message that a call under way has taken when polling stops comes
    /// back to the queue after a minute.
    pub async fn run(mut self, wakes: mpsc::Sender<Wake>, stop: CancellationToken) -> PollEnd {
        loop {
            let asked_at = Instant::now();
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return PollEnd::Stopped,
                () = wakes.closed() => return PollEnd::NoListener,
                received = self.queue.receive(BATCH_MAX, RECEIVE_WAIT, HIDDEN) => received,
            };
            let pause = match received {
                Ok(messages) if messages.is_empty() => EMPTY_PAUSE.saturating_sub(asked_at.elapsed()),
                Ok(messages) => {
                    self.note_success();
                    if let Some(end) = self.take(messages, &wakes, &stop).await {
                        return end;
                    }
                    continue;
                }
                Err(error) => self.note_failure(&error),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return PollEnd::Stopped,
                () = wakes.closed() => return PollEnd::NoListener,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Reads a batch and hands its wakes over, message by message.
    async fn take(
        &mut self,
        messages: Vec<QueueMessage>,
        wakes: &mpsc::Sender<Wake>,
        stop: &CancellationToken,
    ) -> Option<PollEnd> {
        let mut done = Vec::with_capacity(messages.len());
        let mut left: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        for message in &messages {
            let message_wakes = self.read(message);
            let change = message_wakes.iter().find_map(|wake| wake.source.alarm()).cloned();
            for wake in message_wakes {
                let held = Held { done: &mut done, left: &left };
                if let Some(end) = self.hand_over(wake, wakes, stop, held).await {
                    self.settle(&done, &left).await;
                    return Some(end);
                }
            }
            if let Some(change) = change {
                self.seen.note(&change, self.started_at.elapsed().into());
            }
            done.push(left.remove(0));
        }
        self.settle(&done, &[]).await;
        None
    }

    /// The wakes of a message; none if it is refused or repeated.
    fn read(&mut self, message: &QueueMessage) -> Vec<Wake> {
        self.tally.count_message();
        let wakes = match read_message(message.body.as_bytes(), &self.settings) {
            Ok(wakes) => wakes,
            Err(refusal) => {
                self.tally.count_refused(refusal.kind);
                tracing::warn!(message = message.id, %refusal, "message refused and deleted");
                return Vec::new();
            }
        };
        let now = self.started_at.elapsed().into();
        let is_repeated =
            wakes.iter().filter_map(|wake| wake.source.alarm()).any(|change| self.seen.contains(change, now));
        if is_repeated {
            self.tally.count_repeated();
            tracing::debug!(message = message.id, "the alarm's change was handled before");
            return Vec::new();
        }
        wakes
    }

    /// Puts a wake into the channel. While that is full, the messages in hand stay hidden.
    async fn hand_over(
        &self,
        wake: Wake,
        wakes: &mpsc::Sender<Wake>,
        stop: &CancellationToken,
        held: Held<'_>,
    ) -> Option<PollEnd> {
        tracing::info!(%wake, "woken");
        match wakes.try_send(wake) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return Some(PollEnd::NoListener),
            Err(TrySendError::Full(wake)) => {
                self.delete(held.done).await;
                held.done.clear();
                let permit = loop {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Some(PollEnd::Stopped),
                        permit = wakes.reserve() => break permit,
                        () = tokio::time::sleep(HIDDEN / 2) => self.hide(held.left, HIDDEN).await,
                    }
                };
                match permit {
                    Ok(permit) => permit.send(wake),
                    Err(_) => return Some(PollEnd::NoListener),
                }
            }
        }
        self.tally.count_wake();
        None
    }

    /// Deletes what is done and gives back what is not.
    async fn settle(&self, done: &[Receipt], left: &[Receipt]) {
        let settled = async {
            self.delete(done).await;
            self.hide(left, Duration::ZERO).await;
        };
        if tokio::time::timeout(SETTLE_MAX, settled).await.is_err() {
            self.tally.count_queue_failure();
            tracing::warn!("the queue does not answer; its messages come again");
        }
    }

    async fn delete(&self, receipts: &[Receipt]) {
        if !receipts.is_empty()
            && let Err(error) = self.queue.delete(receipts).await
        {
            self.tally.count_queue_failure();
            tracing::warn!(%error, "messages stay in the queue and come again");
        }
    }

    async fn hide(&self, receipts: &[Receipt], hidden: Duration) {
        if !receipts.is_empty()
            && let Err(error) = self.queue.hide(receipts, hidden).await
        {
            self.tally.count_queue_failure();
            tracing::debug!(%error, "messages come again at their former time");
        }
    }

    fn note_success(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the queue answers again");
            self.failures = 0;
            self.pauses = pauses().build();
        }
    }

    /// Counts a failure and tells how long to wait. Warnings become rarer: once per doubling of the count.
    fn note_failure(&mut self, error: &QueueError) -> Duration {
        self.tally.count_queue_failure();
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_power_of_two() {
            tracing::warn!(%error, failures = self.failures, "the queue cannot be read; alarms wake nothing");
        }
        self.pauses.next().unwrap_or(PAUSE_MAX).min(PAUSE_MAX)
    }
}

/// The messages in hand while one of their wakes is handed over.
struct Held<'a> {
    done: &'a mut Vec<Receipt>,
    left: &'a [Receipt],
}

fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
}

/// What SQS gives out at most in one call.
const BATCH_MAX: usize = 10;
/// The longest wait of SQS: fewest calls, and no later, since the first message ends it.
const RECEIVE_WAIT: Duration = Duration::from_secs(20);
/// Handing over takes milliseconds unless the reconciler is behind; then the time is extended at its half.
const HIDDEN: Duration = Duration::from_secs(60);
/// A queue that answers at once that it is empty is not asked again sooner: some stand-ins for SQS ignore the wait.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The reconciler polls by itself at least every five minutes; alarms may be late by a fifth of that.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a batch may take to be deleted or given back.
const SETTLE_MAX: Duration = Duration::from_secs(10);
