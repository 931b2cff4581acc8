//! One stream on a clock that tests move, with short names for what they do all the time.

use std::time::Duration;

use kcl_core::{HashKey, SequenceNumber, ShardId};
use kinesis_model::*;

pub(crate) struct World {
    pub(crate) kinesis: Kinesis,
    pub(crate) now: EpochMillis,
}

impl World {
    pub(crate) fn with(settings: Settings, shards: u32) -> Self {
        let world = Self { kinesis: Kinesis::new(settings), now: EpochMillis(1_700_000_000_000) };
        let request = CreateStreamRequest::provisioned("s", shards);
        world.kinesis.create_stream(request, world.now).expect("the first stream");
        world
    }

    pub(crate) fn new(shards: u32) -> Self {
        Self::with(Settings::default(), shards)
    }

    pub(crate) fn aws(shards: u32) -> Self {
        let settings =
            Settings { limits: Limits::Aws, control_plane: ControlPlane::Aws, ..Settings::default() };
        let mut world = Self::with(settings, shards);
        world.settle();
        world
    }

    pub(crate) fn pass(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    /// Lets the operation under way finish.
    pub(crate) fn settle(&mut self) {
        let due = self.kinesis.next_transition().expect("an operation is under way");
        self.now = self.now.max(due);
    }

    pub(crate) fn put_at(&self, hash: u128, data: &str) -> PutRecordResponse {
        let request = PutRecordRequest {
            explicit_hash_key: Some(HashKey(hash)),
            ..PutRecordRequest::new(stream(), "key", data.to_owned())
        };
        self.kinesis.put_record(request, self.now).expect("the record is taken")
    }

    pub(crate) fn put(&self, data: &str) -> SequenceNumber {
        self.put_at(0, data).sequence_number
    }

    pub(crate) fn iterator(&self, shard: u32, position: StartingPosition) -> String {
        self.try_iterator(shard, position).expect("the position exists")
    }

    pub(crate) fn try_iterator(&self, shard: u32, position: StartingPosition) -> Result<String> {
        let request = GetShardIteratorRequest { stream: stream(), shard_id: shard_id(shard), position };
        self.kinesis.get_shard_iterator(request, self.now)
    }

    pub(crate) fn read(&self, iterator: &str) -> GetRecordsResponse {
        self.kinesis.get_records(GetRecordsRequest::new(iterator), self.now).expect("the iterator is good")
    }

    pub(crate) fn split(&self, shard: u32, key: u128) -> Result<()> {
        let request = SplitShardRequest {
            stream: stream(),
            shard_to_split: shard_id(shard),
            new_starting_hash_key: HashKey(key),
        };
        self.kinesis.split_shard(request, self.now)
    }

    pub(crate) fn merge(&self, shard: u32, adjacent: u32) -> Result<()> {
        let request = MergeShardsRequest {
            stream: stream(),
            shard_to_merge: shard_id(shard),
            adjacent_shard_to_merge: shard_id(adjacent),
        };
        self.kinesis.merge_shards(request, self.now)
    }

    pub(crate) fn scale(&self, target: u32) -> Result<UpdateShardCountResponse> {
        let request = UpdateShardCountRequest {
            stream: stream(),
            target_shard_count: target,
            scaling_type: ScalingType::Uniform,
        };
        self.kinesis.update_shard_count(request, self.now)
    }

    pub(crate) fn summary(&self) -> StreamSummary {
        self.kinesis.describe_stream_summary(stream(), self.now).expect("the stream exists")
    }

    pub(crate) fn shards(&self) -> Vec<ShardDescription> {
        let listed = self.kinesis.list_shards(ListShardsRequest::all(stream()), self.now);
        listed.expect("the stream exists").shards
    }

    pub(crate) fn open_shards(&self) -> Vec<ShardDescription> {
        self.shards().into_iter().filter(|shard| shard.ending_sequence_number.is_none()).collect()
    }
}

pub(crate) fn stream() -> StreamRef {
    StreamRef::name("s")
}

pub(crate) fn shard_id(number: u32) -> ShardId {
    ShardId::new(format!("shardId-{number:012}")).expect("valid")
}

pub(crate) fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(&record.data).expect("text")).collect()
}

pub(crate) fn code<T>(result: Result<T>) -> &'static str {
    result.err().map_or("accepted", |error| error.code())
}

pub(crate) const MIDDLE: u128 = 1 << 127;
