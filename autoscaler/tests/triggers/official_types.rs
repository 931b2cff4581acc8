//! The fixtures have the shape that AWS's own types describe, so that accepting them means something.

use aws_lambda_events::event::cloudwatch_alarms::{CloudWatchAlarm, CloudWatchAlarmData};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::sns::{CloudWatchAlarmPayload, SnsEvent, SnsEventObj};
use aws_lambda_events::event::sqs::SqsEvent;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fixture;

fn parse<T: DeserializeOwned>(path: &str) -> T {
    serde_json::from_slice(&fixture::read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn notifications_are_those_of_sns() {
    for path in fixture::list("accepted/sns-to-lambda") {
        assert_eq!(parse::<SnsEvent>(&path).records.len(), 1, "{path}");
        let has_description = path.ends_with("single-metric.json");
        if has_description {
            let event: SnsEventObj<CloudWatchAlarmPayload> = parse(&path);
            let alarm = &event.records[0].sns.message;
            assert_eq!(alarm.trigger.namespace.as_deref(), Some("AWS/Kinesis"));
            assert_eq!(alarm.trigger.dimensions[0].value, "clicks");
        }
    }
}

#[test]
fn events_are_those_of_eventbridge() {
    for path in fixture::list("accepted/eventbridge") {
        let event: EventBridgeEvent<CloudWatchAlarmData<Value, Value>> = parse(&path);
        assert_eq!(
            (event.source.as_str(), event.detail_type.as_str()),
            ("aws.cloudwatch", "CloudWatch Alarm State Change")
        );
        assert!(event.resources.expect("resources")[0].ends_with(&event.detail.alarm_name), "{path}");
    }
}

#[test]
fn lambda_actions_are_those_of_cloudwatch() {
    for path in fixture::list("accepted/lambda-action") {
        let alarm: CloudWatchAlarm<Value, Value> = parse(&path);
        assert!(alarm.alarm_arn.expect("an ARN").ends_with(&alarm.alarm_data.alarm_name), "{path}");
    }
}

#[test]
fn batches_are_those_of_sqs() {
    for path in fixture::list("accepted/sqs-to-lambda") {
        let batch: SqsEvent = parse(&path);
        assert!(
            batch.records.iter().all(|record| record.body.is_some() && record.message_id.is_some()),
            "{path}"
        );
    }
}
