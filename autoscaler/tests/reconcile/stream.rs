//! The stream: the model's control plane, a demand on it, and the metrics that would be seen of it.

use std::collections::BTreeMap;

use autoscaler::reconcile::{Call, CallReply, Look, Refusal};
use autoscaler::{
    Boundaries, EpochMillis, Layout, LoadMap, Minute, Observation, OpenShard, ShardMinute, StreamState,
};
use kcl_core::{HashKey, ShardId};
use kinesis_model::{
    ControlPlane, CreateStreamRequest, Kinesis, KinesisError, Limits, ListShardsRequest, MergeShardsRequest,
    ScalingType, Settings, ShardFilter, SplitShardRequest, StreamRef, StreamStatus, UpdateShardCountRequest,
};

use crate::faults::MINUTE;
use crate::process::RECORDS_OF_A_SECOND;

/// The stream and what is offered to it.
pub(crate) struct Stream {
    kinesis: Kinesis,
    name: StreamRef,
    pub(crate) demand_shards: f64,
    map: LoadMap,
    minutes: Vec<Minute>,
    shard_minutes: BTreeMap<ShardId, Vec<ShardMinute>>,
}

impl Stream {
    pub(crate) fn new(shards: u32, demand_shards: f64, skew: f64, now: EpochMillis) -> Self {
        let settings =
            Settings { limits: Limits::Aws, control_plane: ControlPlane::Aws, ..Settings::default() };
        let kinesis = Kinesis::new(settings);
        let created = kinesis.create_stream(CreateStreamRequest::provisioned("clicks", shards), now);
        created.expect("the account is empty");
        let map = if skew > 0.0 {
            let tenth = u128::MAX / 10;
            let segments =
                [(0, 0.4), (4 * tenth, 0.1), (5 * tenth, 0.5)].map(|(at, part)| (HashKey(at), part));
            let hot = |at: u128| if at == 4 * tenth { skew } else { 0.0 };
            LoadMap::new(segments.map(|(key, part)| (key, part * (1.0 - skew) + hot(key.0))), [])
        } else {
            LoadMap::even()
        };
        let name = StreamRef::name("clicks");
        Self { kinesis, name, demand_shards, map, minutes: Vec::new(), shard_minutes: BTreeMap::new() }
    }

    pub(crate) fn layout(&self, now: EpochMillis) -> Layout {
        let request = ListShardsRequest {
            stream: self.name.clone(),
            shard_filter: Some(ShardFilter::AtLatest),
            ..ListShardsRequest::default()
        };
        let listed = self.kinesis.list_shards(request, now).expect("the stream is there").shards;
        let shard = |shard: kinesis_model::ShardDescription| OpenShard {
            id: shard.shard_id,
            range: shard.hash_key_range,
        };
        Layout::new(listed.into_iter().map(shard).collect()).expect("open shards cover the hash space")
    }

    pub(crate) fn state(&self, now: EpochMillis) -> StreamState {
        let summary = self.kinesis.describe_stream_summary(self.name.clone(), now);
        match summary.expect("the stream is there").status {
            StreamStatus::Active => StreamState::Active,
            StreamStatus::Creating | StreamStatus::Updating => StreamState::Changing,
            StreamStatus::Deleting => StreamState::Deleting,
        }
    }

    pub(crate) fn look(&self, now: EpochMillis) -> Look {
        Look { state: self.state(now), layout: self.layout(now) }
    }

    /// Measures the minute that has just ended.
    pub(crate) fn measure(&mut self, now: EpochMillis) {
        let layout = self.layout(now);
        let shares = self.map.shares(&layout.boundaries());
        let start = now.before(std::time::Duration::from_millis(MINUTE));
        let (mut accepted, mut rejected) = (0.0, 0.0);
        for (shard, share) in layout.shards().iter().zip(shares) {
            let offered = self.demand_shards * share;
            accepted += offered.min(1.0);
            rejected += (offered - 1.0).max(0.0);
            let minutes = self.shard_minutes.entry(shard.id.clone()).or_default();
            minutes.push(ShardMinute {
                start,
                bytes: Some(offered.min(1.0) * BYTES_OF_A_MINUTE),
                records: Some(offered.min(1.0) * RECORDS_OF_A_MINUTE),
                rejected_records: Some((offered - 1.0).max(0.0) * RECORDS_OF_A_MINUTE),
                ..ShardMinute::default()
            });
        }
        self.shard_minutes.retain(|_, minutes| {
            minutes.last().is_some_and(|minute| start.millis_since(minute.start) < 10 * MINUTE)
        });
        for minutes in self.shard_minutes.values_mut() {
            let old = minutes.len().saturating_sub(SHARD_MINUTES_KEPT);
            minutes.drain(..old);
        }
        self.minutes.push(Minute {
            start,
            bytes: Some(accepted * BYTES_OF_A_MINUTE),
            records: Some(accepted * RECORDS_OF_A_MINUTE),
            rejected_records: Some(rejected * RECORDS_OF_A_MINUTE),
            read_bytes: Some(accepted * BYTES_OF_A_MINUTE),
            rejected_reads: Some(0.0),
        });
    }

    /// What is seen at `now` when metrics are `delay` minutes late and those for which `is_lost` holds are missing.
    pub(crate) fn observation(
        &self,
        now: EpochMillis,
        delay: u64,
        mut is_lost: impl FnMut() -> bool,
    ) -> Observation {
        let shown = |start: EpochMillis| now.millis_since(start) >= (delay + 1) * MINUTE;
        let kept = self.minutes.len().saturating_sub(MINUTES_SEEN);
        let seen = self.minutes[kept..].iter().filter(|minute| shown(minute.start));
        let lossy =
            seen.map(
                |minute| {
                    if is_lost() { Minute { start: minute.start, ..Minute::default() } } else { *minute }
                },
            );
        let minutes = lossy.collect();
        let layout = self.layout(now);
        let of_shard = |shard: &OpenShard| {
            let minutes = self.shard_minutes.get(&shard.id)?;
            let minutes = minutes.iter().filter(|minute| shown(minute.start)).copied().collect();
            Some((shard.id.clone(), minutes))
        };
        Observation {
            state: self.state(now),
            shards: layout.shards().iter().filter_map(of_shard).collect(),
            layout,
            account_shards_left: Some(self.account_room(now)),
            fan_out_consumers: 0,
            minutes,
            load_map: Some(self.map.clone()),
            applications: Vec::new(),
        }
    }

    pub(crate) fn account_room(&self, now: EpochMillis) -> u32 {
        let limits = self.kinesis.describe_limits(now);
        u32::try_from(limits.shard_limit.saturating_sub(limits.open_shard_count)).unwrap_or(u32::MAX)
    }

    /// Carries out a call as Kinesis does.
    pub(crate) fn call(&self, call: &Call, now: EpochMillis) -> CallReply {
        let stream = self.name.clone();
        let outcome = match call {
            Call::Scale { target } => {
                let request = UpdateShardCountRequest {
                    stream,
                    target_shard_count: *target,
                    scaling_type: ScalingType::Uniform,
                };
                self.kinesis.update_shard_count(request, now).map(drop)
            }
            Call::Split { shard, at } => {
                let request =
                    SplitShardRequest { stream, shard_to_split: shard.clone(), new_starting_hash_key: *at };
                self.kinesis.split_shard(request, now)
            }
            Call::Merge { lower, upper, .. } => {
                let request = MergeShardsRequest {
                    stream,
                    shard_to_merge: lower.clone(),
                    adjacent_shard_to_merge: upper.clone(),
                };
                self.kinesis.merge_shards(request, now)
            }
        };
        match outcome {
            Ok(()) => CallReply::Accepted,
            Err(KinesisError::ResourceInUse(_)) => CallReply::Refused(Refusal::InUse),
            Err(KinesisError::LimitExceeded(_)) => CallReply::Refused(Refusal::LimitExceeded),
            Err(error) => CallReply::Refused(Refusal::Misfit { message: error.to_string() }),
        }
    }

    /// An operator's call at some place; what becomes of it.
    pub(crate) fn outside_call(&self, rng: &mut fastrand::Rng, now: EpochMillis) -> (Call, CallReply) {
        let layout = self.layout(now);
        let (shards, count) = (layout.shards(), layout.count());
        let place = rng.usize(..shards.len());
        let call = match rng.u8(..5) {
            0 => Call::Scale { target: (count * 2).min(SHARDS_MAX) },
            1 => Call::Scale { target: count.div_ceil(2) },
            2 => Call::Scale { target: (count + 1).min(SHARDS_MAX) },
            3 => {
                let range = shards[place].range;
                let middle = range.start().0 + (range.end().0 - range.start().0) / 2 + 1;
                Call::Split { shard: shards[place].id.clone(), at: HashKey(middle) }
            }
            _ => {
                let upper = &shards[place.max(1).min(shards.len() - 1)];
                let lower = &shards[place.max(1).min(shards.len() - 1).saturating_sub(1)];
                Call::Merge { lower: lower.id.clone(), upper: upper.id.clone(), at: upper.range.start() }
            }
        };
        let reply = self.call(&call, now);
        (call, reply)
    }

    /// The load of the fullest shard.
    pub(crate) fn fullest(&self, boundaries: &Boundaries) -> f64 {
        self.map.greatest_share(boundaries) * self.demand_shards
    }
}

const BYTES_OF_A_MINUTE: f64 = 60_000_000.0;
const RECORDS_OF_A_MINUTE: f64 = 60.0 * RECORDS_OF_A_SECOND;
/// More than any window of the planner.
const MINUTES_SEEN: usize = 40;
const SHARD_MINUTES_KEPT: usize = 20;
/// So that operators do not make streams that are slow to simulate.
const SHARDS_MAX: u32 = 48;
