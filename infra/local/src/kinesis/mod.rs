//! Kinesis: the wire protocol in front of the model.
//!
//! ```text
//!  request ─▶ protocol ─▶ input ─▶ operations ─▶ kinesis_model ─▶ output ─▶ protocol ─▶ answer
//!                                      ▲
//!                 log (if a file keeps the state): written first, replayed at the next start
//! ```
//!
//! Decides nothing that Kinesis decides: limits, sequence numbers, lineage and filters are the model's. The model locks
//! per shard and never waits; nothing here holds a lock across an await. Without a file, requests run on the threads of
//! the runtime; with one, those that change state run on the blocking pool, one after the other.

mod input;
mod log;
mod operations;
mod output;
mod protocol;
mod put_json;
mod records_json;
mod subscribe;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode};
use kinesis_model::{EpochMillis, Kinesis, Settings};
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::input::SubscribeToShardInput;
use self::log::{Entry, Log};
use self::operations::Operation;
use self::protocol::{Protocol, Refusal};
use crate::clock::Clock;
use crate::{LocalError, LocalSettings, Storage};

/// The streams of one run.
#[derive(Debug)]
pub(crate) struct KinesisServer {
    kinesis: Arc<Kinesis>,
    clock: Arc<Clock>,
    log: Option<Arc<Mutex<Log>>>,
    stop: CancellationToken,
}

impl KinesisServer {
    /// Opens the streams that `settings` names; subscriptions end with `stop`.
    pub(crate) fn open(settings: &LocalSettings, stop: CancellationToken) -> Result<Self, LocalError> {
        // What a client holds lives as long as the client takes, however fast the clock runs.
        let (scale, defaults) = (settings.time_scale.get(), Settings::default());
        let kinesis = Kinesis::new(Settings {
            limits: settings.limits,
            control_plane: settings.control_plane,
            time_scale: settings.time_scale,
            record_weight: settings.record_weight,
            iterator_lifetime: settings.iterator_ttl * scale,
            list_token_lifetime: defaults.list_token_lifetime * scale,
            subscription_lifetime: settings.subscription_duration * scale,
            subscription_heartbeat: defaults.subscription_heartbeat * scale,
            metrics_minutes_max: METRICS_MINUTES_MAX,
            stored_bytes_max: Some(settings.kinesis_bytes_max),
            when_full: settings.when_full,
            ..defaults
        });
        let mut latest = EpochMillis::default();
        let log = match &settings.kinesis_storage {
            Storage::Memory => None,
            Storage::File(path) => Some(replay(path, settings, &kinesis, &mut latest)?),
        };
        Ok(Self {
            kinesis: Arc::new(kinesis),
            clock: Arc::new(Clock::starting_at(latest, settings.time_scale)),
            log: log.map(|log| Arc::new(Mutex::new(log))),
            stop,
        })
    }

    /// What it serves.
    pub(crate) const fn model(&self) -> &Arc<Kinesis> {
        &self.kinesis
    }

    /// The time of all services.
    pub(crate) const fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Answers one request; `operation` is the part of `x-amz-target` after the dot.
    pub(crate) async fn call(&self, operation: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
        let protocol = Protocol::of(headers);
        let answer = match Operation::of_name(operation) {
            Some(operation) => self.run(operation, protocol, body).await.map(|body| protocol.answer(body)),
            None if operation == "SubscribeToShard" => self.subscribe(protocol, &body),
            None => Err(Refusal {
                status: StatusCode::BAD_REQUEST,
                code: "UnknownOperationException",
                message: format!("operation {operation:?} is not offered by the local Kinesis"),
            }),
        };
        answer.unwrap_or_else(|refusal| protocol.refuse(&refusal))
    }

    /// Frees what is past retention in streams that nobody uses, until `stop`.
    pub(crate) fn age(&self) -> impl Future<Output = ()> + Send + use<> {
        let (kinesis, clock, stop) = (Arc::clone(&self.kinesis), Arc::clone(&self.clock), self.stop.clone());
        async move {
            let mut timer = interval(AGING_INTERVAL);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    _ = timer.tick() => kinesis.advance(clock.now()),
                }
            }
        }
    }

    async fn run(
        &self,
        operation: &'static Operation,
        protocol: Protocol,
        body: Bytes,
    ) -> Result<Vec<u8>, Refusal> {
        let log = match &self.log {
            Some(log) if operation.changes_state => Arc::clone(log),
            Some(_) | None => return operation.run(&self.kinesis, protocol, &body, self.clock.now()),
        };
        let (kinesis, clock) = (Arc::clone(&self.kinesis), Arc::clone(&self.clock));
        let logged = spawn_blocking(move || {
            let mut log = log.lock();
            let entry = Entry { now: clock.now(), protocol, operation: operation.name, body: &body };
            log.append(&entry)
                .map_err(|error| Refusal::internal(format!("the Kinesis log cannot be written: {error}")))?;
            carry_out(&kinesis, operation, &entry)
        });
        logged.await.map_err(|error| Refusal::internal(error.to_string()))?
    }

    fn subscribe(&self, protocol: Protocol, body: &[u8]) -> Result<Response<Body>, Refusal> {
        let request = protocol.decode::<SubscribeToShardInput>(body)?.into_request()?;
        let subscription = self.kinesis.subscribe_to_shard(request, self.clock.now())?;
        Ok(subscribe::answer(subscription, protocol, Arc::clone(&self.clock), self.stop.clone()))
    }
}

/// Runs a logged operation.
///
/// What has fallen due is applied first, wherever it is: a read may have freed expired bytes, and a nearly full Kinesis
/// would accept a record that it refuses in a replay, which knows no reads.
fn carry_out(kinesis: &Kinesis, operation: &Operation, entry: &Entry<'_>) -> Result<Vec<u8>, Refusal> {
    kinesis.advance(entry.now);
    operation.run(kinesis, entry.protocol, entry.body, entry.now)
}

/// Brings `kinesis` to where the log at `path` ends; `latest` becomes the time of its last entry.
fn replay(
    path: &Path,
    settings: &LocalSettings,
    kinesis: &Kinesis,
    latest: &mut EpochMillis,
) -> Result<Log, LocalError> {
    let LocalSettings {
        limits, control_plane, time_scale, record_weight, kinesis_bytes_max, when_full, ..
    } = settings;
    let decisive = format!(
        "limits={limits:?} control_plane={control_plane:?} time_scale={time_scale} \
         record_weight={record_weight} kinesis_bytes_max={kinesis_bytes_max} when_full={when_full:?}"
    );
    Log::open(path, &decisive, |entry| {
        let operation = Operation::of_name(entry.operation)
            .ok_or_else(|| format!("operation {:?} is not known", entry.operation))?;
        *latest = entry.now;
        // A refusal was one then as well, and its client was told.
        let _answer = carry_out(kinesis, operation, &entry);
        Ok(())
    })
}

/// A day, the longest that an alarm of one-minute periods looks back. A busy minute of a shard takes about 240 bytes.
const METRICS_MINUTES_MAX: usize = 1440;
/// Retention is a day at least, so a minute more of memory does not matter.
const AGING_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
