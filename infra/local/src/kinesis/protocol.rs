//! The two encodings of the Kinesis API and what they write differently: payloads, timestamps, errors.
//!
//! ```text
//!             payload        timestamp                       content type
//!  JSON       base64 text    seconds, with a fraction        application/x-amz-json-1.1
//!  CBOR       bytes          tag 1, milliseconds since 1970  application/x-amz-cbor-1.1
//! ```
//!
//! Both go through the same serde types; nothing is built as a tree in between.

use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use base64_simd::STANDARD;
use ciborium::tag::{Captured, Required};
use kinesis_model::{EpochMillis, KinesisError};
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire::request_id;

/// How one request is written, and therefore its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Json,
    Cbor,
}

impl Protocol {
    /// What the content type says; JSON if it is unknown, so that the refusal can be read.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match content_type {
            Some(text) if text.starts_with(CBOR) => Self::Cbor,
            Some(_) | None => Self::Json,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Cbor => CBOR,
        }
    }

    /// Reads an input.
    pub(super) fn decode<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, Refusal> {
        match self {
            Self::Json => serde_json::from_slice(body).map_err(Refusal::malformed),
            Self::Cbor => ciborium::from_reader(body).map_err(Refusal::malformed),
        }
    }

    /// Writes an output.
    pub(super) fn encode<T: Serialize>(self, output: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Json => serde_json::to_writer(&mut bytes, output).expect("outputs have text keys only"),
            Self::Cbor => ciborium::into_writer(output, &mut bytes).expect("a Vec takes everything"),
        }
        bytes
    }

    /// A successful answer.
    pub(super) fn answer(self, body: Vec<u8>) -> Response<Body> {
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        headers.insert("x-amzn-requestid", request_id());
        response
    }

    /// An error answer.
    pub(super) fn refuse(self, refusal: &Refusal) -> Response<Body> {
        let mut response = self.answer(self.encode(&refusal.body()));
        *response.status_mut() = refusal.status;
        response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(refusal.code));
        response
    }
}

/// Why a request is refused, as the wire says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn body(&self) -> impl Serialize + '_ {
        ErrorBody { code: self.code, message: &self.message }
    }

    /// The request cannot be read.
    pub(super) fn malformed(reason: impl fmt::Display) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, code: "SerializationException", message: reason.to_string() }
    }

    /// The server, not the caller, is at fault.
    pub(super) fn internal(message: String) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "InternalFailure", message }
    }
}

impl From<KinesisError> for Refusal {
    fn from(error: KinesisError) -> Self {
        let status = StatusCode::from_u16(error.http_status()).expect("a documented HTTP status");
        Self { status, code: error.code(), message: error.to_string() }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    code: &'a str,
    message: &'a str,
}

/// A payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob(pub(super) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode_to_string(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            // As bytes, since base64 is checked more strictly than text would be.
            deserializer.deserialize_bytes(Base64Visitor)
        } else {
            deserializer.deserialize_byte_buf(BytesVisitor)
        }
    }
}

struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Blob;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a payload in base64")
    }

    fn visit_bytes<E: serde::de::Error>(self, text: &[u8]) -> Result<Blob, E> {
        STANDARD.decode_to_vec(text).map(|bytes| Blob(bytes.into())).map_err(E::custom)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Blob;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a payload of bytes")
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
        Ok(Blob(bytes.into()))
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp(pub(super) EpochMillis);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.0.0 as f64 / 1000.0)
        } else {
            Required::<u64, TAG_EPOCH>(self.0.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = if deserializer.is_human_readable() {
            Number::deserialize(deserializer)?.0 * 1000.0
        } else {
            Captured::<Number>::deserialize(deserializer)?.1.0
        };
        if (0.0..=MILLIS_MAX).contains(&millis) {
            Ok(Self(EpochMillis(millis.round() as u64)))
        } else {
            Err(D::Error::custom("a timestamp must lie between 1970 and the year 10000"))
        }
    }
}

/// An integer or a fraction.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

const JSON: &str = "application/x-amz-json-1.1";
const CBOR: &str = "application/x-amz-cbor-1.1";
const TAG_EPOCH: u64 = 1;
/// 9999-12-31, well inside the integers that an f64 holds exactly.
const MILLIS_MAX: f64 = 253_402_300_799_999.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        data: Blob,
        time: Timestamp,
    }

    #[test]
    fn json_writes_base64_and_seconds() {
        let sample = Sample { data: Blob("hello".into()), time: Timestamp(EpochMillis(1_700_000_000_123)) };
        let text = String::from_utf8(Protocol::Json.encode(&sample)).expect("UTF-8");
        assert_eq!(text, r#"{"data":"aGVsbG8=","time":1700000000.123}"#);
    }

    #[test]
    fn cbor_writes_bytes_and_tagged_milliseconds() {
        let bytes = Protocol::Cbor.encode(&Timestamp(EpochMillis(1_700_000_000_123)));
        assert_eq!(bytes, [0xc1, 0x1b, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]);
        assert_eq!(Protocol::Cbor.encode(&Blob("hi".into())), [0x42, b'h', b'i']);
    }

    #[test]
    fn cbor_reads_what_the_java_sdk_writes() {
        // An indefinite-length map, as Jackson writes it: {"time": 1(1700000000123), "data": h'6869'}.
        let mut bytes = vec![0xbf, 0x64];
        bytes.extend_from_slice(b"time");
        bytes.extend_from_slice(&[0xc1, 0x1b, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x7b, 0x64]);
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&[0x42, b'h', b'i', 0xff]);
        let sample: Sample = Protocol::Cbor.decode(&bytes).expect("well formed");
        assert_eq!(
            sample,
            Sample { data: Blob("hi".into()), time: Timestamp(EpochMillis(1_700_000_000_123)) }
        );
    }

    #[test]
    fn malformed_input_is_a_serialization_exception() {
        for body in [
            "",
            "{",
            r#"{"data": 5, "time": 1}"#,
            r#"{"data": "!", "time": 1}"#,
            r#"{"data": "", "time": -1}"#,
        ] {
            let refusal = Protocol::Json.decode::<Sample>(body.as_bytes()).expect_err(body);
            assert_eq!((refusal.code, refusal.status), ("SerializationException", StatusCode::BAD_REQUEST));
        }
        assert!(Protocol::Cbor.decode::<Sample>(&[0xff]).is_err());
    }

    proptest! {
        #[test]
        fn both_encodings_keep_every_value(data: Vec<u8>, millis in 0_u64..253_402_300_799_999) {
            let sample = Sample { data: Blob(data.into()), time: Timestamp(EpochMillis(millis)) };
            for protocol in [Protocol::Json, Protocol::Cbor] {
                let decoded: Sample = protocol.decode(&protocol.encode(&sample)).expect("own output");
                prop_assert_eq!(&decoded, &sample);
            }
        }
    }
}
