//! The two encodings of the CloudWatch API that SDKs of today speak.
//!
//! ```text
//!                 operation in               timestamp                    content type
//!  rpc-v2-cbor    /service/…/operation/Name  tag 1, seconds since 1970    application/cbor
//!  JSON           x-amz-target: ….Name       seconds, with a fraction     application/x-amz-json-1.0
//! ```
//!
//! Errors carry their name of the Query protocol in a header, because that is what SDKs compare. Requests may be gzipped.

use std::fmt;
use std::io::Read;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use ciborium::tag::{Captured, Required};
use flate2::read::GzDecoder;
use kinesis_model::EpochMillis;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::wire::request_id;

/// How one request is written, and therefore its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Cbor,
    Json,
}

impl Protocol {
    /// Reads an input; an empty body is one without members.
    pub(super) fn decode<T: DeserializeOwned>(self, headers: &HeaderMap, body: &Bytes) -> Result<T, Refusal> {
        let unpacked = unpacked(headers, body)?;
        let body = unpacked.as_deref().unwrap_or(body);
        match self {
            Self::Cbor if body.is_empty() => ciborium::from_reader(EMPTY_MAP).map_err(Refusal::malformed),
            Self::Cbor => ciborium::from_reader(body).map_err(Refusal::malformed),
            Self::Json if body.is_empty() => serde_json::from_slice(b"{}").map_err(Refusal::malformed),
            Self::Json => serde_json::from_slice(body).map_err(Refusal::malformed),
        }
    }

    /// A successful answer, or an error with its status and name.
    pub(super) fn answer<T: Serialize>(self, answer: Result<T, Refusal>) -> Response<Body> {
        match answer {
            Ok(output) => self.response(StatusCode::OK, &output),
            Err(refusal) => {
                let shape = format!("com.amazonaws.cloudwatch#{}", refusal.shape());
                let body = ErrorBody { shape: &shape, message: &refusal.message };
                let mut response = self.response(refusal.status(), &body);
                let fault = if refusal.kind == RefusalKind::Internal { "Receiver" } else { "Sender" };
                let name = format!("{};{fault}", refusal.code());
                let name = HeaderValue::from_str(&name).expect("names of errors are ASCII");
                response.headers_mut().insert("x-amzn-query-error", name);
                response
            }
        }
    }

    fn response<T: Serialize>(self, status: StatusCode, output: &T) -> Response<Body> {
        let mut bytes = Vec::new();
        let content_type = match self {
            Self::Cbor => {
                ciborium::into_writer(output, &mut bytes).expect("a Vec takes everything");
                "application/cbor"
            }
            Self::Json => {
                serde_json::to_writer(&mut bytes, output).expect("outputs have text keys only");
                "application/x-amz-json-1.0"
            }
        };
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("x-amzn-requestid", request_id());
        if self == Self::Cbor {
            headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(RPC_V2_CBOR));
        }
        response
    }
}

/// The operation that a request in rpc-v2-cbor names in its path, if it is one for CloudWatch.
pub(crate) fn cbor_operation(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let protocol = headers.get(PROTOCOL_HEADER)?;
    let operation = uri.path().strip_prefix("/service/GraniteServiceVersion20100801/operation/")?;
    (protocol == RPC_V2_CBOR).then(|| operation.to_owned())
}

/// The body of a gzipped request.
fn unpacked(headers: &HeaderMap, body: &Bytes) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(None);
    };
    if encoding != "gzip" {
        return Err(Refusal::malformed(format!("content-encoding {encoding:?}: only gzip is known")));
    }
    let mut bytes = Vec::new();
    GzDecoder::new(body.as_ref())
        .take(UNPACKED_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Refusal::malformed(format!("not a gzip body: {error}")))?;
    if bytes.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(Refusal::malformed(format!("the body unpacks to more than {UNPACKED_BYTES_MAX} bytes")));
    }
    Ok(Some(bytes))
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    kind: RefusalKind,
    message: String,
}

/// The errors of the API, by what a caller would do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalKind {
    InvalidParameterValue,
    InvalidParameterCombination,
    MissingParameter,
    Validation,
    InvalidNextToken,
    ResourceNotFound,
    LimitExceeded,
    UnknownOperation,
    Serialization,
    Internal,
}

impl Refusal {
    pub(super) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// A value that is not allowed, or not offered here.
    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::InvalidParameterValue, message)
    }

    /// A request that does not make sense as a whole.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Validation, message)
    }

    fn malformed(reason: impl fmt::Display) -> Self {
        Self::new(RefusalKind::Serialization, reason.to_string())
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Its name in the Query protocol.
    const fn code(&self) -> &'static str {
        match self.kind {
            RefusalKind::InvalidParameterValue => "InvalidParameterValue",
            RefusalKind::InvalidParameterCombination => "InvalidParameterCombination",
            RefusalKind::MissingParameter => "MissingParameter",
            RefusalKind::Validation => "ValidationError",
            RefusalKind::InvalidNextToken => "InvalidNextToken",
            RefusalKind::ResourceNotFound => "ResourceNotFound",
            RefusalKind::LimitExceeded => "LimitExceeded",
            RefusalKind::UnknownOperation => "InvalidAction",
            RefusalKind::Serialization => "SerializationException",
            RefusalKind::Internal => "InternalServiceError",
        }
    }

    /// Its name in the model of the API.
    const fn shape(&self) -> &'static str {
        match self.kind {
            RefusalKind::InvalidParameterValue => "InvalidParameterValueException",
            RefusalKind::InvalidParameterCombination => "InvalidParameterCombinationException",
            RefusalKind::MissingParameter => "MissingRequiredParameterException",
            RefusalKind::LimitExceeded => "LimitExceededFault",
            RefusalKind::Internal => "InternalServiceFault",
            RefusalKind::Validation
            | RefusalKind::InvalidNextToken
            | RefusalKind::ResourceNotFound
            | RefusalKind::UnknownOperation
            | RefusalKind::Serialization => self.code(),
        }
    }

    const fn status(&self) -> StatusCode {
        match self.kind {
            RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            RefusalKind::ResourceNotFound => StatusCode::NOT_FOUND,
            RefusalKind::InvalidParameterValue
            | RefusalKind::InvalidParameterCombination
            | RefusalKind::MissingParameter
            | RefusalKind::Validation
            | RefusalKind::InvalidNextToken
            | RefusalKind::LimitExceeded
            | RefusalKind::UnknownOperation
            | RefusalKind::Serialization => StatusCode::BAD_REQUEST,
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    shape: &'a str,
    message: &'a str,
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) EpochMillis);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = self.0.0 as f64 / 1000.0;
        if serializer.is_human_readable() {
            serializer.serialize_f64(seconds)
        } else {
            Required::<f64, TAG_EPOCH>(seconds).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = if deserializer.is_human_readable() {
            Number::deserialize(deserializer)?.0
        } else {
            Captured::<Number>::deserialize(deserializer)?.1.0
        };
        if (0.0..=SECONDS_MAX).contains(&seconds) {
            Ok(Self(EpochMillis((seconds * 1000.0).round() as u64)))
        } else {
            Err(D::Error::custom("a timestamp must lie between 1970 and the year 10000"))
        }
    }
}

/// A number, written as an integer or a fraction: clients write the shorter one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Number(pub(super) f64);

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

const PROTOCOL_HEADER: &str = "smithy-protocol";
const RPC_V2_CBOR: &str = "rpc-v2-cbor";
const EMPTY_MAP: &[u8] = &[0xa0];
const TAG_EPOCH: u64 = 1;
/// 9999-12-31.
const SECONDS_MAX: f64 = 253_402_300_799.0;
/// PutMetricData takes 1 MB at AWS; above that a small body could fill the memory.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::BodyExt;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        time: Time,
        value: Number,
    }

    const SAMPLE: Sample = Sample { time: Time(EpochMillis(1_700_000_000_250)), value: Number(0.5) };

    async fn written(protocol: Protocol) -> Bytes {
        let response = protocol.answer(Ok(SAMPLE));
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.expect("in memory").to_bytes()
    }

    #[tokio::test]
    async fn both_encodings_keep_every_value() {
        for protocol in [Protocol::Cbor, Protocol::Json] {
            let body = written(protocol).await;
            assert_eq!(protocol.decode::<Sample>(&HeaderMap::new(), &body), Ok(SAMPLE));
        }
        assert_eq!(written(Protocol::Json).await, r#"{"time":1700000000.25,"value":0.5}"#);
    }

    #[tokio::test]
    async fn whole_numbers_are_numbers() {
        let body = Bytes::from_static(br#"{"time": 1700000000, "value": -3}"#);
        let sample: Sample = Protocol::Json.decode(&HeaderMap::new(), &body).expect("well formed");
        assert_eq!(sample, Sample { time: Time(EpochMillis(1_700_000_000_000)), value: Number(-3.0) });
    }

    #[tokio::test]
    async fn a_gzipped_body_is_unpacked_and_a_bomb_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let packed = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).expect("in memory");
            Bytes::from(encoder.finish().expect("in memory"))
        };
        let body = packed(&written(Protocol::Cbor).await);
        assert_eq!(Protocol::Cbor.decode::<Sample>(&headers, &body), Ok(SAMPLE));

        let bomb = packed(&vec![0; usize::try_from(UNPACKED_BYTES_MAX).expect("fits") + 1]);
        let refusal = Protocol::Cbor.decode::<Sample>(&headers, &bomb).expect_err("too much");
        assert!(refusal.message().contains("unpacks to more than"), "{}", refusal.message());
        assert!(Protocol::Cbor.decode::<Sample>(&headers, &Bytes::from_static(b"plain")).is_err());
    }

    #[tokio::test]
    async fn an_error_has_its_status_its_shape_and_its_old_name() {
        let refusal = Refusal::new(RefusalKind::ResourceNotFound, "no such alarm");
        let response = Protocol::Json.answer::<()>(Err(refusal));
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["x-amzn-query-error"], "ResourceNotFound;Sender");
        let body = response.into_body().collect().await.expect("in memory").to_bytes();
        let expected = r#"{"__type":"com.amazonaws.cloudwatch#ResourceNotFound","message":"no such alarm"}"#;
        assert_eq!(body, expected);
    }

    #[test]
    fn an_operation_is_in_the_path_of_rpc_requests_only() {
        let uri = Uri::from_static("/service/GraniteServiceVersion20100801/operation/ListMetrics");
        let mut headers = HeaderMap::new();
        assert_eq!(cbor_operation(&uri, &headers), None);
        headers.insert(PROTOCOL_HEADER, HeaderValue::from_static(RPC_V2_CBOR));
        assert_eq!(cbor_operation(&uri, &headers).as_deref(), Some("ListMetrics"));
        assert_eq!(cbor_operation(&Uri::from_static("/service/object"), &headers), None);
    }
}
