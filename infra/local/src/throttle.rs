//! A knob for development: DynamoDB throttles on request, so that its clients can be seen under it.
//!
//! ```text
//! PUT    /_leasehold/throttle   {"share": 0.5, "seconds": 20}   refuses half of all calls for 20 s
//! GET    /_leasehold/throttle                                   what is on, and how many calls it has refused
//! DELETE /_leasehold/throttle                                   ends it
//! ```
//!
//! Owns which call is refused and how. A refused call never reaches the database, so it has surely no effect, as on AWS.
//! It ends by itself: a client that is gone leaves nothing behind. No bucket can be called `_leasehold`.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::wire::{error_body, error_response, request_id};

/// The path of the knob.
pub(crate) const THROTTLE_PATH: &str = "/_leasehold/throttle";

/// Whether DynamoDB throttles at this moment.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    order: Option<Ordered>,
    calls: u64,
    throttled: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ordered {
    share: f64,
    until: Instant,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Part of the calls that is refused, above 0 and at most 1.
    share: f64,
    /// For how long.
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    /// Part of the calls that is refused at this moment.
    share: f64,
    /// For how long it goes on.
    seconds_left: f64,
    /// Calls refused since the services started.
    throttled_calls: u64,
}

impl Throttle {
    /// Answers a request to [`THROTTLE_PATH`].
    pub(crate) fn control(&self, method: &Method, body: &Bytes, now: Instant) -> Response<Body> {
        let mut state = self.state.lock();
        if method == Method::PUT {
            match Order::read(body) {
                Ok(order) => {
                    let until = now + Duration::from_secs_f64(order.seconds);
                    state.order = Some(Ordered { share: order.share, until });
                }
                Err(refusal) => {
                    return error_response(StatusCode::BAD_REQUEST, "ValidationException", &refusal);
                }
            }
        } else if method == Method::DELETE {
            state.order = None;
        } else if method != Method::GET {
            let message = format!("{method} {THROTTLE_PATH}: only PUT, GET and DELETE are known");
            return error_response(StatusCode::METHOD_NOT_ALLOWED, "UnknownOperationException", &message);
        }
        let on = state.order.filter(|order| now < order.until);
        let report = Report {
            share: on.map_or(0.0, |order| order.share),
            seconds_left: on.map_or(0.0, |order| (order.until - now).as_secs_f64()),
            throttled_calls: state.throttled,
        };
        response(StatusCode::OK, serde_json::to_string(&report).expect("numbers are JSON"))
    }

    /// The answer to a DynamoDB call that is throttled, or `None` if it may pass.
    pub(crate) fn refusal(&self, now: Instant) -> Option<Response<Body>> {
        let mut state = self.state.lock();
        let order = state.order.filter(|order| now < order.until)?;
        state.calls += 1;
        let chance = mixed(state.calls);
        if (chance >> 11) as f64 / (1_u64 << 53) as f64 >= order.share {
            return None;
        }
        state.throttled += 1;
        // Provisioned tables say the one, tables billed per request the other; clients must know both.
        let (code, message) = if state.throttled.is_multiple_of(2) {
            (ON_DEMAND, "Throughput exceeds the current capacity of your table or index.")
        } else {
            (PROVISIONED, "The level of configured provisioned throughput for the table was exceeded.")
        };
        Some(response(StatusCode::BAD_REQUEST, error_body(code, message)))
    }
}

impl Order {
    fn read(body: &Bytes) -> Result<Self, String> {
        let order: Self = serde_json::from_slice(body)
            .map_err(|error| format!(r#"{error}; send {{"share": 0.5, "seconds": 20}}"#))?;
        if !(order.share > 0.0 && order.share <= 1.0) {
            return Err(format!("share = {}: set it above 0 and to 1 at most", order.share));
        }
        if !(order.seconds > 0.0 && order.seconds <= SECONDS_MAX) {
            return Err(format!("seconds = {}: set it above 0 and to {SECONDS_MAX} at most", order.seconds));
        }
        Ok(order)
    }
}

fn response(status: StatusCode, json: String) -> Response<Body> {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    headers.insert("x-amzn-requestid", request_id());
    response
}

/// SplitMix64: calls are refused without a pattern that a client's own rhythm could meet, and alike in every run.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

const PROVISIONED: &str = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
const ON_DEMAND: &str = "com.amazon.coral.availability#ThrottlingException";
/// A longer outage is no throttling.
const SECONDS_MAX: f64 = 3_600.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn order(throttle: &Throttle, body: &'static str, now: Instant) -> StatusCode {
        throttle.control(&Method::PUT, &Bytes::from_static(body.as_bytes()), now).status()
    }

    fn refused(throttle: &Throttle, calls: usize, now: Instant) -> usize {
        (0..calls).filter(|_| throttle.refusal(now).is_some()).count()
    }

    #[test]
    fn the_share_that_was_asked_for_is_refused_until_its_end() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(refused(&throttle, 100, now), 0);
        assert_eq!(order(&throttle, r#"{"share": 0.3, "seconds": 20}"#, now), StatusCode::OK);
        let refused_calls = refused(&throttle, 10_000, now);
        assert!((2_800..3_200).contains(&refused_calls), "{refused_calls}");
        assert_eq!(order(&throttle, r#"{"share": 1, "seconds": 20}"#, now), StatusCode::OK);
        assert_eq!(refused(&throttle, 100, now + Duration::from_secs(19)), 100);
        assert_eq!(refused(&throttle, 100, now + Duration::from_secs(20)), 0);
    }

    #[test]
    fn it_can_be_ended_early() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        order(&throttle, r#"{"share": 1, "seconds": 20}"#, now);
        assert_eq!(throttle.control(&Method::DELETE, &Bytes::new(), now).status(), StatusCode::OK);
        assert_eq!(refused(&throttle, 100, now), 0);
    }

    #[test]
    fn orders_that_make_no_sense_are_refused() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let bodies = [
            "",
            r#"{"share": 0, "seconds": 1}"#,
            r#"{"share": 1.1, "seconds": 1}"#,
            r#"{"share": 1, "seconds": 0}"#,
            r#"{"share": 1, "seconds": 1e300}"#,
            r#"{"share": 1, "seconds": 1, "x": 1}"#,
        ];
        for body in bodies {
            assert_eq!(order(&throttle, body, now), StatusCode::BAD_REQUEST, "{body}");
        }
        assert_eq!(
            throttle.control(&Method::POST, &Bytes::new(), now).status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }
}
