//! A table whose ordinary scans lag behind, as DynamoDB's may; the local services are always consistent.

use std::time::Duration;

use kcl::LeaseStore;
use kcl::aws::DynamoDbLeaseStore;
use kcl_core::{StoreReply, StoreRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::aws::config;

#[tokio::test]
async fn a_scan_without_leases_is_repeated_consistently() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let lagging = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(answer_scans(stream));
        }
    });
    let store = DynamoDbLeaseStore::new(&config(&endpoint), "lagging", Duration::from_secs(10));
    let reply = store.execute(StoreRequest::ReadTable).await;
    lagging.abort();
    let StoreReply::Table(view) = reply else { panic!("{reply:?}") };
    let keys: Vec<&str> = view.leases.iter().map(|lease| lease.key.as_str()).collect();
    assert_eq!(keys, ["shardId-000000000000"]);
}

/// Shows the only lease to consistent scans and nothing to others.
async fn answer_scans(mut stream: TcpStream) {
    while let Some(request) = next_request(&mut stream).await {
        let items = if request.contains(r#""ConsistentRead":true"#) { LEASE } else { "" };
        let body = format!(r#"{{"Count":0,"Items":[{items}]}}"#);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.expect("answered");
    }
}

/// Head and body of one request; `None` when the client is gone.
async fn next_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then_some(value)
            });
            let length: usize = header.expect("a length").trim().parse().expect("a number");
            if body.len() >= length {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.expect("readable") == 0 {
            return None;
        }
    }
}

const LEASE: &str =
    r#"{"leaseKey":{"S":"shardId-000000000000"},"leaseCounter":{"N":"4"},"checkpoint":{"S":"LATEST"}}"#;
