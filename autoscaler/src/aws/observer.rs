//! Everything that is seen of a stream on AWS: its state and shards, its metrics, and what its workers tell.
//!
//! ```text
//!  DescribeStreamSummary ─▶ state, shard metrics? ─┐
//!  ListShards ────────────▶ layout ────────────────┼─▶ GetMetricData ─▶ minutes, shards, lag ─┐
//!  ListStreamConsumers ───▶ fan-out consumers ─────┘                                          ├─▶ Observation
//!  DescribeLimits ────────▶ shards left ──────────────────────────────────────────────────────┤
//!  telemetry table ───────▶ load map, fresher minutes, lag by application ────────────────────┘
//! ```
//!
//! State and layout must be known. A metric that cannot be read is unknown, and so is every minute without a point.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_kinesis::types::StreamDescriptionSummary;
use kcl::{StreamDigest, StreamIdentity, TelemetryStore};
use kcl_core::ShardId;

use super::control::{KinesisControl, state};
use super::error::timeouts;
use super::metrics::{Points, Wanted, full_minute, minutes, read};
use crate::reconcile::{Observer, PortError, ShardControl};
use crate::{
    ApplicationLag, EpochMillis, Layout, Minute, Observation, ShardLimits, ShardMinute, TelemetryQuality,
    TelemetryReading, TelemetryScope,
};

/// Sees one stream.
#[derive(Clone, Debug)]
pub struct AwsObserver {
    control: KinesisControl,
    metrics: Client,
    /// How far back minutes are read.
    window: Duration,
    limits: ShardLimits,
    telemetry: Option<Telemetry>,
}

#[derive(Clone, Debug)]
struct Telemetry {
    application: String,
    store: Arc<dyn TelemetryStore>,
}

impl AwsObserver {
    /// Sees the stream of `control` as CloudWatch shows it, over `window`: as long as the policy's shrink window and a few
    /// minutes more. Longer reads more points, not more metrics, and costs nothing.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        control: KinesisControl,
        window: Duration,
        call_timeout: Duration,
        limits: ShardLimits,
    ) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(call_timeout))
            .build();
        Self { control, metrics: Client::from_conf(config), window, limits, telemetry: None }
    }

    /// Reads what the workers of `application` tell, too.
    #[must_use]
    pub fn with_telemetry(mut self, application: impl Into<String>, store: Arc<dyn TelemetryStore>) -> Self {
        self.telemetry = Some(Telemetry { application: application.into(), store });
        self
    }

    async fn consumers(&self, summary: &StreamDescriptionSummary) -> Vec<String> {
        if summary.consumer_count().is_none_or(|count| count == 0) {
            return Vec::new();
        }
        let names = self.control.consumers(summary.stream_arn()).await;
        names.unwrap_or_else(|error| {
            tracing::warn!(%error, cause = ?error.source, "fan-out consumers are unknown");
            Vec::new()
        })
    }

    async fn told(
        &self,
        identity: &StreamIdentity,
        layout: &Layout,
        now: EpochMillis,
    ) -> Option<TelemetryReading> {
        let telemetry = self.telemetry.as_ref()?;
        let items = telemetry.store.list().await;
        let items = items.inspect_err(|error| tracing::warn!(%error, "telemetry cannot be read")).ok()?;
        let scope = TelemetryScope {
            application: &telemetry.application,
            stream: StreamDigest::of(identity),
            layout,
            limits: &self.limits,
        };
        Some(TelemetryReading::read(scope, &items, now))
    }
}

#[async_trait]
impl Observer for AwsObserver {
    async fn observe(&self, now: EpochMillis) -> Result<Observation, PortError> {
        let summary = self.control.summary().await?;
        let layout = self.control.layout().await?;
        let consumers = self.consumers(&summary).await;
        let room = self.control.account_room().await;
        let account_shards_left = room
            .inspect_err(|error| tracing::warn!(%error, cause = ?error.source, "shard limit is unknown"))
            .ok();
        let span = (full_minute(now).before(self.window), full_minute(now));
        let catalog = Catalog::new(&layout, &consumers, has_shard_metrics(&summary));
        let series = read(&self.metrics, self.control.stream(), &catalog.wanted, span).await;
        let series = series.unwrap_or_else(|error| {
            tracing::warn!(%error, cause = ?error.source, "metrics are unknown");
            vec![Points::new(); catalog.wanted.len()]
        });
        let mut observation = Observation {
            state: state(&summary),
            account_shards_left,
            fan_out_consumers: u32::try_from(consumers.len()).unwrap_or(u32::MAX),
            minutes: catalog.minutes(&series, span),
            load_map: None,
            shards: catalog.shards(&series, span),
            applications: catalog.applications(&series, &consumers, now),
            layout,
        };
        let identity = StreamIdentity {
            arn: summary.stream_arn().to_owned(),
            created_epoch_seconds: u64::try_from(summary.stream_creation_timestamp().secs()).unwrap_or(0),
        };
        if let Some(told) = self.told(&identity, &observation.layout, now).await {
            add_telemetry(&mut observation, told);
        }
        Ok(observation)
    }
}

/// The metrics that are read, by their places in the list.
struct Catalog {
    wanted: Vec<Wanted>,
    shards: Vec<ShardId>,
    has_shard_metrics: bool,
}

impl Catalog {
    fn new(layout: &Layout, consumers: &[String], has_shard_metrics: bool) -> Self {
        let shards: Vec<_> = layout.shards().iter().map(|shard| shard.id.clone()).collect();
        let sum = |name, dimension| Wanted { name, statistic: "Sum", dimension };
        let mut wanted: Vec<_> = STREAM_SUMS.iter().map(|&name| sum(name, None)).collect();
        wanted.push(Wanted {
            name: "GetRecords.IteratorAgeMilliseconds",
            statistic: "Maximum",
            dimension: None,
        });
        wanted.extend(consumers.iter().map(|consumer| Wanted {
            name: "SubscribeToShardEvent.MillisBehindLatest",
            statistic: "Maximum",
            dimension: Some(("ConsumerName", consumer.clone())),
        }));
        if has_shard_metrics {
            for shard in &shards {
                let dimension = || Some(("ShardId", shard.as_str().to_owned()));
                wanted.extend(SHARD_SUMS.iter().map(|&name| sum(name, dimension())));
            }
        }
        Self { wanted, shards, has_shard_metrics }
    }

    fn minutes(&self, series: &[Points], span: (EpochMillis, EpochMillis)) -> Vec<Minute> {
        let [bytes, records, rejected, read, rejected_reads] = [0, 1, 2, 3, 4].map(|place| &series[place]);
        let minute = |start| Minute {
            start,
            bytes: bytes.get(&start).copied(),
            records: records.get(&start).copied(),
            rejected_records: rejected.get(&start).copied(),
            read_bytes: read.get(&start).copied(),
            rejected_reads: rejected_reads.get(&start).copied(),
        };
        minutes(span).map(minute).collect()
    }

    fn shards(
        &self,
        series: &[Points],
        span: (EpochMillis, EpochMillis),
    ) -> BTreeMap<ShardId, Vec<ShardMinute>> {
        if !self.has_shard_metrics {
            return BTreeMap::new();
        }
        let first = self.wanted.len() - self.shards.len() * SHARD_SUMS.len();
        let of_shard = |(place, id): (usize, &ShardId)| {
            let series = &series[first + place * SHARD_SUMS.len()..][..SHARD_SUMS.len()];
            let minute = |start| ShardMinute {
                start,
                bytes: series[0].get(&start).copied(),
                records: series[1].get(&start).copied(),
                rejected_records: series[2].get(&start).copied(),
                ..ShardMinute::default()
            };
            (id.clone(), minutes(span).map(minute).collect())
        };
        self.shards.iter().enumerate().map(of_shard).collect()
    }

    /// Readers that were seen within the window. All polling ones share one metric, so they are one application here.
    fn applications(&self, series: &[Points], consumers: &[String], now: EpochMillis) -> Vec<ApplicationLag> {
        let polling = STREAM_SUMS.len();
        let names = [POLLING_READERS].into_iter().chain(consumers.iter().map(String::as_str));
        let lags = names.zip(&series[polling..]).filter_map(|(name, ages)| lag(name, ages, now));
        lags.collect()
    }
}

/// How far a reader is behind, by its newest age; none if it never read within the window.
fn lag(name: &str, ages: &Points, now: EpochMillis) -> Option<ApplicationLag> {
    let (&newest_at, &newest) = ages.last_key_value()?;
    let before = ages.range(..=newest_at.before(RISING_OVER)).next_back().map(|(_, age)| *age);
    let is_recent = now.millis_since(newest_at) <= READING_AGE_MAX.as_millis() as u64;
    let behind = (is_recent && newest >= 0.0).then(|| Duration::from_millis(newest as u64));
    Some(ApplicationLag {
        name: name.to_owned(),
        behind,
        is_rising: before.is_some_and(|before| newest > before),
        undrained_parents: None,
    })
}

fn has_shard_metrics(summary: &StreamDescriptionSummary) -> bool {
    let enabled = summary.enhanced_monitoring().iter().flat_map(|metrics| metrics.shard_level_metrics());
    enabled.into_iter().any(|metric| SHARD_METRICS_NEEDED.contains(&metric.as_str()))
}

/// What workers tell is younger than CloudWatch and knows seconds and places; what CloudWatch shows is complete. Workers that are
/// behind tell of the past, and only their lag is believed.
fn add_telemetry(observation: &mut Observation, told: TelemetryReading) {
    observation.applications.push(told.application);
    match told.quality {
        TelemetryQuality::Absent | TelemetryQuality::Behind => return,
        TelemetryQuality::Current => observation.load_map = told.load_map,
        TelemetryQuality::Partial { .. } => {}
    }
    let newest = observation.minutes.last().map(|minute| minute.start);
    for minute in told.minutes {
        if newest.is_none_or(|newest| newest < minute.start) {
            observation.minutes.push(minute);
        } else if let Some(seen) = observation.minutes.iter_mut().find(|seen| seen.start == minute.start) {
            seen.bytes = seen.bytes.or(minute.bytes);
            seen.records = seen.records.or(minute.records);
        }
    }
    for (shard, minutes) in told.shards {
        let seen = observation.shards.entry(shard).or_default();
        for mut minute in minutes {
            match seen.iter_mut().find(|seen| seen.start == minute.start) {
                Some(seen) => {
                    minute.rejected_records = seen.rejected_records.or(minute.rejected_records);
                    *seen = minute;
                }
                None => seen.push(minute),
            }
        }
        seen.sort_by_key(|minute| minute.start);
    }
}

/// In the order of [`Catalog::minutes`].
const STREAM_SUMS: [&str; 5] = [
    "IncomingBytes",
    "IncomingRecords",
    "WriteProvisionedThroughputExceeded",
    "GetRecords.Bytes",
    "ReadProvisionedThroughputExceeded",
];
/// In the order of [`Catalog::shards`].
const SHARD_SUMS: [&str; 3] = ["IncomingBytes", "IncomingRecords", "WriteProvisionedThroughputExceeded"];
/// Any of these makes it worth asking for shard metrics.
const SHARD_METRICS_NEEDED: [&str; 4] =
    ["ALL", "IncomingBytes", "IncomingRecords", "WriteProvisionedThroughputExceeded"];
/// `GetRecords.IteratorAgeMilliseconds` mixes all of them.
const POLLING_READERS: &str = "polling readers";
/// A reader that told nothing for longer is as far behind as nobody knows.
const READING_AGE_MAX: Duration = Duration::from_secs(10 * 60);
const RISING_OVER: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn points(ages: &[(u64, f64)]) -> Points {
        ages.iter().map(|&(minute, age)| (EpochMillis(minute * 60_000), age)).collect()
    }

    #[test]
    fn a_reader_is_as_far_behind_as_its_newest_age_unless_that_is_old() {
        let now = EpochMillis(60 * 60_000);
        assert_eq!(lag("a", &Points::new(), now), None);
        let behind = lag("a", &points(&[(40, 500.0), (58, 900.0)]), now).expect("seen");
        assert_eq!((behind.behind, behind.is_rising), (Some(Duration::from_millis(900)), true));
        let silent = lag("a", &points(&[(30, 5.0), (49, 4.0)]), now).expect("seen");
        assert_eq!((silent.behind, silent.is_rising), (None, false));
    }

    #[test]
    fn the_catalog_places_every_metric() {
        let range = kcl_core::HashKeyRange::FULL;
        let id = ShardId::new("shardId-000000000000").expect("valid");
        let layout = Layout::new(vec![crate::OpenShard { id: id.clone(), range }]).expect("covers");
        let catalog = Catalog::new(&layout, &["fan".to_owned()], true);
        assert_eq!(catalog.wanted.len(), 5 + 1 + 1 + 3);
        let value = |place: usize| points(&[(1, place as f64)]);
        let series: Vec<_> = (0..10).map(value).collect();
        let span = (EpochMillis(60_000), EpochMillis(180_000));
        let minutes = catalog.minutes(&series, span);
        assert_eq!(
            (minutes[0].bytes, minutes[0].rejected_reads, minutes[1].bytes),
            (Some(0.0), Some(4.0), None)
        );
        let shard = &catalog.shards(&series, span)[&id][0];
        assert_eq!((shard.bytes, shard.records, shard.rejected_records), (Some(7.0), Some(8.0), Some(9.0)));
        let lags = catalog.applications(&series, &["fan".to_owned()], EpochMillis(120_000));
        let behind: Vec<_> =
            lags.iter().map(|lag| (lag.name.as_str(), lag.behind.map(|b| b.as_millis()))).collect();
        assert_eq!(behind, [(POLLING_READERS, Some(5)), ("fan", Some(6))]);
    }
}
