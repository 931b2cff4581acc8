//! The answers of `GetRecords` and `PutRecords` as JSON, written without a serializer in between: up to 10,000 records,
//! most of whose bytes need no look at each.
//!
//! Everything but the records is left to the serializer, so that the two forms of an answer cannot differ in it.

use std::io::Write as _;

use base64_simd::STANDARD;
use kinesis_model::{EncryptionType, EpochMillis, GetRecordsResponse, PutRecordsResponse, Record};

use super::output::{GetRecordsOutput, PutRecordsOutput};
use super::protocol::Protocol;

/// The same JSON as that of [`GetRecordsOutput`].
pub(super) fn got(response: &GetRecordsResponse) -> Vec<u8> {
    let rest = Protocol::Json.encode(&GetRecordsOutput::without_records(response));
    let bytes = response.records.iter().map(json_bytes).sum();
    let mut time = TimeText::default();
    with_records(&rest, &response.records, bytes, |json, record| {
        write_record(json, record, response.encryption_type, &mut time);
    })
}

/// The same JSON as that of [`PutRecordsOutput`].
pub(super) fn put(response: &PutRecordsResponse) -> Vec<u8> {
    let rest = Protocol::Json.encode(&PutRecordsOutput::without_records(response));
    let bytes = response.records.len() * FIXED_BYTES;
    with_records(&rest, &response.records, bytes, |json, outcome| match outcome {
        Ok(receipt) => {
            write!(json, r#"{{"SequenceNumber":"{}","ShardId":"#, receipt.sequence_number)
                .expect("a Vec takes everything");
            write_text(json, receipt.shard_id.as_str());
            json.push(b'}');
        }
        Err(error) => {
            json.extend_from_slice(br#"{"ErrorCode":"#);
            write_text(json, error.code());
            json.extend_from_slice(br#","ErrorMessage":"#);
            write_text(json, &error.to_string());
            json.push(b'}');
        }
    })
}

/// `rest` with `records` put into the empty list that it begins with.
fn with_records<T>(
    rest: &[u8],
    records: &[T],
    records_bytes: usize,
    mut write: impl FnMut(&mut Vec<u8>, &T),
) -> Vec<u8> {
    let rest = rest.strip_prefix(NO_RECORDS).expect("records are written first");
    let mut json = Vec::with_capacity(NO_RECORDS.len() + records_bytes + rest.len());
    json.extend_from_slice(NO_RECORDS.strip_suffix(b"]").expect("a list ends with its bracket"));
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(&mut json, record);
    }
    json.push(b']');
    json.extend_from_slice(rest);
    json
}

fn write_record(json: &mut Vec<u8>, record: &Record, encryption: EncryptionType, time: &mut TimeText) {
    write!(json, r#"{{"SequenceNumber":"{}","ApproximateArrivalTimestamp":"#, record.sequence_number)
        .expect("a Vec takes everything");
    json.extend_from_slice(time.of(record.arrival));
    json.extend_from_slice(br#","Data":""#);
    STANDARD.encode_append(&record.data, json);
    json.extend_from_slice(br#"","PartitionKey":"#);
    write_text(json, record.partition_key.as_str());
    match encryption {
        EncryptionType::None => {}
        EncryptionType::Kms => {
            write!(json, r#","EncryptionType":"{}""#, encryption.as_str()).expect("a Vec takes everything");
        }
    }
    json.push(b'}');
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("text is JSON");
}

/// A record takes no more than this, unless characters of its key are escaped.
fn json_bytes(record: &Record) -> usize {
    STANDARD.encoded_length(record.data.len()) + record.partition_key.bytes_len() + FIXED_BYTES
}

/// The text of the last time: records that were put by one request share theirs.
#[derive(Debug, Default)]
struct TimeText {
    time: Option<EpochMillis>,
    text: Vec<u8>,
}

impl TimeText {
    /// Seconds with a fraction.
    fn of(&mut self, time: EpochMillis) -> &[u8] {
        if self.time != Some(time) {
            self.time = Some(time);
            self.text.clear();
            let (seconds, millis) = (time.0 / 1000, time.0 % 1000);
            write!(self.text, "{seconds}.{millis:03}").expect("a Vec takes everything");
        }
        &self.text
    }
}

/// What an answer without records begins with.
const NO_RECORDS: &[u8] = br#"{"Records":[]"#;
/// Names, a sequence number, a time, and the encryption type.
const FIXED_BYTES: usize = 192;

#[cfg(test)]
mod tests {
    use kcl_core::{HashKeyRange, SequenceNumber, ShardId};
    use kinesis_model::{ChildShard, KinesisError, PutReceipt};
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &[u8]) -> serde_json::Value {
        serde_json::from_slice(json).expect("JSON")
    }

    fn assert_same(response: &GetRecordsResponse) {
        let expected = Protocol::Json.encode(&GetRecordsOutput::from(response));
        assert_eq!(parse(&got(response)), parse(&expected));
    }

    #[test]
    fn receipts_and_errors_are_the_same_in_both_forms() {
        let receipt = PutReceipt {
            shard_id: ShardId::new("shardId-0").expect("valid"),
            sequence_number: SequenceNumber::from_parts(1, 2),
        };
        let throttled = KinesisError::ProvisionedThroughputExceeded("rate \"5\"".to_owned());
        for records in [vec![], vec![Ok(receipt), Err(throttled)]] {
            let response =
                PutRecordsResponse { failed_record_count: 1, records, encryption_type: EncryptionType::Kms };
            let expected = Protocol::Json.encode(&PutRecordsOutput::from(&response));
            assert_eq!(parse(&put(&response)), parse(&expected));
        }
    }

    #[test]
    fn the_end_of_a_shard_is_the_same_in_both_forms() {
        let shard = |name: &str| ShardId::new(name).expect("valid");
        let child = ChildShard {
            shard_id: shard("shardId-1"),
            parent_shards: vec![shard("shardId-0")],
            hash_key_range: HashKeyRange::FULL,
        };
        assert_same(&GetRecordsResponse {
            records: Vec::new(),
            next_shard_iterator: None,
            millis_behind_latest: 0,
            child_shards: vec![child],
            encryption_type: EncryptionType::Kms,
        });
    }

    proptest! {
        #[test]
        fn both_forms_say_the_same(
            records in prop::collection::vec(
                (any::<u64>(), 0_u64..253_402_300_799_999, prop::collection::vec(any::<u8>(), 0..80), any::<String>()),
                0..5,
            ),
            is_encrypted: bool,
        ) {
            let records = records.into_iter().map(|(sequence, arrival, data, key)| Record {
                sequence_number: SequenceNumber::from_parts(sequence, u128::MAX),
                arrival: EpochMillis(arrival),
                data: data.into(),
                partition_key: key.into(),
            });
            assert_same(&GetRecordsResponse {
                records: records.collect(),
                next_shard_iterator: Some("next".to_owned()),
                millis_behind_latest: 5,
                child_shards: Vec::new(),
                encryption_type: if is_encrypted { EncryptionType::Kms } else { EncryptionType::None },
            });
        }
    }
}
