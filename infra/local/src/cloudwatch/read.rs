//! GetMetricData, GetMetricStatistics and ListMetrics.
//!
//! A page of GetMetricData names in its token where the next one goes on and as of when it was computed, so that a minute
//! that appears between two pages shifts nothing.

use std::ops::Range;
use std::time::Duration;

use kinesis_model::EpochMillis;
use serde::Serialize;

use super::input::{
    DimensionFilter, GetMetricDataInput, GetMetricStatisticsInput, ListMetricsInput, MetricDataQuery, ScanBy,
};
use super::metric::{Dimension, MetricId, Statistic};
use super::protocol::{Refusal, RefusalKind, Time};
use super::query::{POINTS_MAX, Queries, View, check_period};

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricDataOutput {
    metric_data_results: Vec<MetricDataResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDataResult {
    id: String,
    label: String,
    timestamps: Vec<Time>,
    values: Vec<f64>,
    status_code: &'static str,
}

/// Where a page of GetMetricData begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// As of when all pages are computed.
    pub(super) now: EpochMillis,
    query: usize,
    point: usize,
}

impl Page {
    /// The first one at `now`, or the one that `token` names.
    pub(super) fn of(token: Option<&str>, now: EpochMillis) -> Result<Self, Refusal> {
        let Some(token) = token else {
            return Ok(Self { now, query: 0, point: 0 });
        };
        let page = Self::parse(token).filter(|page| page.now <= now);
        let foreign =
            || Refusal::new(RefusalKind::InvalidNextToken, format!("{token:?} is not a token of a page"));
        page.ok_or_else(foreign)
    }

    fn parse(token: &str) -> Option<Self> {
        let (begun, place) = token.split_once('.')?;
        let (query, point) = place.split_once('.')?;
        Some(Self {
            now: EpochMillis(begun.parse().ok()?),
            query: query.parse().ok()?,
            point: point.parse().ok()?,
        })
    }

    fn token(self) -> String {
        format!("{}.{}.{}", self.now.0, self.query, self.point)
    }
}

/// One page of what `input` asks for.
pub(super) fn get_metric_data(
    view: &mut View<'_>,
    input: &GetMetricDataInput,
    page: Page,
) -> Result<GetMetricDataOutput, Refusal> {
    let queries = &input.metric_data_queries;
    if queries.is_empty() || queries.len() > QUERIES_MAX {
        return Err(Refusal::validation(format!("{} queries; a call has 1 to {QUERIES_MAX}", queries.len())));
    }
    let points_max = input.max_datapoints.map_or(POINTS_MAX as usize, |points| points as usize);
    if points_max == 0 || points_max > POINTS_MAX as usize {
        return Err(Refusal::validation(format!("MaxDatapoints {points_max}: it must be 1 to {POINTS_MAX}")));
    }
    let longest =
        queries.iter().filter_map(|query| Some(query.metric_stat.as_ref()?.period)).max().unwrap_or(60);
    check_period(longest)?;
    let range = range(input.start_time, input.end_time, longest)?;
    let is_descending = input.scan_by != Some(ScanBy::TimestampAscending);
    let mut computed = Queries::new(view, queries, range)?;
    let returned = queries.iter().filter(|query| query.is_returned());
    let mut pages = Pages { page, results: Vec::new(), room: points_max, next: None };
    for (place, query) in returned.enumerate() {
        let series = computed.result(&query.id)?;
        let mut points = series.points.into_iter().collect::<Vec<_>>();
        if is_descending {
            points.reverse();
        }
        pages.add(place, query, &points);
    }
    Ok(GetMetricDataOutput { metric_data_results: pages.results, next_token: pages.next.map(Page::token) })
}

/// A page that fills.
struct Pages {
    page: Page,
    results: Vec<MetricDataResult>,
    room: usize,
    next: Option<Page>,
}

impl Pages {
    fn add(&mut self, place: usize, query: &MetricDataQuery, points: &[(EpochMillis, f64)]) {
        if place < self.page.query || self.next.is_some() {
            return;
        }
        let first = if place == self.page.query { self.page.point.min(points.len()) } else { 0 };
        let rest = &points[first..];
        let shown = &rest[..rest.len().min(self.room)];
        self.room -= shown.len();
        let is_whole = shown.len() == rest.len();
        if !is_whole {
            self.next = Some(Page { query: place, point: first + shown.len(), ..self.page });
        }
        self.results.push(MetricDataResult {
            id: query.id.clone(),
            label: label(query),
            timestamps: shown.iter().map(|(start, _)| Time(*start)).collect(),
            values: shown.iter().map(|(_, value)| *value).collect(),
            status_code: if is_whole { "Complete" } else { "PartialData" },
        });
    }
}

fn label(query: &MetricDataQuery) -> String {
    let name = || query.metric_stat.as_ref().map(|stat| stat.metric.metric_name.clone());
    query.label.clone().or_else(name).unwrap_or_else(|| query.id.clone())
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricStatisticsOutput {
    label: String,
    datapoints: Vec<Datapoint>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Datapoint {
    timestamp: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_count: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    average: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

/// All points of one metric.
pub(super) fn get_metric_statistics(
    view: &mut View<'_>,
    input: GetMetricStatisticsInput,
) -> Result<GetMetricStatisticsOutput, Refusal> {
    check_period(input.period)?;
    if let Some(percentile) = input.extended_statistics.first() {
        return Err(Refusal::value(format!(
            "statistic {percentile:?} is not offered by the local CloudWatch"
        )));
    }
    if input.statistics.is_empty() {
        return Err(Refusal::new(RefusalKind::MissingParameter, "Statistics must name one at least"));
    }
    let range = range(input.start_time, input.end_time, input.period)?;
    let period = Duration::from_secs(u64::from(input.period));
    let span = Duration::from_millis(range.end.millis_since(range.start));
    if span.div_duration_f64(period) > STATISTICS_MAX {
        let message =
            format!("more than {STATISTICS_MAX} datapoints are asked for: take less time or a longer period");
        return Err(Refusal::new(RefusalKind::InvalidParameterCombination, message));
    }
    let metric = MetricId::new(&input.namespace, &input.metric_name, input.dimensions);
    let periods = view.periods(&metric, input.unit.as_deref(), &range, period);
    let unit = input.unit.or_else(|| view.unit(&metric).map(str::to_owned));
    let datapoints = periods.into_iter().map(|(start, samples)| {
        let wanted = |statistic| input.statistics.contains(&statistic).then(|| samples.statistic(statistic));
        Datapoint {
            timestamp: Time(start),
            sample_count: wanted(Statistic::SampleCount),
            average: wanted(Statistic::Average),
            sum: wanted(Statistic::Sum),
            minimum: wanted(Statistic::Minimum),
            maximum: wanted(Statistic::Maximum),
            unit: unit.clone(),
        }
    });
    Ok(GetMetricStatisticsOutput { label: input.metric_name, datapoints: datapoints.collect() })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMetricsOutput {
    metrics: Vec<ListedMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMetric {
    namespace: String,
    metric_name: String,
    dimensions: Vec<Dimension>,
}

/// One page of the metrics that have data and pass the filters.
pub(super) fn list_metrics(
    view: &mut View<'_>,
    input: &ListMetricsInput,
    now: EpochMillis,
) -> Result<ListMetricsOutput, Refusal> {
    let first = match input.next_token.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(first)) => first,
        Some(Err(_)) => return Err(Refusal::new(RefusalKind::InvalidNextToken, "not a token of a page")),
    };
    let since = if input.recently_active.is_some() { now.before(RECENT) } else { EpochMillis(0) };
    let mut metrics = view.streams.newest();
    metrics.extend(view.store.newest().map(|(metric, at)| (metric.clone(), at)));
    let passing = metrics.into_iter().filter(|(metric, newest)| *newest >= since && passes(metric, input));
    let mut page = passing.skip(first).take(METRICS_PAGE + 1).map(|(metric, _)| metric).collect::<Vec<_>>();
    let next_token = (page.len() > METRICS_PAGE).then(|| (first + METRICS_PAGE).to_string());
    page.truncate(METRICS_PAGE);
    let metrics = page.into_iter().map(|metric| ListedMetric {
        dimensions: metric.dimensions().to_vec(),
        namespace: metric.namespace,
        metric_name: metric.name,
    });
    Ok(ListMetricsOutput { metrics: metrics.collect(), next_token })
}

fn passes(metric: &MetricId, input: &ListMetricsInput) -> bool {
    let has = |filter: &DimensionFilter| match (metric.dimension(&filter.name), &filter.value) {
        (Some(value), Some(wanted)) => value == wanted,
        (Some(_), None) => true,
        (None, Some(_) | None) => false,
    };
    input.namespace.as_ref().is_none_or(|namespace| *namespace == metric.namespace)
        && input.metric_name.as_ref().is_none_or(|name| *name == metric.name)
        && input.dimensions.iter().all(has)
}

/// From the beginning of the period in which `start` lies.
fn range(start: Time, end: Time, period_seconds: u32) -> Result<Range<EpochMillis>, Refusal> {
    if start >= end {
        return Err(Refusal::validation("StartTime must lie before EndTime"));
    }
    let period = u64::from(period_seconds) * 1000;
    let start = start.millis();
    Ok(EpochMillis(start.0 - start.0 % period)..end.millis())
}

const QUERIES_MAX: usize = 500;
const STATISTICS_MAX: f64 = 1440.0;
const METRICS_PAGE: usize = 500;
/// What `RecentlyActive` means.
const RECENT: Duration = Duration::from_secs(3 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_page_and_nothing_else_does() {
        let now = EpochMillis(1_700_000_000_000);
        let first = Page::of(None, now).expect("no token");
        assert_eq!(first, Page { now, query: 0, point: 0 });
        let later = Page { query: 3, point: 17, ..first };
        assert_eq!(Page::of(Some(&later.token()), now), Ok(later));
        let to_come = Page { now: EpochMillis(now.0 + 1), ..later };
        for token in ["", "1.2", "1.2.3.4", "1.x.3", "-1.0.0", &to_come.token()] {
            assert!(Page::of(Some(token), now).is_err(), "{token}");
        }
    }

    #[test]
    fn pages_together_are_the_whole() {
        let query = |id: &str| MetricDataQuery {
            id: id.to_owned(),
            metric_stat: None,
            expression: None,
            label: None,
            return_data: None,
            period: None,
        };
        let points = (0..5).map(|minute| (EpochMillis(minute), minute as f64)).collect::<Vec<_>>();
        let mut page = Some(Page { now: EpochMillis(9), query: 0, point: 0 });
        let mut seen = Vec::new();
        while let Some(begin) = page {
            let mut pages = Pages { page: begin, results: Vec::new(), room: 4, next: None };
            pages.add(0, &query("a"), &points);
            pages.add(1, &query("b"), &[]);
            pages.add(2, &query("c"), &points);
            seen.push(
                pages
                    .results
                    .iter()
                    .map(|result| (result.id.clone(), result.values.len()))
                    .collect::<Vec<_>>(),
            );
            page = pages.next;
        }
        let expected: [&[(&str, usize)]; 3] = [&[("a", 4)], &[("a", 1), ("b", 0), ("c", 3)], &[("c", 2)]];
        let expected = expected
            .map(|page| page.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect::<Vec<_>>());
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_range_begins_with_a_period() {
        let time = |seconds: u64| Time(EpochMillis(seconds * 1000));
        assert_eq!(range(time(130), time(250), 60), Ok(EpochMillis(120_000)..EpochMillis(250_000)));
        assert!(range(time(60), time(60), 60).is_err());
    }
}
