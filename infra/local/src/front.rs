//! The one loopback port: who may call, and which service a request is for.
//!
//! ```text
//!              Host / Origin loopback?     x-amz-target
//!  request ──▶ no: 403 ──── yes ─────▶ Kinesis_20131202.*  ──▶ Kinesis
//!                                      DynamoDB_20120810.* ──▶ DynamoDB
//!                                      GraniteService….*   ──▶ CloudWatch
//!                                      AmazonSQS.*         ──▶ SQS
//!                                      any other target    ──▶ 400
//!                                      none:
//!                                        rpc-v2-cbor          ──▶ CloudWatch
//!                                        form sent to /       ──▶ SNS
//!                                        /_leasehold/throttle ──▶ the knob
//!                                        anything else        ──▶ S3, path style
//! ```
//!
//! The services know nothing of each other. Signatures are not checked: whoever reaches the loopback address may do
//! everything, and the Host check keeps web pages from being whoever (DNS rebinding).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use tokio_util::sync::CancellationToken;

use crate::cloudwatch::CloudWatch;
use crate::dynamodb::DynamoDb;
use crate::kinesis::KinesisServer;
use crate::notify::Notify;
use crate::s3::ObjectStore;
use crate::throttle::{THROTTLE_PATH, Throttle};
use crate::wire::error_response;
use crate::{LocalError, LocalSettings};

/// The services behind the port.
pub(crate) struct Front {
    pub(crate) kinesis: KinesisServer,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) s3: ObjectStore,
    pub(crate) cloudwatch: Arc<CloudWatch>,
    pub(crate) notify: Arc<Notify>,
    pub(crate) throttle: Throttle,
}

impl Front {
    /// Opens the stores that `settings` names; subscriptions end with `stop`, queues have URLs at `address`.
    pub(crate) fn open(
        settings: &LocalSettings,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Result<Self, LocalError> {
        let kinesis = KinesisServer::open(settings, stop)?;
        let notify = Arc::new(Notify::at(address));
        let (model, clock) = (kinesis.model().clone(), kinesis.clock().clone());
        Ok(Self {
            kinesis,
            dynamodb: DynamoDb::open(&settings.dynamodb_storage)?,
            s3: ObjectStore::open(&settings.data_dir)?,
            cloudwatch: Arc::new(CloudWatch::new(settings, model, clock, notify.clone())),
            notify,
            throttle: Throttle::default(),
        })
    }
}

/// Answers one request.
pub(crate) async fn answer(State(front): State<Arc<Front>>, request: Request) -> Response<Body> {
    if let Err(refusal) = check_caller(request.uri(), request.headers()) {
        return error_response(StatusCode::FORBIDDEN, "AccessDeniedException", &refusal);
    }
    let Some(target) = Target::of(&request) else {
        return front.s3.call(request).await;
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await.map(|body| body.to_bytes()) else {
        let message = format!("the body is not complete, or has more than {BODY_BYTES_MAX} bytes");
        return error_response(StatusCode::PAYLOAD_TOO_LARGE, "SerializationException", &message);
    };
    target.answer(&front, &parts, body).await
}

/// What a request is for, unless it is for S3.
enum Target {
    /// The value of `x-amz-target`.
    Named(String),
    /// An operation of CloudWatch in rpc-v2-cbor.
    CloudWatch(String),
    Sns,
    Throttle,
}

impl Target {
    fn of(request: &Request) -> Option<Self> {
        let (uri, headers) = (request.uri(), request.headers());
        if let Some(target) = headers.get("x-amz-target") {
            return Some(Self::Named(target.to_str().unwrap_or_default().to_owned()));
        }
        if let Some(operation) = CloudWatch::cbor_operation(uri, headers) {
            return Some(Self::CloudWatch(operation));
        }
        let is_form = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if request.method() == Method::POST && uri.path() == "/" && is_form {
            return Some(Self::Sns);
        }
        (uri.path() == THROTTLE_PATH).then_some(Self::Throttle)
    }

    async fn answer(self, front: &Front, parts: &Parts, body: Bytes) -> Response<Body> {
        match self {
            Self::Named(target) => answer_named(front, &target, &parts.headers, body).await,
            Self::CloudWatch(operation) => {
                front.cloudwatch.call_cbor(&operation, &parts.headers, &body).await
            }
            Self::Sns => front.notify.sns(body).await,
            Self::Throttle => front.throttle.control(&parts.method, &body, Instant::now()),
        }
    }
}

async fn answer_named(front: &Front, target: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    match target.split_once('.') {
        Some(("Kinesis_20131202", operation)) => front.kinesis.call(operation, headers, body).await,
        Some(("DynamoDB_20120810", operation)) => match front.throttle.refusal(Instant::now()) {
            Some(refusal) => refusal,
            None => front.dynamodb.call(operation, body).await,
        },
        Some(("GraniteServiceVersion20100801", operation)) => {
            front.cloudwatch.call_json(operation, headers, &body).await
        }
        Some(("AmazonSQS", operation)) => front.notify.sqs(operation, body).await,
        Some(_) | None => {
            let message = format!(
                "x-amz-target {target:?}: only Kinesis, DynamoDB, S3, CloudWatch, SNS and SQS are served here"
            );
            error_response(StatusCode::BAD_REQUEST, "UnknownOperationException", &message)
        }
    }
}

/// A page of another site can make a browser send requests here; it cannot forge the Host or the Origin.
fn check_caller(uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).or_else(|| uri.authority().map(Authority::as_str));
    let Some(host) = host else {
        return Err("the request has no Host header".to_owned());
    };
    if !host.parse::<Authority>().is_ok_and(|authority| is_loopback(authority.host())) {
        return Err(format!("Host {host:?} is not the loopback address: use 127.0.0.1 or localhost"));
    }
    match text(header::ORIGIN) {
        Some(origin) if !origin.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback)) => {
            Err(format!("Origin {origin:?} is not on the loopback address"))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Above the greatest request of both protocols: PutRecords of 10 MiB in base64, BatchWriteItem of 16 MiB.
const BODY_BYTES_MAX: usize = 20 << 20;

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn check(host: &'static str, origin: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        check_caller(&Uri::from_static("/"), &headers).is_ok()
    }

    #[test]
    fn only_loopback_hosts_and_origins_pass() {
        for host in ["127.0.0.1:4566", "localhost:4566", "LOCALHOST", "[::1]:4566", "127.0.0.2"] {
            assert!(check(host, None), "{host}");
        }
        for host in
            ["evil.example:4566", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example", "", "a b"]
        {
            assert!(!check(host, None), "{host}");
        }
        assert!(check("localhost:1", Some("http://localhost:3000")));
        assert!(!check("localhost:1", Some("http://evil.example")));
        assert!(!check("localhost:1", Some("null")));
    }

    #[test]
    fn a_request_without_host_is_refused_unless_http2_names_its_authority() {
        assert!(check_caller(&Uri::from_static("/"), &HeaderMap::new()).is_err());
        assert!(check_caller(&Uri::from_static("http://127.0.0.1:1/"), &HeaderMap::new()).is_ok());
    }
}
