//! The request of `PutRecords` in JSON, read without an allocation per record: keys and payloads are decoded into one
//! area of memory, from which the shards copy them.

use std::borrow::Cow;
use std::fmt;

use axum::body::Bytes;
use base64_simd::STANDARD;
use kinesis_model::{PutRecordsEntry, PutRecordsRequest, StreamRef};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::input::hash_key;
use super::protocol::Refusal;

#[derive(Debug, Deserialize)]
struct Request<'a> {
    #[serde(rename = "StreamName")]
    name: Option<String>,
    #[serde(rename = "StreamARN")]
    arn: Option<String>,
    #[serde(borrow, rename = "Records")]
    records: Vec<Entry<'a>>,
}

#[derive(Debug, Deserialize)]
struct Entry<'a> {
    /// Base64, which is checked more strictly than text would be.
    #[serde(borrow, rename = "Data", deserialize_with = "unchecked_text")]
    data: Cow<'a, [u8]>,
    #[serde(borrow, rename = "PartitionKey")]
    partition_key: Cow<'a, str>,
    #[serde(rename = "ExplicitHashKey")]
    explicit_hash_key: Option<String>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<PutRecordsRequest, Refusal> {
    let Request { name, arn, records } = serde_json::from_slice(body).map_err(Refusal::malformed)?;
    let bytes = records.iter().map(|entry| entry.data.len() + entry.partition_key.len()).sum();
    let mut area = Vec::with_capacity(bytes);
    let mut lengths = Vec::with_capacity(records.len());
    for entry in &records {
        let start = area.len();
        area.extend_from_slice(entry.partition_key.as_bytes());
        if !entry.is_great() {
            STANDARD.decode_append(&*entry.data, &mut area).map_err(Refusal::malformed)?;
        }
        lengths.push(area.len() - start);
    }
    let mut area = Bytes::from(area);
    let records = records.into_iter().zip(lengths).map(|(entry, length)| {
        let mut data = area.split_to(length);
        let partition_key = data.split_to(entry.partition_key.len());
        if entry.is_great() {
            data = STANDARD.decode_to_vec(&*entry.data).map_err(Refusal::malformed)?.into();
        }
        Ok(PutRecordsEntry {
            data,
            partition_key: partition_key.try_into().map_err(Refusal::malformed)?,
            explicit_hash_key: hash_key(entry.explicit_hash_key)?,
        })
    });
    let records = records.collect::<Result<_, Refusal>>()?;
    Ok(PutRecordsRequest { stream: StreamRef { name, arn }, records })
}

impl Entry<'_> {
    /// A shard keeps a great payload where it is, so it must not hold on to those of others.
    fn is_great(&self) -> bool {
        self.data.len() > SHARED_TEXT_MAX
    }
}

/// The bytes of a text, borrowed unless it has escapes.
fn unchecked_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, [u8]>, D::Error> {
    struct BytesVisitor;
    impl<'de> Visitor<'de> for BytesVisitor {
        type Value = Cow<'de, [u8]>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a payload in base64")
        }

        fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(bytes))
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Cow::Owned(bytes.to_vec()))
        }
    }
    deserializer.deserialize_bytes(BytesVisitor)
}

/// Base64 of a payload that every shard copies.
const SHARED_TEXT_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::input::PutRecordsInput;
    use super::super::protocol::Protocol;
    use super::*;

    fn by_serializer(body: &[u8]) -> Result<PutRecordsRequest, Refusal> {
        Ok(Protocol::Json.decode::<PutRecordsInput>(body)?.into_request()?)
    }

    #[test]
    fn escapes_hash_keys_and_great_payloads_are_read() {
        let great = STANDARD.encode_to_string(vec![7; SHARED_TEXT_MAX]);
        let body = json!({
            "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            "Records": [
                { "Data": "aGk=", "PartitionKey": "a\"b", "ExplicitHashKey": "5" },
                { "Data": great, "PartitionKey": "c" },
                { "PartitionKey": "d", "Data": "" },
            ],
        });
        let body = body.to_string().replace("aGk=", r"aG\u006b=");
        let read = read(body.as_bytes()).expect("well formed");
        assert_eq!(read, by_serializer(body.as_bytes()).expect("well formed"));
        assert_eq!((&read.records[0].data[..], read.records[1].data.len()), (&b"hi"[..], SHARED_TEXT_MAX));
    }

    #[test]
    fn what_is_refused_is_refused_alike() {
        let with = |entry: serde_json::Value| json!({ "StreamName": "s", "Records": [entry] }).to_string();
        let bodies = [
            String::new(),
            "{}".to_owned(),
            with(json!({ "Data": "!", "PartitionKey": "k" })),
            with(json!({ "Data": "aGk=" })),
            with(json!({ "Data": "aGk=", "PartitionKey": "k", "ExplicitHashKey": "x" })),
        ];
        for body in bodies {
            let refused = read(body.as_bytes()).map_err(|refusal| (refusal.status, refusal.code));
            let expected = by_serializer(body.as_bytes()).map_err(|refusal| (refusal.status, refusal.code));
            assert!(refused.is_err());
            assert_eq!(refused, expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_agree(
            records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), any::<String>()), 0..5)
        ) {
            let entry = |(data, key): &(Vec<u8>, String)| {
                json!({ "Data": STANDARD.encode_to_string(data), "PartitionKey": key })
            };
            let records: Vec<_> = records.iter().map(entry).collect();
            let body = json!({ "StreamName": "s", "Records": records }).to_string();
            prop_assert_eq!(read(body.as_bytes()), by_serializer(body.as_bytes()));
        }
    }
}
