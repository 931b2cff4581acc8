//! The namespace `AWS/Kinesis`: what the model counts, under the names, units and dimensions of AWS.
//!
//! ```text
//!  kinesis_model  ─▶ busy minutes of a stream and its shards ─▶ only those that are whole and `delay` old
//!                    IncomingBytes … GetRecords.IteratorAge…    × records that each record stands for
//! ```
//!
//! A shard's metrics have names of their own, and are there only while enhanced monitoring is on. A minute without
//! samples is missing: a reader must not take silence for zero.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use kinesis_model::{
    EpochMillis, Kinesis, ListStreamsRequest, Metric, MetricsMinute, StreamMetrics, StreamRef, StreamSummary,
};

use super::metric::{Dimension, MetricId, Samples};

pub(super) const NAMESPACE: &str = "AWS/Kinesis";

/// The streams of one request at one time, each fetched once.
#[derive(Debug)]
pub(super) struct Streams<'a> {
    kinesis: &'a Kinesis,
    now: EpochMillis,
    /// Minutes that begin here or later are not shown yet.
    hidden_from: EpochMillis,
    weight: f64,
    fetched: BTreeMap<String, Option<Fetched>>,
}

#[derive(Debug)]
struct Fetched {
    summary: StreamSummary,
    metrics: StreamMetrics,
}

impl<'a> Streams<'a> {
    /// What is shown at `now`, a minute being shown `delay` after its end; each record counts as `weight` of them.
    pub(super) fn at(kinesis: &'a Kinesis, now: EpochMillis, delay: Duration, weight: u32) -> Self {
        let newest_shown = now.before(delay).before(MINUTE);
        let hidden_from = EpochMillis(newest_shown.0 + 1);
        Self { kinesis, now, hidden_from, weight: f64::from(weight), fetched: BTreeMap::new() }
    }

    /// The shown minutes of `metric` that begin within `range`, oldest first.
    pub(super) fn minutes(
        &mut self,
        metric: &MetricId,
        range: &Range<EpochMillis>,
    ) -> BTreeMap<EpochMillis, Samples> {
        let (weight, range) = (self.weight, range.start..range.end.min(self.hidden_from));
        let counted = Subject::of(metric)
            .and_then(|subject| self.fetch(subject.stream)?.counted(subject.shard, &metric.name));
        let Some((counted, minutes)) = counted else { return BTreeMap::new() };
        let within = minutes.iter().filter(|minute| range.contains(&minute.start));
        within.filter_map(|minute| Some((minute.start, samples(minute, counted, weight)?))).collect()
    }

    /// Every metric that has shown minutes, with the newest of them.
    pub(super) fn newest(&mut self) -> BTreeMap<MetricId, EpochMillis> {
        let mut newest = BTreeMap::new();
        for stream in self.names() {
            let hidden_from = self.hidden_from;
            let Some(Fetched { summary, metrics }) = self.fetch(&stream) else { continue };
            let shown = |minutes: &[MetricsMinute], counted: Metric| {
                let shown = minutes.iter().rev().filter(|minute| minute.start < hidden_from);
                shown.filter(|minute| minute.statistic(counted).count > 0).map(|minute| minute.start).next()
            };
            for counted in Metric::ALL {
                let of_stream = Dimension::new(STREAM_NAME, &stream);
                if let Some(at) = shown(&metrics.stream, counted) {
                    newest.insert(MetricId::new(NAMESPACE, counted.name(), vec![of_stream.clone()]), at);
                }
                if !summary.shard_level_metrics.contains(shard_name(counted)) {
                    continue;
                }
                for (shard, minutes) in &metrics.shards {
                    if let Some(at) = shown(minutes, counted) {
                        let dimensions = vec![of_stream.clone(), Dimension::new(SHARD_ID, shard.as_str())];
                        newest.insert(MetricId::new(NAMESPACE, shard_name(counted), dimensions), at);
                    }
                }
            }
        }
        newest
    }

    fn fetch(&mut self, stream: &str) -> Option<&Fetched> {
        let (kinesis, now) = (self.kinesis, self.now);
        let fetched = self.fetched.entry(stream.to_owned()).or_insert_with(|| {
            // A stream that is gone has no metrics here, unlike at AWS, where they outlive it.
            let summary = kinesis.describe_stream_summary(StreamRef::name(stream), now).ok()?;
            let metrics = kinesis.stream_metrics(StreamRef::name(stream), now).ok()?;
            Some(Fetched { summary, metrics })
        });
        fetched.as_ref()
    }

    fn names(&self) -> Vec<String> {
        let request = ListStreamsRequest { limit: Some(STREAMS_MAX), ..ListStreamsRequest::default() };
        let listed = self.kinesis.list_streams(request, self.now);
        let streams = listed.map(|response| response.streams).unwrap_or_default();
        streams.into_iter().map(|summary| summary.stream_name).collect()
    }
}

impl Fetched {
    /// What the metric called `name` counts, of a shard or of the stream; nothing if it is not counted or switched off.
    fn counted(&self, shard: Option<&str>, name: &str) -> Option<(Metric, &[MetricsMinute])> {
        let mut all = Metric::ALL.into_iter();
        let Some(shard) = shard else {
            return Some((all.find(|counted| counted.name() == name)?, &self.metrics.stream));
        };
        let counted = all.find(|counted| shard_name(*counted) == name)?;
        let is_on = self.summary.shard_level_metrics.contains(name);
        let (_, minutes) = self.metrics.shards.iter().find(|(id, _)| is_on && id.as_str() == shard)?;
        Some((counted, minutes))
    }
}

/// The unit of a metric of this namespace.
pub(super) fn unit(metric: &MetricId) -> &'static str {
    if metric.name.ends_with("Bytes") {
        "Bytes"
    } else if metric.name.ends_with("Milliseconds") {
        "Milliseconds"
    } else {
        "Count"
    }
}

/// What a metric is about.
struct Subject<'a> {
    stream: &'a str,
    shard: Option<&'a str>,
}

impl<'a> Subject<'a> {
    fn of(metric: &'a MetricId) -> Option<Self> {
        let stream = metric.dimension(STREAM_NAME)?;
        let shard = metric.dimension(SHARD_ID);
        let known = 1 + usize::from(shard.is_some());
        (metric.dimensions().len() == known).then_some(Self { stream, shard })
    }
}

/// The name of a shard's metric; a stream's has [`Metric::name`].
const fn shard_name(metric: Metric) -> &'static str {
    match metric {
        Metric::IncomingBytes | Metric::IncomingRecords => metric.name(),
        Metric::WriteProvisionedThroughputExceeded | Metric::ReadProvisionedThroughputExceeded => {
            metric.name()
        }
        Metric::GetRecordsBytes => "OutgoingBytes",
        Metric::GetRecordsRecords => "OutgoingRecords",
        Metric::GetRecordsIteratorAgeMilliseconds => "IteratorAgeMilliseconds",
    }
}

/// What was counted in a minute, if anything was.
fn samples(minute: &MetricsMinute, metric: Metric, weight: f64) -> Option<Samples> {
    let statistic = minute.statistic(metric);
    (statistic.count > 0).then_some(Samples {
        count: statistic.count as f64 * weight,
        sum: statistic.sum as f64 * weight,
        min: statistic.min as f64,
        max: statistic.max as f64,
    })
}

const STREAM_NAME: &str = "StreamName";
const SHARD_ID: &str = "ShardId";
const MINUTE: Duration = Duration::from_secs(60);
/// The most that one page of streams may hold.
const STREAMS_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use kinesis_model::{CreateStreamRequest, PutRecordRequest, Settings};

    use super::*;

    const NOON: u64 = 1_700_000_040_000;

    fn at(seconds: u64) -> EpochMillis {
        EpochMillis(NOON + seconds * 1000)
    }

    fn kinesis() -> Kinesis {
        let kinesis = Kinesis::new(Settings::default());
        kinesis.create_stream(CreateStreamRequest::provisioned("orders", 2), at(0)).expect("new");
        for second in [0, 30, 150] {
            let request = PutRecordRequest::new(StreamRef::name("orders"), "k", vec![0; 99]);
            kinesis.put_record(request, at(second)).expect("stored");
        }
        kinesis
    }

    fn metric(name: &str, dimensions: &[(&str, &str)]) -> MetricId {
        let dimensions = dimensions.iter().map(|(name, value)| Dimension::new(name, value));
        MetricId::new(NAMESPACE, name, dimensions.collect())
    }

    fn sums(streams: &mut Streams<'_>, metric: &MetricId) -> Vec<(u64, f64)> {
        let minutes = streams.minutes(metric, &(at(0)..at(3600)));
        minutes.into_iter().map(|(minute, samples)| ((minute.0 - NOON) / 1000, samples.sum)).collect()
    }

    #[test]
    fn a_minute_shows_after_its_end_and_the_delay_and_silent_ones_never() {
        let kinesis = kinesis();
        let bytes = metric("IncomingBytes", &[("StreamName", "orders")]);
        let shown = |second| sums(&mut Streams::at(&kinesis, at(second), Duration::from_secs(60), 1), &bytes);
        assert_eq!(shown(119), []);
        assert_eq!(shown(120), [(0, 200.0)]);
        assert_eq!(shown(239), [(0, 200.0)]);
        assert_eq!(shown(240), [(0, 200.0), (120, 100.0)]);
    }

    #[test]
    fn with_a_weight_a_record_counts_as_many() {
        let kinesis = kinesis();
        let mut streams = Streams::at(&kinesis, at(600), Duration::ZERO, 60);
        let bytes = metric("IncomingBytes", &[("StreamName", "orders")]);
        let minutes = streams.minutes(&bytes, &(at(0)..at(60)));
        let expected = Samples { count: 120.0, sum: 12_000.0, min: 100.0, max: 100.0 };
        assert_eq!(minutes.into_values().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_shard_shows_while_enhanced_monitoring_is_on() {
        let kinesis = kinesis();
        let shards = kinesis.stream_metrics(StreamRef::name("orders"), at(600)).expect("exists").shards;
        let (shard, _) = shards.iter().find(|(_, minutes)| !minutes.is_empty()).expect("one is busy");
        let of_shard = metric("IncomingBytes", &[("StreamName", "orders"), ("ShardId", shard.as_str())]);
        let mut before = Streams::at(&kinesis, at(600), Duration::ZERO, 1);
        assert_eq!(sums(&mut before, &of_shard), []);
        assert!(!before.newest().contains_key(&of_shard));

        let on = ["IncomingBytes".to_owned()].into();
        kinesis.enable_enhanced_monitoring(StreamRef::name("orders"), on, at(600)).expect("active");
        let mut after = Streams::at(&kinesis, at(600), Duration::ZERO, 1);
        assert_eq!(sums(&mut after, &of_shard), [(0, 200.0), (120, 100.0)]);
        assert_eq!(after.newest().get(&of_shard), Some(&at(120)));
        let records = metric("IncomingRecords", &[("StreamName", "orders"), ("ShardId", shard.as_str())]);
        assert_eq!(sums(&mut after, &records), []);
    }

    #[test]
    fn foreign_names_have_no_minutes() {
        let kinesis = kinesis();
        let mut streams = Streams::at(&kinesis, at(600), Duration::ZERO, 1);
        for metric in [
            metric("IncomingBytes", &[]),
            metric("IncomingBytes", &[("StreamName", "other")]),
            metric("IncomingBytes", &[("StreamName", "orders"), ("ConsumerName", "c")]),
            metric("OutgoingBytes", &[("StreamName", "orders")]),
        ] {
            assert_eq!(sums(&mut streams, &metric), [], "{metric:?}");
        }
    }

    #[test]
    fn units_are_those_of_aws() {
        for (name, expected) in [
            ("IncomingBytes", "Bytes"),
            ("GetRecords.Bytes", "Bytes"),
            ("GetRecords.IteratorAgeMilliseconds", "Milliseconds"),
            ("WriteProvisionedThroughputExceeded", "Count"),
        ] {
            assert_eq!(unit(&metric(name, &[])), expected);
        }
    }
}
