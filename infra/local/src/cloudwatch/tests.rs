use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::http::StatusCode;
use kinesis_model::Settings;
use serde_json::{Value, json};

use super::*;

const OPERATIONS: [&str; 8] = [
    "PutMetricData",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "PutMetricAlarm",
    "DescribeAlarms",
    "DeleteAlarms",
    "SetAlarmState",
];

fn cloudwatch() -> CloudWatch {
    let clock = Arc::new(Clock::starting_at(EpochMillis::default(), NonZeroU32::MIN));
    let notify = Arc::new(Notify::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
    CloudWatch::new(&LocalSettings::new("unused"), Arc::new(Kinesis::new(Settings::default())), clock, notify)
}

async fn status(cloudwatch: &CloudWatch, operation: &str, body: &Value) -> StatusCode {
    cloudwatch.call_json(operation, &HeaderMap::new(), &body.to_string().into()).await.status()
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_every_operation() {
    let cloudwatch = cloudwatch();
    for operation in OPERATIONS {
        for body in [
            "[1]",
            "{",
            "\"text\"",
            "{\"NextToken\": 1, \"Namespace\": 2, \"AlarmName\": 3, \"AlarmNames\": 4}",
        ] {
            let body = Bytes::from_static(body.as_bytes());
            let json = cloudwatch.call_json(operation, &HeaderMap::new(), &body).await.status();
            let cbor = cloudwatch.call_cbor(operation, &HeaderMap::new(), &body).await.status();
            assert_eq!([json, cbor], [StatusCode::BAD_REQUEST; 2], "{operation} {body:?}");
        }
    }
}

#[tokio::test]
async fn the_widest_ranges_are_refused_before_they_are_filled() {
    let cloudwatch = cloudwatch();
    let metric = json!({"Namespace": "Leasehold", "MetricName": "m"});
    let stat = json!({"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}});
    let ever = json!({
        "MetricDataQueries": [stat, {"Id": "e", "Expression": "FILL(m, 0)"}],
        "StartTime": 0,
        "EndTime": 253_402_300_799_u64,
    });
    assert_eq!(status(&cloudwatch, "GetMetricData", &ever).await, StatusCode::BAD_REQUEST);
    let statistics = json!({
        "Namespace": "Leasehold",
        "MetricName": "m",
        "StartTime": 0,
        "EndTime": 253_402_300_799_u64,
        "Period": 60,
        "Statistics": ["Sum"],
    });
    assert_eq!(status(&cloudwatch, "GetMetricStatistics", &statistics).await, StatusCode::BAD_REQUEST);
    let page = json!({"MetricDataQueries": [stat], "StartTime": 0, "EndTime": 60, "NextToken": "99999999999999999.0.0"});
    assert_eq!(status(&cloudwatch, "GetMetricData", &page).await, StatusCode::BAD_REQUEST);
    assert_eq!(cloudwatch.kinesis.next_transition(), None);
}

#[tokio::test]
async fn the_watch_ends_when_it_is_told_also_without_an_alarm() {
    let stop = CancellationToken::new();
    let watch = tokio::spawn(Arc::new(cloudwatch()).watch(stop.clone()));
    tokio::task::yield_now().await;
    assert!(!watch.is_finished());
    stop.cancel();
    watch.await.expect("no panic");
}
