//! CloudWatch: the streams' metrics, those that clients put, and alarms that go off by themselves.
//!
//! ```text
//!  kinesis_model ─▶ streams ─┐                                    ┌─▶ GetMetricData, GetMetricStatistics, ListMetrics
//!                            ├─▶ View ─▶ query ─▶ expression ─────┤
//!  PutMetricData ─▶ store ───┘                                    └─▶ alarm ─▶ evaluate ─▶ Transition
//!                                                                     each minute             │ message
//!                                                          SNS topics, queue of events ◀──────┘
//! ```
//!
//! All times are those of the services' clock, and so is the minute after which alarms are judged again. Kept in memory
//! only. Nothing runs, and nothing but two empty maps is held, until the first alarm is put.
//!
//! Not offered: periods under a minute, percentiles, composite and anomaly alarms, dashboards, tags, history.

mod alarm;
mod alarms;
mod evaluate;
mod expression;
mod input;
mod message;
mod metric;
mod protocol;
mod put;
mod query;
mod read;
mod reason;
mod store;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, Uri};
use kinesis_model::{EpochMillis, Kinesis};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex as AsyncMutex, Notify as Signal};
use tokio_util::sync::CancellationToken;

use self::alarm::Transition;
use self::alarms::Alarms;
use self::protocol::{Protocol, Refusal, RefusalKind};
use self::query::View;
use self::read::Page;
use self::store::Store;
use self::streams::Streams;
use crate::LocalSettings;
use crate::clock::Clock;
use crate::notify::Notify;

/// The account and the region of everything that is served, as the model of Kinesis has them.
pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const REGION: &str = "us-east-1";
/// As alarms call the region in their messages.
const REGION_NAME: &str = "US East (N. Virginia)";

/// The metrics and alarms of one run.
pub(crate) struct CloudWatch {
    kinesis: Arc<Kinesis>,
    clock: Arc<Clock>,
    notify: Arc<Notify>,
    metrics_delay: Duration,
    record_weight: u32,
    events_queue: Option<String>,
    state: Mutex<State>,
    /// Held from a change of an alarm's state until it is told, so that changes are told in their order.
    telling: AsyncMutex<()>,
    first_alarm: Signal,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    alarms: Alarms,
}

impl CloudWatch {
    /// No alarms, and no metrics but those of `kinesis`; alarms tell `notify`.
    pub(crate) fn new(
        settings: &LocalSettings,
        kinesis: Arc<Kinesis>,
        clock: Arc<Clock>,
        notify: Arc<Notify>,
    ) -> Self {
        Self {
            kinesis,
            clock,
            notify,
            metrics_delay: settings.metrics_delay,
            record_weight: settings.record_weight.get(),
            events_queue: settings.alarm_events_queue.clone(),
            state: Mutex::default(),
            telling: AsyncMutex::default(),
            first_alarm: Signal::new(),
        }
    }

    /// The operation that a request in rpc-v2-cbor is for, if it is one of CloudWatch.
    pub(crate) fn cbor_operation(uri: &Uri, headers: &HeaderMap) -> Option<String> {
        protocol::cbor_operation(uri, headers)
    }

    /// Answers a call in rpc-v2-cbor.
    pub(crate) async fn call_cbor(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response<Body> {
        self.call(Call { protocol: Protocol::Cbor, headers, body }, operation).await
    }

    /// Answers a call in JSON.
    pub(crate) async fn call_json(
        &self,
        operation: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response<Body> {
        self.call(Call { protocol: Protocol::Json, headers, body }, operation).await
    }

    /// Judges all alarms at each full minute of the clock, from the first alarm on until `stop`.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next_minute = async {
                while self.state.lock().alarms.is_empty() {
                    self.first_alarm.notified().await;
                }
                let to_minute = MINUTE_MILLIS - self.clock.now().0 % MINUTE_MILLIS;
                tokio::time::sleep(self.clock.real(Duration::from_millis(to_minute))).await;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = next_minute => self.evaluate().await,
            }
        }
    }

    async fn evaluate(&self) {
        let _order = self.telling.lock().await;
        let now = self.clock.now();
        let transitions = {
            let State { store, alarms } = &mut *self.state.lock();
            alarms.evaluate(&mut View { store, streams: self.streams(now) }, now)
        };
        for transition in transitions {
            self.tell(&transition).await;
        }
    }

    /// Tells whoever the alarm names, in the order of its actions, and the queue of events.
    async fn tell(&self, transition: &Transition) {
        let alarm = &transition.alarm;
        let (name, state) = (alarm.definition.alarm_name.as_str(), alarm.condition.state.name());
        tracing::info!(
            alarm = name,
            from = transition.before.state.name(),
            to = state,
            "an alarm changed its state"
        );
        for action in alarm.actions() {
            // As at AWS, what an alarm names need not exist, and other targets than topics are allowed.
            let told = if action.starts_with("arn:aws:sns:") {
                let (subject, message) = (message::subject(transition), message::notification(transition));
                self.notify.publish(action, subject, message).await
            } else {
                Err("only SNS topics are told".to_owned())
            };
            if let Err(reason) = told {
                tracing::warn!(alarm = name, action, reason, "an action of an alarm failed");
            }
        }
        if let Some(queue) = &self.events_queue
            && let Err(reason) = self.notify.send(queue, message::event(transition)).await
        {
            tracing::warn!(alarm = name, queue, reason, "the event of an alarm was dropped");
        }
    }

    fn streams(&self, now: EpochMillis) -> Streams<'_> {
        let weight = self.clock.scale().get() * self.record_weight;
        Streams::at(&self.kinesis, now, self.metrics_delay, weight)
    }

    fn read<T>(&self, now: EpochMillis, reader: impl FnOnce(&mut View<'_>) -> T) -> T {
        let state = self.state.lock();
        reader(&mut View { store: &state.store, streams: self.streams(now) })
    }

    async fn call(&self, call: Call<'_>, operation: &str) -> Response<Body> {
        let _order = if operation == "SetAlarmState" { Some(self.telling.lock().await) } else { None };
        let mut set = None;
        let response = self.answer(&call, operation, &mut set);
        if let Some(transition) = set {
            self.tell(&transition).await;
        }
        response
    }

    /// Answers without waiting; a state that a client sets is left in `set`, to be told.
    fn answer(&self, call: &Call<'_>, operation: &str, set: &mut Option<Transition>) -> Response<Body> {
        let now = self.clock.now();
        match operation {
            "PutMetricData" => call.run(|input| {
                put::put_metric_data(&mut self.state.lock().store, input, now).map(|()| Nothing {})
            }),
            "GetMetricData" => call.run(|input: input::GetMetricDataInput| {
                let page = Page::of(input.next_token.as_deref(), now)?;
                self.read(page.now, |view| read::get_metric_data(view, &input, page))
            }),
            "GetMetricStatistics" => {
                call.run(|input| self.read(now, |view| read::get_metric_statistics(view, input)))
            }
            "ListMetrics" => call.run(|input| self.read(now, |view| read::list_metrics(view, &input, now))),
            "PutMetricAlarm" => call.run(|input| {
                let State { store, alarms } = &mut *self.state.lock();
                alarms.put(input, &mut View { store, streams: self.streams(now) }, now)?;
                self.first_alarm.notify_one();
                Ok(Nothing {})
            }),
            "DescribeAlarms" => {
                let state = self.state.lock();
                call.run(|input| state.alarms.describe(&input))
            }
            "DeleteAlarms" => call.run(|input| self.state.lock().alarms.delete(&input).map(|()| Nothing {})),
            "SetAlarmState" => call.run(|input| {
                *set = self.state.lock().alarms.set_state(input, now)?;
                Ok(Nothing {})
            }),
            unknown => call.protocol.answer::<Nothing>(Err(Refusal::new(
                RefusalKind::UnknownOperation,
                format!("operation {unknown:?} is not offered by the local CloudWatch"),
            ))),
        }
    }
}

/// A request that is about to be read.
struct Call<'a> {
    protocol: Protocol,
    headers: &'a HeaderMap,
    body: &'a Bytes,
}

impl Call<'_> {
    /// Reads the input, lets `operation` answer it, and writes the answer.
    fn run<I: DeserializeOwned, O: Serialize>(
        &self,
        operation: impl FnOnce(I) -> Result<O, Refusal>,
    ) -> Response<Body> {
        self.protocol.answer(self.protocol.decode(self.headers, self.body).and_then(operation))
    }
}

/// The output of an operation that has nothing to say.
#[derive(Serialize)]
struct Nothing {}

const MINUTE_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests;
