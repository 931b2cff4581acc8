//! What a stream must do: records in order from every kind of position, children at the end of a shard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use kcl_core::{RecordPosition, SequenceNumber, ShardFilter, ShardId, covers_hash_space};

use crate::port::{FetchError, Fetched, NextFetch, ShardIterator, StartAt, StreamControl, StreamSource};
use crate::record::Record;

/// The other end of a stream under test.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Puts one record.
    async fn put(&self, partition_key: &str, data: Bytes);

    /// Splits an open shard anywhere, and returns when its children are open.
    async fn split(&self, shard: &ShardId);
}

/// What a service that is not AWS is known to do otherwise, so that everything else can be held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamException {
    /// The filter `AT_TRIM_HORIZON` lists shards that were opened later as well.
    TrimHorizonListsLaterShards,
    /// A position beyond all shards is not found, where AWS says that the argument is invalid.
    PositionBeyondShardsNotFound,
}

/// Checks a new stream of two shards without records.
///
/// # Panics
/// With what came and what had to come.
pub async fn stream<S: StreamSource + StreamControl>(stream: &S, producer: &dyn Producer) {
    stream_except(stream, producer, &[]).await;
}

/// The same for a service with known differences: where one is named, the difference has to be there.
///
/// # Panics
/// With what came and what had to come.
pub async fn stream_except<S: StreamSource + StreamControl>(
    stream: &S,
    producer: &dyn Producer,
    exceptions: &[StreamException],
) {
    let identity = stream.describe().await.expect("the stream is there");
    assert!(identity.arn.contains(":stream/"), "not the ARN of a stream: {}", identity.arn);
    let again = stream.describe().await.expect("the stream is still there");
    assert_eq!(again, identity, "the identity changes between two calls");

    let shards = open_shards(stream).await;
    assert_eq!(shards.len(), 2, "open shards of the new stream: {shards:?}");
    for number in 0..RECORDS {
        producer.put(&format!("key-{number}"), number.to_string().into()).await;
    }
    let mut by_shard = BTreeMap::new();
    for shard in &shards {
        by_shard.insert(shard.clone(), records_from(stream, shard, StartAt::TrimHorizon).await);
    }
    let mut payloads: Vec<usize> = by_shard.values().flatten().map(number_in).collect();
    payloads.sort_unstable();
    assert_eq!(payloads, (0..RECORDS).collect::<Vec<_>>(), "each record once");
    for (shard, records) in &by_shard {
        let is_ordered = records.windows(2).all(|pair| pair[0].position < pair[1].position);
        assert!(is_ordered, "{shard} is out of order");
        assert!(records.len() >= 4, "{shard} has only {} of {RECORDS} records", records.len());
    }
    let (shard, records) = by_shard.iter().next().expect("two shards");
    positions(stream, shard, records).await;
    unknown(stream, shard, exceptions).await;
    end_of_shard(stream, producer, shard, records, exceptions).await;
}

/// Every kind of start yields exactly the rest of the shard.
async fn positions<S: StreamSource>(stream: &S, shard: &ShardId, records: &[Record]) {
    let middle = records.len() / 2;
    let position = records[middle].position;
    let at = records_from(stream, shard, StartAt::At(position)).await;
    assert_eq!(at, records[middle..], "from AT record {middle}");
    let within = RecordPosition { sub_sequence: 3, ..position };
    let at_aggregate = records_from(stream, shard, StartAt::At(within)).await;
    assert_eq!(at_aggregate, records[middle..], "the sub-sequence number must not matter to the service");
    let after = records_from(stream, shard, StartAt::After(position)).await;
    assert_eq!(after, records[middle + 1..], "from AFTER record {middle}");
    let last = records.last().expect("there are records").position;
    assert_eq!(records_from(stream, shard, StartAt::After(last)).await, [], "from AFTER the last record");
    let early = StartAt::Timestamp(records[0].arrival_epoch_millis);
    assert_eq!(records_from(stream, shard, early).await, records, "from the time of the first record");
    // The service refuses a time in the future.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let late = StartAt::Timestamp(records.last().expect("there are records").arrival_epoch_millis + 1);
    assert_eq!(records_from(stream, shard, late).await, [], "from after the time of the last record");

    let iterator = stream.iterator(shard, StartAt::TrimHorizon).await.expect("an iterator");
    let few = stream.fetch(&iterator, 2).await.expect("an answer");
    assert_eq!(few.records, records[..2], "an answer limited to 2");
    let again = stream.fetch(&iterator, 2).await.expect("an iterator may be used twice");
    assert_eq!(again.records, few.records, "the same iterator again");
}

async fn unknown<S: StreamSource>(stream: &S, shard: &ShardId, exceptions: &[StreamException]) {
    let strange = ShardId::new("shardId-000000009999").expect("valid");
    let error = stream.iterator(&strange, StartAt::TrimHorizon).await.expect_err("there is no such shard");
    assert!(matches!(error, FetchError::NotFound { .. }), "an unknown shard: {error:?}");
    let forged = ShardIterator("AAAA".to_owned());
    assert!(stream.fetch(&forged, 10).await.is_err(), "a forged iterator was accepted for {shard}");
    let nowhere = RecordPosition::first_of(SequenceNumber::from_parts(u64::MAX, 0));
    let error = stream.iterator(shard, StartAt::At(nowhere)).await.expect_err("no shard has such a position");
    let is_as_it_must = match exceptions.contains(&StreamException::PositionBeyondShardsNotFound) {
        true => matches!(error, FetchError::NotFound { .. }),
        false => matches!(error, FetchError::InvalidPosition { .. }),
    };
    assert!(is_as_it_must, "a position beyond all shards: {error:?}");
}

/// After a split the parent's records stay, then comes the end with both children; the filters tell them apart.
async fn end_of_shard<S: StreamSource + StreamControl>(
    stream: &S,
    producer: &dyn Producer,
    parent: &ShardId,
    records: &[Record],
    exceptions: &[StreamException],
) {
    producer.split(parent).await;
    let (read, end) = read_until_end(stream, parent).await;
    assert_eq!(read, records, "records of the closed shard {parent}");
    let children: BTreeSet<ShardId> = end.iter().map(|child| child.shard.clone()).collect();
    assert_eq!(children.len(), 2, "children named by the last answer of {parent}: {end:?}");
    for child in &end {
        assert!(child.parents.contains(parent), "{} does not name its parent", child.shard);
    }
    let all = stream.list_shards(ShardFilter::All).await.expect("a listing");
    let listed = all.iter().find(|listed| listed.shard == *parent).expect("the parent is still listed");
    assert!(!listed.is_open, "{parent} is listed as open");
    let listed_children = all.iter().filter(|listed| listed.parents.contains(parent));
    assert_eq!(listed_children.map(|listed| listed.shard.clone()).collect::<BTreeSet<_>>(), children);
    let open = stream.list_shards(ShardFilter::AtLatest).await.expect("a listing");
    assert!(open.iter().all(|listed| listed.is_open && listed.shard != *parent), "AT_LATEST: {open:?}");
    assert!(
        covers_hash_space(open.iter().map(|listed| listed.hash_range)),
        "AT_LATEST leaves a hole: {open:?}"
    );
    let oldest = stream.list_shards(ShardFilter::AtTrimHorizon).await.expect("a listing");
    assert!(
        oldest.iter().any(|listed| listed.shard == *parent),
        "AT_TRIM_HORIZON lacks {parent}: {oldest:?}"
    );
    assert_eq!(
        oldest.iter().any(|listed| children.contains(&listed.shard)),
        exceptions.contains(&StreamException::TrimHorizonListsLaterShards),
        "whether AT_TRIM_HORIZON lists the children of {parent}: {oldest:?}"
    );
}

async fn open_shards<S: StreamControl>(stream: &S) -> Vec<ShardId> {
    let shards = stream.list_shards(ShardFilter::AtLatest).await.expect("a listing");
    shards.into_iter().map(|listed| listed.shard).collect()
}

/// The records from `start` to the tip of an open shard.
async fn records_from<S: StreamSource>(stream: &S, shard: &ShardId, start: StartAt) -> Vec<Record> {
    let mut iterator = stream.iterator(shard, start).await.expect("an iterator");
    let mut records = Vec::new();
    for _ in 0..ANSWERS_MAX {
        let Fetched { records: fetched, next, behind_latest } = fetch(stream, &iterator).await;
        let was_empty = fetched.is_empty();
        records.extend(fetched);
        match next {
            NextFetch::Iterator(next) => iterator = next,
            NextFetch::ShardEnd(children) => panic!("the open shard {shard} ended with {children:?}"),
        }
        if was_empty && behind_latest.0 == 0 {
            return records;
        }
    }
    panic!("{shard} did not reach its tip in {ANSWERS_MAX} answers");
}

async fn read_until_end<S: StreamSource>(
    stream: &S,
    shard: &ShardId,
) -> (Vec<Record>, Vec<kcl_core::ChildShard>) {
    let mut iterator = stream.iterator(shard, StartAt::TrimHorizon).await.expect("an iterator");
    let mut records = Vec::new();
    for _ in 0..ANSWERS_MAX {
        let fetched = fetch(stream, &iterator).await;
        records.extend(fetched.records);
        match fetched.next {
            NextFetch::Iterator(next) => iterator = next,
            NextFetch::ShardEnd(children) => return (records, children),
        }
    }
    panic!("{shard} did not end in {ANSWERS_MAX} answers");
}

/// One answer, waiting out throttles.
async fn fetch<S: StreamSource>(stream: &S, iterator: &ShardIterator) -> Fetched {
    for _ in 0..ANSWERS_MAX {
        match stream.fetch(iterator, 1_000).await {
            Ok(fetched) => return fetched,
            Err(FetchError::Throttled) => tokio::time::sleep(THROTTLE_PAUSE).await,
            Err(error) => panic!("an answer was expected: {error:?}"),
        }
    }
    panic!("throttled {ANSWERS_MAX} times");
}

fn number_in(record: &Record) -> usize {
    let text = String::from_utf8_lossy(&record.data);
    text.parse().unwrap_or_else(|_| panic!("a payload that nobody put: {text:?}"))
}

const RECORDS: usize = 40;
const ANSWERS_MAX: usize = 100;
const THROTTLE_PAUSE: Duration = Duration::from_millis(250);
