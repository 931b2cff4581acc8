use kinesis_model::{EpochMillis, Kinesis, Settings};
use serde_json::Value;

use super::super::alarm::Alarm;
use super::super::evaluate::State;
use super::super::query::View;
use super::super::store::Store;
use super::super::streams::Streams;
use super::*;

const NOON: u64 = 1_570_035_880_989;

fn transition(definition: Value) -> Transition {
    let (store, kinesis) = (Store::default(), Kinesis::new(Settings::default()));
    let now = EpochMillis(NOON);
    let streams = Streams::at(&kinesis, now, std::time::Duration::ZERO, 1);
    let definition = serde_json::from_value(definition).expect("well formed");
    let alarm =
        Alarm::put(definition, None, &mut View { store: &store, streams }, EpochMillis(NOON - 60_000));
    let condition = Condition {
        state: State::Alarm,
        reason: "because".to_owned(),
        reason_data: Some("{}".to_owned()),
        at: now,
    };
    alarm.expect("as it must be").enter(condition).expect("a change")
}

fn single() -> Transition {
    transition(json!({
        "AlarmName": "orders-bytes",
        "AlarmDescription": "much to do",
        "Namespace": "AWS/Kinesis",
        "MetricName": "IncomingBytes",
        "Dimensions": [{"Name": "StreamName", "Value": "orders"}],
        "Statistic": "Sum",
        "Unit": "Bytes",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 1000,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:wake"],
    }))
}

fn several() -> Transition {
    let dimensions = json!([{"Name": "StreamName", "Value": "orders"}]);
    let metric = json!({"Namespace": "AWS/Kinesis", "MetricName": "IncomingBytes", "Dimensions": dimensions});
    transition(json!({
        "AlarmName": "orders-share",
        "Metrics": [
            {"Id": "share", "Expression": "bytes / 60", "Label": "Share"},
            {"Id": "bytes", "ReturnData": false, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
    }))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_notification_about_one_metric_is_as_documented() {
    let expected = json!({
        "AlarmName": "orders-bytes",
        "AlarmDescription": "much to do",
        "AWSAccountId": "000000000000",
        "AlarmConfigurationUpdatedTimestamp": "2019-10-02T17:03:40.989+0000",
        "NewStateValue": "ALARM",
        "NewStateReason": "because",
        "StateChangeTime": "2019-10-02T17:04:40.989+0000",
        "Region": "US East (N. Virginia)",
        "AlarmArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:orders-bytes",
        "OldStateValue": "INSUFFICIENT_DATA",
        "OKActions": [],
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:wake"],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "IncomingBytes",
            "Namespace": "AWS/Kinesis",
            "StatisticType": "Statistic",
            "Statistic": "SUM",
            "Unit": "Bytes",
            "Dimensions": [{"value": "orders", "name": "StreamName"}],
            "Period": 60,
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 1000.0,
            "TreatMissingData": "- TreatMissingData:                    notBreaching",
            "EvaluateLowSampleCountPercentile": "",
        },
    });
    let transition = single();
    assert_eq!(parsed(&notification(&transition)), expected);
    assert_eq!(subject(&transition), "ALARM: \"orders-bytes\" in US East (N. Virginia)");
}

#[test]
fn a_notification_about_an_expression_lists_its_metrics() {
    let notification = parsed(&notification(&several()));
    assert_eq!(notification["AlarmDescription"], Value::Null);
    let expected = json!([
        {"Expression": "bytes / 60", "Id": "share", "Label": "Share", "ReturnData": true},
        {
            "Id": "bytes",
            "MetricStat": {
                "Metric": {
                    "Dimensions": [{"value": "orders", "name": "StreamName"}],
                    "MetricName": "IncomingBytes",
                    "Namespace": "AWS/Kinesis",
                },
                "Period": 60,
                "Stat": "Sum",
            },
            "ReturnData": false,
        },
    ]);
    assert_eq!(notification["Trigger"]["Metrics"], expected);
    assert_eq!(notification["Trigger"]["Dimensions"], Value::Null);
}

#[test]
fn an_event_is_as_documented() {
    let mut event = parsed(&event(&single()));
    assert!(event["id"].take().is_string());
    let expected = json!({
        "version": "0",
        "id": null,
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "000000000000",
        "time": "2019-10-02T17:04:40Z",
        "region": "us-east-1",
        "resources": ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:orders-bytes"],
        "detail": {
            "alarmName": "orders-bytes",
            "configuration": {
                "description": "much to do",
                "metrics": [{
                    "id": "m1",
                    "metricStat": {
                        "metric": {
                            "dimensions": {"StreamName": "orders"},
                            "name": "IncomingBytes",
                            "namespace": "AWS/Kinesis",
                        },
                        "period": 60,
                        "stat": "Sum",
                        "unit": "Bytes",
                    },
                    "returnData": true,
                }],
            },
            "previousState": {
                "reason": "Unchecked: Initial alarm creation",
                "timestamp": "2019-10-02T17:03:40.989+0000",
                "value": "INSUFFICIENT_DATA",
            },
            "state": {
                "reason": "because",
                "reasonData": "{}",
                "timestamp": "2019-10-02T17:04:40.989+0000",
                "value": "ALARM",
            },
        },
    });
    assert_eq!(event, expected);
}

#[test]
fn an_event_about_an_expression_names_it_beside_its_metrics() {
    let event = parsed(&event(&several()));
    let metrics = &event["detail"]["configuration"]["metrics"];
    assert_eq!(
        metrics[0],
        json!({"id": "share", "expression": "bytes / 60", "label": "Share", "returnData": true})
    );
    assert_eq!(metrics[1]["metricStat"]["metric"]["dimensions"], json!({"StreamName": "orders"}));
    assert_eq!(metrics[1]["returnData"], false);
}
