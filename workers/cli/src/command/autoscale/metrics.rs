//! Metrics for Prometheus: what CloudWatch is told, decisions, and what became of alarms.
//!
//! ```text
//!  rounds ─▶ Told ─┬─▶ CloudWatch                    autoscaler_heartbeat_timestamp_seconds is the dead-man's switch:
//!                  └─▶ Board ◀── decisions, Tally      it goes on only while somebody decides about the stream
//!                        └─▶ GET /metrics
//! ```

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use autoscaler::aws::CloudWatchGauges;
use autoscaler::reconcile::{
    AuditAction, AuditEntry, AuditRecord, AuditSink, Gauges, PortError, Utilisation, Vitals,
};
use autoscaler::trigger::{StreamName, Tally};
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::problem::Problem;

/// Every metric of this process.
#[derive(Debug)]
pub(super) struct Board {
    registry: Registry,
    tally: Arc<Tally>,
    streams: StreamMetrics,
    looks: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct StreamMetrics {
    heartbeat: Family<OfStream, Gauge<f64, AtomicU64>>,
    shards: Family<OfStream, Gauge>,
    utilisation: Family<UtilisationOf, Gauge<f64, AtomicU64>>,
    throttle_ratio: Family<OfStream, Gauge<f64, AtomicU64>>,
    quota_left: Family<OfStream, Gauge>,
    is_changing: Family<OfStream, Gauge>,
    rounds: Family<OfStream, Counter>,
    failures: Family<OfStream, Counter>,
    decisions: Family<DecisionOf, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStream {
    stream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UtilisationOf {
    stream: String,
    shard: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionOf {
    stream: String,
    action: &'static str,
}

impl Board {
    /// All counters at zero.
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("autoscaler");
        let (tally, streams) = (Arc::<Tally>::default(), StreamMetrics::default());
        let all = streams.clone();
        registry.register(
            "heartbeat_timestamp_seconds",
            "When somebody last decided about the stream",
            all.heartbeat,
        );
        registry.register("shards", "Open shards", all.shards);
        registry.register(
            "shard_utilisation",
            "Utilisation of the shards, 1 being their limit",
            all.utilisation,
        );
        registry.register(
            "throttle_ratio",
            "Part of the records that was refused in the newest minute",
            all.throttle_ratio,
        );
        registry.register("quota_left", "UpdateShardCount calls left of the 10 of a day", all.quota_left);
        registry.register("is_changing", "Whether a reshard runs", all.is_changing);
        registry.register("rounds", "Looks at the stream", all.rounds);
        registry.register("failures", "Calls refused, changes given up, looks that failed", all.failures);
        registry.register("decisions", "Decisions, by what is to be done", all.decisions);
        registry.register_collector(Box::new(Triggers(Arc::clone(&tally))));
        Self { registry, tally, streams, looks: AtomicU64::new(0) }
    }

    /// The counters of the triggers.
    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Whether any stream was ever looked at.
    pub(super) fn has_looked(&self) -> bool {
        self.looks.load(Ordering::Relaxed) > 0
    }

    /// Counts decisions.
    pub(super) fn decisions(&self) -> impl AuditSink + 'static {
        DecisionCounter(self.streams.decisions.clone())
    }

    /// Serves the metrics from a task. The address is bound when this returns.
    pub(super) async fn serve(
        self: &Arc<Self>,
        address: SocketAddr,
    ) -> anyhow::Result<JoinHandle<io::Result<()>>> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Problem::usage(format!("--metrics {address} cannot be served: {error}; give another address"))
        })?;
        tracing::info!(address = %listener.local_addr()?, "metrics are served under /metrics");
        let board = Arc::clone(self);
        let router = axum::Router::new().route("/metrics", get(move || async move { board.answer() }));
        Ok(tokio::spawn(async move { axum::serve(listener, router).await }))
    }

    fn answer(&self) -> ([(axum::http::HeaderName, &'static str); 1], String) {
        let mut answer = String::new();
        text::encode(&mut answer, &self.registry).expect("a string takes everything");
        ([(CONTENT_TYPE, OPEN_METRICS)], answer)
    }

    /// Notes what a round has found. What is unknown has no value, rather than the one of an earlier round.
    fn note(&self, stream: &str, vitals: Vitals, failures: u64) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let of_stream = OfStream { stream: stream.to_owned() };
        let streams = &self.streams;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        streams.heartbeat.get_or_create(&of_stream).set(now.as_secs_f64());
        streams.shards.get_or_create(&of_stream).set(vitals.shards.into());
        streams.quota_left.get_or_create(&of_stream).set(vitals.quota_left.into());
        streams.is_changing.get_or_create(&of_stream).set(vitals.is_changing.into());
        streams.rounds.get_or_create(&of_stream).inc();
        streams.failures.get_or_create(&of_stream).inc_by(failures);
        match vitals.throttle_ratio {
            Some(ratio) => {
                streams.throttle_ratio.get_or_create(&of_stream).set(ratio);
            }
            None => {
                streams.throttle_ratio.remove(&of_stream);
            }
        }
        let of_shard = |value: fn(Utilisation) -> f64| vitals.utilisation.map(value);
        let values: [(&'static str, Option<f64>); 3] = [
            ("least", of_shard(|utilisation| utilisation.least)),
            ("mean", of_shard(|utilisation| utilisation.mean)),
            ("greatest", of_shard(|utilisation| utilisation.greatest)),
        ];
        for (shard, value) in values {
            let labels = UtilisationOf { stream: stream.to_owned(), shard };
            match value {
                Some(value) => {
                    streams.utilisation.get_or_create(&labels).set(value);
                }
                None => {
                    streams.utilisation.remove(&labels);
                }
            }
        }
    }
}

/// Tells the board, and CloudWatch where the stream is really looked after.
#[derive(Debug)]
pub(super) struct Told {
    stream: String,
    board: Arc<Board>,
    cloud_watch: Option<CloudWatchGauges>,
}

impl Told {
    pub(super) fn new(stream: &StreamName, board: Arc<Board>, cloud_watch: Option<CloudWatchGauges>) -> Self {
        Self { stream: stream.to_string(), board, cloud_watch }
    }
}

#[async_trait]
impl Gauges for Told {
    async fn publish(&self, vitals: Vitals, failures: u64) -> Result<(), PortError> {
        self.board.note(&self.stream, vitals, failures);
        match &self.cloud_watch {
            Some(cloud_watch) => cloud_watch.publish(vitals, failures).await,
            None => Ok(()),
        }
    }
}

struct DecisionCounter(Family<DecisionOf, Counter>);

impl AuditSink for DecisionCounter {
    fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
        if let AuditEntry::Decided(plan) = &record.entry {
            let action = match plan.action {
                AuditAction::Nothing => "nothing",
                AuditAction::Scale { .. } => "scale",
                AuditAction::Reshape { .. } => "reshape",
            };
            self.0.get_or_create(&DecisionOf { stream: record.stream.to_string(), action }).inc();
        }
        Ok(())
    }
}

/// The counters of the triggers, read when they are asked for.
#[derive(Debug)]
struct Triggers(Arc<Tally>);

impl Collector for Triggers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counters: Vec<_> = self.0.counters().collect();
        for group in counters.chunk_by(|one, other| one.name == other.name) {
            // The registry adds the prefix, and the format the suffix.
            let name = group[0].name.trim_start_matches("autoscaler_").trim_end_matches("_total");
            let help = "What became of the messages that may wake the autoscaler";
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for counter in group {
                let value = ConstCounter::new(counter.value);
                match counter.kind {
                    Some(kind) => value.encode(metric.encode_family(&[("kind", kind)])?)?,
                    None => metric.encode_counter::<NoLabelSet, _, u64>(&counter.value, None)?,
                }
            }
        }
        Ok(())
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_has_no_value_and_refusals_are_told_by_their_kind() {
        let board = Board::new();
        let utilisation = Some(Utilisation { least: 0.25, mean: 0.5, greatest: 0.75 });
        let vitals =
            Vitals { shards: 4, utilisation, throttle_ratio: Some(0.0), quota_left: 7, is_changing: false };
        board.note("clicks", vitals, 2);
        let (_, told) = board.answer();
        for line in [
            "autoscaler_shards{stream=\"clicks\"} 4",
            "autoscaler_shard_utilisation{stream=\"clicks\",shard=\"greatest\"} 0.75",
            "autoscaler_throttle_ratio{stream=\"clicks\"} 0.0",
            "autoscaler_quota_left{stream=\"clicks\"} 7",
            "autoscaler_failures_total{stream=\"clicks\"} 2",
            "autoscaler_trigger_messages_total 0",
            "autoscaler_trigger_refused_messages_total{kind=\"foreign_stream\"} 0",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
        }
        board.note("clicks", Vitals { utilisation: None, throttle_ratio: None, ..vitals }, 0);
        let (_, told) = board.answer();
        assert!(!told.contains("autoscaler_shard_utilisation{"), "{told}");
        assert!(!told.contains("autoscaler_throttle_ratio{"), "{told}");
        assert!(told.contains("autoscaler_rounds_total{stream=\"clicks\"} 2"), "{told}");
    }
}
