//! The triggers as a Lambda function: an event in, one look at each stream that it names, an answer out.
//!
//! ```text
//!  event ─▶ read_event ─▶ deliveries ─▶ one look per stream ─┬─ all done ─▶ noted, no failure
//!                           │ refused, repeated: no look     ├─ failed, from SQS ─▶ its message id in batchItemFailures
//!                           └────────────────────────────▶   └─ failed, otherwise ─▶ error: Lambda repeats the event
//! ```
//!
//! Messages that name the same stream share one look. A refused message is no failure: repeating it would change nothing.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use lambda_runtime::{LambdaEvent, service_fn};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::Instant;

use super::{
    AlarmChange, Delivery, Excerpt, Region, SeenWindow, StreamName, Tally, TriggerSettings, Wake, read_event,
};

/// Serves Lambda's runtime API: every event of this function's invocations goes to a [`LambdaService`]. Returns only
/// when the runtime API fails.
///
/// # Errors
/// [`LambdaError`] if this process was not started by Lambda, or its runtime API fails.
pub async fn serve_lambda<H, F, E>(
    settings: TriggerSettings,
    tally: Arc<Tally>,
    handler: H,
) -> Result<(), LambdaError>
where
    H: Fn(Wake) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    if let Some(variable) = RUNTIME_VARIABLES.into_iter().find(|name| env::var_os(name).is_none()) {
        return Err(LambdaError::NotInLambda { variable });
    }
    let service = LambdaService::new(settings, tally, handler);
    let service = &service;
    let serve = |event: LambdaEvent<Box<RawValue>>| async move {
        let time_left = time_left(event.context.deadline);
        let answer = service.answer(event.payload.get().as_bytes(), time_left).await;
        answer.map_err(lambda_runtime::Error::from)
    };
    lambda_runtime::run(service_fn(serve)).await.map_err(LambdaError::Runtime)
}

/// Why the Lambda function ended.
#[derive(Debug, Error)]
pub enum LambdaError {
    /// A variable that Lambda sets is not there.
    #[error("{variable} is not set: this command runs as a Lambda function only")]
    NotInLambda {
        /// The variable.
        variable: &'static str,
    },
    /// The runtime API failed.
    #[error("the runtime API of Lambda failed")]
    Runtime(#[source] lambda_runtime::Error),
}

/// Answers events, however they are delivered.
pub struct LambdaService<H> {
    settings: TriggerSettings,
    tally: Arc<Tally>,
    seen: Mutex<SeenWindow>,
    started_at: Instant,
    handler: H,
}

impl<H, F, E> LambdaService<H>
where
    H: Fn(Wake) -> F,
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    /// A service that calls `handler` for each stream to be looked at. Settings must be valid.
    pub fn new(settings: TriggerSettings, tally: Arc<Tally>, handler: H) -> Self {
        let (seen, started_at) = (Mutex::new(SeenWindow::default()), Instant::now());
        Self { settings, tally, seen, started_at, handler }
    }

    /// Handles one event within `time_left`, and tells which messages of a queue are to come again.
    ///
    /// # Errors
    /// [`Unhandled`] if a look failed that did not come from a queue: the sender must repeat the event.
    pub async fn answer(&self, event: &[u8], time_left: Duration) -> Result<SqsBatchResponse, Unhandled> {
        let deadline = Instant::now() + time_left.saturating_sub(ANSWER_MARGIN);
        let deliveries = match read_event(event, &self.settings) {
            Ok(deliveries) => deliveries,
            Err(refusal) => {
                self.tally.count_message();
                self.tally.count_refused(refusal.kind);
                tracing::warn!(%refusal, "event refused");
                return Ok(SqsBatchResponse::default());
            }
        };
        let mut looks = BTreeMap::new();
        let asked: Vec<_> =
            deliveries.into_iter().filter_map(|delivery| self.sort(delivery, &mut looks)).collect();
        for look in looks.values_mut() {
            look.failure = self.look(&look.wake, deadline).await.err();
        }
        self.settle(asked, &looks)
    }

    /// Puts the streams of one delivery on the list; nothing if it is refused or repeated.
    fn sort(&self, delivery: Delivery, looks: &mut BTreeMap<Target, Look>) -> Option<Asked> {
        self.tally.count_message();
        let wakes = match delivery.wakes {
            Ok(wakes) => wakes,
            Err(refusal) => {
                self.tally.count_refused(refusal.kind);
                tracing::warn!(message_id = delivery.message_id, %refusal, "message refused");
                return None;
            }
        };
        let change = wakes.iter().find_map(|wake| wake.source.alarm()).cloned();
        if change.as_ref().is_some_and(|change| self.seen.lock().contains(change, self.now())) {
            self.tally.count_repeated();
            return None;
        }
        let targets: Vec<_> = wakes.iter().map(|wake| (wake.region.clone(), wake.stream.clone())).collect();
        for (target, wake) in targets.iter().zip(wakes) {
            looks.entry(target.clone()).or_insert(Look { wake, failure: None });
        }
        Some(Asked { message_id: delivery.message_id, change, targets })
    }

    async fn look(&self, wake: &Wake, deadline: Instant) -> Result<(), Excerpt> {
        self.tally.count_wake();
        tracing::info!(%wake, "woken");
        let failure = match tokio::time::timeout_at(deadline, (self.handler)(wake.clone())).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the invocation's time is over".to_owned(),
        };
        self.tally.count_handler_failure();
        tracing::warn!(stream = %wake.stream, failure, "look failed");
        Err(Excerpt::of(&failure, FAILURE_CHARS_MAX))
    }

    /// Notes what is done; tells the senders what is not.
    fn settle(
        &self,
        asked: Vec<Asked>,
        looks: &BTreeMap<Target, Look>,
    ) -> Result<SqsBatchResponse, Unhandled> {
        let mut answer = SqsBatchResponse::default();
        let mut unhandled = None;
        for Asked { message_id, change, targets } in asked {
            let failed =
                targets.iter().find_map(|target| looks[target].failure.as_ref().map(|why| (target, why)));
            match (failed, message_id) {
                (None, _) => {
                    if let Some(change) = change {
                        self.seen.lock().note(&change, self.now());
                    }
                }
                (Some(_), Some(message_id)) => answer.add_failure(message_id),
                (Some(((_, stream), reason)), None) => {
                    unhandled.get_or_insert(Unhandled { stream: stream.clone(), reason: reason.clone() });
                }
            }
        }
        unhandled.map_or(Ok(answer), Err)
    }

    fn now(&self) -> kcl_core::Millis {
        self.started_at.elapsed().into()
    }
}

/// An event that must be repeated as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("stream {stream} was not looked at: {reason}")]
pub struct Unhandled {
    /// The first stream that failed.
    pub stream: StreamName,
    /// Why.
    pub reason: Excerpt,
}

/// What is looked at.
type Target = (Option<Region>, StreamName);

struct Look {
    wake: Wake,
    failure: Option<Excerpt>,
}

/// A delivery that waits for its looks.
struct Asked {
    message_id: Option<String>,
    change: Option<AlarmChange>,
    targets: Vec<Target>,
}

fn time_left(deadline_millis: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline_millis).saturating_sub(now)
}

/// What the runtime needs of what Lambda sets.
const RUNTIME_VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];
/// Kept back from the invocation's time, so that the answer arrives before Lambda ends the process.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);
const FAILURE_CHARS_MAX: usize = 256;
