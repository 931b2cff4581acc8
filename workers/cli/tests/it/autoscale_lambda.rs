//! The binary as a Lambda function: started as `bootstrap`, with events from a runtime API on loopback.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::autoscale_bed::{Bed, Followed};
use crate::support::text;

/// The runtime API: gives out events one by one, and passes the answers on.
struct RuntimeApi {
    events: Mutex<mpsc::Receiver<Value>>,
    answers: mpsc::Sender<Value>,
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> impl IntoResponse {
    let Some(event) = api.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", uuid::Uuid::new_v4().to_string()),
        ("lambda-runtime-deadline-ms", (now + 60_000).to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        ),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
    ];
    (headers, event.to_string()).into_response()
}

async fn answered(State(api): State<Arc<RuntimeApi>>, body: Bytes) -> StatusCode {
    api.answers.send(serde_json::from_slice(&body).expect("JSON")).await.expect("the test listens");
    StatusCode::ACCEPTED
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_looks_at_the_streams_that_an_event_names() {
    let bed = Bed::start(|_| {});
    bed.create("orders", 1).await;
    let (events, given) = mpsc::channel(1);
    let (taken, mut answers) = mpsc::channel(1);
    let api = Arc::new(RuntimeApi { events: Mutex::new(given), answers: taken });
    let routes = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(answered))
        .with_state(api);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
    let bootstrap = bed.path().join("bootstrap");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_leasehold"), &bootstrap).expect("linked");
    let function = |table: &str| {
        let mut command = Command::new(&bootstrap);
        let variables = [
            ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "autoscaler".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_ENDPOINT_URL", bed.endpoint()),
            ("LEASEHOLD_AUTOSCALE_STREAMS", "orders".to_owned()),
            ("LEASEHOLD_AUTOSCALE_TABLE", table.to_owned()),
        ];
        command.envs(variables);
        command
    };

    // A process has made the table, as the templates do for a function, which may not.
    let made = bed.autoscale("apply", &["--once"]).output().expect("it runs");
    assert!(made.status.success(), "{}", text(&made));
    let mut running = Followed::start(function("leasehold_autoscaler"));
    events.send(json!({ "stream": "orders" })).await.expect("the runtime API listens");
    assert_eq!(answers.recv().await, Some(json!({ "batchItemFailures": [] })));
    running.line_with("\"decision\":\"2.2\"");
    let record = json!({ "messageId": "a", "body": json!({ "stream": "foreign" }).to_string() });
    events.send(json!({ "Records": [record] })).await.expect("the runtime API listens");
    assert_eq!(answers.recv().await, Some(json!({ "batchItemFailures": [] })));
    assert!(running.line_with("message refused").contains("foreign_stream"));
}

#[test]
fn a_function_says_what_its_environment_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = crate::support::leasehold(folder.path())
        .args(["autoscale", "lambda"])
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("LEASEHOLD_AUTOSCALE_STREAMS is not set"), "{}", text(&output));
}
