//! The catalog and the permissions in CloudFormation's YAML, and the parameter file of each stack.
//!
//! CloudFormation neither counts nor calculates, so expressions do the arithmetic in CloudWatch, and the doublings are
//! written out, each under a condition.

use std::fmt::Write;

use serde_json::{Value, json};

use super::AlarmSpec;
use super::alarm::{Alarm, Amount, Audience, Metric, Scope, Setting, Signal};
use super::catalog::{ALARMS, DOUBLINGS_MAX};
use super::permission::{self, Permission, Purpose, Resource};
use super::region::replace;

const CONTROL: &str = include_str!("../../../infra/aws/control.yaml");
const STREAM: &str = include_str!("../../../infra/aws/alarms.yaml");
const CONSUMER: &str = include_str!("../../../infra/aws/consumer.yaml");
const FUNCTION: &str = include_str!("../../../infra/aws/lambda.yaml");

/// The stacks by file name, in the order in which they are deployed.
pub(super) fn templates() -> Vec<(&'static str, String)> {
    let alarms = |scopes: &[Scope]| {
        ALARMS.iter().filter(|alarm| scopes.contains(&alarm.scope)).map(alarm_resources).collect::<String>()
    };
    let statements = |purpose| permission::needed_to(purpose).map(statement).collect::<String>();
    let control = replace(CONTROL, "alarms", &alarms(&[Scope::WakeQueue, Scope::DeadLetters]));
    let control = replace(&control, "observe", &statements(Purpose::Observe));
    let control = replace(&control, "apply", &statements(Purpose::Apply));
    let control = replace(&control, "tell", &statements(Purpose::Tell));
    vec![
        ("control.yaml", control),
        ("alarms.yaml", replace(STREAM, "alarms", &alarms(&[Scope::Stream, Scope::Doubling]))),
        ("consumer.yaml", replace(CONSUMER, "alarms", &alarms(&[Scope::Consumer]))),
        ("lambda.yaml", replace(FUNCTION, "alarms", &alarms(&[Scope::Function]))),
    ]
}

/// One file for each stack of a stream, as `create-stack --parameters file://` and `deploy --parameter-overrides` take it.
pub(super) fn parameters(spec: &AlarmSpec) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for stream in spec.streams() {
        let common = [
            ("Deployment", spec.deployment().to_owned()),
            ("StreamName", stream.stream.clone()),
            ("LagMaxMilliseconds", stream.lag_max.as_millis().to_string()),
        ];
        let own = [
            ("ShardsMin", stream.shards.0.to_string()),
            ("ShardsMax", stream.shards.1.to_string()),
            ("GrowAbove", stream.grow_above.to_string()),
            ("RetentionHours", (stream.retention.as_secs() / 3600).to_string()),
            ("WriteBytesPerSecond", stream.limits.write_bytes_per_second.to_string()),
            ("WriteRecordsPerSecond", stream.limits.write_records_per_second.to_string()),
            ("Doublings", stream.doublings().to_string()),
        ];
        let name = &stream.stream;
        files.push((format!("{name}.alarms.json"), parameter_file(common.iter().chain(&own))));
        for consumer in &stream.consumers {
            let own = [("ConsumerName", consumer.clone())];
            files.push((
                format!("{name}.{consumer}.consumer.json"),
                parameter_file(common.iter().chain(&own)),
            ));
        }
    }
    files
}

fn parameter_file<'a>(values: impl Iterator<Item = &'a (&'static str, String)>) -> String {
    let entry = |(name, value): &(&str, String)| json!({ "ParameterKey": name, "ParameterValue": value });
    let list: Vec<Value> = values.map(entry).collect();
    format!("{:#}\n", Value::Array(list))
}

fn alarm_resources(alarm: &Alarm) -> String {
    match alarm.scope {
        Scope::Doubling => {
            (1..=DOUBLINGS_MAX).map(|doubling| alarm_resource(alarm, Some(doubling))).collect()
        }
        Scope::Stream | Scope::Consumer | Scope::WakeQueue | Scope::DeadLetters | Scope::Function => {
            alarm_resource(alarm, None)
        }
    }
}

fn alarm_resource(alarm: &Alarm, doubling: Option<u32>) -> String {
    let fill = |text: &str| Setting::fill(text, |setting| reference(setting, doubling));
    let title = alarm.pascal_case();
    let place = match alarm.scope {
        Scope::Stream => format!("/${{StreamName}}/{}", alarm.kind),
        Scope::Doubling => {
            format!("/${{StreamName}}/{}-x{}", alarm.kind, reference(Setting::Factor, doubling))
        }
        Scope::Consumer => format!("/${{StreamName}}/{}/${{ConsumerName}}", alarm.kind),
        Scope::WakeQueue | Scope::DeadLetters | Scope::Function => format!("/{}", alarm.kind),
    };
    let mut text = String::new();
    let mut line = |indent: usize, content: &str| {
        writeln!(text, "{:indent$}{content}", "").expect("a string takes every text");
    };
    match doubling {
        Some(doubling) => {
            line(2, &format!("{title}{doubling}:"));
            line(4, "Type: AWS::CloudWatch::Alarm");
            line(4, &format!("Condition: Doubling{doubling}"));
        }
        None => {
            line(2, &format!("{title}:"));
            line(4, "Type: AWS::CloudWatch::Alarm");
        }
    }
    line(4, "Properties:");
    line(6, &format!("AlarmName: !Sub ${{Deployment}}/{}{place}", alarm.audience.name()));
    let description = fill(alarm.description);
    line(6, if description.contains("${") { "AlarmDescription: !Sub >-" } else { "AlarmDescription: >-" });
    for part in wrap(&description, DESCRIPTION_COLUMNS) {
        line(8, &part);
    }
    line(6, &format!("ComparisonOperator: {}", alarm.comparison.operator()));
    match alarm.threshold {
        Amount::Number(number) => line(6, &format!("Threshold: {number}")),
        Amount::Setting(setting) => line(6, &format!("Threshold: !Ref {}", parameter(setting))),
    }
    line(6, &format!("EvaluationPeriods: {}", alarm.periods));
    line(6, &format!("DatapointsToAlarm: {}", alarm.breaching_periods));
    line(6, &format!("TreatMissingData: {}", alarm.missing.name()));
    match alarm.signal {
        Signal::Metric(metric) => {
            line(6, &format!("Namespace: {}", metric.namespace));
            line(6, &format!("MetricName: {}", metric.name));
            line(6, &format!("Statistic: {}", metric.statistic));
            line(6, &format!("Period: {}", alarm.period_seconds));
            line(6, "Dimensions:");
            for dimension in dimensions(alarm.scope) {
                line(8, dimension);
            }
        }
        Signal::Expression { metrics, text, label } => {
            line(6, "Metrics:");
            line(8, "- Id: share");
            line(10, &format!("Label: {label}"));
            line(10, &format!("Expression: !Sub {}", fill(text)));
            line(10, "ReturnData: true");
            for &(id, Metric { namespace, name, statistic }) in metrics {
                line(8, &format!("- Id: {id}"));
                line(10, "ReturnData: false");
                line(10, "MetricStat:");
                line(12, &format!("Stat: {statistic}"));
                line(12, &format!("Period: {}", alarm.period_seconds));
                line(12, "Metric:");
                line(14, &format!("Namespace: {namespace}"));
                line(14, &format!("MetricName: {name}"));
                line(14, "Dimensions:");
                for dimension in dimensions(alarm.scope) {
                    line(16, dimension);
                }
            }
        }
    }
    for action in ["AlarmActions", "OKActions"] {
        line(6, &format!("{action}:"));
        for part in topic(alarm) {
            line(8, part);
        }
    }
    text
}

fn topic(alarm: &Alarm) -> &'static [&'static str] {
    match (alarm.audience, alarm.scope) {
        (_, Scope::WakeQueue | Scope::DeadLetters) => &["- !Ref OperatorsTopic"],
        (Audience::Wake, _) => &[
            "- !If",
            "  - WakesFunction",
            "  - !Ref WakeFunctionArn",
            "  - Fn::ImportValue: !Sub ${Deployment}-wake-topic",
        ],
        (Audience::Tell, _) => &["- Fn::ImportValue: !Sub ${Deployment}-operators-topic"],
    }
}

fn dimensions(scope: Scope) -> &'static [&'static str] {
    const STREAM: &str = "- { Name: StreamName, Value: !Ref StreamName }";
    match scope {
        Scope::Stream | Scope::Doubling => &[STREAM],
        Scope::Consumer => &[STREAM, "- { Name: ConsumerName, Value: !Ref ConsumerName }"],
        Scope::WakeQueue => &["- { Name: QueueName, Value: !GetAtt WakeQueue.QueueName }"],
        Scope::DeadLetters => &["- { Name: QueueName, Value: !GetAtt DeadLetterQueue.QueueName }"],
        Scope::Function => &["- { Name: FunctionName, Value: !Ref Function }"],
    }
}

fn reference(setting: Setting, doubling: Option<u32>) -> String {
    match (setting, doubling) {
        (Setting::Factor, Some(doubling)) => (1_u32 << doubling).to_string(),
        _ => format!("${{{}}}", parameter(setting)),
    }
}

const fn parameter(setting: Setting) -> &'static str {
    match setting {
        Setting::Stream => "StreamName",
        Setting::ShardsMin => "ShardsMin",
        Setting::ShardsMax => "ShardsMax",
        Setting::GrowAbove => "GrowAbove",
        Setting::LagMaxMilliseconds => "LagMaxMilliseconds",
        Setting::RetentionHours => "RetentionHours",
        Setting::WriteBytesPerSecond => "WriteBytesPerSecond",
        Setting::WriteRecordsPerSecond => "WriteRecordsPerSecond",
        Setting::Consumer => "ConsumerName",
        Setting::Factor => "Factor",
    }
}

fn statement(permission: &Permission) -> String {
    let (condition, resource) = match permission.on {
        Resource::Streams => (None, "!Ref StreamArns"),
        Resource::Any => (None, "'*'"),
        Resource::JournalTable => (
            None,
            "!If [MakesTable, !GetAtt JournalTable.Arn, !Sub \
             'arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${JournalTableName}']",
        ),
        Resource::AuditTable => (None, "!GetAtt AuditTable.Arn"),
        Resource::ReaderTables => (Some("HasReaderTables"), "!Ref ReaderTableArns"),
        Resource::TelemetryTables => (None, "!Ref TelemetryTableArns"),
        Resource::WakeQueue => (None, "!GetAtt WakeQueue.Arn"),
        Resource::Key => (Some("HasKey"), "!Ref KmsKeyArn"),
    };
    let mut text = String::new();
    let indent = if condition.is_some() { 14 } else { 12 };
    let mut line = |indent: usize, content: &str| {
        writeln!(text, "{:indent$}{content}", "").expect("a string takes every text");
    };
    match condition {
        Some(condition) => {
            line(10, "- Fn::If:");
            line(14, &format!("- {condition}"));
            line(14, &format!("- Sid: {}", permission.name));
        }
        None => line(10, &format!("- Sid: {}", permission.name)),
    }
    let indent = if condition.is_some() { indent + 2 } else { indent };
    line(indent, "Effect: Allow");
    line(indent, "Action:");
    for action in permission.actions {
        line(indent + 2, &format!("- {action}"));
    }
    line(indent, &format!("Resource: {resource}"));
    if let Some(condition) = permission.condition {
        line(indent, "Condition:");
        line(indent + 2, "StringEquals:");
        line(indent + 4, &format!("{}: {}", condition.key, condition.equals));
    }
    if condition.is_some() {
        line(14, "- !Ref AWS::NoValue");
    }
    text
}

/// Lines of at most `columns` characters where words allow it.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

const DESCRIPTION_COLUMNS: usize = 110;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn parameters_are_numbers_without_an_exponent() {
        let spec = AlarmSpec::default().with_stream("orders", &Policy::default()).unwrap();
        let files = parameters(&spec);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].0, "orders.alarms.json");
        let list: Vec<Value> = serde_json::from_str(&files[0].1).unwrap();
        let value = |key: &str| {
            let entry = list.iter().find(|entry| entry["ParameterKey"] == key).unwrap();
            entry["ParameterValue"].as_str().unwrap().to_owned()
        };
        assert_eq!(value("WriteBytesPerSecond"), "1000000");
        assert_eq!(value("GrowAbove"), "0.8");
        assert_eq!(value("LagMaxMilliseconds"), "300000");
        assert_eq!(value("Doublings"), "6");
    }

    #[test]
    fn expressions_name_parameters_and_factors() {
        let alarm = ALARMS.iter().find(|alarm| alarm.scope == Scope::Doubling).unwrap();
        let text = alarm_resource(alarm, Some(3));
        assert!(text.contains("bytes / (60 * ${WriteBytesPerSecond} * ${ShardsMin} * 8)"), "{text}");
        assert!(text.contains("Condition: Doubling3"));
        assert!(!text.contains("Factor"));
    }
}
