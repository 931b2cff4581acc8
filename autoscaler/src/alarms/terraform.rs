//! The catalog and the permissions as a Terraform module, and its variables.

use std::fmt::Write;

use serde_json::{Value, json};

use super::AlarmSpec;
use super::alarm::{Alarm, Amount, Audience, Metric, Scope, Setting, Signal};
use super::catalog::ALARMS;
use super::permission::{self, Permission, Purpose, Resource};
use super::region::replace;

const ALARMS_FILE: &str = include_str!("../../../infra/terraform/alarms.tf");
const PERMISSIONS_FILE: &str = include_str!("../../../infra/terraform/permissions.tf");
const FIXED: [(&str, &str); 8] = [
    ("audit.tf", include_str!("../../../infra/terraform/audit.tf")),
    ("journal.tf", include_str!("../../../infra/terraform/journal.tf")),
    ("lambda.tf", include_str!("../../../infra/terraform/lambda.tf")),
    ("locals.tf", include_str!("../../../infra/terraform/locals.tf")),
    ("outputs.tf", include_str!("../../../infra/terraform/outputs.tf")),
    ("variables.tf", include_str!("../../../infra/terraform/variables.tf")),
    ("versions.tf", include_str!("../../../infra/terraform/versions.tf")),
    ("wake.tf", include_str!("../../../infra/terraform/wake.tf")),
];

/// The files of the module.
pub(super) fn templates() -> Vec<(&'static str, String)> {
    let alarms: Vec<_> = ALARMS.iter().map(alarm_resource).collect();
    let statements = |purpose| permission::needed_to(purpose).map(statement).collect::<Vec<_>>().join("\n");
    let permissions = replace(PERMISSIONS_FILE, "observe", &statements(Purpose::Observe));
    let permissions = replace(&permissions, "tell", &statements(Purpose::Tell));
    let mut files = vec![
        ("alarms.tf", replace(ALARMS_FILE, "alarms", &alarms.join("\n"))),
        ("permissions.tf", replace(&permissions, "apply", &statements(Purpose::Apply))),
    ];
    files.extend(FIXED.map(|(name, text)| (name, text.to_owned())));
    files
}

/// A file that Terraform reads by itself.
pub(super) fn variables(spec: &AlarmSpec) -> Vec<(String, String)> {
    if spec.streams().is_empty() {
        return Vec::new();
    }
    let streams = spec.streams().iter().map(|stream| {
        let values = json!({
            "shards_min": stream.shards.0,
            "shards_max": stream.shards.1,
            "grow_above": stream.grow_above,
            "lag_max_seconds": stream.lag_max.as_secs_f64(),
            "retention_hours": stream.retention.as_secs() / 3600,
            "doublings": stream.doublings(),
            "consumers": stream.consumers,
            "write_bytes_per_second": stream.limits.write_bytes_per_second,
            "write_records_per_second": stream.limits.write_records_per_second,
        });
        (stream.stream.clone(), values)
    });
    let variables = json!({ "deployment": spec.deployment(), "streams": Value::Object(streams.collect()) });
    vec![("leasehold.auto.tfvars.json".to_owned(), format!("{variables:#}\n"))]
}

fn alarm_resource(alarm: &Alarm) -> String {
    let fill =
        |text: &str| quoted(&Setting::fill(text, |setting| format!("${{each.value.{}}}", setting.name())));
    let each = |map: &str| Item::argument("for_each", format!("local.{map}"));
    let (repeat, place) = match alarm.scope {
        Scope::Stream => (vec![each("streams")], format!("/${{each.value.stream}}/{}", alarm.kind)),
        Scope::Doubling => (
            vec![each("doublings")],
            format!("/${{each.value.stream}}/{}-x${{each.value.factor}}", alarm.kind),
        ),
        Scope::Consumer => (
            vec![each("consumers")],
            format!("/${{each.value.stream}}/{}/${{each.value.consumer}}", alarm.kind),
        ),
        Scope::Function => {
            (vec![Item::argument("count", "local.has_function ? 1 : 0")], format!("/{}", alarm.kind))
        }
        Scope::WakeQueue | Scope::DeadLetters => (Vec::new(), format!("/{}", alarm.kind)),
    };
    let threshold = match alarm.threshold {
        Amount::Number(number) => number.to_owned(),
        Amount::Setting(setting) => format!("each.value.{}", setting.name()),
    };
    let mut items = repeat;
    if !items.is_empty() {
        items.push(Item::Gap);
    }
    items.extend([
        Item::argument("alarm_name", format!("\"${{var.deployment}}/{}{place}\"", alarm.audience.name())),
        Item::argument("alarm_description", fill(alarm.description)),
        Item::argument("comparison_operator", quoted(alarm.comparison.operator())),
        Item::argument("threshold", threshold),
        Item::argument("evaluation_periods", alarm.periods),
        Item::argument("datapoints_to_alarm", alarm.breaching_periods),
        Item::argument("treat_missing_data", quoted(alarm.missing.name())),
    ]);
    let recipients = match alarm.audience {
        Audience::Wake => "local.wake_actions",
        Audience::Tell => "local.tell_actions",
    };
    items.extend(["alarm_actions", "ok_actions"].map(|action| Item::argument(action, recipients)));
    items.push(Item::argument("tags", "var.tags"));
    items.push(Item::Gap);
    match alarm.signal {
        Signal::Metric(metric) => items.extend(metric_arguments(alarm, metric, "statistic")),
        Signal::Expression { metrics, text, label } => {
            items.push(Item::Block(
                "metric_query",
                vec![
                    Item::argument("id", quoted("share")),
                    Item::argument("label", quoted(label)),
                    Item::argument("expression", fill(text)),
                    Item::argument("return_data", true),
                ],
            ));
            for &(id, metric) in metrics {
                items.push(Item::Block(
                    "metric_query",
                    vec![
                        Item::argument("id", quoted(id)),
                        Item::argument("return_data", false),
                        Item::Gap,
                        Item::Block("metric", metric_arguments(alarm, metric, "stat")),
                    ],
                ));
            }
        }
    }
    let mut text = format!("resource \"aws_cloudwatch_metric_alarm\" {} {{\n", quoted(&alarm.snake_case()));
    write_items(&mut text, 2, &items);
    text + "}\n"
}

fn metric_arguments(alarm: &Alarm, metric: Metric, statistic: &'static str) -> Vec<Item> {
    let dimensions = match alarm.scope {
        Scope::Stream | Scope::Doubling => "{ StreamName = each.value.stream }",
        Scope::Consumer => "{ StreamName = each.value.stream, ConsumerName = each.value.consumer }",
        Scope::WakeQueue => "{ QueueName = aws_sqs_queue.wake.name }",
        Scope::DeadLetters => "{ QueueName = aws_sqs_queue.dead_letters.name }",
        Scope::Function => "{ FunctionName = aws_lambda_function.autoscaler[0].function_name }",
    };
    vec![
        Item::argument("namespace", quoted(metric.namespace)),
        Item::argument("metric_name", quoted(metric.name)),
        Item::argument(statistic, quoted(metric.statistic)),
        Item::argument("period", alarm.period_seconds),
        Item::argument("dimensions", dimensions),
    ]
}

fn statement(permission: &Permission) -> String {
    let (only_for, resources) = match permission.on {
        Resource::Streams => (
            None,
            "[for name in keys(var.streams) : \
             \"arn:${local.partition}:kinesis:${local.region}:${local.account}:stream/${name}\"]",
        ),
        Resource::Any => (None, "[\"*\"]"),
        Resource::JournalTable => (None, "[\"${local.table_arns}/${local.journal_table}\"]"),
        Resource::AuditTable => (None, "[aws_dynamodb_table.audit.arn]"),
        Resource::TelemetryTables => {
            (None, "[for name in var.telemetry_table_names : \"${local.table_arns}/${name}\"]")
        }
        Resource::ReaderTables => (
            Some("length(local.reader_tables) > 0 ? [1] : []"),
            "[for name in local.reader_tables : \"${local.table_arns}/${name}\"]",
        ),
        Resource::WakeQueue => (None, "[aws_sqs_queue.wake.arn]"),
        Resource::Key => (Some("var.kms_key_arn == null ? [] : [1]"), "[var.kms_key_arn]"),
    };
    let actions: Vec<_> = permission.actions.iter().map(|action| quoted(action)).collect();
    let mut items = vec![
        Item::argument("sid", quoted(permission.name)),
        Item::argument("actions", format!("[{}]", actions.join(", "))),
        Item::argument("resources", resources),
    ];
    if let Some(condition) = permission.condition {
        items.push(Item::Gap);
        items.push(Item::Block(
            "condition",
            vec![
                Item::argument("test", quoted("StringEquals")),
                Item::argument("variable", quoted(condition.key)),
                Item::argument("values", format!("[{}]", quoted(condition.equals))),
            ],
        ));
    }
    let block = match only_for {
        None => Item::Block("statement", items),
        Some(only_for) => Item::Block(
            "dynamic \"statement\"",
            vec![Item::argument("for_each", only_for), Item::Gap, Item::Block("content", items)],
        ),
    };
    let mut text = String::new();
    write_items(&mut text, 2, &[block]);
    text
}

/// A part of a block's body, laid out as `terraform fmt` does.
#[derive(Clone, Debug)]
enum Item {
    Argument(&'static str, String),
    Block(&'static str, Vec<Item>),
    /// An empty line, which ends the alignment of arguments.
    Gap,
}

impl Item {
    fn argument(name: &'static str, value: impl ToString) -> Self {
        Self::Argument(name, value.to_string())
    }
}

fn write_items(text: &mut String, indent: usize, items: &[Item]) {
    for run in items.split_inclusive(|item| matches!(item, Item::Gap)) {
        let width = run.iter().filter_map(|item| match item {
            Item::Argument(name, _) => Some(name.len()),
            Item::Block(..) | Item::Gap => None,
        });
        let width = width.max().unwrap_or(0);
        for item in run {
            match item {
                Item::Argument(name, value) => writeln!(text, "{:indent$}{name:width$} = {value}", ""),
                Item::Block(header, items) => {
                    text.push_str(&format!("{:indent$}{header} {{\n", ""));
                    write_items(text, indent + 2, items);
                    writeln!(text, "{:indent$}}}", "")
                }
                Item::Gap => writeln!(text),
            }
            .expect("a string takes every text");
        }
    }
}

/// A string of HCL. What it may contain is known, so nothing but the quotes needs care.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    #[test]
    fn variables_are_what_the_module_declares() {
        let spec = AlarmSpec::default().with_stream("orders", &Policy::default()).unwrap();
        let files = variables(&spec);
        let values: Value = serde_json::from_str(&files[0].1).unwrap();
        let declared = FIXED.iter().find(|(name, _)| *name == "variables.tf").unwrap().1;
        for (name, _) in values["streams"]["orders"].as_object().unwrap() {
            assert!(declared.contains(&format!("    {name} ")), "{name}");
        }
        assert_eq!(values["streams"]["orders"]["lag_max_seconds"], 300.0);
    }

    #[test]
    fn arguments_are_aligned_up_to_a_gap() {
        let mut text = String::new();
        let inner = vec![Item::argument("id", quoted("a"))];
        write_items(
            &mut text,
            2,
            &[
                Item::argument("count", 1),
                Item::Gap,
                Item::argument("a", 2),
                Item::argument("long", 3),
                Item::Block("metric", inner),
            ],
        );
        assert_eq!(text, "  count = 1\n\n  a    = 2\n  long = 3\n  metric {\n    id = \"a\"\n  }\n");
    }
}
