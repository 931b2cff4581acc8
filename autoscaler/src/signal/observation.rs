//! Everything seen of one stream at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::ShardId;

use super::LoadMap;
use crate::{EpochMillis, Layout};

/// What the planner is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Whether the stream can be changed.
    pub state: StreamState,
    /// The open shards.
    pub layout: Layout,
    /// Shards that the account may still open, intermediate ones included; unknown if `DescribeLimits` was not read.
    pub account_shards_left: Option<u32>,
    /// Enhanced fan-out consumers: each pays for every shard, and has a read budget of its own.
    pub fan_out_consumers: u32,
    /// The stream's load by minute, oldest first. Minutes that are missing are unknown.
    pub minutes: Vec<Minute>,
    /// How the load lies on the hash space, from the workers or from metrics by shard; unknown otherwise.
    pub load_map: Option<LoadMap>,
    /// The load of single shards by minute, oldest first, where it is known.
    pub shards: BTreeMap<ShardId, Vec<ShardMinute>>,
    /// How far each reading application is behind.
    pub applications: Vec<ApplicationLag>,
}

/// Whether a stream can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Provisioned and `ACTIVE`.
    Active,
    /// Provisioned and `CREATING` or `UPDATING`: every reshard call would be refused.
    Changing,
    /// On demand: Kinesis alone decides about shards.
    OnDemand,
    /// `DELETING`.
    Deleting,
}

/// One minute of a stream, each figure a sum over it. `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Minute {
    /// When the minute began.
    pub start: EpochMillis,
    /// Bytes accepted.
    pub bytes: Option<f64>,
    /// Records accepted.
    pub records: Option<f64>,
    /// Records refused for lack of write throughput. Retries count again.
    pub rejected_records: Option<f64>,
    /// Bytes given to polling readers.
    pub read_bytes: Option<f64>,
    /// Calls of polling readers that were refused.
    pub rejected_reads: Option<f64>,
}

/// One minute of a shard. `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShardMinute {
    /// When the minute began.
    pub start: EpochMillis,
    /// Bytes accepted.
    pub bytes: Option<f64>,
    /// Records accepted.
    pub records: Option<f64>,
    /// Records refused for lack of write throughput.
    pub rejected_records: Option<f64>,
    /// The busiest second's bytes, which only workers see.
    pub bytes_second_max: Option<f64>,
    /// The busiest second's records.
    pub records_second_max: Option<f64>,
}

/// How far one application is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationLag {
    /// The application, or the fan-out consumer.
    pub name: String,
    /// Age of the oldest record that it has not read, over all shards; unknown if it reported nothing lately.
    pub behind: Option<Duration>,
    /// Whether it was less behind ten minutes ago.
    pub is_rising: bool,
    /// Closed shards that it has not read to their end; unknown without its lease table.
    pub undrained_parents: Option<u32>,
}

impl ApplicationLag {
    /// Whether nothing may be merged for its sake. Closed parents that it has not drained show as lag, too, so their number
    /// may be unknown while the lag is known.
    #[must_use]
    pub fn forbids_merges(&self, lag_max: Duration) -> bool {
        self.behind.is_none_or(|behind| behind > lag_max)
            || self.undrained_parents.is_some_and(|parents| parents > 0)
    }
}
