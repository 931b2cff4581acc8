use std::fs::File;
use std::path::{Path, PathBuf};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::types::{Record, Shard, ShardIteratorType};
use local::{Limits, LocalError, LocalSettings, Services, Storage};

use crate::kinesis::{FIRST_SHARD, MIDDLE, create, get, iterator, put};
use crate::{Local, config};

/// Everything a reader can see of a stream.
async fn contents(client: &Client, stream: &str) -> (Vec<Shard>, Vec<Record>) {
    let shards =
        client.list_shards().stream_name(stream).send().await.expect("listed").shards.expect("shards");
    let mut records = Vec::new();
    for shard in &shards {
        let start = iterator(client, stream, shard.shard_id(), ShardIteratorType::TrimHorizon).await;
        let mut next = Some(start);
        while let Some(iterator) = next {
            let output = get(client, iterator).await;
            let is_done = output.records().is_empty();
            records.extend(output.records);
            next = output.next_shard_iterator.filter(|_| !is_done);
        }
    }
    (shards, records)
}

fn settings(folder: &Path, log: &Path) -> LocalSettings {
    let mut settings = LocalSettings::new(folder);
    settings.kinesis_storage = Storage::File(log.to_owned());
    settings
}

/// The log as a kill would leave it: no shutdown has run.
fn log_after_kill(folder: &Path, log: &Path) -> PathBuf {
    let copy = folder.join("after-kill.log");
    std::fs::copy(log, &copy).expect("copied");
    copy
}

#[tokio::test]
async fn a_file_keeps_shards_sequence_numbers_and_records_through_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("state/kinesis.log");
    let before = Services::start(settings(&folder.path().join("one"), &log)).expect("starts");
    let client = Client::new(&config(&before));
    create(&client, "kept", 1).await;
    put(&client, "kept", &["a", "b"]).await;
    let split = client.split_shard().stream_name("kept").shard_to_split(FIRST_SHARD);
    split.new_starting_hash_key(MIDDLE).send().await.expect("split");
    let refused = client.create_stream().stream_name("kept").shard_count(1).send().await.expect_err("exists");
    assert_eq!(refused.code(), Some("ResourceInUseException"));
    // Writers side by side: the order of the log must be the order of the shard.
    let writers = (0..8).map(|writer| {
        let client = client.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let bodies = [format!("{writer}-{round}-x"), format!("{writer}-{round}-y")];
                put(&client, "kept", &[&bodies[0], &bodies[1]]).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("wrote");
    }
    let expected = contents(&client, "kept").await;
    assert_eq!(expected.1.len(), 162);
    let killed = log_after_kill(folder.path(), &log);

    let after = Services::start(settings(&folder.path().join("two"), &killed)).expect("replays");
    let client = Client::new(&config(&after));
    assert_eq!(contents(&client, "kept").await, expected);
    let receipt = put(&client, "kept", &["later"]).await.remove(0);
    let later =
        receipt.sequence_number().expect("stored").parse::<kcl_core::SequenceNumber>().expect("a number");
    let shard_records = expected.1.iter().map(|record| record.sequence_number().parse().expect("a number"));
    assert!(shard_records.max().is_some_and(|last: kcl_core::SequenceNumber| last < later));
}

#[tokio::test]
async fn a_torn_end_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("kinesis.log");
    let before = Services::start(settings(&folder.path().join("one"), &log)).expect("starts");
    let client = Client::new(&config(&before));
    create(&client, "torn", 1).await;
    put(&client, "torn", &["acknowledged"]).await;
    let expected = contents(&client, "torn").await;
    let acknowledged = std::fs::metadata(&log).expect("there").len();
    put(&client, "torn", &["on its way"]).await;
    let killed = log_after_kill(folder.path(), &log);
    File::options().write(true).open(&killed).expect("there").set_len(acknowledged + 20).expect("cut");

    let after = Services::start(settings(&folder.path().join("two"), &killed)).expect("replays");
    assert_eq!(contents(&Client::new(&config(&after)), "torn").await, expected);
}

#[test]
fn a_log_of_other_limits_is_refused_because_it_would_replay_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("kinesis.log");
    Services::start(settings(folder.path(), &log)).expect("starts").shutdown();
    let other = LocalSettings { limits: Limits::Aws, ..settings(folder.path(), &log) };
    let error = Services::start(other).expect_err("other limits");
    assert!(matches!(error, LocalError::KinesisLog { .. }), "{error}");
    assert!(error.to_string().contains("limits=Off"), "{error}");
}

#[tokio::test]
async fn memory_forgets() {
    let local = Local::start();
    create(&local.kinesis(), "gone", 1).await;
    let folder = local.folder;
    local.services.shutdown();
    let again = Services::start(LocalSettings::new(folder.path())).expect("starts");
    let streams = Client::new(&config(&again)).list_streams().send().await.expect("listed");
    assert!(streams.stream_names().is_empty());
}
