//! The local services: scripts of requests as they would come over the port.
//!
//! ```text
//! script ─▶ requests ─▶ InProcess (fresh) ─▶ no server error, nothing outside of the data folder
//!              └─ the same with Kinesis in CBOR ─▶ InProcess (fresh) ─▶ the same statuses
//! ```

mod cbor;
mod script;

use std::path::Path;

use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode};
use futures_util::{FutureExt, StreamExt};
use local::{InProcess, LocalSettings};
use tokio::runtime::Runtime;

use self::script::{Call, Memory};

/// A script of requests to Kinesis, DynamoDB and S3, in text; its form is shown in the corpus.
///
/// # Panics
/// If an answer is a server error, JSON and CBOR are treated differently, an object comes back as other bytes, or a
/// file lies outside of its bucket.
pub fn server_request(data: &[u8]) {
    let calls = script::calls(data);
    RUNTIME.with(|runtime| {
        let as_written = runtime.block_on(run(&calls, Call::clone));
        if calls.iter().any(|call| cbor::body_of(call).is_some()) {
            let in_cbor = runtime.block_on(run(&calls, cbor::in_cbor));
            for ((call, json), cbor) in calls.iter().zip(as_written).zip(in_cbor) {
                assert_eq!(json, cbor, "{call:?}");
            }
        }
    });
}

/// The statuses of the answers, in order.
async fn run(calls: &[Call], change: impl Fn(&Call) -> Call) -> Vec<StatusCode> {
    let folder = tempfile::tempdir().expect("a folder for one run");
    let services = InProcess::open(&LocalSettings::new(folder.path().join("data"))).expect("opens");
    let (mut memory, mut statuses) = (Memory::default(), Vec::new());
    for call in calls {
        let call = change(&memory.filled_in(call));
        let Some(request) = call.request() else { continue };
        let response = services.call(request).await;
        let status = response.status();
        let is_failure = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        let answer = answer_bytes(response).await;
        assert!(!is_failure, "{status} to {call:?}: {}", String::from_utf8_lossy(&answer));
        memory.note(&cbor::shown(&answer));
        statuses.push(status);
        if status == StatusCode::OK && call.puts_plain_object() {
            let back = services.call(call.as_get()).await;
            assert_eq!((back.status(), &answer_bytes(back).await), (StatusCode::OK, &call.body), "{call:?}");
        }
    }
    drop(services);
    holds_nothing_but_buckets(folder.path());
    statuses
}

/// What an answer says without waiting: a subscription goes on for minutes.
async fn answer_bytes(response: Response<Body>) -> Bytes {
    let is_endless = response.headers().get("content-type").is_some_and(|value| value == EVENT_STREAM);
    let mut frames = response.into_body().into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let frame = match is_endless {
            true => frames.next().now_or_never().flatten(),
            false => frames.next().await,
        };
        match frame {
            Some(frame) if bytes.len() < ANSWER_BYTES_MAX => {
                bytes.extend(frame.expect("bodies lie in memory"))
            }
            Some(_) | None => return Bytes::from(bytes),
        }
    }
}

fn holds_nothing_but_buckets(folder: &Path) {
    assert_eq!(names_in(folder), ["data"]);
    assert_eq!(names_in(&folder.join("data")), ["s3"]);
    for name in names_in(&folder.join("data/s3")) {
        let is_bucket = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        assert!(is_bucket && name != ".." && name != ".", "{name}");
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

impl Call {
    /// Whether its body is an object as it is: no framing, no copy, no part of an upload.
    fn puts_plain_object(&self) -> bool {
        self.method == Method::PUT && self.headers.is_empty() && self.key().is_some_and(|key| !key.is_empty())
    }
}

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
/// Above every answer to what a script can hold.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}
