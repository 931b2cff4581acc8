//! The stream as it lies there: the truth that the objects are held against.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use kcl_core::SequenceNumber;
use workers::{END_MARK, KinesisTarget, Target as _};

use crate::event::SoakEvent;
use crate::ledger::Place;

/// Every record of every shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamContents {
    /// The events by where they lie.
    pub(crate) events: BTreeMap<Place, SoakEvent>,
    /// The last record of each shard.
    pub(crate) ends: BTreeMap<String, SequenceNumber>,
}

impl StreamContents {
    /// Reads the whole stream, to which nobody puts any more.
    pub(crate) async fn read(client: &Client, stream: &str) -> anyhow::Result<Self> {
        let mut contents = Self::default();
        for shard in KinesisTarget::new(client.clone(), stream).open_shards().await? {
            contents.read_shard(client, stream, &shard.shard).await?;
        }
        Ok(contents)
    }

    async fn read_shard(&mut self, client: &Client, stream: &str, shard: &str) -> anyhow::Result<()> {
        let first = client
            .get_shard_iterator()
            .stream_name(stream)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let mut next = first.shard_iterator;
        while let Some(iterator) = next.take() {
            let answer = client.get_records().shard_iterator(iterator).send().await?;
            for record in &answer.records {
                let sequence: SequenceNumber = record.sequence_number().parse()?;
                self.ends.insert(shard.to_owned(), sequence);
                let data = record.data().as_ref();
                if data != END_MARK {
                    let event = serde_json::from_slice(data)
                        .with_context(|| format!("record {sequence} of {shard} is none of ours"))?;
                    self.events.insert(Place { shard: shard.to_owned(), sequence }, event);
                }
            }
            let is_at_tip = answer.records.is_empty() && answer.millis_behind_latest == Some(0);
            next = answer.next_shard_iterator.filter(|_| !is_at_tip);
        }
        Ok(())
    }
}
