//! The stream as it is seen from outside: its shard count over time, and what it refused.

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use aws_sdk_kinesis::types::StreamStatus;
use local::{Clock, EpochMillis};
use serde::Serialize;

/// What was seen of one stream since the start.
#[derive(Debug)]
pub(crate) struct StreamWatch {
    kinesis: aws_sdk_kinesis::Client,
    metrics: aws_sdk_cloudwatch::Client,
    stream: String,
    started_at: EpochMillis,
    counts: Vec<CountAt>,
    is_active: bool,
}

/// A shard count from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct CountAt {
    /// Minutes of the services' clock since the start.
    pub(crate) minute: f64,
    /// Open shards.
    pub(crate) shards: u32,
}

/// What a stream refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Throttled {
    /// Records, retries counted again, as the metrics show them: each record put stands for many.
    pub(crate) records: f64,
    /// Minutes in which any was refused.
    pub(crate) minutes: u32,
    /// The first of them, since the start.
    pub(crate) first_minute: Option<u64>,
    /// The last of them.
    pub(crate) last_minute: Option<u64>,
}

impl StreamWatch {
    /// Watches `stream` from `started_at` on.
    pub(crate) fn new(sdk: &SdkConfig, stream: &str, started_at: EpochMillis) -> Self {
        Self {
            kinesis: aws_sdk_kinesis::Client::new(sdk),
            metrics: aws_sdk_cloudwatch::Client::new(sdk),
            stream: stream.to_owned(),
            started_at,
            counts: Vec::new(),
            is_active: false,
        }
    }

    /// Looks at the stream.
    pub(crate) async fn look(&mut self, now: EpochMillis) -> anyhow::Result<()> {
        let answer = self.kinesis.describe_stream_summary().stream_name(&self.stream).send().await?;
        let summary = answer.stream_description_summary().context("a description is empty")?;
        self.is_active = *summary.stream_status() == StreamStatus::Active;
        let shards = u32::try_from(summary.open_shard_count())?;
        if self.counts.last().is_none_or(|last| last.shards != shards) {
            self.counts.push(CountAt { minute: self.minutes_until(now), shards });
        }
        Ok(())
    }

    /// Looks until no change is under way.
    pub(crate) async fn until_active(&mut self, clock: &Clock) -> anyhow::Result<()> {
        let give_up_at = clock.now().after(CHANGE_MAX);
        loop {
            let now = clock.now();
            self.look(now).await?;
            if self.is_active {
                return Ok(());
            }
            anyhow::ensure!(now < give_up_at, "stream {} is being changed for {CHANGE_MAX:?}", self.stream);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether no change is under way.
    pub(crate) const fn is_active(&self) -> bool {
        self.is_active
    }

    /// Open shards when it was looked at last.
    pub(crate) fn shards(&self) -> u32 {
        self.counts.last().map_or(0, |last| last.shards)
    }

    /// Every change of the count.
    pub(crate) fn counts(&self) -> &[CountAt] {
        &self.counts
    }

    /// Minutes of the services' clock from the start to `at`.
    pub(crate) fn minutes_until(&self, at: EpochMillis) -> f64 {
        (at.millis_since(self.started_at) as f64 / 600.0).round() / 100.0
    }

    /// What was refused up to `now`.
    pub(crate) async fn throttled(&self, now: EpochMillis) -> anyhow::Result<Throttled> {
        let time = |at: EpochMillis| i64::try_from(at.0).map(DateTime::from_millis);
        let mut throttled = Throttled::default();
        // An answer of GetMetricStatistics has 1440 points at most.
        let mut from = EpochMillis(self.started_at.0 - self.started_at.0 % MINUTE_MILLIS);
        while from < now {
            let to = from.after(DAY).min(now);
            let answer = self
                .metrics
                .get_metric_statistics()
                .namespace("AWS/Kinesis")
                .metric_name("WriteProvisionedThroughputExceeded")
                .dimensions(Dimension::builder().name("StreamName").value(&self.stream).build())
                .start_time(time(from)?)
                .end_time(time(to)?)
                .period(60)
                .statistics(Statistic::Sum)
                .send()
                .await?;
            for point in answer.datapoints() {
                let (Some(at), Some(sum)) = (point.timestamp(), point.sum().filter(|sum| *sum > 0.0)) else {
                    continue;
                };
                let at = EpochMillis(u64::try_from(at.to_millis()?)?);
                let minute = at.millis_since(self.started_at) / MINUTE_MILLIS;
                throttled.records += sum;
                throttled.minutes += 1;
                throttled.first_minute =
                    Some(throttled.first_minute.map_or(minute, |first| first.min(minute)));
                throttled.last_minute = throttled.last_minute.max(Some(minute));
            }
            from = to;
        }
        Ok(throttled)
    }
}

const MINUTE_MILLIS: u64 = 60_000;
const DAY: Duration = Duration::from_secs(86_400);
/// Of the services' clock; the longest change of a few dozen shards takes minutes.
const CHANGE_MAX: Duration = Duration::from_secs(3600);
/// Of the machine's time.
const PAUSE: Duration = Duration::from_millis(50);
