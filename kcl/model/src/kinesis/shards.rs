//! `SplitShard`, `MergeShards` and `UpdateShardCount`: what is checked before a reshard begins.

use kcl_core::{HashKey, ShardId};

use super::Kinesis;
use crate::api::*;
use crate::operation_time::Operation;
use crate::reshard;
use crate::stream::{Change, Stream};
use crate::topology::Shard;
use crate::validate;
use crate::{EpochMillis, KinesisError, Limits, Result};

impl Kinesis {
    /// `SplitShard`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`, `Validation` for an on-demand stream, `LimitExceeded`; `InvalidArgument` if
    /// the shard is closed or the key does not lie inside it.
    pub fn split_shard(&self, request: SplitShardRequest, now: EpochMillis) -> Result<()> {
        let due = self.due(Operation::SplitOrMerge, now);
        self.control(now, |account| {
            let stream = account.stream(&request.stream)?;
            self.require_reshardable(stream)?;
            let shard = self.open_shard(stream, &request.shard_to_split)?;
            let key = request.new_starting_hash_key;
            let (start, end) = (shard.range.start(), shard.range.end());
            if key.0 <= start.0.saturating_add(1) || key >= end {
                return Err(KinesisError::InvalidArgument(format!(
                    "NewStartingHashKey {key} used in SplitShard() on shard {} in stream {} under account {} is not \
                     both greater than one plus the shard's StartingHashKey {start} and less than the shard's \
                     EndingHashKey {end}.",
                    shard.id, stream.name, self.settings.account_id
                )));
            }
            account.require_shards(1)?;
            account.stream_mut(&request.stream)?.begin(Change::Split { upper_start: key }, due)
        })
    }

    /// `MergeShards`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`, `Validation` for an on-demand stream; `InvalidArgument` if a shard is closed
    /// or the two do not touch.
    pub fn merge_shards(&self, request: MergeShardsRequest, now: EpochMillis) -> Result<()> {
        let due = self.due(Operation::SplitOrMerge, now);
        self.control_stream(&request.stream, now, |stream| {
            self.require_reshardable(stream)?;
            let first = self.open_shard(stream, &request.shard_to_merge)?;
            let adjacent = self.open_shard(stream, &request.adjacent_shard_to_merge)?;
            let upper_start = self.boundary(stream, first, adjacent)?;
            stream.begin(Change::Merge { upper_start, first_parent: request.shard_to_merge.clone() }, due)
        })
    }

    /// `UpdateShardCount`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`, `Validation`. Where limits hold, `InvalidArgument` beyond double or half and
    /// `LimitExceeded` at the eleventh call in 24 hours and beyond the account's shards, those between included.
    pub fn update_shard_count(
        &self,
        request: UpdateShardCountRequest,
        now: EpochMillis,
    ) -> Result<UpdateShardCountResponse> {
        let ScalingType::Uniform = request.scaling_type;
        let target = request.target_shard_count;
        validate::at_least_one("targetShardCount", target)?;
        self.control(now, |account| {
            let stream = account.stream(&request.stream)?;
            self.require_reshardable(stream)?;
            let current = stream.topology().open().len();
            self.require_step(current, target as usize)?;
            let open: Vec<_> = stream.topology().open().iter().map(|shard| shard.range).collect();
            account.require_shards(reshard::plan(&open, target).splits.len())?;

            let stream = account.stream_mut(&request.stream)?;
            self.require_scaling_quota(stream, now)?;
            stream.scalings.count(now);
            let operation = Operation::UpdateShardCount { from: current, to: target as usize };
            stream.begin(Change::Scale { target }, self.due(operation, now))?;
            Ok(UpdateShardCountResponse {
                stream_name: stream.name.clone(),
                stream_arn: stream.arn.clone(),
                current_shard_count: current,
                target_shard_count: target as usize,
            })
        })
    }

    fn require_reshardable(&self, stream: &Stream) -> Result<()> {
        match stream.mode {
            StreamMode::Provisioned => stream.require_active(),
            StreamMode::OnDemand => Err(KinesisError::Validation(format!(
                "Request is invalid. Stream {} under account {} is in ON_DEMAND mode.",
                stream.name, self.settings.account_id
            ))),
        }
    }

    fn open_shard<'a>(&self, stream: &'a Stream, id: &ShardId) -> Result<&'a Shard> {
        let entry = stream.topology().shard(id).ok_or_else(|| self.no_shard(id, &stream.name))?;
        if entry.closed.is_some() {
            return Err(KinesisError::InvalidArgument(format!(
                "Shard {id} in stream {} under account {} has already been merged or split, and thus is not \
                 eligible for merging or splitting.",
                stream.name, self.settings.account_id
            )));
        }
        Ok(&entry.shard)
    }

    fn boundary(&self, stream: &Stream, one: &Shard, other: &Shard) -> Result<HashKey> {
        if one.range.is_followed_by(other.range) {
            return Ok(other.range.start());
        }
        if other.range.is_followed_by(one.range) {
            return Ok(one.range.start());
        }
        Err(KinesisError::InvalidArgument(format!(
            "Shards {} and {} in stream {} under account {} are not an adjacent pair of shards eligible for merging",
            one.id, other.id, stream.name, self.settings.account_id
        )))
    }

    fn require_step(&self, current: usize, target: usize) -> Result<()> {
        let counts = format!("Current open shard count: {current} Target shard count: {target}");
        match self.settings.limits {
            Limits::Aws if target > current * 2 => Err(KinesisError::InvalidArgument(format!(
                "UpdateShardCount cannot scale up over double your current open shard count. {counts}"
            ))),
            Limits::Aws if target < current.div_ceil(2) => Err(KinesisError::InvalidArgument(format!(
                "UpdateShardCount cannot scale down below half your current open shard count. {counts}"
            ))),
            Limits::Aws | Limits::Off => Ok(()),
        }
    }

    fn require_scaling_quota(&self, stream: &mut Stream, now: EpochMillis) -> Result<()> {
        let has_room = stream.scalings.has_room(now);
        match self.settings.limits {
            Limits::Aws if !has_room => Err(KinesisError::LimitExceeded(format!(
                "UpdateShardCount was called 10 times in a rolling 24 hours for stream {}, which is the limit.",
                stream.name
            ))),
            Limits::Aws | Limits::Off => Ok(()),
        }
    }
}
