use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use crate::{Local, soon};

async fn bucket(local: &Local) -> Client {
    let client = local.s3();
    client.create_bucket().bucket("bucket").send().await.expect("created");
    client
}

async fn read(client: &Client, key: &str) -> Vec<u8> {
    let output = client.get_object().bucket("bucket").key(key).send().await.expect("there");
    output.body.collect().await.expect("whole").into_bytes().to_vec()
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn an_object_is_a_plain_file_and_keeps_its_headers() {
    let local = Local::start();
    let client = bucket(&local).await;
    let put =
        client.put_object().bucket("bucket").key("dt=1/part.json.gz").body(ByteStream::from_static(b"bytes"));
    let put = put.content_type("application/json").content_encoding("gzip").metadata("first", "17");
    let etag = put.send().await.expect("stored").e_tag.expect("a tag");
    let file = local.folder.path().join("s3/bucket/dt=1/part.json.gz");
    assert_eq!(std::fs::read(file).expect("a file"), b"bytes");
    let head = client.head_object().bucket("bucket").key("dt=1/part.json.gz").send().await.expect("there");
    assert_eq!((head.content_type(), head.content_encoding()), (Some("application/json"), Some("gzip")));
    assert_eq!(head.e_tag(), Some(etag.as_str()));
    assert_eq!(head.metadata().and_then(|metadata| metadata.get("first")).map(String::as_str), Some("17"));
}

#[tokio::test]
async fn one_of_many_racing_creators_wins_each_round() {
    let local = Local::start();
    let client = bucket(&local).await;
    for round in 0..10 {
        let key = format!("race/{round}");
        let creators = (0..24).map(|writer: i32| {
            let body = ByteStream::from(writer.to_string().into_bytes());
            let request = client.put_object().bucket("bucket").key(&key).if_none_match("*").body(body);
            tokio::spawn(async move { (writer, request.send().await) })
        });
        let mut winners = Vec::new();
        for creator in creators.collect::<Vec<_>>() {
            match soon(creator).await.expect("no panic") {
                (writer, Ok(_)) => winners.push(writer),
                (_, Err(error)) => assert_eq!(error.code(), Some("PreconditionFailed")),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(read(&client, &key).await, winners[0].to_string().into_bytes());
    }
}

#[tokio::test]
async fn completing_an_upload_obeys_conditions_and_keeps_headers() {
    let local = Local::start();
    let client = bucket(&local).await;
    let begin = client.create_multipart_upload().bucket("bucket").key("joined").content_encoding("zstd");
    let id = begin.metadata("k", "v").send().await.expect("begun").upload_id.expect("an id");
    let part = client.upload_part().bucket("bucket").key("joined").upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from_static(b"only")).send().await.expect("sent");
    let parts = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).build();
    let complete = || {
        let request = client.complete_multipart_upload().bucket("bucket").key("joined").upload_id(&id);
        let upload = CompletedMultipartUpload::builder().parts(parts.clone()).build();
        request.if_none_match("*").multipart_upload(upload).send()
    };
    client
        .put_object()
        .bucket("bucket")
        .key("joined")
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .expect("put");
    assert_eq!(complete().await.expect_err("exists").code(), Some("PreconditionFailed"));
    client.delete_object().bucket("bucket").key("joined").send().await.expect("deleted");
    let done = complete().await.expect("the upload is still there");
    assert!(done.e_tag().is_some_and(|etag| etag.ends_with("-1\"")));
    let head = client.head_object().bucket("bucket").key("joined").send().await.expect("there");
    assert_eq!(head.content_encoding(), Some("zstd"));
    assert_eq!(head.metadata().map(|metadata| metadata.len()), Some(1));
    assert_eq!(read(&client, "joined").await, b"only");
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_object_and_no_file() {
    let local = Local::start();
    let client = bucket(&local).await;
    let temporary = local.folder.path().join("s3/.leasehold/temporary");
    let mut stream = TcpStream::connect(("127.0.0.1", local.services.port())).expect("listening");
    let head = "PUT /bucket/half HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(b"half")).expect("sent");
    soon(async {
        while files_below(&temporary) == 0 {
            tokio::task::yield_now().await;
        }
        drop(stream);
        while files_below(&temporary) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let missing = client.head_object().bucket("bucket").key("half").send().await.expect_err("never stored");
    assert!(missing.as_service_error().is_some_and(|error| error.is_not_found()));
}

#[tokio::test]
async fn keys_that_are_no_file_names_are_kept_or_refused_by_name() {
    let local = Local::start();
    let client = bucket(&local).await;
    let put =
        |key: &str| client.put_object().bucket("bucket").key(key).body(ByteStream::from_static(b"1")).send();
    let kept = ["a b+c=d&é.txt", "double//slash", "dots/..", "slash/"];
    for key in kept {
        put(key).await.expect(key);
    }
    let list = client.list_objects_v2().bucket("bucket").send().await.expect("listed");
    let mut expected = kept.to_vec();
    expected.sort_unstable();
    assert_eq!(list.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(), expected);
    assert!(list.contents().iter().all(|object| object.e_tag().is_some()));
    let error = put(&"k".repeat(256)).await.expect_err("no file can have that name");
    assert_eq!(error.code(), Some("KeyTooLongError"));
}
