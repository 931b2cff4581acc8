use std::io::{Read, Write};
use std::net::TcpStream;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::list_tables::ListTablesError;

use crate::{Local, soon};

/// Turns the knob; the body of the answer.
fn knob(local: &Local, method: &str, body: &str) -> serde_json::Value {
    let mut stream = TcpStream::connect(("127.0.0.1", local.services.port())).expect("listening");
    let length = body.len();
    let request = format!(
        "{method} /_leasehold/throttle HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
}

#[tokio::test]
async fn dynamodb_throttles_on_request_and_nothing_else_does() {
    let local = Local::start();
    knob(&local, "PUT", r#"{"share": 1, "seconds": 60}"#);
    let mut codes = Vec::new();
    for _ in 0..2 {
        let error: ListTablesError =
            soon(local.dynamodb().list_tables().send()).await.expect_err("throttled").into_service_error();
        codes.push(error.code().expect("typed").to_owned());
    }
    assert_eq!(codes, ["ProvisionedThroughputExceededException", "ThrottlingException"]);
    soon(local.kinesis().list_streams().send()).await.expect("Kinesis goes on");
    soon(local.s3().list_buckets().send()).await.expect("S3 goes on");

    let report = knob(&local, "DELETE", "");
    assert_eq!((&report["share"], &report["throttled_calls"]), (&0.0.into(), &2.into()));
    soon(local.dynamodb().list_tables().send()).await.expect("the throttling has ended");
}
