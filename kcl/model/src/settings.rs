//! What a modelled Kinesis is told at its start: whose account it is, which limits hold, how long operations take.

use std::num::NonZeroU32;
use std::time::Duration;

/// Settings of one modelled account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Region in every ARN. Default `us-east-1`.
    pub region: String,
    /// Account in every ARN, twelve digits. Default `000000000000`.
    pub account_id: String,
    /// Whether throughput limits and quotas hold. Default off: a local run is as fast as the machine.
    pub limits: Limits,
    /// How long control-plane operations take. Default at once.
    pub control_plane: ControlPlane,
    /// How long operations take under [`ControlPlane::Aws`], in percent of its times. Default 100.
    pub operation_percent: u32,
    /// How many seconds of the caller's clock pass in one second of those who write and read. Default 1. Throughput is
    /// granted per second of theirs; quotas, retention and the control plane go by the caller's clock.
    pub time_scale: NonZeroU32,
    /// How many records each record stands for. Default 1. At 5 a record takes five times its bytes, and five records, of
    /// what a shard grants, so that a fifth of the traffic fills it. Metrics, sizes and answers count what was put.
    pub record_weight: NonZeroU32,
    /// Hours for which a new stream keeps records and closed shards. Default 24, as Kinesis. Less is for simulations that
    /// reshard all the time and read nothing.
    pub retention_hours: u32,
    /// Age at which a shard iterator is refused. Default 300 s, as Kinesis. Shorter shows expiry sooner in tests.
    pub iterator_lifetime: Duration,
    /// Age at which a `NextToken` of `ListShards` and `ListStreamConsumers` is refused. Default 300 s, as Kinesis.
    pub list_token_lifetime: Duration,
    /// Time after which a subscription ends. Default 300 s, as Kinesis.
    pub subscription_lifetime: Duration,
    /// Silence after which a subscription sends an event without records. Default 5 s.
    pub subscription_heartbeat: Duration,
    /// Data and partition keys in one event of a subscription, in bytes. Default 1 MiB. A single greater record still
    /// makes one event.
    pub subscription_event_bytes_max: usize,
    /// Greatest record (data and partition key) of a stream that does not say otherwise, in bytes. Default 1 MiB;
    /// Kinesis allows up to 10 MiB.
    pub record_bytes_max: usize,
    /// Bytes that all streams may hold together (data and partition keys). Default 1 GiB; `None` has no bound.
    pub stored_bytes_max: Option<u64>,
    /// What happens to a record that finds [`Settings::stored_bytes_max`] used up. Default [`WhenFull::TrimOldest`].
    pub when_full: WhenFull,
    /// Minutes of metrics kept per shard. Default 180; more costs about 240 bytes per busy minute and shard.
    pub metrics_minutes_max: usize,
    /// Open shards that provisioned streams of the account may have together, those that exist only while
    /// `UpdateShardCount` runs included. Default 20 000, as in the great regions.
    pub open_shards_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
            limits: Limits::Off,
            control_plane: ControlPlane::Instant,
            operation_percent: 100,
            time_scale: NonZeroU32::MIN,
            record_weight: NonZeroU32::MIN,
            retention_hours: 24,
            iterator_lifetime: Duration::from_secs(300),
            list_token_lifetime: Duration::from_secs(300),
            subscription_lifetime: Duration::from_secs(300),
            subscription_heartbeat: Duration::from_secs(5),
            subscription_event_bytes_max: 1 << 20,
            record_bytes_max: 1 << 20,
            stored_bytes_max: Some(1 << 30),
            when_full: WhenFull::TrimOldest,
            metrics_minutes_max: 180,
            open_shards_max: 20_000,
        }
    }
}

/// Whether the throughput limits of shards and the quotas of the control plane hold.
///
/// Sizes of requests, records and answers are limited either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Limits {
    /// No throttling, no quotas.
    #[default]
    Off,
    /// Per shard 1 MiB/s and 1000 records/s in, 2 MiB/s and 5 calls/s out; `UpdateShardCount` at most doubles or halves
    /// and is allowed 10 times in 24 hours.
    Aws,
}

/// How long control-plane operations take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ControlPlane {
    /// Done when the call returns.
    #[default]
    Instant,
    /// Seconds to minutes on the virtual clock; the stream is `CREATING`, `UPDATING` or `DELETING` meanwhile.
    Aws,
}

/// What happens to a record when the streams hold as many bytes as they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// The oldest records of all streams go, in chunks of up to 1 MiB, as if their retention had passed.
    #[default]
    TrimOldest,
    /// The record is refused with `InternalFailure`.
    Refuse,
}
