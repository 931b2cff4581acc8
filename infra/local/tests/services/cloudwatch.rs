use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::ProvideErrorMetadata;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, DimensionFilter, Metric, MetricDataQuery, MetricDatum, MetricStat, ScanBy,
    StandardUnit, Statistic, StatisticSet, StatusCode,
};

use crate::kinesis::{create, put};
use crate::{Local, soon};

/// Whole minutes ago.
fn minutes_ago(minutes: u64) -> DateTime {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    DateTime::from_secs((now - now % 60 - 60 * minutes).cast_signed())
}

fn datum(name: &str, minutes: u64, value: f64) -> MetricDatum {
    MetricDatum::builder().metric_name(name).timestamp(minutes_ago(minutes)).value(value).build()
}

async fn put_data(client: &Client, data: Vec<MetricDatum>) {
    let request = client.put_metric_data().namespace("Leasehold").set_metric_data(Some(data));
    soon(request.send()).await.expect("put");
}

fn stat(id: &str, name: &str, statistic: &str) -> MetricDataQuery {
    let metric = Metric::builder().namespace("Leasehold").metric_name(name).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat(statistic).build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}

fn seconds(times: &[DateTime]) -> Vec<i64> {
    times.iter().map(DateTime::secs).collect()
}

#[tokio::test]
async fn every_form_of_a_datum_comes_back_as_every_statistic() {
    let local = Local::start();
    let client = local.cloudwatch();
    let set = StatisticSet::builder().sample_count(2.0).sum(50.0).minimum(20.0).maximum(30.0).build();
    let at = minutes_ago(3);
    let of = || MetricDatum::builder().metric_name("load").timestamp(at).unit(StandardUnit::Percent);
    let stream = Dimension::builder().name("StreamName").value("orders").build();
    let data =
        [of().value(10.0), of().values(5.0).values(15.0).counts(1.0).counts(2.0), of().statistic_values(set)];
    put_data(&client, data.into_iter().map(|datum| datum.dimensions(stream.clone()).build()).collect()).await;

    let request =
        client.get_metric_statistics().namespace("Leasehold").metric_name("load").dimensions(stream);
    let request = request.start_time(minutes_ago(10)).end_time(minutes_ago(0)).period(60);
    let all =
        [Statistic::Sum, Statistic::Average, Statistic::Minimum, Statistic::Maximum, Statistic::SampleCount];
    let output = soon(request.set_statistics(Some(all.to_vec())).send()).await.expect("known");
    let [point] = output.datapoints() else { panic!("{output:?}") };
    assert_eq!(point.timestamp(), Some(&at));
    assert_eq!(point.unit(), Some(&StandardUnit::Percent));
    let values = [point.sum(), point.average(), point.minimum(), point.maximum(), point.sample_count()];
    assert_eq!(values, [95.0, 95.0 / 6.0, 5.0, 30.0, 6.0].map(Some));
}

#[tokio::test]
async fn a_call_answers_five_hundred_queries_and_refuses_more() {
    let local = Local::start();
    let client = local.cloudwatch();
    // More than 10 KiB, so that the SDK gzips it.
    put_data(
        &client,
        (0..500).map(|number| datum(&format!("metric-{number}"), 2, f64::from(number))).collect(),
    )
    .await;
    let queries = |count| {
        let queries =
            (0..count).map(|number| stat(&format!("m{number}"), &format!("metric-{number}"), "Sum"));
        let request = client.get_metric_data().set_metric_data_queries(Some(queries.collect()));
        request.start_time(minutes_ago(5)).end_time(minutes_ago(0)).send()
    };
    let output = soon(queries(500)).await.expect("as many as allowed");
    assert_eq!(output.metric_data_results().len(), 500);
    for (number, result) in output.metric_data_results().iter().enumerate() {
        assert_eq!(result.id(), Some(format!("m{number}").as_str()));
        assert_eq!(
            (result.values(), result.status_code()),
            (&[number as f64][..], Some(&StatusCode::Complete))
        );
    }
    let error = soon(queries(501)).await.expect_err("too many");
    assert_eq!(error.code(), Some("ValidationError"));
}

#[tokio::test]
async fn pages_together_hold_every_point_once_in_the_order_asked_for() {
    let local = Local::start();
    let client = local.cloudwatch();
    put_data(&client, (1..=5).map(|minutes| datum("a", minutes, minutes as f64)).collect()).await;
    put_data(&client, (1..=4).map(|minutes| datum("b", minutes, 10.0 * minutes as f64)).collect()).await;
    for (scan_by, of_a, of_b) in [
        (ScanBy::TimestampDescending, [1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 20.0, 30.0, 40.0]),
        (ScanBy::TimestampAscending, [5.0, 4.0, 3.0, 2.0, 1.0], [40.0, 30.0, 20.0, 10.0]),
    ] {
        let request = client.get_metric_data().metric_data_queries(stat("a", "a", "Maximum"));
        let request =
            request.metric_data_queries(stat("b", "b", "Maximum")).scan_by(scan_by).max_datapoints(4);
        let request = request.start_time(minutes_ago(30)).end_time(minutes_ago(0));
        let mut pages = request.into_paginator().send();
        let (mut a, mut b, mut count) = (Vec::new(), Vec::new(), 0);
        while let Some(page) = soon(pages.next()).await {
            count += 1;
            for result in page.expect("a page").metric_data_results() {
                let values = if result.id() == Some("a") { &mut a } else { &mut b };
                values.extend_from_slice(result.values());
            }
        }
        assert_eq!((a.as_slice(), b.as_slice(), count), (&of_a[..], &of_b[..], 3));
    }
}

#[tokio::test]
async fn an_expression_is_computed_and_a_missing_point_stays_missing() {
    let local = Local::start();
    let client = local.cloudwatch();
    put_data(&client, vec![datum("all", 3, 40.0), datum("all", 1, 50.0), datum("bad", 1, 5.0)]).await;
    let hidden = |query: MetricDataQuery| {
        let MetricDataQuery { id, metric_stat, .. } = query;
        MetricDataQuery::builder().set_id(id).set_metric_stat(metric_stat).return_data(false).build()
    };
    let ratio =
        MetricDataQuery::builder().id("ratio").expression("FILL(bad, 0) / all").label("refused").build();
    let request = client.get_metric_data().start_time(minutes_ago(5)).end_time(minutes_ago(0));
    let request = request.metric_data_queries(ratio).metric_data_queries(hidden(stat("bad", "bad", "Sum")));
    let output =
        soon(request.metric_data_queries(hidden(stat("all", "all", "Sum"))).send()).await.expect("computed");
    let [result] = output.metric_data_results() else { panic!("{output:?}") };
    assert_eq!(result.label(), Some("refused"));
    assert_eq!(seconds(result.timestamps()), seconds(&[minutes_ago(1), minutes_ago(3)]));
    assert_eq!(result.values(), [0.1, 0.0]);
}

#[tokio::test]
async fn metrics_are_listed_by_filters_and_pages() {
    let local = Local::start();
    let client = local.cloudwatch();
    put_data(&client, (0..600).map(|number| datum(&format!("m{number:03}"), 1, 1.0)).collect()).await;
    create(&local.kinesis(), "orders", 1).await;
    let mut names = Vec::new();
    let mut pages = client.list_metrics().namespace("Leasehold").into_paginator().send();
    let mut count = 0;
    while let Some(page) = soon(pages.next()).await {
        count += 1;
        names.extend(
            page.expect("a page").metrics.into_iter().flatten().filter_map(|metric| metric.metric_name),
        );
    }
    assert_eq!((names.len(), count), (600, 2));
    assert!(names.is_sorted());
    let filter = DimensionFilter::builder().name("StreamName").build();
    let output = soon(client.list_metrics().dimensions(filter).send()).await.expect("listed");
    assert!(output.metrics().is_empty(), "{output:?}");
}

#[tokio::test]
async fn a_stream_shows_its_metrics_with_unit_and_weight_and_its_shards_on_request() {
    let local = Local::start_with(|settings| {
        settings.time_scale = 600.try_into().expect("not zero");
        settings.record_weight = 5.try_into().expect("not zero");
        settings.metrics_delay = Duration::ZERO;
    });
    let (kinesis, client) = (local.kinesis(), local.cloudwatch());
    create(&kinesis, "orders", 1).await;
    let on = aws_sdk_kinesis::types::MetricsName::IncomingBytes;
    soon(kinesis.enable_enhanced_monitoring().stream_name("orders").shard_level_metrics(on).send())
        .await
        .expect("enabled");
    let begun = local.services.clock().now();
    // Keys count, too: two records of 8 bytes, each standing for 600 times 5.
    put(&kinesis, "orders", &["abcd", "efgh"]).await;

    let stream = Dimension::builder().name("StreamName").value("orders").build();
    let shard = Dimension::builder().name("ShardId").value("shardId-000000000000").build();
    for (name, dimensions, is_shown) in [
        ("IncomingBytes", vec![stream.clone()], true),
        ("IncomingBytes", vec![stream.clone(), shard.clone()], true),
        ("IncomingRecords", vec![stream.clone(), shard], false),
        ("GetRecords.Bytes", vec![stream], false),
    ] {
        let request = client.get_metric_statistics().namespace("AWS/Kinesis").metric_name(name);
        let request = request.set_dimensions(Some(dimensions)).period(60).statistics(Statistic::Sum);
        let request = request.statistics(Statistic::SampleCount);
        let start = DateTime::from_secs((begun.seconds() - begun.seconds() % 60).cast_signed());
        let point = soon(async {
            loop {
                let end = local.services.clock().now().seconds().cast_signed() + 3600;
                let request = request.clone().start_time(start).end_time(DateTime::from_secs(end));
                let mut points = request.send().await.expect("known").datapoints.unwrap_or_default();
                if let Some(point) = points.pop() {
                    return Some(point);
                }
                // Two minutes on the clock show whether the point is late or missing.
                if !is_shown && local.services.clock().now().millis_since(begun) > 120_000 {
                    return None;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(point.is_some(), is_shown, "{name}");
        let Some(point) = point else { continue };
        assert_eq!(point.unit(), Some(&StandardUnit::Bytes), "{name}");
        assert_eq!((point.sum(), point.sample_count()), (Some(48_000.0), Some(6000.0)), "{name}");
    }
}

#[tokio::test]
async fn errors_are_typed() {
    let local = Local::start();
    let client = local.cloudwatch();
    let error = soon(client.delete_alarms().alarm_names("none").send())
        .await
        .expect_err("unknown")
        .into_service_error();
    assert!(error.is_resource_not_found(), "{error:?}");
    let reserved = client.put_metric_data().namespace("AWS/Kinesis").metric_data(datum("m", 1, 1.0));
    let error = soon(reserved.send()).await.expect_err("reserved").into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
    assert!(error.message().is_some_and(|message| message.contains("AWS/")), "{error:?}");
    let error = soon(client.list_dashboards().send()).await.expect_err("not offered");
    assert_eq!(error.code(), Some("InvalidAction"));
    let percentile = client.get_metric_data().metric_data_queries(stat("m", "m", "p99"));
    let percentile = percentile.start_time(minutes_ago(5)).end_time(minutes_ago(0));
    assert!(soon(percentile.send()).await.is_err_and(|error| error.code() == Some("InvalidParameterValue")));
    let alarm = client
        .put_metric_alarm()
        .alarm_name("half")
        .comparison_operator(ComparisonOperator::LessThanThreshold);
    assert!(soon(alarm.send()).await.is_err_and(|error| error.code() == Some("MissingParameter")));
}
