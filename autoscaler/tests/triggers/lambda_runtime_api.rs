//! The Lambda function against a runtime API on loopback, as a process of its own: events in and answers out by HTTP.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use autoscaler::trigger::{LambdaError, Tally, Wake, serve_lambda};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::fixture;

/// What the function posts: the id of the invocation, `response` or `error`, and the body.
type Answer = (String, &'static str, Value);

/// The runtime API: gives out events one by one, and passes the answers on.
struct RuntimeApi {
    events: Mutex<mpsc::Receiver<Vec<u8>>>,
    answers: mpsc::Sender<Answer>,
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> impl IntoResponse {
    let event = api.events.lock().await.recv().await;
    let Some(event) = event else { return StatusCode::GONE.into_response() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", uuid::Uuid::new_v4().to_string()),
        ("lambda-runtime-deadline-ms", (now + 60_000).to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-west-1:111122223333:function:f".to_owned(),
        ),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
    ];
    (headers, event).into_response()
}

async fn answer(api: Arc<RuntimeApi>, id: String, kind: &'static str, body: Bytes) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("JSON");
    api.answers.send((id, kind, body)).await.expect("the test listens");
    StatusCode::ACCEPTED
}

/// Ends the function, however the test ends.
struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        // Fails only if the function has ended by itself, which the test has then seen.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_invocation_comes_in_and_its_answer_goes_out() {
    let (events, given) = mpsc::channel(1);
    let (taken, mut answers) = mpsc::channel(1);
    let api = Arc::new(RuntimeApi { events: Mutex::new(given), answers: taken });
    let routes = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(|State(api): State<Arc<RuntimeApi>>, Path(id): Path<String>, body: Bytes| {
                answer(api, id, "response", body)
            }),
        )
        .route(
            "/2018-06-01/runtime/invocation/{id}/error",
            post(|State(api): State<Arc<RuntimeApi>>, Path(id): Path<String>, body: Bytes| {
                answer(api, id, "error", body)
            }),
        )
        .with_state(api);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
    let _function = Function(
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "lambda_runtime_api::the_function", "--ignored"])
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "autoscaler")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .stdout(Stdio::null())
            .spawn()
            .expect("started"),
    );
    let mut invoke = async |event: Vec<u8>| {
        events.send(event).await.expect("the runtime API listens");
        let answer =
            tokio::time::timeout(ANSWER_MAX, answers.recv()).await.expect("in time").expect("served");
        (answer.1, answer.2)
    };

    for route in ["sns-to-lambda", "eventbridge", "lambda-action", "sqs-to-lambda"] {
        for path in fixture::list(&format!("accepted/{route}")) {
            let answer = invoke(fixture::read(&path)).await;
            assert_eq!(answer, ("response", json!({ "batchItemFailures": [] })), "{path}");
        }
    }
    let refused = invoke(fixture::read("refused/foreign/records-of-s3.json")).await;
    assert_eq!(refused, ("response", json!({ "batchItemFailures": [] })));
    let record =
        |id: &str, stream: &str| json!({ "messageId": id, "body": json!({ "stream": stream }).to_string() });
    let batch = json!({ "Records": [record("a", "clicks"), record("b", "orders"), record("c", "clicks")] });
    let failed = invoke(batch.to_string().into_bytes()).await;
    assert_eq!(failed, ("response", json!({ "batchItemFailures": [{ "itemIdentifier": "b" }] })));
    let (kind, error) = invoke(br#"{"stream": "orders"}"#.to_vec()).await;
    assert_eq!(kind, "error");
    assert_eq!(error["errorMessage"], "stream orders was not looked at: orders cannot be looked at");
}

/// The function itself: looks at every stream but one.
#[tokio::test]
#[ignore = "started by the test above with Lambda's variables"]
async fn the_function() {
    let handler = async |wake: Wake| match wake.stream.as_str() {
        "orders" => Err("orders cannot be looked at"),
        _ => Ok(()),
    };
    let end = serve_lambda(fixture::settings(), Arc::new(Tally::default()), handler).await;
    panic!("the runtime API ended: {end:?}");
}

#[tokio::test]
async fn elsewhere_the_function_says_what_is_missing() {
    let handler = async |_: Wake| Ok::<(), String>(());
    let end = serve_lambda(fixture::settings(), Arc::new(Tally::default()), handler).await;
    let error = end.expect_err("no Lambda here");
    assert!(matches!(error, LambdaError::NotInLambda { variable: "AWS_LAMBDA_RUNTIME_API" }), "{error}");
}

/// The process starts and answers within a second; the rest is for a machine under load.
const ANSWER_MAX: Duration = Duration::from_secs(60);
