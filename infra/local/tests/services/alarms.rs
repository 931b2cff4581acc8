use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StateValue, Statistic,
};
use local::{Limits, LocalSettings};

use crate::kinesis::create;
use crate::notify::{json, queue, receive};
use crate::{Local, soon};

/// A minute of the clock in 100 ms.
fn fast(settings: &mut LocalSettings) {
    settings.time_scale = 600.try_into().expect("not zero");
    settings.metrics_delay = Duration::ZERO;
}

/// A topic of this name that sends to a queue of the same name: its ARN and the queue's URL.
async fn topic(local: &Local, name: &str) -> (String, String) {
    let (url, queue_arn) = queue(&local.sqs(), name).await;
    let sns = local.sns();
    let topic = soon(sns.create_topic().name(name).send()).await.expect("new").topic_arn.expect("an ARN");
    soon(sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue_arn).send())
        .await
        .expect("subscribed");
    (topic, url)
}

fn above(client: &Client, name: &str, threshold: f64) -> PutMetricAlarmFluentBuilder {
    let alarm = client.put_metric_alarm().alarm_name(name).evaluation_periods(1).threshold(threshold);
    alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold)
}

async fn state(client: &Client, name: &str) -> StateValue {
    let output = soon(client.describe_alarms().alarm_names(name).send()).await.expect("described");
    output.metric_alarms()[0].state_value().expect("a state").clone()
}

async fn wait_for(client: &Client, name: &str, expected: &StateValue) {
    soon(async {
        while state(client, name).await != *expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_alarm_goes_off_by_itself_and_tells_the_queue_of_its_topic_once() {
    let local = Local::start_with(fast);
    let client = local.cloudwatch();
    let (topic, url) = topic(&local, "wake").await;
    let alarm = above(&client, "busy", 5.0).namespace("Leasehold").metric_name("load").period(60);
    let alarm = alarm.statistic(Statistic::Maximum).treat_missing_data("ignore");
    soon(alarm.alarm_actions(&topic).ok_actions(&topic).send()).await.expect("put");
    assert_eq!(state(&client, "busy").await, StateValue::InsufficientData);

    for (value, old, new) in [(9.0, "INSUFFICIENT_DATA", "ALARM"), (1.0, "ALARM", "OK")] {
        // Without a time the datum is of now, on the services' clock.
        let datum = MetricDatum::builder().metric_name("load").value(value).build();
        soon(client.put_metric_data().namespace("Leasehold").metric_data(datum).send()).await.expect("put");
        let envelope = json(receive(&local.sqs(), &url).await.body().expect("a body"));
        let message = json(envelope["Message"].as_str().expect("JSON in a string"));
        assert_eq!(envelope["Subject"], format!("{new}: \"busy\" in US East (N. Virginia)"));
        assert_eq!((&message["OldStateValue"], &message["NewStateValue"]), (&old.into(), &new.into()));
        assert_eq!(message["Trigger"]["MetricName"], "load");
        let reason = message["NewStateReason"].as_str().expect("text");
        assert!(reason.starts_with("Threshold Crossed: 1 out of the last 1 datapoints ["), "{reason}");
    }
}

#[tokio::test]
async fn a_state_that_is_set_is_told_and_does_not_last() {
    let local = Local::start_with(|settings| {
        fast(settings);
        settings.alarm_events_queue = Some("events".to_owned());
    });
    let client = local.cloudwatch();
    let (topic, url) = topic(&local, "wake").await;
    let (events, _) = queue(&local.sqs(), "events").await;
    let alarm = above(&client, "quiet", 5.0).namespace("Leasehold").metric_name("load").period(60);
    let alarm = alarm.statistic(Statistic::Sum).treat_missing_data("notBreaching").alarm_actions(&topic);
    soon(alarm.send()).await.expect("put");
    wait_for(&client, "quiet", &StateValue::Ok).await;
    let set =
        client.set_alarm_state().alarm_name("quiet").state_value(StateValue::Alarm).state_reason("a drill");
    soon(set.send()).await.expect("set");

    let envelope = json(receive(&local.sqs(), &url).await.body().expect("a body"));
    assert_eq!(json(envelope["Message"].as_str().expect("JSON"))["NewStateReason"], "a drill");
    wait_for(&client, "quiet", &StateValue::Ok).await;
    let mut states = Vec::new();
    while states.len() < 3 {
        let message = receive(&local.sqs(), &events).await;
        let event = json(message.body().expect("a body"));
        assert_eq!(event["detail-type"], "CloudWatch Alarm State Change");
        assert_eq!(event["detail"]["alarmName"], "quiet");
        states.push(event["detail"]["state"]["value"].as_str().expect("a state").to_owned());
        let delete =
            local.sqs().delete_message().queue_url(&events).set_receipt_handle(message.receipt_handle);
        soon(delete.send()).await.expect("deleted");
    }
    assert_eq!(states, ["OK", "ALARM", "OK"]);
}

#[tokio::test]
async fn a_surge_shows_in_the_stream_s_bytes_and_flips_the_alarm_and_its_end_flips_it_back() {
    let local = Local::start_with(|settings| {
        fast(settings);
        settings.limits = Limits::Aws;
    });
    let (kinesis, client) = (local.kinesis(), local.cloudwatch());
    create(&kinesis, "orders", 1).await;
    let (topic, url) = topic(&local, "wake").await;

    // The share of what the shard takes in a minute, whatever the clock's pace.
    let stream = Dimension::builder().name("StreamName").value("orders").build();
    let metric =
        Metric::builder().namespace("AWS/Kinesis").metric_name("IncomingBytes").dimensions(stream).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat("Sum").build();
    let bytes = MetricDataQuery::builder().id("bytes").metric_stat(stat).return_data(false).build();
    let share = MetricDataQuery::builder().id("share").expression("FILL(bytes, 0) / (60 * 1048576)").build();
    let alarm = above(&client, "half-full", 0.5).metrics(share).metrics(bytes);
    soon(alarm.alarm_actions(&topic).ok_actions(&topic).send()).await.expect("put");
    wait_for(&client, "half-full", &StateValue::Ok).await;

    let told = async {
        loop {
            let message = receive(&local.sqs(), &url).await;
            let envelope = json(message.body().expect("a body"));
            let delete =
                local.sqs().delete_message().queue_url(&url).set_receipt_handle(message.receipt_handle);
            delete.send().await.expect("deleted");
            let message = json(envelope["Message"].as_str().expect("JSON"));
            if message["NewStateValue"] == "ALARM" {
                return message;
            }
        }
    };
    let surge = async {
        loop {
            let put = kinesis.put_record().stream_name("orders").partition_key("k");
            let put = put.data(aws_sdk_kinesis::primitives::Blob::new(vec![0; 60_000]));
            // The shard refuses what is too much for a second.
            let _refused = put.send().await;
        }
    };
    let message = tokio::select! {
        biased;
        message = soon(told) => message,
        () = surge => unreachable!("it surges until the alarm is told"),
    };
    assert_eq!(message["AlarmName"], "half-full");
    assert_eq!(message["Trigger"]["Metrics"][0]["Expression"], "FILL(bytes, 0) / (60 * 1048576)");
    wait_for(&client, "half-full", &StateValue::Ok).await;
}

#[tokio::test]
async fn alarms_are_described_by_pages_and_filters_and_can_be_deleted() {
    let local = Local::start();
    let client = local.cloudwatch();
    for number in 0..5 {
        let alarm =
            above(&client, &format!("alarm-{number}"), 5.0).namespace("Leasehold").metric_name("load");
        let alarm =
            alarm.statistic(Statistic::Sum).period(300).datapoints_to_alarm(1).alarm_description("busy");
        soon(alarm.send()).await.expect("put");
    }
    let mut pages = client.describe_alarms().max_records(2).into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = soon(pages.next()).await {
        sizes.push(page.expect("a page").metric_alarms().len());
    }
    assert_eq!(sizes, [2, 2, 1]);
    let output = soon(client.describe_alarms().alarm_name_prefix("alarm-3").send()).await.expect("described");
    let [alarm] = output.metric_alarms() else { panic!("{output:?}") };
    assert_eq!(alarm.alarm_arn(), Some("arn:aws:cloudwatch:us-east-1:000000000000:alarm:alarm-3"));
    assert_eq!((alarm.threshold(), alarm.period()), (Some(5.0), Some(300)));
    assert_eq!((alarm.actions_enabled(), alarm.alarm_description()), (Some(true), Some("busy")));
    assert_eq!(alarm.state_reason(), Some("Unchecked: Initial alarm creation"));
    soon(client.delete_alarms().alarm_names("alarm-1").alarm_names("alarm-3").send()).await.expect("deleted");
    let output = soon(client.describe_alarms().state_value(StateValue::InsufficientData).send()).await;
    let names =
        output.expect("described").metric_alarms.into_iter().flatten().filter_map(|alarm| alarm.alarm_name);
    assert_eq!(names.collect::<Vec<_>>(), ["alarm-0", "alarm-2", "alarm-4"]);
}
