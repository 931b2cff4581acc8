//! `GetMetricData`, 500 metrics a call: sums and maxima by the minute. A minute without a point is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};

use super::error::failed;
use crate::EpochMillis;
use crate::reconcile::PortError;

/// A metric of `AWS/Kinesis`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: &'static str,
    /// `Sum` for what is counted, `Maximum` for ages.
    pub(super) statistic: &'static str,
    /// Dimension beside the stream's name.
    pub(super) dimension: Option<(&'static str, String)>,
}

/// Points by the minute that they begin.
pub(super) type Points = BTreeMap<EpochMillis, f64>;

/// Reads the metrics of `stream` from `start` to `end`: one series for each wanted metric, in their order.
pub(super) async fn read(
    client: &Client,
    stream: &str,
    wanted: &[Wanted],
    (start, end): (EpochMillis, EpochMillis),
) -> Result<Vec<Points>, PortError> {
    let mut series = vec![Points::new(); wanted.len()];
    let time = |at: EpochMillis| DateTime::from_millis(i64::try_from(at.0).unwrap_or(i64::MAX));
    for (chunk, wanted) in wanted.chunks(QUERIES_OF_A_CALL).enumerate() {
        let first = chunk * QUERIES_OF_A_CALL;
        let queries = wanted.iter().enumerate().map(|(place, wanted)| query(stream, first + place, wanted));
        let queries: Vec<_> = queries.collect();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let page = client
                .get_metric_data()
                .set_metric_data_queries(Some(queries.clone()))
                .start_time(time(start))
                .end_time(time(end))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(next.take())
                .send()
                .await
                .map_err(|error| failed("GetMetricData", stream, error))?;
            for result in page.metric_data_results() {
                let place = result.id().and_then(|id| id.strip_prefix(ID_PREFIX)?.parse::<usize>().ok());
                let Some(points) = place.and_then(|place| series.get_mut(place)) else { continue };
                for (at, value) in result.timestamps().iter().zip(result.values()) {
                    let at = at.to_millis().ok().and_then(|millis| u64::try_from(millis).ok());
                    if let Some(at) = at.filter(|_| value.is_finite()) {
                        points.insert(EpochMillis(at), *value);
                    }
                }
            }
            match page.next_token {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        if next.is_some() {
            return Err(failed("GetMetricData", stream, format!("more than {PAGES_MAX} pages")));
        }
    }
    Ok(series)
}

/// The minutes from `start` to `end`, the first at a full one.
pub(super) fn minutes((start, end): (EpochMillis, EpochMillis)) -> impl Iterator<Item = EpochMillis> {
    let step = MINUTE.as_millis() as usize;
    (start.0.next_multiple_of(MINUTE.as_millis() as u64)..end.0).step_by(step).map(EpochMillis)
}

/// The last full minute's end.
pub(super) fn full_minute(now: EpochMillis) -> EpochMillis {
    EpochMillis(now.0 - now.0 % MINUTE.as_millis() as u64)
}

fn query(stream: &str, place: usize, wanted: &Wanted) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let extra = wanted.dimension.as_ref().map(|(name, value)| dimension(name, value));
    let metric = Metric::builder()
        .namespace("AWS/Kinesis")
        .metric_name(wanted.name)
        .set_dimensions(Some([dimension("StreamName", stream)].into_iter().chain(extra).collect()));
    let statistic =
        MetricStat::builder().metric(metric.build()).period(MINUTE.as_secs() as i32).stat(wanted.statistic);
    MetricDataQuery::builder().id(format!("{ID_PREFIX}{place}")).metric_stat(statistic.build()).build()
}

/// The resolution of Kinesis' metrics.
const MINUTE: Duration = Duration::from_secs(60);
/// What one `GetMetricData` takes.
const QUERIES_OF_A_CALL: usize = 500;
/// A call gives 100,800 points: 500 metrics of more than three hours on one page.
const PAGES_MAX: usize = 16;
/// Ids begin with a lower-case letter.
const ID_PREFIX: &str = "m";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_full_ones() {
        let span = (EpochMillis(90_001), full_minute(EpochMillis(250_000)));
        let starts: Vec<_> = minutes(span).map(|at| at.0).collect();
        assert_eq!(starts, [120_000, 180_000]);
    }

    #[test]
    fn a_query_names_stream_shard_and_statistic() {
        let wanted = Wanted {
            name: "IncomingBytes",
            statistic: "Sum",
            dimension: Some(("ShardId", "shardId-000000000003".to_owned())),
        };
        let query = query("clicks", 7, &wanted);
        assert_eq!(query.id(), Some("m7"));
        let statistic = query.metric_stat().expect("a statistic");
        assert_eq!((statistic.stat(), statistic.period()), (Some("Sum"), Some(60)));
        let metric = statistic.metric().expect("a metric");
        let dimensions: Vec<_> =
            metric.dimensions().iter().map(|dimension| (dimension.name(), dimension.value())).collect();
        assert_eq!(
            dimensions,
            [(Some("StreamName"), Some("clicks")), (Some("ShardId"), Some("shardId-000000000003"))]
        );
    }
}
