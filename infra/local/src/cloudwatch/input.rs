//! What the operations are given, member by member as the API names them. Members that change nothing here are skipped.

use kinesis_model::EpochMillis;
use serde::{Deserialize, Serialize};

use super::metric::{Dimension, Statistic};
use super::protocol::{Number, Time};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMetricDataInput {
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) metric_data: Vec<MetricDatum>,
    #[serde(default)]
    pub(super) entity_metric_data: Vec<EntityMetricData>,
}

/// Data of one entity; the entity itself is a label of the console.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EntityMetricData {
    #[serde(default)]
    pub(super) metric_data: Vec<MetricDatum>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricDatum {
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
    pub(super) timestamp: Option<Time>,
    pub(super) value: Option<Number>,
    pub(super) statistic_values: Option<StatisticSet>,
    #[serde(default)]
    pub(super) values: Vec<Number>,
    #[serde(default)]
    pub(super) counts: Vec<Number>,
    pub(super) unit: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StatisticSet {
    pub(super) sample_count: Number,
    pub(super) sum: Number,
    pub(super) minimum: Number,
    pub(super) maximum: Number,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricDataInput {
    pub(super) metric_data_queries: Vec<MetricDataQuery>,
    pub(super) start_time: Time,
    pub(super) end_time: Time,
    pub(super) next_token: Option<String>,
    pub(super) scan_by: Option<ScanBy>,
    pub(super) max_datapoints: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ScanBy {
    TimestampAscending,
    TimestampDescending,
}

/// A series that is asked for, or that an alarm watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricDataQuery {
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metric_stat: Option<MetricStat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) return_data: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) period: Option<u32>,
}

impl MetricDataQuery {
    /// Whether its result is wanted, and not only its use in others.
    pub(super) fn is_returned(&self) -> bool {
        self.return_data.unwrap_or(true)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MetricStat {
    pub(super) metric: Metric,
    pub(super) period: u32,
    pub(super) stat: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Metric {
    pub(super) namespace: String,
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetMetricStatisticsInput {
    pub(super) namespace: String,
    pub(super) metric_name: String,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
    pub(super) start_time: Time,
    pub(super) end_time: Time,
    pub(super) period: u32,
    #[serde(default)]
    pub(super) statistics: Vec<Statistic>,
    #[serde(default)]
    pub(super) extended_statistics: Vec<String>,
    pub(super) unit: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListMetricsInput {
    pub(super) namespace: Option<String>,
    pub(super) metric_name: Option<String>,
    pub(super) dimensions: Vec<DimensionFilter>,
    pub(super) next_token: Option<String>,
    pub(super) recently_active: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DimensionFilter {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// An alarm as it was put, kept as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutMetricAlarmInput {
    pub(super) alarm_name: String,
    pub(super) alarm_description: Option<String>,
    pub(super) actions_enabled: Option<bool>,
    #[serde(rename = "OKActions", default)]
    pub(super) ok_actions: Vec<String>,
    #[serde(default)]
    pub(super) alarm_actions: Vec<String>,
    #[serde(default)]
    pub(super) insufficient_data_actions: Vec<String>,
    pub(super) metric_name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) statistic: Option<Statistic>,
    pub(super) extended_statistic: Option<String>,
    #[serde(default)]
    pub(super) dimensions: Vec<Dimension>,
    pub(super) period: Option<u32>,
    pub(super) unit: Option<String>,
    pub(super) evaluation_periods: Option<u32>,
    pub(super) datapoints_to_alarm: Option<u32>,
    pub(super) threshold: Option<Number>,
    pub(super) comparison_operator: Option<String>,
    pub(super) treat_missing_data: Option<String>,
    #[serde(default)]
    pub(super) metrics: Vec<MetricDataQuery>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DescribeAlarmsInput {
    pub(super) alarm_names: Vec<String>,
    pub(super) alarm_name_prefix: Option<String>,
    pub(super) alarm_types: Vec<String>,
    pub(super) state_value: Option<String>,
    pub(super) action_prefix: Option<String>,
    pub(super) max_records: Option<u32>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetAlarmStateInput {
    pub(super) alarm_name: String,
    pub(super) state_value: String,
    pub(super) state_reason: String,
    pub(super) state_reason_data: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteAlarmsInput {
    pub(super) alarm_names: Vec<String>,
}

impl Time {
    pub(super) const fn millis(self) -> EpochMillis {
        self.0
    }
}
