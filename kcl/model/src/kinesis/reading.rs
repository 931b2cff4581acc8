//! `GetShardIterator`, `GetRecords` and `SubscribeToShard`.
//!
//! An iterator is a position in one shard of one stream with the time it was made; all state of a polling reader is in
//! it.

use kcl_core::ShardId;

use super::Kinesis;
use crate::api::*;
use crate::shard_log::{PositionRefused, ReadLimits, ReadRefused};
use crate::stream::{Snapshot, StreamId};
use crate::token::{self, TokenKind};
use crate::topology::{Shard, ShardEntry};
use crate::validate;
use crate::{EpochMillis, KinesisError, Result, Subscription};

impl Kinesis {
    /// `GetShardIterator`: an opaque text for `GetRecords`.
    ///
    /// # Errors
    /// `ResourceNotFound`; `InvalidArgument` for a foreign sequence number or a time to come.
    pub fn get_shard_iterator(&self, request: GetShardIteratorRequest, now: EpochMillis) -> Result<String> {
        let snapshot = self.snapshot(&request.stream, now)?;
        let entry = self.shard_entry(&snapshot, &request.shard_id)?;
        let resolved = entry.shard.log.lock().resolve(request.position, now);
        let offset =
            resolved.map_err(|refused| self.position_refused(refused, &entry.shard, &snapshot, now))?;
        Ok(seal_iterator(&snapshot, &entry.shard, offset, now))
    }

    /// `GetRecords`.
    ///
    /// # Errors
    /// `Validation`, `InvalidArgument`, `ExpiredIterator`, `ProvisionedThroughputExceeded`, `ResourceNotFound`.
    pub fn get_records(&self, request: GetRecordsRequest, now: EpochMillis) -> Result<GetRecordsResponse> {
        let records_max = validate::page("limit", request.limit, RECORDS_MAX, RECORDS_MAX)?;
        let ([stream, number, offset, created], _) =
            token::open::<4>(TokenKind::ShardIterator, &request.shard_iterator)
                .ok_or_else(|| KinesisError::InvalidArgument("Invalid ShardIterator.".to_owned()))?;
        self.require_fresh(EpochMillis(created), now)?;
        let snapshot = self.snapshot_by_id(StreamId(stream), now)?;
        if request.stream_arn.as_ref().is_some_and(|arn| *arn != snapshot.arn) {
            return Err(KinesisError::InvalidArgument(
                "StreamARN and ShardIterator name different streams.".to_owned(),
            ));
        }
        let gone = || {
            KinesisError::ResourceNotFound(format!(
                "Shard {number} in stream {} under account {} does not exist",
                snapshot.name, self.settings.account_id
            ))
        };
        let number = u32::try_from(number).map_err(|_| gone())?;
        let shard = &snapshot.topology.shard_numbered(number).ok_or_else(gone)?.shard;
        let limits = ReadLimits { records_max, bytes_max: ANSWER_BYTES_MAX };
        let read = shard.log.lock().poll_read(offset, limits, now).map_err(|refused| match refused {
            ReadRefused::Throttled => self.rate_exceeded(&snapshot, shard),
            ReadRefused::Deleted => gone(),
        })?;
        let next = read.end.is_none().then(|| seal_iterator(&snapshot, shard, read.next_offset, now));
        Ok(GetRecordsResponse {
            records: read.records,
            next_shard_iterator: next,
            millis_behind_latest: read.millis_behind,
            child_shards: read.end.unwrap_or_default(),
            encryption_type: snapshot.encryption_type,
        })
    }

    /// `SubscribeToShard`. A second call of the same consumer for the same shard is refused within 5 seconds and takes
    /// over the first one's place afterwards.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`, `InvalidArgument`.
    pub fn subscribe_to_shard(
        &self,
        request: SubscribeToShardRequest,
        now: EpochMillis,
    ) -> Result<Subscription> {
        let SubscribeToShardRequest { consumer_arn, shard_id, position } = request;
        let stream = self.active_consumer_stream(&consumer_arn, now)?;
        let snapshot = self.snapshot(&stream, now)?;
        let entry = self.shard_entry(&snapshot, &shard_id)?;
        let mut log = entry.shard.log.lock();
        let offset = log
            .resolve(position, now)
            .map_err(|refused| self.position_refused(refused, &entry.shard, &snapshot, now))?;
        let generation = log.slots().take(&consumer_arn, now).ok_or_else(|| {
            KinesisError::ResourceInUse(format!(
                "Another active subscription exists for consumer {consumer_arn} and shard {}: wait 5 seconds after \
                 the last successful SubscribeToShard call.",
                entry.shard.id
            ))
        })?;
        log.wake();
        drop(log);
        Ok(Subscription::new(entry.shard.clone(), consumer_arn, generation, offset, &self.settings, now))
    }

    fn shard_entry<'a>(&self, snapshot: &'a Snapshot, id: &ShardId) -> Result<&'a ShardEntry> {
        snapshot.topology.shard(id).ok_or_else(|| self.no_shard(id, &snapshot.name))
    }

    pub(super) fn no_shard(&self, id: &ShardId, stream_name: &str) -> KinesisError {
        KinesisError::ResourceNotFound(format!(
            "Shard {id} in stream {stream_name} under account {} does not exist",
            self.settings.account_id
        ))
    }

    fn require_fresh(&self, created: EpochMillis, now: EpochMillis) -> Result<()> {
        let lifetime = self.settings.iterator_lifetime;
        if created.after(lifetime) < now {
            return Err(KinesisError::ExpiredIterator(format!(
                "Iterator expired. The iterator was created at time {created} while right now it is {now} which is \
                 further in the future than the tolerated delay of {} milliseconds.",
                lifetime.as_millis()
            )));
        }
        Ok(())
    }

    fn position_refused(
        &self,
        refused: PositionRefused,
        shard: &Shard,
        snapshot: &Snapshot,
        now: EpochMillis,
    ) -> KinesisError {
        KinesisError::InvalidArgument(match refused {
            PositionRefused::Future(time) => format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {}, currentTimestampInMillis: {}",
                time.0, now.0
            ),
            PositionRefused::Foreign(number) => format!(
                "StartingSequenceNumber {number} used in GetShardIterator on shard {} in stream {} under account {} \
                 is invalid because it did not come from this stream.",
                shard.id, snapshot.name, self.settings.account_id
            ),
        })
    }
}

fn seal_iterator(snapshot: &Snapshot, shard: &Shard, offset: u64, now: EpochMillis) -> String {
    token::seal(TokenKind::ShardIterator, &[snapshot.id.0, u64::from(shard.number), offset, now.0], "")
}

/// Records of one answer.
const RECORDS_MAX: usize = 10_000;
/// Data and partition keys of one answer.
const ANSWER_BYTES_MAX: usize = 10 << 20;
