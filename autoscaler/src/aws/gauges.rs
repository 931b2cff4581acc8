//! The autoscaler's own metrics in CloudWatch, which the rendered alarms watch.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::Builder;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit, StatisticSet};

use super::error::{failed, timeouts};
use crate::alarms::OwnMetric;
use crate::reconcile::{Gauges, PortError, Utilisation, Vitals};

/// Publishes the metrics of one stream.
#[derive(Clone, Debug)]
pub struct CloudWatchGauges {
    client: Client,
    stream: String,
}

impl CloudWatchGauges {
    /// The metrics of `stream`; each attempt is given up after `call_timeout`.
    #[must_use]
    pub fn new(config: &SdkConfig, stream: impl Into<String>, call_timeout: Duration) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(call_timeout))
            .build();
        Self { client: Client::from_conf(config), stream: stream.into() }
    }
}

#[async_trait]
impl Gauges for CloudWatchGauges {
    async fn publish(&self, vitals: Vitals, failures: u64) -> Result<(), PortError> {
        let data = data(&self.stream, vitals, failures);
        let put = self.client.put_metric_data().namespace(OwnMetric::NAMESPACE).set_metric_data(Some(data));
        put.send().await.map(drop).map_err(|error| failed("PutMetricData", &self.stream, error))
    }
}

/// What is known is told; failures only where there are any.
fn data(stream: &str, vitals: Vitals, failures: u64) -> Vec<MetricDatum> {
    let datum = |metric: OwnMetric| {
        let dimension = Dimension::builder().name(OwnMetric::DIMENSION).value(stream).build();
        MetricDatum::builder().metric_name(metric.name()).dimensions(dimension)
    };
    let number = |metric, value: f64, unit| datum(metric).value(value).unit(unit).build();
    let mut data = vec![
        number(OwnMetric::Heartbeat, 1.0, StandardUnit::Count),
        number(OwnMetric::QuotaLeft, f64::from(vitals.quota_left), StandardUnit::Count),
    ];
    if let Some(Utilisation { least, mean, greatest }) = vitals.utilisation {
        let shards = f64::from(vitals.shards);
        let set = StatisticSet::builder()
            .sample_count(shards)
            .sum(mean * shards)
            .minimum(least.min(mean))
            .maximum(greatest.max(mean));
        data.push(
            datum(OwnMetric::ShardUtilisation).statistic_values(set.build()).unit(StandardUnit::None).build(),
        );
    }
    if let Some(ratio) = vitals.throttle_ratio {
        data.push(number(OwnMetric::ThrottleRatio, ratio, StandardUnit::None));
    }
    if failures > 0 {
        data.push(number(OwnMetric::Failures, failures as f64, StandardUnit::Count));
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(vitals: Vitals, failures: u64) -> Vec<String> {
        let data = data("clicks", vitals, failures);
        data.iter().map(|datum| datum.metric_name().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn what_is_unknown_is_not_told() {
        let vitals =
            Vitals { shards: 4, utilisation: None, throttle_ratio: None, quota_left: 7, is_changing: true };
        assert_eq!(names(vitals, 0), ["Heartbeat", "QuotaLeft"]);
        let utilisation = Some(Utilisation { least: 0.1, mean: 0.4, greatest: 0.9 });
        let known = Vitals { utilisation, throttle_ratio: Some(0.0), ..vitals };
        assert_eq!(
            names(known, 2),
            ["Heartbeat", "QuotaLeft", "ShardUtilisation", "ThrottleRatio", "Failures"]
        );
        let data = data("clicks", known, 0);
        let set = data[2].statistic_values().expect("a set");
        assert_eq!((set.sample_count(), set.sum(), set.maximum()), (Some(4.0), Some(1.6), Some(0.9)));
    }
}
