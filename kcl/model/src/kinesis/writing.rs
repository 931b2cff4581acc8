//! `PutRecord` and `PutRecords`.
//!
//! ```text
//! records ─▶ hash ─▶ group by shard of the snapshot ─▶ lock each log once, append ─┬─▶ receipts, throttles
//!              ▲                                                                   │ closed meanwhile
//!              └──────────────────────── newer snapshot ◀──────────────────────────┘
//! ```

use std::sync::Arc;

use bytes::Bytes;
use kcl_core::HashKey;

use super::Kinesis;
use crate::api::*;
use crate::shard_log::Append;
use crate::stream::{KIBIBYTE, Snapshot};
use crate::topology::Shard;
use crate::{EpochMillis, KinesisError, Result};

impl Kinesis {
    /// `PutRecord`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `Validation`, `ProvisionedThroughputExceeded`, or `InternalFailure` if the byte cap refuses
    /// the record.
    pub fn put_record(&self, request: PutRecordRequest, now: EpochMillis) -> Result<PutRecordResponse> {
        let PutRecordRequest { stream, data, partition_key, explicit_hash_key, .. } = request;
        let snapshot = self.snapshot(&stream, now)?;
        let encryption_type = snapshot.encryption_type;
        let record = PutRecordsEntry { data, partition_key, explicit_hash_key };
        check_record("data", &record, &snapshot)?;
        let receipt = self.store(&stream, snapshot, std::slice::from_ref(&record), now)?;
        let receipt = receipt.into_iter().next().expect("one outcome per record")?;
        Ok(PutRecordResponse {
            shard_id: receipt.shard_id,
            sequence_number: receipt.sequence_number,
            encryption_type,
        })
    }

    /// `PutRecords`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `Validation`, `InvalidArgument`: then no record was stored. Throttles are reported per record.
    pub fn put_records(&self, request: PutRecordsRequest, now: EpochMillis) -> Result<PutRecordsResponse> {
        let PutRecordsRequest { stream, records } = request;
        let snapshot = self.snapshot(&stream, now)?;
        let encryption_type = snapshot.encryption_type;
        check_request(&records, &snapshot)?;
        let records = self.store(&stream, snapshot, &records, now)?;
        let failed_record_count = records.iter().filter(|outcome| outcome.is_err()).count();
        Ok(PutRecordsResponse { failed_record_count, records, encryption_type })
    }

    fn store(
        &self,
        stream: &StreamRef,
        mut snapshot: Arc<Snapshot>,
        records: &[PutRecordsEntry],
        now: EpochMillis,
    ) -> Result<Vec<Result<PutReceipt>>> {
        let mut outcomes = vec![None; records.len()];
        let mut waiting: Vec<_> = records.iter().map(hash_key).enumerate().collect();
        for _ in 0..ROUTING_ATTEMPTS_MAX {
            waiting = self.store_routed(&snapshot, records, waiting, &mut outcomes, now);
            if waiting.is_empty() {
                break;
            }
            snapshot = self.snapshot(stream, now)?;
        }
        self.trim_to_cap();
        let moving =
            || KinesisError::InternalFailure(format!("The shards of {} keep moving.", snapshot.name));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(moving()))).collect())
    }

    /// Stores what `snapshot` routes to open shards, in the order of the request within each shard. Returns the records
    /// whose shard was closed meanwhile.
    fn store_routed(
        &self,
        snapshot: &Snapshot,
        records: &[PutRecordsEntry],
        waiting: Vec<(usize, HashKey)>,
        outcomes: &mut [Option<Result<PutReceipt>>],
        now: EpochMillis,
    ) -> Vec<(usize, HashKey)> {
        let topology = &snapshot.topology;
        let mut routed: Vec<_> =
            waiting.into_iter().map(|(record, hash)| (topology.route_place(hash), record, hash)).collect();
        routed.sort_by_key(|(place, ..)| *place);

        let mut left = Vec::new();
        for group in routed.chunk_by(|one, other| one.0 == other.0) {
            let shard = &topology.open()[group[0].0];
            let mut log = shard.log.lock();
            for (_, record, hash) in group {
                let PutRecordsEntry { data, partition_key, .. } = &records[*record];
                let outcome = match log.append(data, partition_key, now) {
                    Append::Stored(sequence_number) => {
                        Ok(PutReceipt { shard_id: shard.id.clone(), sequence_number })
                    }
                    Append::Throttled => Err(self.rate_exceeded(snapshot, shard)),
                    Append::Full => Err(self.cap_reached(data)),
                    Append::Closed => {
                        left.push((*record, *hash));
                        continue;
                    }
                };
                outcomes[*record] = Some(outcome);
            }
        }
        left.sort_unstable_by_key(|(record, _)| *record);
        left
    }

    /// Drops the oldest segments of all streams until they fit the byte cap again.
    fn trim_to_cap(&self) {
        while self.stored.is_over() {
            let account = self.account.read();
            let arrival = |shard: &&Arc<Shard>| shard.log.lock().oldest_segment_arrival();
            let oldest = account
                .shards()
                .filter_map(|shard| Some((arrival(&shard)?, shard)))
                .min_by_key(|(at, _)| *at);
            let Some((_, shard)) = oldest else { return };
            shard.log.lock().drop_oldest_segment();
        }
    }

    pub(super) fn rate_exceeded(&self, snapshot: &Snapshot, shard: &Shard) -> KinesisError {
        KinesisError::ProvisionedThroughputExceeded(format!(
            "Rate exceeded for shard {} in stream {} under account {}.",
            shard.id, snapshot.name, self.settings.account_id
        ))
    }

    fn cap_reached(&self, data: &Bytes) -> KinesisError {
        KinesisError::InternalFailure(format!(
            "The model holds {} bytes, its cap is {} and a record of {} bytes does not fit: raise stored_bytes_max, \
             or set when_full to trim the oldest records.",
            self.stored.held(),
            self.stored.max().unwrap_or(u64::MAX),
            data.len()
        ))
    }
}

fn hash_key(record: &PutRecordsEntry) -> HashKey {
    record.explicit_hash_key.unwrap_or_else(|| HashKey::of_partition_key(record.partition_key.as_str()))
}

fn check_request(records: &[PutRecordsEntry], snapshot: &Snapshot) -> Result<()> {
    if records.is_empty() || records.len() > REQUEST_RECORDS_MAX {
        return Err(KinesisError::constraint(
            "records",
            format!("[{} records]", records.len()),
            "Member must have length between 1 and 500",
        ));
    }
    let mut request_bytes = 0;
    for (index, record) in records.iter().enumerate() {
        check_record(&format!("records.{}.member.data", index + 1), record, snapshot)?;
        request_bytes += record.data.len() + record.partition_key.bytes_len();
    }
    let has_great_records = snapshot.record_bytes_max > 1024 * KIBIBYTE;
    let bytes_max = if has_great_records { 10 } else { 5 } * 1024 * KIBIBYTE;
    if request_bytes > bytes_max {
        return Err(KinesisError::InvalidArgument(format!(
            "Records size of {request_bytes} bytes exceeds the limit of {bytes_max} bytes per request."
        )));
    }
    Ok(())
}

fn check_record(member: &str, record: &PutRecordsEntry, snapshot: &Snapshot) -> Result<()> {
    let key_characters = record.partition_key.as_str().chars().count();
    if key_characters == 0 || key_characters > KEY_CHARACTERS_MAX {
        return Err(KinesisError::constraint(
            "partitionKey",
            format!("[{key_characters} characters]"),
            "Member must have length between 1 and 256",
        ));
    }
    let bytes = record.data.len() + record.partition_key.bytes_len();
    if bytes > snapshot.record_bytes_max {
        let constraint =
            format!("Member must have length less than or equal to {}", snapshot.record_bytes_max);
        return Err(KinesisError::constraint(member, format!("[{bytes} bytes with its key]"), &constraint));
    }
    Ok(())
}

const REQUEST_RECORDS_MAX: usize = 500;
const KEY_CHARACTERS_MAX: usize = 256;
/// Each further attempt means that yet another reshard came between snapshot and append.
const ROUTING_ATTEMPTS_MAX: usize = 16;
