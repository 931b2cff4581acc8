//! All alarms: PutMetricAlarm, DescribeAlarms, SetAlarmState, DeleteAlarms, and one look at each.

use std::collections::BTreeMap;

use kinesis_model::EpochMillis;
use serde::Serialize;

use super::alarm::{Alarm, Condition, Transition};
use super::evaluate::State;
use super::input::{
    DeleteAlarmsInput, DescribeAlarmsInput, MetricDataQuery, PutMetricAlarmInput, SetAlarmStateInput,
};
use super::metric::{Dimension, Statistic};
use super::protocol::{Number, Refusal, RefusalKind, Time};
use super::query::View;

/// The alarms of one run, by name.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    by_name: BTreeMap<String, Alarm>,
}

impl Alarms {
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Makes an alarm, or replaces the definition of the one that has its name.
    pub(super) fn put(
        &mut self,
        definition: PutMetricAlarmInput,
        view: &mut View<'_>,
        now: EpochMillis,
    ) -> Result<(), Refusal> {
        let old = self.by_name.get(&definition.alarm_name);
        if old.is_none() && self.by_name.len() == ALARMS_MAX {
            let message = format!("there are {ALARMS_MAX} alarms already, which is the limit");
            return Err(Refusal::new(RefusalKind::LimitExceeded, message));
        }
        let alarm = Alarm::put(definition, old, view, now)?;
        self.by_name.insert(alarm.definition.alarm_name.clone(), alarm);
        Ok(())
    }

    /// Judges every alarm by the periods before `now`; those whose state has changed.
    pub(super) fn evaluate(&mut self, view: &mut View<'_>, now: EpochMillis) -> Vec<Transition> {
        self.by_name.values_mut().filter_map(|alarm| alarm.evaluate(view, now)).collect()
    }

    /// Sets a state until the next evaluation finds otherwise.
    pub(super) fn set_state(
        &mut self,
        input: SetAlarmStateInput,
        now: EpochMillis,
    ) -> Result<Option<Transition>, Refusal> {
        let SetAlarmStateInput { alarm_name, state_value, state_reason, state_reason_data } = input;
        let state = State::parse(&state_value).ok_or_else(|| {
            Refusal::value(format!("state {state_value:?}: it must be OK, ALARM or INSUFFICIENT_DATA"))
        })?;
        let alarm = self.by_name.get_mut(&alarm_name).ok_or_else(|| unknown(&alarm_name))?;
        let condition = Condition { state, reason: state_reason, reason_data: state_reason_data, at: now };
        Ok(alarm.enter(condition))
    }

    /// Deletes all of them, or none if one is unknown.
    pub(super) fn delete(&mut self, input: &DeleteAlarmsInput) -> Result<(), Refusal> {
        if let Some(name) = input.alarm_names.iter().find(|name| !self.by_name.contains_key(*name)) {
            return Err(unknown(name));
        }
        self.by_name.retain(|name, _| !input.alarm_names.contains(name));
        Ok(())
    }

    /// One page of those that pass the filters, in the order of their names.
    pub(super) fn describe(&self, input: &DescribeAlarmsInput) -> Result<DescribeAlarmsOutput<'_>, Refusal> {
        let page = input.max_records.unwrap_or(PAGE_MAX) as usize;
        if page == 0 || page > PAGE_MAX as usize {
            return Err(Refusal::value(format!("MaxRecords {page}: it must be 1 to {PAGE_MAX}")));
        }
        let has_metric_alarms =
            input.alarm_types.is_empty() || input.alarm_types.iter().any(|kind| kind == "MetricAlarm");
        let after = input.next_token.as_ref();
        let passing = self.by_name.values().filter(|alarm| {
            has_metric_alarms
                && after.is_none_or(|after| *after < alarm.definition.alarm_name)
                && passes(alarm, input)
        });
        let mut alarms = passing.take(page + 1).map(MetricAlarm::of).collect::<Vec<_>>();
        let has_more = alarms.len() > page;
        alarms.truncate(page);
        let next_token = alarms.last().filter(|_| has_more).map(|alarm| alarm.alarm_name);
        Ok(DescribeAlarmsOutput { composite_alarms: [], metric_alarms: alarms, next_token })
    }
}

fn passes(alarm: &Alarm, input: &DescribeAlarmsInput) -> bool {
    let name = &alarm.definition.alarm_name;
    let PutMetricAlarmInput { ok_actions, alarm_actions, insufficient_data_actions, .. } = &alarm.definition;
    let mut actions = [ok_actions, alarm_actions, insufficient_data_actions].into_iter().flatten();
    (input.alarm_names.is_empty() || input.alarm_names.contains(name))
        && input.alarm_name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix))
        && input.state_value.as_ref().is_none_or(|state| state == alarm.condition.state.name())
        && input.action_prefix.as_ref().is_none_or(|prefix| actions.any(|action| action.starts_with(prefix)))
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(RefusalKind::ResourceNotFound, format!("there is no alarm called {name:?}"))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeAlarmsOutput<'a> {
    composite_alarms: [(); 0],
    metric_alarms: Vec<MetricAlarm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricAlarm<'a> {
    alarm_name: &'a str,
    alarm_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm_description: Option<&'a str>,
    alarm_configuration_updated_timestamp: Time,
    actions_enabled: bool,
    #[serde(rename = "OKActions")]
    ok_actions: &'a [String],
    alarm_actions: &'a [String],
    insufficient_data_actions: &'a [String],
    state_value: State,
    state_reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_data: Option<&'a str>,
    state_updated_timestamp: Time,
    state_transitioned_timestamp: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statistic: Option<Statistic>,
    dimensions: &'a [Dimension],
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    evaluation_periods: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    datapoints_to_alarm: Option<u32>,
    threshold: Number,
    comparison_operator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    treat_missing_data: Option<&'a str>,
    metrics: &'a [MetricDataQuery],
}

impl<'a> MetricAlarm<'a> {
    fn of(alarm: &'a Alarm) -> Self {
        let Alarm { definition, arn, configured, condition, transitioned, .. } = alarm;
        Self {
            alarm_name: &definition.alarm_name,
            alarm_arn: arn,
            alarm_description: definition.alarm_description.as_deref(),
            alarm_configuration_updated_timestamp: Time(*configured),
            actions_enabled: definition.actions_enabled.unwrap_or(true),
            ok_actions: &definition.ok_actions,
            alarm_actions: &definition.alarm_actions,
            insufficient_data_actions: &definition.insufficient_data_actions,
            state_value: condition.state,
            state_reason: &condition.reason,
            state_reason_data: condition.reason_data.as_deref(),
            state_updated_timestamp: Time(condition.at),
            state_transitioned_timestamp: Time(*transitioned),
            metric_name: definition.metric_name.as_deref(),
            namespace: definition.namespace.as_deref(),
            statistic: definition.statistic,
            dimensions: &definition.dimensions,
            period: definition.period,
            unit: definition.unit.as_deref(),
            evaluation_periods: alarm.rule().periods,
            datapoints_to_alarm: definition.datapoints_to_alarm,
            threshold: Number(alarm.rule().threshold),
            comparison_operator: definition.comparison_operator.as_deref(),
            treat_missing_data: definition.treat_missing_data.as_deref(),
            metrics: &definition.metrics,
        }
    }
}

/// As many as an account may have at AWS.
const ALARMS_MAX: usize = 5000;
/// As many as one page of DescribeAlarms may have.
const PAGE_MAX: u32 = 100;
