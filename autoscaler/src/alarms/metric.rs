//! The metrics that the autoscaler publishes about a stream, and how each is to be published.

/// A metric of the autoscaler, with the one dimension `StreamName`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnMetric {
    /// Utilisation of the shards, 1 being a shard's limit, as one statistic set over all open shards: its maximum is the
    /// fullest shard and its average the mean.
    ShardUtilisation,
    /// Rejected records by all records of the last minutes, 0 to 1.
    ThrottleRatio,
    /// `UpdateShardCount` calls that the rolling day still allows.
    QuotaLeft,
    /// Calls refused, steps given up and triggers refused since the last publication. Published only when above 0.
    Failures,
    /// 1 for each look at the stream that came to a decision. Its absence means that nobody scales the stream.
    Heartbeat,
}

impl OwnMetric {
    /// The CloudWatch namespace of them all; the role may publish to no other.
    pub const NAMESPACE: &'static str = "Leasehold";
    /// The one dimension.
    pub const DIMENSION: &'static str = "StreamName";
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ShardUtilisation, Self::ThrottleRatio, Self::QuotaLeft, Self::Failures, Self::Heartbeat];

    /// The metric's name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShardUtilisation => "ShardUtilisation",
            Self::ThrottleRatio => "ThrottleRatio",
            Self::QuotaLeft => "QuotaLeft",
            Self::Failures => "Failures",
            Self::Heartbeat => "Heartbeat",
        }
    }
}
