//! The control plane: the model of Kinesis with one stream in it, its quotas and its times.
//!
//! The model's clock runs ahead by the time that creating the stream takes, so that the stream is active from the start.

use std::time::Duration;

use kcl_core::HashKey;
use kinesis_model::{
    ControlPlane, CreateStreamRequest, EpochMillis, Kinesis, KinesisError, Limits, ListShardsRequest,
    MergeShardsRequest, ScalingType, Settings, ShardFilter, SplitShardRequest, StreamRef, StreamStatus,
    UpdateShardCountRequest,
};

use super::settings::CloudSettings;
use crate::{Boundaries, Layout, OpenShard, Step};

/// One stream and the calls that change it.
#[derive(Debug)]
pub(super) struct Control {
    kinesis: Kinesis,
    stream: StreamRef,
    layout: Layout,
    boundaries: Boundaries,
    /// How far the model's clock is ahead.
    lead: Duration,
    is_changing: bool,
}

impl Control {
    /// An active stream of `shards` equal shards.
    pub(super) fn new(settings: &CloudSettings, shards: u32, now: EpochMillis) -> Self {
        let kinesis = Kinesis::new(Settings {
            limits: Limits::Aws,
            control_plane: ControlPlane::Aws,
            open_shards_max: settings.account_shards_max.max(shards) as usize,
            operation_percent: settings.operation_percent,
            retention_hours: 1,
            ..Settings::default()
        });
        let stream = StreamRef::name(STREAM);
        kinesis
            .create_stream(CreateStreamRequest::provisioned(STREAM, shards), now)
            .expect("an empty account takes a stream within its shard limit");
        let active = kinesis.next_transition().expect("the stream is being created");
        let lead = Duration::from_millis(active.millis_since(now));
        let layout = list(&kinesis, &stream, active);
        Self { boundaries: layout.boundaries(), layout, kinesis, stream, lead, is_changing: false }
    }

    /// The open shards.
    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where they begin.
    pub(super) const fn boundaries(&self) -> &Boundaries {
        &self.boundaries
    }

    /// Whether an operation is under way.
    pub(super) const fn is_changing(&self) -> bool {
        self.is_changing
    }

    /// Shards that the account may still open.
    pub(super) fn shards_left(&self, now: EpochMillis) -> u32 {
        let limits = self.kinesis.describe_limits(now.after(self.lead));
        u32::try_from(limits.shard_limit - limits.open_shard_count).unwrap_or(u32::MAX)
    }

    /// `UpdateShardCount`. Returns the boundaries that it makes.
    pub(super) fn scale(&mut self, target: u32, now: EpochMillis) -> Result<Boundaries, KinesisError> {
        let request = UpdateShardCountRequest {
            stream: self.stream.clone(),
            target_shard_count: target,
            scaling_type: ScalingType::Uniform,
        };
        self.kinesis.update_shard_count(request, now.after(self.lead))?;
        self.is_changing = true;
        Ok(Boundaries::uniform(target))
    }

    /// `SplitShard` or `MergeShards`. Returns the boundaries that it makes.
    pub(super) fn step(&mut self, step: Step, now: EpochMillis) -> Result<Boundaries, KinesisError> {
        let now = now.after(self.lead);
        match step {
            Step::Split { at } => {
                let shard_to_split = self.layout.shards()[self.boundaries.index_of(at)].id.clone();
                let stream = self.stream.clone();
                let request = SplitShardRequest { stream, shard_to_split, new_starting_hash_key: at };
                self.kinesis.split_shard(request, now)?;
            }
            Step::Merge { at } => {
                let (lower, upper) = self.neighbours(at)?;
                let request = MergeShardsRequest {
                    stream: self.stream.clone(),
                    shard_to_merge: self.layout.shards()[lower].id.clone(),
                    adjacent_shard_to_merge: self.layout.shards()[upper].id.clone(),
                };
                self.kinesis.merge_shards(request, now)?;
            }
        }
        self.is_changing = true;
        let mut boundaries = self.boundaries.clone();
        step.apply(&mut boundaries);
        Ok(boundaries)
    }

    /// Finishes the operation under way if it is due by `end`: when it was done, and the shards after it, to be adopted.
    pub(super) fn finish_by(&mut self, end: EpochMillis) -> Option<(EpochMillis, Layout)> {
        while self.is_changing {
            let due = self.kinesis.next_transition().filter(|&due| due <= end.after(self.lead))?;
            let summary = self.kinesis.describe_stream_summary(self.stream.clone(), due);
            if summary.expect("the stream is never deleted").status == StreamStatus::Active {
                self.is_changing = false;
                return Some((due.before(self.lead), list(&self.kinesis, &self.stream, due)));
            }
        }
        None
    }

    /// Goes on with `layout`. Returns where the shards before it began.
    pub(super) fn adopt(&mut self, layout: Layout) -> Boundaries {
        let before = std::mem::replace(&mut self.boundaries, layout.boundaries());
        self.layout = layout;
        before
    }

    fn neighbours(&self, at: HashKey) -> Result<(usize, usize), KinesisError> {
        let upper = self.boundaries.index_of(at);
        match upper.checked_sub(1) {
            Some(lower) if self.boundaries.contains(at) => Ok((lower, upper)),
            Some(_) | None => Err(KinesisError::InvalidArgument(format!(
                "No two shards of stream {STREAM} meet at hash key {at}: list the shards again."
            ))),
        }
    }
}

fn list(kinesis: &Kinesis, stream: &StreamRef, now: EpochMillis) -> Layout {
    let mut request = ListShardsRequest {
        shard_filter: Some(ShardFilter::AtLatest),
        ..ListShardsRequest::all(stream.clone())
    };
    let mut open = Vec::new();
    loop {
        let page = kinesis.list_shards(request, now).expect("the stream exists and pages are read at once");
        open.extend(
            page.shards
                .into_iter()
                .map(|shard| OpenShard { id: shard.shard_id, range: shard.hash_key_range }),
        );
        let Some(next_token) = page.next_token else { break };
        request = ListShardsRequest { next_token: Some(next_token), ..ListShardsRequest::default() };
    }
    Layout::new(open).expect("the model's open shards cover the hash space")
}

const STREAM: &str = "simulated";
