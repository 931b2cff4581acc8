//! The alarms of streams with everything filled in, as `PutMetricAlarm` takes them: for a program that puts them itself, where
//! no template is deployed.
//!
//! The same catalog as the templates have, so that what is tried on one machine is what runs at AWS. Those that watch the
//! deployment itself (its queue, its function) belong to the templates.

use std::time::Duration;

use super::alarm::{Alarm, Amount, Audience, Metric, Scope, Setting, Signal};
use super::catalog::ALARMS;
use super::{AlarmSpec, StreamAlarms};

/// One alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmDefinition {
    /// Its name, as in the templates.
    pub name: String,
    /// What its reader should know.
    pub description: String,
    /// Whether it is for the autoscaler, which it wakes, or for people.
    pub wakes: bool,
    /// What it watches.
    pub signal: AlarmSignal,
    /// Of one point.
    pub period: Duration,
    /// So many of the last `periods` points …
    pub breaching_periods: u32,
    /// … must be beyond the threshold.
    pub periods: u32,
    /// `GreaterThanThreshold` or `LessThanThreshold`.
    pub comparison: &'static str,
    /// The threshold.
    pub threshold: f64,
    /// What a missing point means, in CloudWatch's words.
    pub missing: &'static str,
}

/// What an alarm watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlarmSignal {
    /// A metric.
    Metric(WatchedMetric),
    /// An expression over metrics.
    Expression {
        /// In CloudWatch's metric math.
        text: String,
        /// What it is.
        label: &'static str,
        /// The metrics by their ids.
        metrics: Vec<(&'static str, WatchedMetric)>,
    },
}

/// A metric of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedMetric {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The statistic of each point.
    pub statistic: &'static str,
    /// Names and values.
    pub dimensions: Vec<(&'static str, String)>,
}

impl AlarmSpec {
    /// The alarms of all streams, in the order of the catalog.
    #[must_use]
    pub fn definitions(&self) -> Vec<AlarmDefinition> {
        self.streams()
            .iter()
            .flat_map(|stream| ALARMS.iter().flat_map(|alarm| self.of(alarm, stream)))
            .collect()
    }

    fn of(&self, alarm: &Alarm, stream: &StreamAlarms) -> Vec<AlarmDefinition> {
        let define =
            |factor, consumer| Filling { stream, factor, consumer }.definition(self.deployment(), alarm);
        match alarm.scope {
            Scope::Stream => vec![define(None, None)],
            Scope::Doubling => {
                (1..=stream.doublings()).map(|doubling| define(Some(1 << doubling), None)).collect()
            }
            Scope::Consumer => {
                stream.consumers.iter().map(|consumer| define(None, Some(consumer.as_str()))).collect()
            }
            Scope::WakeQueue | Scope::DeadLetters | Scope::Function => Vec::new(),
        }
    }
}

/// What the settings of an alarm stand for.
#[derive(Clone, Copy)]
struct Filling<'a> {
    stream: &'a StreamAlarms,
    factor: Option<u32>,
    consumer: Option<&'a str>,
}

impl Filling<'_> {
    fn definition(self, deployment: &str, alarm: &Alarm) -> AlarmDefinition {
        let (audience, stream, kind) = (alarm.audience.name(), &self.stream.stream, alarm.kind);
        let place = match (self.factor, self.consumer) {
            (Some(factor), _) => format!("{kind}-x{factor}"),
            (None, Some(consumer)) => format!("{kind}/{consumer}"),
            (None, None) => kind.to_owned(),
        };
        let signal = match alarm.signal {
            Signal::Metric(metric) => AlarmSignal::Metric(self.watched(metric)),
            Signal::Expression { metrics, text, label } => AlarmSignal::Expression {
                text: Setting::fill(text, |setting| self.value(setting)),
                label,
                metrics: metrics.iter().map(|&(id, metric)| (id, self.watched(metric))).collect(),
            },
        };
        let threshold = match alarm.threshold {
            Amount::Number(number) => number.to_owned(),
            Amount::Setting(setting) => self.value(setting),
        };
        AlarmDefinition {
            name: format!("{deployment}/{audience}/{stream}/{place}"),
            description: Setting::fill(alarm.description, |setting| self.value(setting)),
            wakes: alarm.audience == Audience::Wake,
            signal,
            period: Duration::from_secs(alarm.period_seconds.into()),
            breaching_periods: alarm.breaching_periods,
            periods: alarm.periods,
            comparison: alarm.comparison.operator(),
            threshold: threshold.parse().expect("thresholds are numbers"),
            missing: alarm.missing.name(),
        }
    }

    fn watched(self, Metric { namespace, name, statistic }: Metric) -> WatchedMetric {
        let stream = ("StreamName", self.stream.stream.clone());
        let consumer = self.consumer.map(|consumer| ("ConsumerName", consumer.to_owned()));
        WatchedMetric {
            namespace,
            name,
            statistic,
            dimensions: [stream].into_iter().chain(consumer).collect(),
        }
    }

    fn value(self, setting: Setting) -> String {
        let stream = self.stream;
        match setting {
            Setting::Stream => stream.stream.clone(),
            Setting::ShardsMin => stream.shards.0.to_string(),
            Setting::ShardsMax => stream.shards.1.to_string(),
            Setting::GrowAbove => stream.grow_above.to_string(),
            Setting::LagMaxMilliseconds => stream.lag_max.as_millis().to_string(),
            Setting::RetentionHours => (stream.retention.as_secs() / 3600).to_string(),
            Setting::WriteBytesPerSecond => stream.limits.write_bytes_per_second.to_string(),
            Setting::WriteRecordsPerSecond => stream.limits.write_records_per_second.to_string(),
            Setting::Consumer => self.consumer.unwrap_or_default().to_owned(),
            Setting::Factor => self.factor.unwrap_or(1).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::alarms::{Form, render};

    fn definitions(consumers: &[&str]) -> Vec<AlarmDefinition> {
        let policy = Policy { shards_min: 4, shards_max: 40, ..Policy::default() };
        let stream = AlarmSpec::default().with_stream("orders", &policy).expect("valid").streams()[0].clone();
        let consumers = consumers.iter().map(|&name| name.to_owned()).collect();
        AlarmSpec::default().with(StreamAlarms { consumers, ..stream }).expect("valid").definitions()
    }

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        let all = definitions(&["fan"]);
        for alarm in &all {
            assert!(!format!("{alarm:?}").contains("{s"), "{alarm:?}");
        }
        let level =
            all.iter().find(|alarm| alarm.name == "leasehold/wake/orders/demand-doubled-x8").expect("there");
        let AlarmSignal::Expression { text, metrics, .. } = &level.signal else { panic!("{level:?}") };
        assert!(text.contains("bytes / (60 * 1000000 * 4 * 8)"), "{text}");
        assert_eq!(metrics[1].1.dimensions, [("StreamName", "orders".to_owned())]);
        assert_eq!((level.threshold, level.periods, level.wakes), (0.8, 3, true));
        assert!(all.iter().any(|alarm| alarm.name == "leasehold/wake/orders/consumer-behind/fan"));
    }

    #[test]
    fn every_alarm_on_a_stream_is_one_of_the_template() {
        let template = &render(&AlarmSpec::default(), Form::CloudFormation).files;
        let (_, text) = template.iter().find(|(name, _)| name == "alarms.yaml").expect("rendered");
        for alarm in definitions(&[]) {
            let name = alarm.name.replace("leasehold", "${Deployment}").replace("orders", "${StreamName}");
            assert!(text.contains(&format!("AlarmName: !Sub {name}\n")), "{name}");
        }
    }
}
