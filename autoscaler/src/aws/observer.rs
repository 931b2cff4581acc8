//! Everything that is seen of a stream on AWS: its state and shards, its metrics, and what its workers tell.
//!
//! ```text
//!  DescribeStreamSummary ─▶ state, shard metrics? ─┐
//!  ListShards ────────────▶ layout, closed lately ──┼─▶ GetMetricData ─▶ minutes, shards, lag ─┐
//!  ListStreamConsumers ───▶ fan-out consumers ─────┘                                          ├─▶ Observation
//!  DescribeLimits ────────▶ shards left ──────────────────────────────────────────────────────┤
//!  telemetry tables ──────▶ load map, fresher minutes, lag by application ────────────────────┤
//!  lease tables ──────────▶ closed shards not drained ────────────────────────────────────────┘
//! ```
//!
//! State and layout must be known. A metric that cannot be read is unknown, and so is every minute without a point.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_kinesis::types::StreamDescriptionSummary;
use kcl::{LeaseStore, StreamDigest, StreamIdentity, TelemetryStore};
use kcl_core::{ShardId, StoreReply, StoreRequest};

use super::control::{KinesisControl, state};
use super::error::timeouts;
use super::metrics::{Points, Wanted, full_minute, minutes, read};
use crate::reconcile::{Observer, PortError, ShardControl};
use crate::{
    ApplicationLag, EpochMillis, Layout, LoadMap, Minute, Observation, OpenShard, ShardLimits, ShardMinute,
    TelemetryQuality, TelemetryReading, TelemetryScope,
};

/// Sees one stream.
#[derive(Clone, Debug)]
pub struct AwsObserver {
    control: KinesisControl,
    metrics: Client,
    /// How far back minutes are read.
    window: Duration,
    limits: ShardLimits,
    /// What applications tell, in the order in which they are believed.
    telemetry: Vec<Telemetry>,
}

#[derive(Clone, Debug)]
struct Telemetry {
    application: String,
    store: Arc<dyn TelemetryStore>,
    leases: Option<Arc<dyn LeaseStore>>,
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
        Self { control, metrics: Client::from_conf(config), window, limits, telemetry: Vec::new() }
    }

    /// Reads what the workers of `application` tell, too. Of several applications the first that tells of every shard gives
    /// the load map, and each counts by its own lag.
    #[must_use]
    pub fn with_telemetry(mut self, application: impl Into<String>, store: Arc<dyn TelemetryStore>) -> Self {
        self.telemetry.push(Telemetry { application: application.into(), store, leases: None });
        self
    }

    /// Reads the leases of the application added last, which show the closed shards that it has not drained.
    #[must_use]
    pub fn with_leases(mut self, leases: Arc<dyn LeaseStore>) -> Self {
        if let Some(last) = self.telemetry.last_mut() {
            last.leases = Some(leases);
        }
        self
    }

    /// The same observer, looking back over another window and with other limits.
    #[must_use]
    pub fn looking_back(mut self, window: Duration, limits: ShardLimits) -> Self {
        (self.window, self.limits) = (window, limits);
        self
    }

    /// The stream's minutes of the time `back` before `until`, without those of single shards: what a planner learns from at its
    /// start. CloudWatch keeps minutes for 15 days.
    ///
    /// # Errors
    /// [`PortError`] if the metrics cannot be read.
    pub async fn history(&self, until: EpochMillis, back: Duration) -> Result<Vec<Minute>, PortError> {
        let span = (full_minute(until).before(back), full_minute(until));
        let catalog = Catalog::new(Vec::new(), &[]);
        let series = read(&self.metrics, self.control.stream(), &catalog.wanted, span).await?;
        Ok(catalog.minutes(&series, span))
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

    /// The shards whose metrics are read: the open ones, and those closed so lately that the newest minutes are theirs.
    async fn metered(&self, layout: &Layout, now: EpochMillis) -> Vec<OpenShard> {
        let shards = self.control.shards_since(now.before(METERED_AGE_MAX)).await;
        shards.unwrap_or_else(|error| {
            tracing::warn!(%error, cause = ?error.source, "closed shards are unknown");
            layout.shards().to_vec()
        })
    }

    /// What each application tells; nothing of those whose telemetry cannot be read but that they are of unknown lag.
    async fn told(
        &self,
        identity: &StreamIdentity,
        layout: &Layout,
        now: EpochMillis,
    ) -> Vec<TelemetryReading> {
        let mut told = Vec::with_capacity(self.telemetry.len());
        for Telemetry { application, store, leases } in &self.telemetry {
            let items = store.list().await;
            let items = items.inspect_err(|error| tracing::warn!(%error, "telemetry cannot be read"));
            let stream = StreamDigest::of(identity);
            let scope = TelemetryScope { application, stream, layout, limits: &self.limits };
            let mut reading = TelemetryReading::read(scope, &items.unwrap_or_default(), now);
            if let Some(leases) = leases {
                reading.application.undrained_parents = undrained_parents(leases.as_ref(), layout).await;
            }
            told.push(reading);
        }
        told
    }
}

/// Closed shards that have a lease and are not read to their end; unknown if the leases cannot be read.
async fn undrained_parents(leases: &dyn LeaseStore, layout: &Layout) -> Option<u32> {
    let StoreReply::Table(view) = leases.execute(StoreRequest::ReadTable).await else {
        tracing::warn!("leases cannot be read");
        return None;
    };
    let open: BTreeSet<_> = layout.shards().iter().map(|shard| &shard.id).collect();
    let undrained =
        view.leases.iter().filter(|lease| !lease.is_finished() && !open.contains(&lease.key.shard()));
    u32::try_from(undrained.count()).ok()
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
        let metered = if has_shard_metrics(&summary) { self.metered(&layout, now).await } else { Vec::new() };
        let catalog = Catalog::new(metered, &consumers);
        let series = read(&self.metrics, self.control.stream(), &catalog.wanted, span).await;
        let series = series.unwrap_or_else(|error| {
            tracing::warn!(%error, cause = ?error.source, "metrics are unknown");
            vec![Points::new(); catalog.wanted.len()]
        });
        let minutes = catalog.minutes(&series, span);
        let mut observation = Observation {
            state: state(&summary),
            account_shards_left,
            fan_out_consumers: u32::try_from(consumers.len()).unwrap_or(u32::MAX),
            load_map: catalog.load_map(&series, &minutes, now, &self.limits),
            shards: catalog.shards(&series, span),
            minutes,
            applications: catalog.applications(&series, &consumers, now),
            layout,
        };
        let identity = StreamIdentity {
            arn: summary.stream_arn().to_owned(),
            created_epoch_seconds: u64::try_from(summary.stream_creation_timestamp().secs()).unwrap_or(0),
        };
        for told in self.told(&identity, &observation.layout, now).await.into_iter().rev() {
            add_telemetry(&mut observation, told);
        }
        Ok(observation)
    }
}

/// The metrics that are read, by their places in the list.
struct Catalog {
    wanted: Vec<Wanted>,
    /// Shards with metrics of their own.
    metered: Vec<OpenShard>,
}

impl Catalog {
    fn new(metered: Vec<OpenShard>, consumers: &[String]) -> Self {
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
        for shard in &metered {
            let dimension = || Some(("ShardId", shard.id.as_str().to_owned()));
            wanted.extend(SHARD_SUMS.iter().map(|&name| sum(name, dimension())));
        }
        Self { wanted, metered }
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
        let of_shard = |(place, shard): (usize, &OpenShard)| {
            let minute = |start| self.shard_minute(series, place, start);
            (shard.id.clone(), minutes(span).map(minute).collect())
        };
        self.metered.iter().enumerate().map(of_shard).collect()
    }

    /// Where the load lay in the newest of the last minutes that the shards' metrics account for.
    fn load_map(
        &self,
        series: &[Points],
        minutes: &[Minute],
        now: EpochMillis,
        limits: &ShardLimits,
    ) -> Option<LoadMap> {
        if self.metered.is_empty() {
            return None;
        }
        let oldest = now.before(METERED_AGE_MAX);
        let of_minute = |minute: &Minute| {
            let reading = |(place, shard): (usize, &OpenShard)| {
                (shard.range, self.shard_minute(series, place, minute.start))
            };
            let readings: Vec<_> = self.metered.iter().enumerate().map(reading).collect();
            LoadMap::by_shard(minute, &readings, limits)
        };
        minutes.iter().rev().take_while(|minute| minute.start >= oldest).find_map(of_minute)
    }

    fn shard_minute(&self, series: &[Points], place: usize, start: EpochMillis) -> ShardMinute {
        let first = self.wanted.len() - self.metered.len() * SHARD_SUMS.len();
        let series = &series[first + place * SHARD_SUMS.len()..][..SHARD_SUMS.len()];
        ShardMinute {
            start,
            bytes: series[0].get(&start).copied(),
            records: series[1].get(&start).copied(),
            rejected_records: series[2].get(&start).copied(),
            ..ShardMinute::default()
        }
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
    add_lag(&mut observation.applications, told.application);
    match told.quality {
        TelemetryQuality::Absent | TelemetryQuality::Behind => return,
        TelemetryQuality::Current => observation.load_map = told.load_map.or(observation.load_map.take()),
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

/// An application that tells is among the polling readers, whose metric is the lag of the last of them: they stay one entry,
/// since each entry counts against the shards' read limit.
fn add_lag(applications: &mut Vec<ApplicationLag>, told: ApplicationLag) {
    let Some(polling) = applications.iter_mut().find(|lag| lag.name == POLLING_READERS) else {
        applications.push(told);
        return;
    };
    *polling = ApplicationLag {
        behind: told.behind.map(|behind| behind.max(polling.behind.unwrap_or_default())),
        is_rising: told.is_rising || polling.is_rising,
        ..told
    };
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
/// How far back a minute may lie to say where the load lies: the delay of CloudWatch, and gaps in it.
const METERED_AGE_MAX: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use kcl::{Generation, Lease, Position};
    use kcl_core::{HashKey, HashKeyRange, LeaseKey};

    use super::*;
    use crate::Boundaries;

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
        let range = HashKeyRange::FULL;
        let id = ShardId::new("shardId-000000000000").expect("valid");
        let catalog = Catalog::new(vec![OpenShard { id: id.clone(), range }], &["fan".to_owned()]);
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

    #[test]
    fn a_hot_shard_shows_in_the_newest_minute_that_is_accounted_for_and_a_closed_parent_counts() {
        let shard = |number: u32, (start, end): (u128, u128)| OpenShard {
            id: ShardId::new(format!("shardId-{number:012}")).expect("valid"),
            range: HashKeyRange::new(HashKey(start), HashKey(end)).expect("a range"),
        };
        let half = 1_u128 << 127;
        let metered = vec![
            shard(0, (0, half - 1)),
            shard(1, (half, u128::MAX)),
            shard(2, (0, half / 2 - 1)),
            shard(3, (half / 2, half - 1)),
        ];
        let catalog = Catalog::new(metered, &[]);
        let mut series = vec![Points::new(); catalog.wanted.len()];
        series[1] = points(&[(1, 40_000.0), (2, 40_000.0)]);
        for (place, records) in [(0, 30_000.0), (1, 10_000.0), (2, 0.0), (3, 0.0)] {
            series[6 + 3 * place + 1] = points(&[(1, records)]);
        }
        series[6 + 3 * 3 + 1].insert(EpochMillis(120_000), 9_000.0);
        let now = EpochMillis(240_000);
        let minutes = catalog.minutes(&series, (EpochMillis(60_000), EpochMillis(180_000)));
        let map =
            catalog.load_map(&series, &minutes, now, &ShardLimits::default()).expect("minute 1 is whole");
        assert!((map.shares(&Boundaries::uniform(2))[0] - 0.75).abs() < 1e-12);
        assert!((map.shares(&Boundaries::uniform(4))[1] - 0.375).abs() < 1e-12);
        let later = now.after(METERED_AGE_MAX);
        assert_eq!(catalog.load_map(&series, &minutes, later, &ShardLimits::default()), None);
    }

    #[test]
    fn an_application_that_tells_is_one_of_the_polling_readers() {
        let lag = |name: &str, behind: Option<u64>, is_rising| ApplicationLag {
            name: name.to_owned(),
            behind: behind.map(Duration::from_secs),
            is_rising,
            undrained_parents: None,
        };
        let mut lags = vec![lag(POLLING_READERS, Some(90), true), lag("fan", Some(1), false)];
        add_lag(&mut lags, lag("orders", Some(5), false));
        assert_eq!(lags, [lag("orders", Some(90), true), lag("fan", Some(1), false)]);
        let mut lags = vec![lag(POLLING_READERS, Some(90), false)];
        add_lag(&mut lags, lag("orders", None, false));
        assert_eq!(lags, [lag("orders", None, false)], "what is not told is unknown");
        let mut lags = Vec::new();
        add_lag(&mut lags, lag("orders", Some(5), true));
        assert_eq!(lags, [lag("orders", Some(5), true)]);
    }

    #[tokio::test]
    async fn closed_shards_with_an_unfinished_lease_are_undrained_parents() {
        let id = |name: &str| ShardId::new(name).expect("valid");
        let range = HashKeyRange::FULL;
        let layout = Layout::new(vec![OpenShard { id: id("open"), range }]).expect("covers");
        let store = kcl::MemoryLeaseStore::new();
        let rows = [
            ("open", Position::TrimHorizon),
            ("drained", Position::ShardEnd),
            ("parent", Position::TrimHorizon),
        ];
        for (shard, checkpoint) in rows {
            let lease = Lease::new(LeaseKey::from(&id(shard)), checkpoint, Generation::default());
            store.execute(StoreRequest::CreateLease(Box::new(lease))).await;
        }
        assert_eq!(undrained_parents(&store, &layout).await, Some(1));
    }
}
