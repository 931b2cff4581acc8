//! Streams full of records of one size.

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardFilter, ShardFilterType};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

/// A stream with the same number of records on each shard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FullStream {
    /// Its name.
    pub(crate) name: String,
    /// Its open shards.
    pub(crate) shards: usize,
    /// Records on each of them.
    pub(crate) records_per_shard: usize,
    /// Bytes of each record's data.
    pub(crate) record_bytes: usize,
}

impl FullStream {
    /// All records of the stream.
    pub(crate) fn records(&self) -> usize {
        self.shards * self.records_per_shard
    }

    /// Bytes of data and partition keys of all records.
    pub(crate) fn bytes(&self) -> usize {
        self.records() * (self.record_bytes + PARTITION_KEY_BYTES)
    }

    /// Creates the stream and puts all records on it.
    pub(crate) async fn create(&self, client: &Client) -> anyhow::Result<()> {
        let shards = i32::try_from(self.shards)?;
        client.create_stream().stream_name(&self.name).shard_count(shards).send().await?;
        let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build()?;
        let listing = client.list_shards().stream_name(&self.name).shard_filter(filter).send().await?;
        let hash_keys = listing.shards().iter().map(|shard| {
            let range = shard.hash_key_range().context("a shard without a hash range")?;
            anyhow::Ok(range.starting_hash_key().to_owned())
        });
        let hash_keys: Vec<String> = hash_keys.collect::<Result<_, _>>()?;
        anyhow::ensure!(hash_keys.len() == self.shards, "{} shards, not {}", hash_keys.len(), self.shards);
        let requests: Vec<(usize, String)> = (0..self.records_per_shard)
            .step_by(RECORDS_PER_PUT)
            .flat_map(|first| hash_keys.iter().map(move |hash_key| (first, hash_key.clone())))
            .collect();
        let puts = stream::iter(requests).map(|(first, hash_key)| {
            let (stream, client) = (self.clone(), client.clone());
            async move { stream.put(&client, &hash_key, first).await }
        });
        puts.buffer_unordered(PUTS_IN_FLIGHT).try_collect().await
    }

    async fn put(&self, client: &Client, hash_key: &str, first: usize) -> anyhow::Result<()> {
        let last = (first + RECORDS_PER_PUT).min(self.records_per_shard);
        let entries = (first..last).map(|number| self.entry(hash_key, number));
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        let answer = client.put_records().stream_name(&self.name).set_records(Some(entries)).send().await?;
        anyhow::ensure!(answer.failed_record_count() == Some(0), "records were refused");
        Ok(())
    }

    fn entry(&self, hash_key: &str, number: usize) -> anyhow::Result<PutRecordsRequestEntry> {
        Ok(PutRecordsRequestEntry::builder()
            .partition_key(Self::partition_key(number))
            .explicit_hash_key(hash_key)
            .data(Blob::new(Self::data(number, self.record_bytes)))
            .build()?)
    }

    /// Data of the record `number` of a shard.
    pub(crate) fn data(number: usize, bytes: usize) -> Vec<u8> {
        let mut data = format!("{number:016}").into_bytes();
        data.resize_with(bytes, filler(number));
        data
    }

    /// A key as long as a visitor's id tends to be.
    pub(crate) fn partition_key(number: usize) -> String {
        format!("visitor-{:08x}", number as u32)
    }
}

/// Bytes that differ between records and do not compress to nothing.
fn filler(number: usize) -> impl FnMut() -> u8 {
    let mut state = number as u64 | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    }
}

/// Bytes of each partition key.
const PARTITION_KEY_BYTES: usize = 16;
/// The most that one PutRecords may hold.
const RECORDS_PER_PUT: usize = 500;
/// Enough to keep a local server busy.
const PUTS_IN_FLIGHT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_size_announced() {
        let stream = FullStream { name: "s".to_owned(), shards: 2, records_per_shard: 3, record_bytes: 300 };
        let entry = stream.entry("0", 7).expect("valid");
        assert_eq!(entry.data().as_ref().len(), 300);
        assert_eq!(FullStream::partition_key(7).len(), PARTITION_KEY_BYTES);
        assert_eq!((stream.records(), stream.bytes()), (6, 6 * 316));
        assert_ne!(stream.entry("0", 8).expect("valid").data(), entry.data());
    }
}
