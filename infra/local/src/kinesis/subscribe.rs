//! SubscribeToShard: a subscription of the model as an event stream that pushes.
//!
//! ```text
//!  initial-response ▶ SubscribeToShardEvent ▶ … ▶ end
//!                                              └▶ exception ▶ end
//! ```
//!
//! The first frame goes out before there is a record: clients wait for it before they hand out the stream, so an idle
//! shard would hang them. Between events the task sleeps until the model wakes it, or until the time the model names.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use aws_smithy_eventstream::error::Error as FrameError;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::body::{Body, Bytes};
use axum::http::{self, Response};
use futures_util::stream;
use kinesis_model::{Subscription, SubscriptionStep};
use serde::Serialize;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::output::SubscribeToShardEventOutput;
use super::protocol::{Protocol, Refusal};
use crate::clock::Clock;
use crate::wire::request_id;

/// The answer that carries `subscription` until it ends, the client goes away, or `stop`.
pub(super) fn answer(
    subscription: Subscription,
    protocol: Protocol,
    clock: Arc<Clock>,
    stop: CancellationToken,
) -> Response<Body> {
    let push = Push { subscription, protocol, clock, stop, timer: Box::pin(sleep(Duration::ZERO)) };
    let mut response = Response::new(Body::from_stream(stream::unfold(Stage::Opening(push), Stage::advance)));
    let headers = response.headers_mut();
    let content_type = http::HeaderValue::from_static("application/vnd.amazon.eventstream");
    headers.insert(http::header::CONTENT_TYPE, content_type);
    headers.insert("x-amzn-requestid", request_id());
    response
}

/// Where an event stream stands.
enum Stage {
    Opening(Push),
    Pushing(Push),
    Over,
}

impl Stage {
    /// The next frame; `None` ends the stream.
    async fn advance(self) -> Option<(Result<Bytes, FrameError>, Self)> {
        match self {
            Self::Opening(push) => {
                let frame = push.frame("event", "initial-response", &NoMembers {});
                Some((frame, Self::Pushing(push)))
            }
            Self::Pushing(mut push) => match push.next_step().await? {
                SubscriptionStep::Event(event) => {
                    let output = SubscribeToShardEventOutput::from(&event);
                    let frame = push.frame("event", "SubscribeToShardEvent", &output);
                    Some((frame, Self::Pushing(push)))
                }
                SubscriptionStep::Failed(error) => {
                    let refusal = Refusal::from(error);
                    Some((push.frame("exception", refusal.code, &refusal.body()), Self::Over))
                }
                SubscriptionStep::Ended | SubscriptionStep::Idle { .. } => None,
            },
            Self::Over => None,
        }
    }
}

/// A subscription with what it needs to wait.
struct Push {
    subscription: Subscription,
    protocol: Protocol,
    clock: Arc<Clock>,
    stop: CancellationToken,
    timer: Pin<Box<Sleep>>,
}

impl Push {
    /// The next step that is not idle; `None` when the services stop.
    async fn next_step(&mut self) -> Option<SubscriptionStep> {
        let Self { subscription, clock, stop, timer, .. } = self;
        let step = poll_fn(|context| {
            loop {
                let now = clock.now();
                match subscription.poll(now, Some(context.waker())) {
                    SubscriptionStep::Idle { until } => {
                        let rest = clock.real(Duration::from_millis(until.millis_since(now)));
                        let rest = rest.clamp(REST_MIN, REST_MAX);
                        timer.as_mut().reset(Instant::now() + rest);
                        if timer.as_mut().poll(context).is_pending() {
                            return Poll::Pending;
                        }
                    }
                    step @ (SubscriptionStep::Event(_)
                    | SubscriptionStep::Failed(_)
                    | SubscriptionStep::Ended) => return Poll::Ready(step),
                }
            }
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            step = step => Some(step),
        }
    }

    fn frame(
        &self,
        message_type: &'static str,
        name: &'static str,
        payload: &impl Serialize,
    ) -> Result<Bytes, FrameError> {
        let header =
            |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let type_header = if message_type == "exception" { ":exception-type" } else { ":event-type" };
        let message = Message::new(self.protocol.encode(payload))
            .add_header(header(":message-type", message_type))
            .add_header(header(type_header, name))
            .add_header(header(":content-type", self.protocol.content_type()));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes)?;
        Ok(bytes.into())
    }
}

#[derive(Serialize)]
struct NoMembers {}

/// A time that is already over must not make the task spin.
const REST_MIN: Duration = Duration::from_millis(1);
/// Far enough to be no load, near enough to be added to any instant.
const REST_MAX: Duration = Duration::from_secs(3600);
