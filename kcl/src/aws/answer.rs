//! Answers of `GetRecords`, decoded straight into records.
//!
//! ```text
//!  HTTP body ─▶ RecordsBody ─── end ─▶ decode ─┬─ records ─────────▶ Taken ─▶ the caller of the SDK
//!                                              └─ everything else ─▶ the SDK's own decoder
//! ```
//!
//! Signing, connections, timeouts and errors remain the SDK's. Payloads of an answer lie in one area of memory, and each
//! record holds a slice of it: whoever keeps a record keeps the payloads of its answer. An answer that is not exactly of
//! the expected form goes to the SDK's decoder untouched, so that there is one judge of what is malformed.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_types::body::SdkBody;
use base64_simd::STANDARD;
use bytes::Bytes;
use http_body::{Body, Frame};
use kcl_core::RecordPosition;
use parking_lot::Mutex;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::record::Record;

/// Takes the records out of the answer to one call, as an interceptor of that call.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    records: Arc<Mutex<Option<Vec<Record>>>>,
}

impl Taken {
    /// The records, unless the answer was left to the SDK.
    pub(super) fn into_records(self) -> Option<Vec<Record>> {
        self.records.lock().take()
    }
}

impl Intercept for Taken {
    fn name(&self) -> &'static str {
        "TakeRecords"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let length = response.headers().get("content-length").and_then(|length| length.parse().ok());
            let body = RecordsBody {
                inner: response.take_body(),
                received: Vec::with_capacity(length.unwrap_or(0).min(ANSWER_BYTES_MAX)),
                taken: self.clone(),
                is_over: false,
            };
            *response.body_mut() = SdkBody::from_body_1_x(body);
        }
        Ok(())
    }
}

/// The body of an answer, which holds everything back until it is complete and then yields what the SDK is to decode.
#[derive(Debug)]
struct RecordsBody {
    inner: SdkBody,
    received: Vec<u8>,
    taken: Taken,
    is_over: bool,
}

impl Body for RecordsBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        while let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(context)?) {
            if let Ok(data) = frame.into_data() {
                self.received.extend_from_slice(&data);
            }
        }
        self.is_over = true;
        let received = std::mem::take(&mut self.received);
        let rest = match decode(&received) {
            Some((records, rest)) => {
                *self.taken.records.lock() = Some(records);
                rest
            }
            None => received,
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(rest)))))
    }
}

/// The parts of an answer; `records` is missing from what the SDK gets.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(borrow, skip_serializing)]
    records: Vec<WireRecord<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    next_shard_iterator: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    millis_behind_latest: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    child_shards: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRecord<'a> {
    sequence_number: &'a str,
    /// Seconds since 1970, with a fraction.
    approximate_arrival_timestamp: Option<f64>,
    /// Base64, which is checked more strictly than text would be.
    #[serde(borrow, deserialize_with = "unchecked_text")]
    data: &'a [u8],
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
}

/// The records of an answer, and the rest of it as JSON. `None` if anything is not as expected.
fn decode(body: &[u8]) -> Option<(Vec<Record>, Vec<u8>)> {
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let payload_bytes = answer.records.iter().map(|record| record.data.len() / 4 * 3).sum();
    let mut payloads = Vec::with_capacity(payload_bytes);
    let mut ends = Vec::with_capacity(answer.records.len());
    for record in &answer.records {
        STANDARD.decode_append(record.data, &mut payloads).ok()?;
        ends.push(payloads.len());
    }
    let payloads = Bytes::from(payloads);
    let mut start = 0;
    let records = answer.records.iter().zip(ends).map(|(record, end)| {
        let data = payloads.slice(std::mem::replace(&mut start, end)..end);
        Some(Record {
            position: RecordPosition::first_of(record.sequence_number.parse().ok()?),
            partition_key: Arc::from(&*record.partition_key),
            data,
            arrival_epoch_millis: record.approximate_arrival_timestamp.map_or(0, epoch_millis),
        })
    });
    let records = records.collect::<Option<_>>()?;
    let rest = serde_json::to_vec(&answer).expect("texts and raw values are JSON");
    Some((records, rest))
}

/// The bytes of a text without escapes.
fn unchecked_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
    struct BytesVisitor;
    impl<'de> Visitor<'de> for BytesVisitor {
        type Value = &'de [u8];

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a text without escapes")
        }

        fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(bytes)
        }
    }
    deserializer.deserialize_bytes(BytesVisitor)
}

/// The millisecond that is meant: the fraction of a second lies a little beside it.
fn epoch_millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// An answer of 10 MB in base64, with names and sequence numbers. More is received, but not set aside in advance.
const ANSWER_BYTES_MAX: usize = 24 << 20;

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD;
    use kcl_core::SequenceNumber;
    use proptest::prelude::*;

    use super::*;

    fn wire_record(sequence: u64, data: &[u8], key: &str) -> serde_json::Value {
        serde_json::json!({
            "SequenceNumber": sequence.to_string(),
            "ApproximateArrivalTimestamp": 1_795_231_844.623,
            "Data": STANDARD.encode_to_string(data),
            "PartitionKey": key,
            "EncryptionType": "KMS",
        })
    }

    #[test]
    fn records_are_taken_and_the_rest_is_left() {
        let body = serde_json::json!({
            "MillisBehindLatest": 7,
            "Records": [wire_record(41, b"first", "a\"\u{e9}"), wire_record(42, b"", "b")],
            "NextShardIterator": "AAA\"=",
        });
        let (records, rest) = decode(body.to_string().as_bytes()).expect("as expected");
        let record = |sequence, data: &'static str, key: &str| Record {
            position: RecordPosition::first_of(SequenceNumber::from_parts(0, sequence)),
            partition_key: Arc::from(key),
            data: Bytes::from(data),
            arrival_epoch_millis: 1_795_231_844_623,
        };
        assert_eq!(records, [record(41, "first", "a\"\u{e9}"), record(42, "", "b")]);
        let rest: serde_json::Value = serde_json::from_slice(&rest).expect("JSON");
        assert_eq!(rest, serde_json::json!({ "NextShardIterator": "AAA\"=", "MillisBehindLatest": 7 }));
    }

    #[test]
    fn the_end_of_a_shard_is_left_to_the_sdk() {
        let children = serde_json::json!([{ "ShardId": "shardId-1", "ParentShards": ["shardId-0"] }]);
        let body = serde_json::json!({ "Records": [], "MillisBehindLatest": 0, "ChildShards": children });
        let (records, rest) = decode(body.to_string().as_bytes()).expect("as expected");
        assert!(records.is_empty());
        let rest: serde_json::Value = serde_json::from_slice(&rest).expect("JSON");
        assert_eq!(rest, serde_json::json!({ "MillisBehindLatest": 0, "ChildShards": children }));
    }

    #[test]
    fn anything_else_is_left_to_the_sdk() {
        let with = |name: &str, value: serde_json::Value| {
            let mut record = wire_record(41, b"first", "a");
            record[name] = value;
            serde_json::json!({ "Records": [record] }).to_string()
        };
        let bodies = [
            String::new(),
            "{}".to_owned(),
            with("Data", "not base64!".into()),
            with("Data", serde_json::Value::Null),
            with("SequenceNumber", "x".into()),
            with("PartitionKey", 5.into()),
            with("ApproximateArrivalTimestamp", "yesterday".into()),
        ];
        for body in bodies {
            assert!(decode(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn times_are_those_that_were_sent() {
        for sent in [0, 1_795_231_844_622_u64, 1_795_231_844_623, 1_795_231_844_999] {
            assert_eq!(epoch_millis(sent as f64 / 1000.0), sent);
        }
    }

    proptest! {
        #[test]
        fn what_was_put_is_taken(
            records in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..300), any::<String>()), 0..20)
        ) {
            let wire: Vec<_> =
                records.iter().map(|(sequence, data, key)| wire_record(*sequence, data, key)).collect();
            let body = serde_json::json!({ "Records": wire }).to_string();
            let (taken, _) = decode(body.as_bytes()).expect("as expected");
            let taken: Vec<_> = taken
                .iter()
                .map(|record| (record.position.sequence.low() as u64, record.data.to_vec(), record.partition_key.to_string()))
                .collect();
            prop_assert_eq!(taken, records);
        }

        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body);
        }
    }
}
