//! One alarm: what was put, what follows from it, and its state.
//!
//! ```text
//!   put ─▶ INSUFFICIENT_DATA ─▶ each minute: evaluate ─▶ the same state: nothing
//!                 ▲                                  └─▶ another: a Transition, once
//!                 └── put again: new definition, old state
//! ```

use std::time::Duration;

use kinesis_model::EpochMillis;

use super::evaluate::{Comparison, Missing, Rule, State};
use super::input::{Metric, MetricDataQuery, MetricStat, PutMetricAlarmInput};
use super::protocol::{Refusal, RefusalKind};
use super::query::{Queries, View, check_period};
use super::reason;

/// An alarm and its state.
#[derive(Debug, Clone)]
pub(super) struct Alarm {
    pub(super) definition: PutMetricAlarmInput,
    pub(super) arn: String,
    /// When it was last put.
    pub(super) configured: EpochMillis,
    pub(super) condition: Condition,
    /// When the state's value last changed.
    pub(super) transitioned: EpochMillis,
    watch: Watch,
}

/// What an alarm computes.
#[derive(Debug, Clone)]
struct Watch {
    rule: Rule,
    period: Duration,
    queries: Vec<MetricDataQuery>,
    /// The id of the query that is compared.
    watched: String,
}

/// A state with its reason.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) state: State,
    pub(super) reason: String,
    /// JSON.
    pub(super) reason_data: Option<String>,
    pub(super) at: EpochMillis,
}

/// An alarm went from one state to another.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    /// As it is after it.
    pub(super) alarm: Alarm,
    pub(super) before: Condition,
}

impl Alarm {
    /// A new alarm, or `old` with a new definition.
    pub(super) fn put(
        definition: PutMetricAlarmInput,
        old: Option<&Self>,
        view: &mut View<'_>,
        now: EpochMillis,
    ) -> Result<Self, Refusal> {
        let watch = Watch::of(&definition)?;
        watch.points(view, now)?;
        let initial = Condition {
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            at: now,
        };
        Ok(Self {
            arn: format!(
                "arn:aws:cloudwatch:{}:{}:alarm:{}",
                super::REGION,
                super::ACCOUNT,
                definition.alarm_name
            ),
            definition,
            configured: now,
            condition: old.map_or(initial, |old| old.condition.clone()),
            transitioned: old.map_or(now, |old| old.transitioned),
            watch,
        })
    }

    /// Judges the last periods before `now`.
    pub(super) fn evaluate(&mut self, view: &mut View<'_>, now: EpochMillis) -> Option<Transition> {
        let points = match self.watch.points(view, now) {
            Ok(points) => points,
            Err(refusal) => {
                tracing::warn!(
                    alarm = self.definition.alarm_name,
                    reason = refusal.message(),
                    "cannot be evaluated"
                );
                return None;
            }
        };
        let Watch { rule, period, .. } = &self.watch;
        let verdict = rule.evaluate(&points.iter().map(|(_, value)| *value).collect::<Vec<_>>());
        let state = verdict.state.filter(|state| *state != self.condition.state)?;
        let statistic = self.definition.statistic.map(|statistic| statistic.name());
        self.enter(Condition {
            state,
            reason: reason::text(rule, &verdict, &points, self.condition.state),
            reason_data: Some(reason::data(rule, &points, *period, statistic, now)),
            at: now,
        })
    }

    /// Takes another state, until the next evaluation finds otherwise.
    pub(super) fn enter(&mut self, condition: Condition) -> Option<Transition> {
        let before = std::mem::replace(&mut self.condition, condition);
        if before.state == self.condition.state {
            return None;
        }
        self.transitioned = self.condition.at;
        Some(Transition { alarm: self.clone(), before })
    }

    pub(super) const fn rule(&self) -> &Rule {
        &self.watch.rule
    }

    pub(super) const fn period(&self) -> Duration {
        self.watch.period
    }

    pub(super) fn queries(&self) -> &[MetricDataQuery] {
        &self.watch.queries
    }

    /// Where its state is to be told; nowhere if its actions are off.
    pub(super) fn actions(&self) -> &[String] {
        let PutMetricAlarmInput {
            actions_enabled, ok_actions, alarm_actions, insufficient_data_actions, ..
        } = &self.definition;
        match self.condition.state {
            _ if *actions_enabled == Some(false) => &[],
            State::Ok => ok_actions,
            State::Alarm => alarm_actions,
            State::InsufficientData => insufficient_data_actions,
        }
    }
}

impl Watch {
    fn of(definition: &PutMetricAlarmInput) -> Result<Self, Refusal> {
        let name = &definition.alarm_name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(Refusal::validation(format!(
                "AlarmName has {} bytes, not 1 to {NAME_BYTES_MAX}",
                name.len()
            )));
        }
        let PutMetricAlarmInput { ok_actions, alarm_actions, insufficient_data_actions, .. } = definition;
        if [ok_actions, alarm_actions, insufficient_data_actions]
            .iter()
            .any(|actions| actions.len() > ACTIONS_MAX)
        {
            return Err(Refusal::validation(format!(
                "alarm {name}: a state has {ACTIONS_MAX} actions at most"
            )));
        }
        let (queries, watched, period_seconds) =
            if definition.metrics.is_empty() { single(definition)? } else { several(definition)? };
        check_period(period_seconds)?;
        let period = Duration::from_secs(u64::from(period_seconds));
        let rule = rule(definition)?;
        let span = period * u32::try_from(rule.periods).unwrap_or(u32::MAX);
        let span_max = if period < Duration::from_secs(3600) { DAY } else { DAY * 7 };
        if span > span_max {
            let message =
                format!("alarm {name}: its periods are {span:?} long together, more than {span_max:?}");
            return Err(Refusal::validation(message));
        }
        Ok(Self { rule, period, queries, watched })
    }

    /// The periods that end by the last whole minute, oldest first.
    fn points(
        &self,
        view: &mut View<'_>,
        now: EpochMillis,
    ) -> Result<Vec<(EpochMillis, Option<f64>)>, Refusal> {
        let end = EpochMillis(now.0 - now.0 % MINUTE_MILLIS);
        let count = u32::try_from(self.rule.range_periods()).expect("a day of minutes at most");
        let range = end.before(self.period * count)..end;
        let mut start = range.start;
        let series = Queries::new(view, &self.queries, range)?.result(&self.watched)?;
        let points = (0..count).map(|_| {
            let point = (start, series.points.get(&start).copied());
            start = start.after(self.period);
            point
        });
        Ok(points.collect())
    }
}

/// Queries, which of them is compared, and the period of them all in seconds.
type Watched = (Vec<MetricDataQuery>, String, u32);

/// An alarm on one metric, as the query that an alarm on several would have.
fn single(definition: &PutMetricAlarmInput) -> Result<Watched, Refusal> {
    let PutMetricAlarmInput {
        alarm_name, namespace, metric_name, statistic, period, dimensions, unit, ..
    } = definition;
    if let Some(percentile) = &definition.extended_statistic {
        return Err(Refusal::value(format!(
            "alarm {alarm_name}: statistic {percentile:?} is not offered here"
        )));
    }
    let (Some(namespace), Some(metric_name), Some(statistic), Some(period)) =
        (namespace, metric_name, statistic, period)
    else {
        let message =
            format!("alarm {alarm_name}: it needs Namespace, MetricName, Statistic and Period, or Metrics");
        return Err(Refusal::new(RefusalKind::MissingParameter, message));
    };
    let metric = Metric {
        namespace: namespace.clone(),
        metric_name: metric_name.clone(),
        dimensions: dimensions.clone(),
    };
    let stat = statistic.name().to_owned();
    let query = MetricDataQuery {
        id: SINGLE_ID.to_owned(),
        metric_stat: Some(MetricStat { metric, period: *period, stat, unit: unit.clone() }),
        expression: None,
        label: None,
        return_data: Some(true),
        period: None,
    };
    Ok((vec![query], SINGLE_ID.to_owned(), *period))
}

fn several(definition: &PutMetricAlarmInput) -> Result<Watched, Refusal> {
    let PutMetricAlarmInput { alarm_name, metrics, metric_name, .. } = definition;
    if metric_name.is_some() {
        let message = format!("alarm {alarm_name}: it has both MetricName and Metrics");
        return Err(Refusal::new(RefusalKind::InvalidParameterCombination, message));
    }
    let mut returned = metrics.iter().filter(|query| query.is_returned());
    let (Some(watched), None) = (returned.next(), returned.next()) else {
        let message = format!("alarm {alarm_name}: exactly one of its metrics must have ReturnData");
        return Err(Refusal::validation(message));
    };
    let mut periods =
        metrics.iter().filter_map(|query| Some(query.metric_stat.as_ref()?.period)).collect::<Vec<_>>();
    if periods.is_empty() || periods.len() > METRICS_MAX {
        let message = format!("alarm {alarm_name}: it has {} metrics, not 1 to {METRICS_MAX}", periods.len());
        return Err(Refusal::validation(message));
    }
    periods.dedup();
    let [period] = periods[..] else {
        return Err(Refusal::validation(format!("alarm {alarm_name}: its metrics have different periods")));
    };
    Ok((metrics.clone(), watched.id.clone(), period))
}

fn rule(definition: &PutMetricAlarmInput) -> Result<Rule, Refusal> {
    let PutMetricAlarmInput { alarm_name, evaluation_periods, datapoints_to_alarm, .. } = definition;
    let missing =
        |what| Refusal::new(RefusalKind::MissingParameter, format!("alarm {alarm_name}: {what} is missing"));
    let unknown =
        |what, value| Refusal::value(format!("alarm {alarm_name}: {what} {value:?} is not offered here"));
    let periods = evaluation_periods.ok_or_else(|| missing("EvaluationPeriods"))?;
    let breaching_periods = datapoints_to_alarm.unwrap_or(periods);
    if periods == 0 || breaching_periods == 0 || breaching_periods > periods {
        let message =
            format!("alarm {alarm_name}: {breaching_periods} of {periods} periods can never breach");
        return Err(Refusal::validation(message));
    }
    let operator = definition.comparison_operator.as_deref().ok_or_else(|| missing("ComparisonOperator"))?;
    let treated = definition.treat_missing_data.as_deref().unwrap_or(Missing::Unknown.name());
    Ok(Rule {
        periods: periods as usize,
        breaching_periods: breaching_periods as usize,
        comparison: Comparison::parse(operator).ok_or_else(|| unknown("ComparisonOperator", operator))?,
        threshold: definition.threshold.ok_or_else(|| missing("Threshold"))?.0,
        missing: Missing::parse(treated).ok_or_else(|| unknown("TreatMissingData", treated))?,
    })
}

/// The id of the one metric of an alarm that was put without `Metrics`.
const SINGLE_ID: &str = "m1";
const NAME_BYTES_MAX: usize = 255;
const ACTIONS_MAX: usize = 5;
const METRICS_MAX: usize = 10;
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests;
