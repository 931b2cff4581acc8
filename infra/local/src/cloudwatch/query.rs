//! Series by name: a metric of a stream, a metric that a client put, or an expression over both.
//!
//! ```text
//!  MetricDataQuery ─┬─ MetricStat ─▶ minutes (streams or store) ─▶ periods ─▶ statistic ─┐
//!                   └─ Expression ─▶ the queries that it names, each once ───────────────┴─▶ Series
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use kinesis_model::EpochMillis;

use super::expression::{Expression, Metrics, Series, Value};
use super::input::{Metric, MetricDataQuery, MetricStat};
use super::metric::{MetricId, Samples, Statistic};
use super::protocol::Refusal;
use super::store::Store;
use super::streams::{self, Streams};

/// All metrics at one time.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) store: &'a Store,
    pub(super) streams: Streams<'a>,
}

impl View<'_> {
    /// The samples of `metric` by periods of `period`, the first beginning with `range`; empty periods are missing.
    pub(super) fn periods(
        &mut self,
        metric: &MetricId,
        unit: Option<&str>,
        range: &Range<EpochMillis>,
        period: Duration,
    ) -> BTreeMap<EpochMillis, Samples> {
        let minutes = if metric.namespace == streams::NAMESPACE {
            if unit.is_some_and(|unit| unit != streams::unit(metric)) {
                return BTreeMap::new();
            }
            self.streams.minutes(metric, range)
        } else {
            self.store.minutes(metric, unit, range)
        };
        let period_millis = u64::try_from(period.as_millis()).expect("a period is a number of seconds");
        let mut periods = BTreeMap::<EpochMillis, Samples>::new();
        for (minute, samples) in minutes {
            let since = minute.millis_since(range.start);
            let start = EpochMillis(minute.0 - since % period_millis);
            periods.entry(start).and_modify(|known| known.merge(&samples)).or_insert(samples);
        }
        periods
    }

    /// The unit in which the samples of `metric` are.
    pub(super) fn unit(&self, metric: &MetricId) -> Option<&str> {
        if metric.namespace == streams::NAMESPACE {
            Some(streams::unit(metric))
        } else {
            self.store.unit(metric)
        }
    }
}

/// Queries that may name each other, within one range of time.
pub(super) struct Queries<'q, 'v, 'a> {
    view: &'v mut View<'a>,
    queries: &'q [MetricDataQuery],
    range: Range<EpochMillis>,
    known: BTreeMap<&'q str, Known>,
}

enum Known {
    /// Being computed: to name it now would be a circle.
    Begun,
    Done(Series),
}

impl<'q, 'v, 'a> Queries<'q, 'v, 'a> {
    /// Checks what can be checked without data.
    pub(super) fn new(
        view: &'v mut View<'a>,
        queries: &'q [MetricDataQuery],
        range: Range<EpochMillis>,
    ) -> Result<Self, Refusal> {
        for (place, query) in queries.iter().enumerate() {
            check(query)?;
            if queries[..place].iter().any(|other| other.id == query.id) {
                return Err(Refusal::validation(format!("the id {:?} is given to two queries", query.id)));
            }
            let period = query.metric_stat.as_ref().map(|stat| seconds(stat.period));
            let span = Duration::from_millis(range.end.millis_since(range.start));
            if period.is_some_and(|period| span.div_duration_f64(period) > POINTS_MAX) {
                let message =
                    format!("{:?} would have more than {POINTS_MAX} points: ask for less time", query.id);
                return Err(Refusal::validation(message));
            }
        }
        Ok(Self { view, queries, range, known: BTreeMap::new() })
    }

    /// The result of one of the queries.
    pub(super) fn result(&mut self, id: &str) -> Result<Series, Refusal> {
        let unknown = || Refusal::validation(format!("no query has the id {id:?}"));
        let query = self.queries.iter().find(|query| query.id == id).ok_or_else(unknown)?;
        match self.known.get(query.id.as_str()) {
            Some(Known::Done(series)) => return Ok(series.clone()),
            Some(Known::Begun) => {
                return Err(Refusal::validation(format!("the expression of {id:?} depends on itself")));
            }
            None => {}
        }
        self.known.insert(&query.id, Known::Begun);
        let series = match (&query.metric_stat, &query.expression) {
            (Some(stat), _) => self.statistic(stat)?,
            (None, Some(expression)) => self.expression(id, expression)?,
            (None, None) => unreachable!("the queries were checked"),
        };
        self.known.insert(&query.id, Known::Done(series.clone()));
        Ok(series)
    }

    fn statistic(&mut self, stat: &MetricStat) -> Result<Series, Refusal> {
        let (metric, statistic, period) = (stat.metric.id(), statistic(&stat.stat)?, seconds(stat.period));
        let periods = self.view.periods(&metric, stat.unit.as_deref(), &self.range, period);
        let points = periods.into_iter().map(|(start, samples)| (start, samples.statistic(statistic)));
        Ok(Series { period, points: points.collect() })
    }

    fn expression(&mut self, id: &str, text: &str) -> Result<Series, Refusal> {
        let expression = Expression::parse(text).map_err(Refusal::validation)?;
        match expression.evaluate(self)? {
            Value::Series(series) => Ok(series),
            Value::Number(_) => {
                Err(Refusal::validation(format!("{id:?} is one number, not a series: {text}")))
            }
            Value::List(_) => Err(Refusal::validation(format!("{id:?} is several series, not one: {text}"))),
        }
    }
}

impl Metrics for Queries<'_, '_, '_> {
    type Error = Refusal;

    fn series(&mut self, id: &str) -> Result<Series, Refusal> {
        self.result(id)
    }

    fn periods(&self, period: Duration) -> Vec<EpochMillis> {
        let starts = std::iter::successors(Some(self.range.start), |start| Some(start.after(period)));
        starts.take_while(|start| *start < self.range.end).collect()
    }
}

impl From<String> for Refusal {
    /// What is wrong with an expression.
    fn from(message: String) -> Self {
        Self::validation(message)
    }
}

impl Metric {
    pub(super) fn id(&self) -> MetricId {
        MetricId::new(&self.namespace, &self.metric_name, self.dimensions.clone())
    }
}

/// The statistic of this name, if it is offered.
pub(super) fn statistic(name: &str) -> Result<Statistic, Refusal> {
    Statistic::parse(name).ok_or_else(|| {
        Refusal::value(format!(
            "statistic {name:?}: the local CloudWatch has Average, Maximum, Minimum, SampleCount, Sum"
        ))
    })
}

/// Minutes are what is kept, so a period is some of them.
pub(super) fn check_period(seconds: u32) -> Result<(), Refusal> {
    if seconds == 0 || !seconds.is_multiple_of(60) || seconds > PERIOD_SECONDS_MAX {
        return Err(Refusal::value(format!("period {seconds}: it must be a multiple of 60, up to a day")));
    }
    Ok(())
}

fn check(query: &MetricDataQuery) -> Result<(), Refusal> {
    let id = &query.id;
    if !id.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(Refusal::validation(format!("the id {id:?} does not begin with a lower-case letter")));
    }
    match (&query.metric_stat, &query.expression) {
        (Some(stat), None) => {
            check_period(stat.period).and_then(|()| statistic(&stat.stat)).map(|_statistic| ())
        }
        (None, Some(text)) => Expression::parse(text).map(|_expression| ()).map_err(Refusal::validation),
        (Some(_), Some(_)) | (None, None) => {
            Err(Refusal::validation(format!("the query {id:?} needs either MetricStat or Expression")))
        }
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// The most that one call returns at AWS.
pub(super) const POINTS_MAX: f64 = 100_800.0;
const PERIOD_SECONDS_MAX: u32 = 86_400;

#[cfg(test)]
mod tests {
    use kinesis_model::{Kinesis, Settings};

    use super::*;

    const MINUTE: u64 = 60_000;

    fn stat(id: &str, name: &str, period: u32, stat: &str) -> MetricDataQuery {
        let metric = Metric {
            namespace: "Leasehold".to_owned(),
            metric_name: name.to_owned(),
            dimensions: Vec::new(),
        };
        let stat = MetricStat { metric, period, stat: stat.to_owned(), unit: None };
        MetricDataQuery { metric_stat: Some(stat), expression: None, ..expression(id, "") }
    }

    fn expression(id: &str, text: &str) -> MetricDataQuery {
        MetricDataQuery {
            id: id.to_owned(),
            metric_stat: None,
            expression: Some(text.to_owned()),
            label: None,
            return_data: None,
            period: None,
        }
    }

    /// `load` is 1, 2, 3, 4 in the minutes 1 to 4; `rare` is 8 in minute 2.
    fn result(queries: &[MetricDataQuery], id: &str) -> Result<Vec<(u64, f64)>, Refusal> {
        let mut store = Store::default();
        for (name, minute, value) in
            [("load", 1, 1.0), ("load", 2, 2.0), ("load", 3, 3.0), ("load", 4, 4.0), ("rare", 2, 8.0)]
        {
            let at = EpochMillis(minute * MINUTE);
            let metric = MetricId::new("Leasehold", name, Vec::new());
            store.put(metric, "None", at, &Samples::repeated(value, 1.0), at).expect("room");
        }
        let kinesis = Kinesis::new(Settings::default());
        let streams = Streams::at(&kinesis, EpochMillis(10 * MINUTE), Duration::ZERO, 1);
        let mut view = View { store: &store, streams };
        let range = EpochMillis(MINUTE)..EpochMillis(5 * MINUTE);
        let series = Queries::new(&mut view, queries, range)?.result(id)?;
        Ok(series.points.into_iter().map(|(start, value)| (start.0 / MINUTE, value)).collect())
    }

    #[test]
    fn periods_begin_with_the_range() {
        let sums = result(&[stat("m", "load", 120, "Sum")], "m").expect("known");
        assert_eq!(sums, [(1, 3.0), (3, 7.0)]);
        let averages = result(&[stat("m", "load", 240, "Average")], "m").expect("known");
        assert_eq!(averages, [(1, 2.5)]);
        assert_eq!(result(&[stat("m", "none", 60, "Sum")], "m").expect("no data is no error"), []);
    }

    #[test]
    fn expressions_use_each_other_in_any_order() {
        let queries = [
            expression("e2", "e1 * 10"),
            expression("e1", "load + FILL(rare, 0)"),
            stat("load", "load", 60, "Sum"),
            stat("rare", "rare", 60, "Sum"),
        ];
        assert_eq!(result(&queries, "e2").expect("known"), [(1, 10.0), (2, 100.0), (3, 30.0), (4, 40.0)]);
    }

    #[test]
    fn nonsense_is_refused_with_its_id() {
        for (queries, expected) in [
            (vec![expression("e", "e + 1")], "depends on itself"),
            (vec![expression("e", "other")], "no query has the id \"other\""),
            (vec![expression("e", "1 + 1")], "one number, not a series"),
            (vec![expression("E", "1")], "lower-case"),
            (vec![stat("e", "load", 60, "Sum"), stat("e", "load", 60, "Sum")], "given to two"),
            (vec![stat("e", "load", 30, "Sum")], "multiple of 60"),
            (vec![stat("e", "load", 60, "p99")], "SampleCount"),
        ] {
            let refusal = result(&queries, &queries[0].id).expect_err(expected);
            assert!(refusal.message().contains(expected), "{}", refusal.message());
        }
    }
}
