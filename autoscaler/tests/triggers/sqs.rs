//! The queue on SQS against a service on loopback that speaks SQS' protocol: what is asked for, and what is made of answers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use autoscaler::trigger::{QueueMessage, Receipt, SqsWakeQueue, WakeQueue};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Notes each call and gives the answers that it was told to give.
#[derive(Default)]
struct Sqs {
    calls: Mutex<Vec<(String, Value)>>,
    answers: Mutex<Vec<(StatusCode, Value)>>,
}

async fn serve(State(sqs): State<Arc<Sqs>>, headers: HeaderMap, body: String) -> impl IntoResponse {
    let target = headers["x-amz-target"].to_str().expect("ASCII").to_owned();
    let call = target.trim_start_matches("AmazonSQS.").to_owned();
    sqs.calls.lock().push((call, serde_json::from_str(&body).expect("JSON")));
    let (status, answer) = sqs.answers.lock().remove(0);
    (status, [("content-type", "application/x-amz-json-1.0")], answer.to_string())
}

/// A queue on a service that gives these answers, one for each call.
async fn queue(answers: Vec<(StatusCode, Value)>) -> (SqsWakeQueue, Arc<Sqs>, String) {
    let sqs = Arc::new(Sqs { answers: Mutex::new(answers), ..Sqs::default() });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let routes = Router::new().fallback(serve).with_state(Arc::clone(&sqs));
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("served") });
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let url = format!("{endpoint}/111122223333/leasehold-wake");
    (SqsWakeQueue::new(&config, &url), sqs, url)
}

fn receipts(count: usize) -> Vec<Receipt> {
    (0..count).map(|index| Receipt(format!("r{index}"))).collect()
}

#[tokio::test]
async fn a_receive_asks_for_a_long_poll_within_the_limits_of_sqs() {
    let message = json!({ "MessageId": "m", "ReceiptHandle": "r", "Body": "{}", "MD5OfBody": "99914b932bd37a50b983c5e7c90ae93b" });
    let answers = vec![(StatusCode::OK, json!({ "Messages": [message] })), (StatusCode::OK, json!({}))];
    let (queue, sqs, url) = queue(answers).await;
    let received = queue.receive(10, Duration::from_secs(20), Duration::from_secs(60)).await;
    let expected = QueueMessage { id: "m".into(), receipt: Receipt("r".into()), body: "{}".into() };
    assert_eq!(received, Ok(vec![expected]));
    assert_eq!(queue.receive(99, Duration::from_secs(99), Duration::ZERO).await, Ok(vec![]));
    let request = |wait: u32, hidden: u32| {
        let body = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait, "VisibilityTimeout": hidden });
        ("ReceiveMessage".to_owned(), body)
    };
    assert_eq!(*sqs.calls.lock(), [request(20, 60), request(20, 0)]);
}

#[tokio::test]
async fn deletes_and_hides_go_out_in_batches_of_ten() {
    let done = || (StatusCode::OK, json!({ "Successful": [], "Failed": [] }));
    let (queue, sqs, url) = queue(vec![done(), done(), done()]).await;
    assert_eq!(queue.delete(&receipts(11)).await, Ok(()));
    assert_eq!(queue.hide(&receipts(1), Duration::from_secs(60)).await, Ok(()));
    let calls = sqs.calls.lock();
    let sizes: Vec<_> = calls
        .iter()
        .map(|(call, body)| (call.as_str(), body["Entries"].as_array().expect("a list").len()))
        .collect();
    assert_eq!(
        sizes,
        [("DeleteMessageBatch", 10), ("DeleteMessageBatch", 1), ("ChangeMessageVisibilityBatch", 1)]
    );
    let expected = json!({ "QueueUrl": url, "Entries": [{ "Id": "0", "ReceiptHandle": "r0", "VisibilityTimeout": 60 }] });
    assert_eq!(calls[2].1, expected);
}

#[tokio::test]
async fn a_failure_names_the_call_the_queue_and_the_reason() {
    let partial = json!({
        "Successful": [{ "Id": "0" }],
        "Failed": [{ "Id": "1", "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "The receipt handle has expired" }],
    });
    let denied = json!({ "__type": "com.amazonaws.sqs#AccessDenied", "message": "not\nfor you" });
    let answers = vec![(StatusCode::OK, partial), (StatusCode::FORBIDDEN, denied)];
    let (queue, _, url) = queue(answers).await;
    let error = queue.delete(&receipts(2)).await.expect_err("failed in part");
    let expected = "1 messages, the first: ReceiptHandleIsInvalid: The receipt handle has expired";
    assert_eq!(error.to_string(), format!("DeleteMessageBatch of queue {url} failed: {expected}"));
    let error = queue.receive(1, Duration::ZERO, Duration::ZERO).await.expect_err("denied");
    let expected = format!("ReceiveMessage of queue {url} failed: AccessDenied: not\\nfor you");
    assert_eq!(error.to_string(), expected);
}
