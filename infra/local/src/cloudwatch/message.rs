//! A transition as others are told of it: the JSON in an SNS message, and the event of EventBridge.
//!
//! The two differ where one would not think so: SNS has PascalCase, dimensions as a list of `{value, name}` and the
//! region's long name; EventBridge has camelCase, dimensions as a map and the region's code. Receivers depend on that.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::alarm::{Condition, Transition};
use super::input::{Metric, MetricDataQuery, MetricStat};
use super::metric::{Dimension, Statistic};
use super::reason::{stamp, whole_second};
use super::{ACCOUNT, REGION, REGION_NAME};

/// The subject of the message.
pub(super) fn subject(transition: &Transition) -> String {
    let name = &transition.alarm.definition.alarm_name;
    format!("{}: {name:?} in {REGION_NAME}", transition.alarm.condition.state.name())
}

/// The message that goes to an SNS topic.
pub(super) fn notification(transition: &Transition) -> String {
    let Transition { alarm, before } = transition;
    let definition = &alarm.definition;
    let notification = Notification {
        alarm_name: &definition.alarm_name,
        alarm_description: definition.alarm_description.as_deref(),
        account: ACCOUNT,
        alarm_configuration_updated_timestamp: stamp(alarm.configured),
        new_state_value: alarm.condition.state.name(),
        new_state_reason: &alarm.condition.reason,
        state_change_time: stamp(alarm.condition.at),
        region: REGION_NAME,
        alarm_arn: &alarm.arn,
        old_state_value: before.state.name(),
        ok_actions: &definition.ok_actions,
        alarm_actions: &definition.alarm_actions,
        insufficient_data_actions: &definition.insufficient_data_actions,
        trigger: Trigger {
            watched: Watched::of(transition),
            period: alarm.period().as_secs(),
            evaluation_periods: alarm.rule().periods,
            datapoints_to_alarm: alarm.rule().breaching_periods,
            comparison_operator: definition.comparison_operator.as_deref(),
            threshold: alarm.rule().threshold,
            treat_missing_data: format!("- TreatMissingData:{:20}{}", "", alarm.rule().missing.name()),
            evaluate_low_sample_count_percentile: "",
        },
    };
    serde_json::to_string(&notification).expect("text keys only")
}

/// The event that goes to EventBridge.
pub(super) fn event(transition: &Transition) -> String {
    let Transition { alarm, before } = transition;
    let mut configuration = json!({ "metrics": alarm.queries().iter().map(metric).collect::<Vec<_>>() });
    if let Some(description) = &alarm.definition.alarm_description {
        configuration["description"] = description.as_str().into();
    }
    let event = json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": ACCOUNT,
        "time": whole_second(alarm.condition.at),
        "region": REGION,
        "resources": [alarm.arn],
        "detail": {
            "alarmName": alarm.definition.alarm_name,
            "configuration": configuration,
            "previousState": condition(before),
            "state": condition(&alarm.condition),
        },
    });
    event.to_string()
}

fn condition(condition: &Condition) -> serde_json::Value {
    let Condition { state, reason, reason_data, at } = condition;
    let mut json = json!({ "reason": reason, "timestamp": stamp(*at), "value": state.name() });
    if let Some(data) = reason_data {
        json["reasonData"] = data.as_str().into();
    }
    json
}

fn metric(query: &MetricDataQuery) -> serde_json::Value {
    let mut json = json!({ "id": query.id, "returnData": query.is_returned() });
    if let Some(expression) = &query.expression {
        json["expression"] = expression.as_str().into();
    }
    if let Some(label) = &query.label {
        json["label"] = label.as_str().into();
    }
    if let Some(MetricStat { metric, period, stat, unit }) = &query.metric_stat {
        let Metric { namespace, metric_name, dimensions } = metric;
        let dimensions = dimensions.iter().map(|Dimension { name, value }| (name, value));
        let dimensions = dimensions.collect::<BTreeMap<_, _>>();
        let metric = json!({ "namespace": namespace, "name": metric_name, "dimensions": dimensions });
        json["metricStat"] = json!({ "metric": metric, "period": period, "stat": stat });
        if let Some(unit) = unit {
            json["metricStat"]["unit"] = unit.as_str().into();
        }
    }
    json
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Notification<'a> {
    alarm_name: &'a str,
    alarm_description: Option<&'a str>,
    #[serde(rename = "AWSAccountId")]
    account: &'a str,
    alarm_configuration_updated_timestamp: String,
    new_state_value: &'a str,
    new_state_reason: &'a str,
    state_change_time: String,
    region: &'a str,
    alarm_arn: &'a str,
    old_state_value: &'a str,
    #[serde(rename = "OKActions")]
    ok_actions: &'a [String],
    alarm_actions: &'a [String],
    insufficient_data_actions: &'a [String],
    trigger: Trigger<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Trigger<'a> {
    #[serde(flatten)]
    watched: Watched<'a>,
    period: u64,
    evaluation_periods: usize,
    datapoints_to_alarm: usize,
    comparison_operator: Option<&'a str>,
    threshold: f64,
    treat_missing_data: String,
    evaluate_low_sample_count_percentile: &'a str,
}

/// An alarm on one metric names it where an alarm on several has their list.
#[derive(Serialize)]
#[serde(untagged)]
enum Watched<'a> {
    #[serde(rename_all = "PascalCase")]
    Single {
        metric_name: Option<&'a str>,
        namespace: Option<&'a str>,
        statistic_type: &'a str,
        statistic: Option<&'a str>,
        unit: Option<&'a str>,
        dimensions: Vec<ListedDimension<'a>>,
    },
    #[serde(rename_all = "PascalCase")]
    Several { metrics: Vec<ListedQuery<'a>> },
}

impl<'a> Watched<'a> {
    fn of(transition: &'a Transition) -> Self {
        let definition = &transition.alarm.definition;
        if definition.metrics.is_empty() {
            Self::Single {
                metric_name: definition.metric_name.as_deref(),
                namespace: definition.namespace.as_deref(),
                statistic_type: "Statistic",
                statistic: definition.statistic.map(upper_case),
                unit: definition.unit.as_deref(),
                dimensions: listed(&definition.dimensions),
            }
        } else {
            Self::Several { metrics: definition.metrics.iter().map(ListedQuery::of).collect() }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<&'a str>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_stat: Option<ListedStat<'a>>,
    return_data: bool,
}

impl<'a> ListedQuery<'a> {
    fn of(query: &'a MetricDataQuery) -> Self {
        Self {
            expression: query.expression.as_deref(),
            id: &query.id,
            label: query.label.as_deref(),
            metric_stat: query.metric_stat.as_ref().map(|stat| ListedStat {
                metric: ListedMetric {
                    dimensions: listed(&stat.metric.dimensions),
                    metric_name: &stat.metric.metric_name,
                    namespace: &stat.metric.namespace,
                },
                period: stat.period,
                stat: &stat.stat,
            }),
            return_data: query.is_returned(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedStat<'a> {
    metric: ListedMetric<'a>,
    period: u32,
    stat: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedMetric<'a> {
    dimensions: Vec<ListedDimension<'a>>,
    metric_name: &'a str,
    namespace: &'a str,
}

#[derive(Serialize)]
struct ListedDimension<'a> {
    value: &'a str,
    name: &'a str,
}

fn listed(dimensions: &[Dimension]) -> Vec<ListedDimension<'_>> {
    dimensions.iter().map(|Dimension { name, value }| ListedDimension { value, name }).collect()
}

const fn upper_case(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::Average => "AVERAGE",
        Statistic::Maximum => "MAXIMUM",
        Statistic::Minimum => "MINIMUM",
        Statistic::SampleCount => "SAMPLE_COUNT",
        Statistic::Sum => "SUM",
    }
}

#[cfg(test)]
mod tests;
