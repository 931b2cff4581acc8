use std::io::{Read, Write};
use std::net::TcpStream;

use local::{LocalError, LocalSettings, Services};

use crate::{Local, soon};

/// The status line of the answer to a request with these headers.
fn status(local: &Local, headers: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", local.services.port())).expect("listening");
    let request = format!("POST / HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: 2\r\n\r\n{{}}");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_foreign_host_or_origin_is_refused_for_every_service() {
    let local = Local::start();
    for target in ["Kinesis_20131202.ListStreams", "DynamoDB_20120810.ListTables", "AmazonSQS.ListQueues", ""]
    {
        let target = if target.is_empty() { String::new() } else { format!("x-amz-target: {target}\r\n") };
        let foreign = format!("host: rebound.example:{}\r\n{target}", local.services.port());
        assert_eq!(status(&local, &foreign), "HTTP/1.1 403 Forbidden");
        let page = format!("host: 127.0.0.1\r\norigin: http://page.example\r\n{target}");
        assert_eq!(status(&local, &page), "HTTP/1.1 403 Forbidden");
    }
    assert_eq!(
        status(&local, "host: localhost\r\nx-amz-target: Kinesis_20131202.ListStreams\r\n"),
        "HTTP/1.1 200 OK"
    );
    assert_eq!(
        status(&local, "host: localhost\r\nx-amz-target: Logs_20140328.PutLogEvents\r\n"),
        "HTTP/1.1 400 Bad Request"
    );
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let local = Local::start();
    let folder = tempfile::tempdir().expect("a folder");
    let port = local.services.port();
    let error =
        Services::start(LocalSettings { port, ..LocalSettings::new(folder.path()) }).expect_err("in use");
    assert!(matches!(error, LocalError::PortInUse { port: named } if named == port), "{error}");
    assert!(error.to_string().contains("choose another port"), "{error}");
}

#[test]
fn a_port_and_a_folder_are_free_again_after_a_shutdown() {
    let local = Local::start();
    let (port, folder) = (local.services.port(), local.folder);
    local.services.shutdown();
    let settings = LocalSettings { port, ..LocalSettings::new(folder.path()) };
    Services::start(settings).expect("both are free").shutdown();
}

#[tokio::test]
async fn all_services_answer_on_one_port() {
    let local = Local::start();
    assert!(soon(local.kinesis().list_streams().send()).await.expect("Kinesis").stream_names().is_empty());
    assert!(soon(local.dynamodb().list_tables().send()).await.expect("DynamoDB").table_names().is_empty());
    assert!(soon(local.s3().list_buckets().send()).await.expect("S3").buckets().is_empty());
    assert!(soon(local.cloudwatch().list_metrics().send()).await.expect("CloudWatch").metrics().is_empty());
    assert!(soon(local.sns().list_topics().send()).await.expect("SNS").topics().is_empty());
    assert!(soon(local.sqs().list_queues().send()).await.expect("SQS").queue_urls().is_empty());
}
