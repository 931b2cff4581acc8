//! What a metric is called, and what is known of its samples within a span of time.

use serde::{Deserialize, Serialize};

/// A part of a metric's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Dimension {
    pub(super) name: String,
    pub(super) value: String,
}

impl Dimension {
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }
}

/// A metric's whole name. Metrics that differ in one dimension have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MetricId {
    pub(super) namespace: String,
    pub(super) name: String,
    dimensions: Vec<Dimension>,
}

impl MetricId {
    /// The metric with these dimensions, in whatever order.
    pub(super) fn new(namespace: &str, name: &str, mut dimensions: Vec<Dimension>) -> Self {
        dimensions.sort_unstable();
        Self { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }

    pub(super) fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The value of the dimension called `name`.
    pub(super) fn dimension(&self, name: &str) -> Option<&str> {
        self.dimensions
            .iter()
            .find(|dimension| dimension.name == name)
            .map(|dimension| dimension.value.as_str())
    }
}

/// What to make of the samples of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Statistic {
    Average,
    Maximum,
    Minimum,
    SampleCount,
    Sum,
}

impl Statistic {
    /// The statistic of this name; percentiles and their like have none here, since no single samples are kept.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Average, Self::Maximum, Self::Minimum, Self::SampleCount, Self::Sum];
        all.into_iter().find(|statistic| statistic.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Average => "Average",
            Self::Maximum => "Maximum",
            Self::Minimum => "Minimum",
            Self::SampleCount => "SampleCount",
            Self::Sum => "Sum",
        }
    }
}

/// Samples put together: at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Samples {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Samples {
    /// `value`, seen `count` times.
    pub(super) fn repeated(value: f64, count: f64) -> Self {
        Self { count, sum: value * count, min: value, max: value }
    }

    /// Adds all samples of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(super) fn statistic(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Average => self.sum / self.count,
            Statistic::Maximum => self.max,
            Statistic::Minimum => self.min,
            Statistic::SampleCount => self.count,
            Statistic::Sum => self.sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_dimensions_is_no_part_of_the_name() {
        let (shard, stream) = (Dimension::new("ShardId", "1"), Dimension::new("StreamName", "orders"));
        let one = MetricId::new("AWS/Kinesis", "IncomingBytes", vec![shard.clone(), stream.clone()]);
        let other = MetricId::new("AWS/Kinesis", "IncomingBytes", vec![stream, shard]);
        assert_eq!(one, other);
        assert_eq!(one.dimension("StreamName"), Some("orders"));
        assert_eq!(one.dimension("ConsumerName"), None);
    }

    #[test]
    fn statistics_are_those_of_all_samples() {
        let mut samples = Samples::repeated(10.0, 3.0);
        samples.merge(&Samples::repeated(30.0, 1.0));
        let values = ["Average", "Maximum", "Minimum", "SampleCount", "Sum"]
            .map(|name| samples.statistic(Statistic::parse(name).expect("known")));
        assert_eq!(values, [15.0, 30.0, 10.0, 4.0, 60.0]);
        assert_eq!(Statistic::parse("p99"), None);
    }
}
