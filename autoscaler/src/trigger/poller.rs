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

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use thiserror::Error;
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
                received = answer_in(RECEIVE_MAX, self.queue.receive(BATCH_MAX, RECEIVE_WAIT, HIDDEN)) => received,
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
                tracing::warn!(message_id = message.id, %refusal, "message refused and deleted");
                return Vec::new();
            }
        };
        let now = self.started_at.elapsed().into();
        let is_repeated =
            wakes.iter().filter_map(|wake| wake.source.alarm()).any(|change| self.seen.contains(change, now));
        if is_repeated {
            self.tally.count_repeated();
            tracing::debug!(message_id = message.id, "the alarm's change was handled before");
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
        self.delete(done).await;
        self.hide(left, Duration::ZERO).await;
    }

    async fn delete(&self, receipts: &[Receipt]) {
        if !receipts.is_empty()
            && let Err(error) = answer_in(CALL_MAX, self.queue.delete(receipts)).await
        {
            self.tally.count_queue_failure();
            tracing::warn!(%error, "messages stay in the queue and come again");
        }
    }

    async fn hide(&self, receipts: &[Receipt], hidden: Duration) {
        if !receipts.is_empty()
            && let Err(error) = answer_in(CALL_MAX, self.queue.hide(receipts, hidden)).await
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
    fn note_failure(&mut self, error: &CallError) -> Duration {
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

/// A call of the queue that failed, or did not answer.
#[derive(Debug, Error)]
enum CallError {
    #[error(transparent)]
    Failed(#[from] QueueError),
    #[error("the queue did not answer within {} s", .0.as_secs())]
    Silent(Duration),
}

async fn answer_in<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::Silent(limit)),
    }
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
/// The wait, and as much as the call may take besides, repetitions included.
const RECEIVE_MAX: Duration = Duration::from_secs(60);
/// A call that deletes or hides takes milliseconds; a stop waits for two of them at most.
const CALL_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use async_trait::async_trait;
    use serde_json::json;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::trigger::{MemoryWakeQueue, RefusalKind};

    /// A poller at work on a queue that can be made to fail.
    struct Bench {
        queue: Arc<FlakyQueue>,
        tally: Arc<Tally>,
        stop: CancellationToken,
        polling: JoinHandle<PollEnd>,
    }

    impl Bench {
        fn start(capacity: usize) -> (Self, mpsc::Receiver<Wake>) {
            Self::start_on(FlakyQueue::default(), capacity)
        }

        fn start_on(queue: FlakyQueue, capacity: usize) -> (Self, mpsc::Receiver<Wake>) {
            let (queue, tally, stop) = (Arc::new(queue), Arc::<Tally>::default(), CancellationToken::new());
            let (sender, receiver) = mpsc::channel(capacity);
            let shared: Arc<dyn WakeQueue> = Arc::<FlakyQueue>::clone(&queue);
            let poller = WakePoller::new(shared, TriggerSettings::default(), Arc::clone(&tally));
            let polling = tokio::spawn(poller.run(sender, stop.clone()));
            (Self { queue, tally, stop, polling }, receiver)
        }

        fn count(&self, name: &str) -> u64 {
            let name = format!("autoscaler_trigger_{name}");
            let counters = self.tally.counters().filter(|counter| counter.name == name);
            counters.map(|counter| counter.value).sum()
        }

        async fn stop(self) -> PollEnd {
            self.stop.cancel();
            self.polling.await.expect("no panic")
        }
    }

    #[derive(Default)]
    struct FlakyQueue {
        inner: MemoryWakeQueue,
        failing_receives: AtomicU32,
        failing_deletes: AtomicU32,
        receives: AtomicU32,
        ignores_wait: bool,
        is_silent: AtomicBool,
    }

    impl FlakyQueue {
        async fn answers(&self) {
            if self.is_silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        }

        fn fails(left: &AtomicU32, call: &'static str) -> Result<(), QueueError> {
            let take = |count: u32| count.checked_sub(1);
            match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                Ok(_) => Err(QueueError { call, queue: "memory".into(), reason: "down".into() }),
                Err(_) => Ok(()),
            }
        }
    }

    #[async_trait]
    impl WakeQueue for FlakyQueue {
        async fn receive(
            &self,
            count_max: usize,
            wait: Duration,
            hidden: Duration,
        ) -> Result<Vec<QueueMessage>, QueueError> {
            self.receives.fetch_add(1, Ordering::Relaxed);
            self.answers().await;
            Self::fails(&self.failing_receives, "ReceiveMessage")?;
            let wait = if self.ignores_wait { Duration::ZERO } else { wait };
            self.inner.receive(count_max, wait, hidden).await
        }

        async fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
            self.answers().await;
            Self::fails(&self.failing_deletes, "DeleteMessageBatch")?;
            self.inner.delete(receipts).await
        }

        async fn hide(&self, receipts: &[Receipt], hidden: Duration) -> Result<(), QueueError> {
            self.answers().await;
            self.inner.hide(receipts, hidden).await
        }
    }

    /// A notification about one stream's alarm.
    fn alarm(stream: &str, second: u8) -> String {
        json!({
            "AlarmArn": format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{stream}"),
            "NewStateValue": "ALARM",
            "StateChangeTime": format!("2026-11-20T17:03:{second:02}.000+0000"),
            "Trigger": {
                "Namespace": "AWS/Kinesis",
                "Dimensions": [{ "name": "StreamName", "value": stream }],
            },
        })
        .to_string()
    }

    fn name(wake: Option<Wake>) -> String {
        wake.expect("a wake").stream.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn wakes_are_handed_over_and_every_message_is_deleted() {
        let (bench, mut wakes) = Bench::start(8);
        bench.queue.inner.send(alarm("clicks", 1));
        bench.queue.inner.send("gossip");
        bench.queue.inner.send(alarm("clicks", 1));
        bench.queue.inner.send(alarm("views", 1));
        assert_eq!([name(wakes.recv().await), name(wakes.recv().await)], ["clicks", "views"]);
        bench.queue.inner.drained().await;
        assert_eq!(bench.tally.refused(RefusalKind::NotJson), 1);
        let counts = ["messages_total", "wakes_total", "queue_failures_total"].map(|name| bench.count(name));
        assert_eq!(counts, [4, 2, 0]);
        assert_eq!(bench.count("repeated_messages_total"), 1);
        assert_eq!(bench.stop().await, PollEnd::Stopped);
        assert!(wakes.recv().await.is_none(), "nothing was handed over twice");
    }

    #[tokio::test(start_paused = true)]
    async fn messages_stay_hidden_for_as_long_as_the_reconciler_is_behind() {
        let (bench, mut wakes) = Bench::start(1);
        for second in 0..4 {
            bench.queue.inner.send(alarm("clicks", second));
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(
            bench.queue.inner.len(),
            3,
            "the first is handed over and deleted, though its batch is not done"
        );
        let stolen = bench.queue.inner.receive(10, Duration::ZERO, HIDDEN).await.expect("memory");
        assert_eq!(stolen, [], "nobody else gets what is in hand");
        for _ in 0..4 {
            assert_eq!(name(wakes.recv().await), "clicks");
        }
        bench.queue.inner.drained().await;
        assert_eq!(bench.count("wakes_total"), 4);
        assert_eq!(bench.count("repeated_messages_total"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_gives_back_what_is_not_handed_over() {
        let (bench, mut wakes) = Bench::start(1);
        for second in 0..4 {
            bench.queue.inner.send(alarm("clicks", second));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let queue = Arc::clone(&bench.queue);
        assert_eq!(bench.stop().await, PollEnd::Stopped);
        assert_eq!(name(wakes.recv().await), "clicks");
        assert!(wakes.recv().await.is_none());
        let left = queue.inner.receive(10, Duration::ZERO, HIDDEN).await.expect("memory");
        assert_eq!(left.len(), 3, "at once, without waiting for the timeout");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_listener_polling_ends_and_nothing_is_lost() {
        let (bench, wakes) = Bench::start(1);
        bench.queue.inner.send(alarm("clicks", 1));
        bench.queue.inner.send(alarm("clicks", 2));
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(wakes);
        assert_eq!(bench.polling.await.expect("no panic"), PollEnd::NoListener);
        let left = bench.queue.inner.receive(10, Duration::ZERO, HIDDEN).await.expect("memory");
        assert_eq!(left.len(), 1, "the one that was not handed over");

        let (idle, wakes) = Bench::start(1);
        drop(wakes);
        assert_eq!(idle.polling.await.expect("no panic"), PollEnd::NoListener);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_out_with_growing_pauses() {
        let (bench, mut wakes) = Bench::start(8);
        let started = Instant::now();
        bench.queue.failing_receives.store(20, Ordering::Relaxed);
        tokio::time::sleep(RECEIVE_WAIT).await;
        bench.queue.inner.send(alarm("clicks", 1));
        assert_eq!(name(wakes.recv().await), "clicks");
        assert_eq!(bench.count("queue_failures_total"), 20);
        let elapsed = started.elapsed();
        assert!(elapsed >= PAUSE_MAX * 14, "six pauses double, the others are the longest: {elapsed:?}");
        assert!(elapsed <= RECEIVE_WAIT + PAUSE_MAX * 20, "{elapsed:?}");
        assert_eq!(bench.stop().await, PollEnd::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_wait_for_a_pause_to_end() {
        let (bench, _wakes) = Bench::start(8);
        bench.queue.failing_receives.store(u32::MAX, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1000)).await;
        let asked_at = Instant::now();
        assert_eq!(bench.stop().await, PollEnd::Stopped);
        assert_eq!(asked_at.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_falls_silent_holds_up_nothing_for_ever() {
        let (bench, _wakes) = Bench::start(1);
        for second in 0..3 {
            bench.queue.inner.send(alarm("clicks", second));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        bench.queue.is_silent.store(true, Ordering::Relaxed);
        let asked_at = Instant::now();
        assert_eq!(bench.stop().await, PollEnd::Stopped);
        assert_eq!(asked_at.elapsed(), CALL_MAX, "the messages could not be given back");

        let queue = FlakyQueue { is_silent: true.into(), ..FlakyQueue::default() };
        let (bench, mut wakes) = Bench::start_on(queue, 1);
        tokio::time::sleep(RECEIVE_MAX).await;
        bench.queue.is_silent.store(false, Ordering::Relaxed);
        bench.queue.inner.send(alarm("clicks", 1));
        assert_eq!(name(wakes.recv().await), "clicks");
        assert_eq!(bench.count("queue_failures_total"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_does_not_wait_is_asked_once_a_second() {
        let queue = FlakyQueue { ignores_wait: true, ..FlakyQueue::default() };
        let (bench, _wakes) = Bench::start_on(queue, 8);
        tokio::time::sleep(Duration::from_secs(100)).await;
        let asked = bench.queue.receives.load(Ordering::Relaxed);
        assert!((99..=101).contains(&asked), "{asked}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_could_not_be_deleted_wakes_only_once() {
        let (bench, mut wakes) = Bench::start(8);
        bench.queue.failing_deletes.store(2, Ordering::Relaxed);
        bench.queue.inner.send(alarm("clicks", 1));
        bench.queue.inner.drained().await;
        assert_eq!(bench.count("repeated_messages_total"), 2);
        assert_eq!(bench.count("queue_failures_total"), 2);
        assert_eq!(bench.stop().await, PollEnd::Stopped);
        assert_eq!(name(wakes.recv().await), "clicks");
        assert!(wakes.recv().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_repeated_and_in_whichever_order_each_change_wakes_once() {
        let (bench, mut wakes) = Bench::start(3);
        let mut order = fastrand::Rng::with_seed(7);
        let mut bodies: Vec<_> = (0..50).flat_map(|second| vec![alarm("clicks", second); 3]).collect();
        order.shuffle(&mut bodies);
        bench.queue.failing_deletes.store(5, Ordering::Relaxed);
        bench.queue.failing_receives.store(3, Ordering::Relaxed);
        for body in bodies {
            bench.queue.inner.send(body);
        }
        let mut times = BTreeSet::new();
        for _ in 0..50 {
            let wake = wakes.recv().await.expect("a wake");
            assert!(times.insert(wake.source.alarm().expect("an alarm").changed_at), "{wake} came twice");
        }
        bench.queue.inner.drained().await;
        assert_eq!(bench.count("wakes_total"), 50);
        assert_eq!(bench.stop().await, PollEnd::Stopped);
        assert!(wakes.recv().await.is_none());
    }
}
