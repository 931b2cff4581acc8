//! The alarms that wake the autoscaler, with their topic and queue, put on the local services as the templates put them at
//! AWS.
//!
//! ```text
//!  metrics ─▶ alarms ─▶ topic <deployment>-wake ─▶ queue <deployment>-wake ─▶ WakePoller
//! ```
//!
//! Alarms for people are left out: nobody would read them.

use std::collections::HashMap;

use anyhow::Context as _;
use autoscaler::alarms::{AlarmDefinition, AlarmSignal, AlarmSpec, WatchedMetric};
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricStat, Statistic,
};
use aws_sdk_sqs::types::QueueAttributeName;

/// Makes topic and queue and puts the alarms of `spec`; the queue's URL and how many alarms there are.
pub(crate) async fn put_alarms(sdk: &SdkConfig, spec: &AlarmSpec) -> anyhow::Result<(String, usize)> {
    let name = format!("{}-wake", spec.deployment());
    let sqs = aws_sdk_sqs::Client::new(sdk);
    let made = sqs.create_queue().queue_name(&name).send().await;
    let url = made.with_context(|| format!("queue {name} cannot be made"))?.queue_url;
    let url = url.with_context(|| format!("queue {name} has no URL"))?;
    let asked = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let told: HashMap<_, _> = asked.send().await?.attributes.unwrap_or_default();
    let queue =
        told.get(&QueueAttributeName::QueueArn).with_context(|| format!("queue {name} has no ARN"))?;
    let sns = aws_sdk_sns::Client::new(sdk);
    let topic = sns.create_topic().name(&name).send().await?.topic_arn;
    let topic = topic.with_context(|| format!("topic {name} has no ARN"))?;
    sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue).send().await?;
    let client = aws_sdk_cloudwatch::Client::new(sdk);
    let mut count = 0;
    for alarm in spec.definitions().into_iter().filter(|alarm| alarm.wakes) {
        let name = alarm.name.clone();
        put(&client, alarm, &topic).await.with_context(|| format!("alarm {name} cannot be put"))?;
        count += 1;
    }
    Ok((url, count))
}

async fn put(client: &aws_sdk_cloudwatch::Client, alarm: AlarmDefinition, topic: &str) -> anyhow::Result<()> {
    let period = i32::try_from(alarm.period.as_secs())?;
    let put = client
        .put_metric_alarm()
        .alarm_name(alarm.name)
        .alarm_description(alarm.description)
        .comparison_operator(ComparisonOperator::from(alarm.comparison))
        .threshold(alarm.threshold)
        .evaluation_periods(i32::try_from(alarm.periods)?)
        .datapoints_to_alarm(i32::try_from(alarm.breaching_periods)?)
        .treat_missing_data(alarm.missing)
        .alarm_actions(topic)
        .ok_actions(topic);
    let put = match alarm.signal {
        AlarmSignal::Metric(metric) => put
            .namespace(metric.namespace)
            .metric_name(metric.name)
            .statistic(Statistic::from(metric.statistic))
            .set_dimensions(Some(dimensions(&metric)))
            .period(period),
        AlarmSignal::Expression { text, label, metrics } => {
            let share =
                MetricDataQuery::builder().id("share").expression(text).label(label).return_data(true);
            let queries = metrics.into_iter().map(|(id, metric)| {
                let statistic = MetricStat::builder()
                    .metric(
                        Metric::builder()
                            .namespace(metric.namespace)
                            .metric_name(metric.name)
                            .set_dimensions(Some(dimensions(&metric)))
                            .build(),
                    )
                    .period(period)
                    .stat(metric.statistic);
                MetricDataQuery::builder().id(id).metric_stat(statistic.build()).return_data(false).build()
            });
            put.set_metrics(Some([share.build()].into_iter().chain(queries).collect()))
        }
    };
    put.send().await?;
    Ok(())
}

fn dimensions(metric: &WatchedMetric) -> Vec<Dimension> {
    let of = |(name, value): &(&str, String)| Dimension::builder().name(*name).value(value).build();
    metric.dimensions.iter().map(of).collect()
}
