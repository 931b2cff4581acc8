//! One stream with its trickle, one application, and worker processes on it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use kcl::LeaseStore as _;
use kcl::aws::DynamoDbLeaseStore;
use kcl_core::{StoreReply, StoreRequest};

use super::journal::{Journal, Said};
use super::member::Member;
use super::trickle::Trickle;
use super::worker::WorkerTask;
use crate::services::sdk_config;

/// What a measurement starts from.
#[derive(Debug, Clone)]
pub(crate) struct BedSettings {
    /// Names stream and application; must be new.
    pub(crate) name: String,
    /// Shards of the stream.
    pub(crate) shards: u32,
    /// Failover time of the workers.
    pub(crate) failover: Duration,
    /// Checkpoint interval of the workers.
    pub(crate) checkpoint_interval: Duration,
    /// Pause of the workers between two reads of an idle shard; none: their default.
    pub(crate) idle_pause: Option<Duration>,
    /// Pause between two records of a slot; none: the stream stays empty.
    pub(crate) trickle_every: Option<Duration>,
}

/// A stream, a table and who works on them.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) journal: Journal,
    settings: BedSettings,
    endpoint: String,
    config: SdkConfig,
    client: Client,
    trickle: Option<Trickle>,
    members: usize,
}

impl Bed {
    /// A new stream at `endpoint`, with its trickle running.
    pub(crate) async fn make(endpoint: &str, settings: BedSettings) -> anyhow::Result<Self> {
        let config = sdk_config(endpoint);
        let client = Client::new(&config);
        let shards = i32::try_from(settings.shards)?;
        client.create_stream().stream_name(&settings.name).shard_count(shards).send().await?;
        let trickle = settings.trickle_every.map(|every| {
            Trickle::start(client.clone(), settings.name.clone(), settings.shards * SLOTS_PER_SHARD, every)
        });
        let journal = Journal::new();
        Ok(Self { journal, settings, endpoint: endpoint.to_owned(), config, client, trickle, members: 0 })
    }

    /// Starts one more worker process; they are numbered from zero.
    pub(crate) fn start_member(&mut self) -> anyhow::Result<Member> {
        let task = WorkerTask {
            endpoint: self.endpoint.clone(),
            stream: self.settings.name.clone(),
            failover: self.settings.failover,
            checkpoint_interval: self.settings.checkpoint_interval,
            idle_pause: self.settings.idle_pause,
        };
        let number = self.members;
        self.members += 1;
        Member::start(number, task, &self.journal)
    }

    /// Waits until each process delivers from so many shards, in the order of their numbers.
    pub(crate) async fn until_shared(&self, shards: &[usize]) -> anyhow::Result<()> {
        let is_shared = |said: &Said<'_>| {
            let counts = (0..shards.len()).map(|member| said.shards_of(member).len());
            counts.eq(shards.iter().copied()).then_some(())
        };
        self.journal.until(&format!("shards are shared {shards:?}"), SHARE_TIMEOUT, is_shared).await
    }

    /// Leases per worker id, as the table has them.
    pub(crate) async fn leases_by_owner(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let store = DynamoDbLeaseStore::new(&self.config, &self.settings.name, self.settings.failover);
        let StoreReply::Table(view) = store.execute(StoreRequest::ReadTable).await else {
            anyhow::bail!("the lease table cannot be read");
        };
        let mut counts = BTreeMap::new();
        for owner in view.leases.iter().filter_map(|lease| lease.actual_owner()) {
            *counts.entry(owner.to_string()).or_default() += 1;
        }
        Ok(counts)
    }

    /// Splits a shard in the middle of its hash range.
    pub(crate) async fn split(&self, shard: &str) -> anyhow::Result<()> {
        let listing = self.client.list_shards().stream_name(&self.settings.name).send().await?;
        let listed = listing.shards().iter().find(|listed| listed.shard_id() == shard);
        let range = listed
            .and_then(|listed| listed.hash_key_range())
            .with_context(|| format!("{shard} is not listed"))?;
        let start: u128 = range.starting_hash_key().parse()?;
        let end: u128 = range.ending_hash_key().parse()?;
        let middle = start + (end - start) / 2 + 1;
        let split = self.client.split_shard().stream_name(&self.settings.name).shard_to_split(shard);
        split.new_starting_hash_key(middle.to_string()).send().await?;
        Ok(())
    }

    /// Ends the trickle, waits for its last record, and returns how many records were delivered again.
    pub(crate) async fn finish_trickle(&mut self) -> anyhow::Result<usize> {
        let Some(trickle) = self.trickle.take() else { return Ok(0) };
        let put = trickle.stop().await?;
        let complete = |said: &Said<'_>| {
            let (distinct, repeated) = said.distinct_and_repeated();
            (distinct == put).then_some(repeated)
        };
        self.journal.until(&format!("all {put} records are delivered"), SHARE_TIMEOUT, complete).await
    }

    /// Removes the stream, once nobody works on it any more.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.client.delete_stream().stream_name(&self.settings.name).send().await?;
        Ok(())
    }
}

/// Both halves of a shard get records, so that its children have some from their first moment.
const SLOTS_PER_SHARD: u32 = 2;
/// Several times what any of it may take.
const SHARE_TIMEOUT: Duration = Duration::from_secs(90);
