//! KPL aggregates: many user records packed into one Kinesis record.
//!
//! ```text
//! F3 89 9A C2 │ protobuf AggregatedRecord                                                      │ MD5 of the protobuf
//!             │ 1: partition keys  2: explicit hash keys  3: records { 1: key, 2: hash, 3: data } │
//! ```
//!
//! A Kinesis record that is not exactly of this form passes through as it is. The index of a user record within its
//! aggregate is its sub-sequence number, whatever the policy leaves out: positions do not depend on settings.

mod decode;
mod encode;

pub use encode::AggregateBuilder;

use std::sync::Arc;

use kcl_core::{HashKeyRange, RecordPosition};
use serde::{Deserialize, Serialize};

use crate::record::Record;

/// What happens to user records of an aggregate whose hash key lies outside the shard.
///
/// It happens when a producer packed by a shard map that a reshard made old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AggregatePolicy {
    /// As the KCL: one such record drops the whole aggregate, because the KPL then sends all of it again.
    #[default]
    StrictKcl,
    /// Only the records outside are dropped; for producers that send those again, and only those.
    KeepInRange,
    /// Nothing is dropped. Order by key then holds only as far as the producer kept it, so that keyed state must not
    /// be built on it.
    KeepAll,
}

/// Appends the user records of `record` to `records` and returns how many the policy dropped.
///
/// The framework does this for every record that it delivers; it is here for records that come from elsewhere.
pub fn deaggregate(
    record: Record,
    range: HashKeyRange,
    policy: AggregatePolicy,
    records: &mut Vec<Record>,
) -> usize {
    let Some(aggregate) = decode::decode(&record.data) else {
        records.push(record);
        return 0;
    };
    let is_inside = |entry: &decode::Entry| match policy {
        AggregatePolicy::KeepAll => true,
        AggregatePolicy::StrictKcl | AggregatePolicy::KeepInRange => {
            range.contains(aggregate.hash_key(entry))
        }
    };
    let total = aggregate.entries.len();
    if policy == AggregatePolicy::StrictKcl && !aggregate.entries.iter().all(is_inside) {
        return total;
    }
    let kept_before = records.len();
    for (sub_sequence, entry) in (0..).zip(&aggregate.entries) {
        if is_inside(entry) {
            records.push(Record {
                position: RecordPosition { sequence: record.position.sequence, sub_sequence },
                partition_key: Arc::clone(&aggregate.partition_keys[entry.partition_key]),
                data: entry.data.clone(),
                arrival_epoch_millis: record.arrival_epoch_millis,
            });
        }
    }
    total - (records.len() - kept_before)
}

/// Whether `data` begins as an aggregate does, without looking any further.
pub(crate) fn has_aggregate_prefix(data: &[u8]) -> bool {
    data.starts_with(&MAGIC)
}

/// First bytes of every aggregate.
const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
/// Bytes of the MD5 at the end.
const DIGEST_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kcl_core::{HashKey, SequenceNumber};
    use proptest::prelude::*;

    use super::*;

    fn record(data: Bytes) -> Record {
        Record {
            position: RecordPosition::first_of(SequenceNumber::from_parts(0, 42)),
            partition_key: Arc::from("outer"),
            data,
            arrival_epoch_millis: 7,
        }
    }

    fn expand(data: Bytes, range: HashKeyRange, policy: AggregatePolicy) -> (Vec<Record>, usize) {
        let mut records = Vec::new();
        let dropped = deaggregate(record(data), range, policy, &mut records);
        (records, dropped)
    }

    fn texts(records: &[Record]) -> Vec<(u64, &str)> {
        let text = |record| std::str::from_utf8(record).expect("text");
        records.iter().map(|record| (record.position.sub_sequence, text(&record.data))).collect()
    }

    /// Two records in the lower half by explicit hash key, one in the upper.
    fn straddling() -> Bytes {
        let mut builder = AggregateBuilder::new();
        builder.push("a", Some(HashKey(1)), b"first");
        builder.push("b", Some(HashKey(u128::MAX)), b"outside");
        builder.push("a", Some(HashKey(2)), b"third");
        builder.finish()
    }

    fn lower_half() -> HashKeyRange {
        HashKeyRange::new(HashKey(0), HashKey(u128::MAX / 2)).expect("valid")
    }

    #[test]
    fn a_known_aggregate_is_read() {
        // Table ["k"], one record {0, "hi"}, as the protobuf compiler writes it.
        let body = [0x0a, 0x01, b'k', 0x1a, 0x06, 0x08, 0x00, 0x1a, 0x02, b'h', b'i'];
        let digest = <md5::Md5 as md5::Digest>::digest(body);
        let data: Bytes = [&MAGIC[..], &body, &digest[..]].concat().into();
        let (records, dropped) = expand(data, HashKeyRange::FULL, AggregatePolicy::StrictKcl);
        assert_eq!((texts(&records), dropped), (vec![(0, "hi")], 0));
        assert_eq!((&*records[0].partition_key, records[0].arrival_epoch_millis), ("k", 7));
    }

    #[test]
    fn policies_differ_in_what_lies_outside_and_keep_positions() {
        let of = |policy| expand(straddling(), lower_half(), policy);
        assert_eq!(of(AggregatePolicy::StrictKcl), (vec![], 3));
        let (kept, dropped) = of(AggregatePolicy::KeepInRange);
        assert_eq!((texts(&kept), dropped), (vec![(0, "first"), (2, "third")], 1));
        let (all, dropped) = of(AggregatePolicy::KeepAll);
        assert_eq!((texts(&all), dropped), (vec![(0, "first"), (1, "outside"), (2, "third")], 0));
    }

    #[test]
    fn anything_else_passes_through() {
        let good = straddling();
        let mut wrong_digest = good.to_vec();
        *wrong_digest.last_mut().expect("not empty") ^= 1;
        let cut = good.slice(..good.len() - 1);
        for data in [Bytes::new(), Bytes::from_static(&MAGIC), wrong_digest.into(), cut, "plain".into()] {
            let (records, dropped) = expand(data.clone(), lower_half(), AggregatePolicy::StrictKcl);
            assert_eq!((records, dropped), (vec![record(data)], 0));
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            entries in prop::collection::vec(("[a-c]{1,3}", prop::option::of(any::<u128>()), prop::collection::vec(any::<u8>(), 0..40)), 1..20)
        ) {
            let mut builder = AggregateBuilder::new();
            for (key, hash, data) in &entries {
                builder.push(key, hash.map(HashKey), data);
            }
            prop_assert_eq!(builder.len(), entries.len());
            let announced = builder.bytes();
            let data = builder.finish();
            prop_assert_eq!(announced, data.len());
            let (records, dropped) = expand(data, HashKeyRange::FULL, AggregatePolicy::StrictKcl);
            prop_assert_eq!(dropped, 0);
            let read: Vec<_> = records.iter().map(|record| (record.partition_key.to_string(), record.data.to_vec())).collect();
            let written: Vec<_> = entries.into_iter().map(|(key, _, data)| (key, data)).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let digest = <md5::Md5 as md5::Digest>::digest(&body);
            let data: Bytes = [&MAGIC[..], &body, &digest[..]].concat().into();
            let (records, dropped) = expand(data, HashKeyRange::FULL, AggregatePolicy::StrictKcl);
            prop_assert!(!records.is_empty() || dropped == 0);
        }
    }
}
