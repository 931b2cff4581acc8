//! One process that reads a full stream once: a [`kcl::Worker`] with a processor that does nothing, or the bare loop
//! over `GetRecords` that it is compared with.
//!
//! ```text
//!  Worker:     first shard initialized ─────────▶ last record given to a processor
//!  bare loop:  first request ───────────────────▶ last record decoded
//!              └── time, CPU time of this process ──┘
//! ```
//!
//! Both use the SDK with the same settings: 10,000 records a call, no retries, no pauses.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_config::retry::RetryConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::types::ShardIteratorType;
use futures_util::future::try_join_all;
use kcl::aws::{DynamoDbLeaseStore, KinesisStream};
use kcl::{
    DrainReason, InitialPosition, Progress, RecordBatch, RecordProcessor, ShardContext, ShardId, Worker,
    WorkerSettings,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::stream::FullStream;
use crate::child::report;
use crate::services::sdk_config;
use crate::usage::{Memory, cpu_time};

/// What such a process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConsumeTask {
    /// Where the local services are.
    pub(crate) endpoint: String,
    /// What to read.
    pub(crate) stream: FullStream,
    /// How.
    pub(crate) reader: Reader,
}

/// Who reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reader {
    /// One task per shard that calls `GetRecords` and counts.
    BareLoop,
    /// A worker of this application, which must be new.
    Worker {
        /// Its name.
        application: String,
    },
}

/// What it took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Consumed {
    /// From the beginning of reading to the last record.
    pub(crate) span: Duration,
    /// CPU time of the process in that span.
    pub(crate) cpu_time: Duration,
    /// The most memory that the process ever had.
    pub(crate) resident_bytes_max: u64,
}

impl ConsumeTask {
    /// Reads the stream and reports what it took.
    pub(crate) async fn carry_out(self) -> anyhow::Result<()> {
        let tally = Tally::expecting(self.stream.records());
        match &self.reader {
            Reader::BareLoop => read_bare(&self, &tally).await?,
            Reader::Worker { application } => work(&self, application, &tally).await?,
        }
        let (began, ended) = tally.complete().await?;
        report(&Consumed {
            span: ended.at - began.at,
            cpu_time: ended.cpu_time - began.cpu_time,
            resident_bytes_max: Memory::own()?.resident_bytes_max,
        })
    }
}

async fn read_bare(task: &ConsumeTask, tally: &Tally) -> anyhow::Result<()> {
    let config = Builder::from(&sdk_config(&task.endpoint)).retry_config(RetryConfig::disabled()).build();
    let client = Client::from_conf(config);
    let listing = client.list_shards().stream_name(&task.stream.name).send().await?;
    tally.begin();
    let shards = listing.shards.unwrap_or_default();
    let readers = shards.into_iter().map(|shard| {
        tokio::spawn(read_shard(client.clone(), task.stream.clone(), shard.shard_id, tally.clone()))
    });
    for read in try_join_all(readers).await? {
        read?;
    }
    Ok(())
}

async fn read_shard(client: Client, stream: FullStream, shard: String, tally: Tally) -> anyhow::Result<()> {
    let opened = client
        .get_shard_iterator()
        .stream_name(&stream.name)
        .shard_id(shard)
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?;
    let mut iterator = opened.shard_iterator;
    let mut seen = 0;
    while seen < stream.records_per_shard {
        let call = client.get_records().set_shard_iterator(iterator).limit(RECORDS_PER_CALL_MAX);
        let answer = call.send().await?;
        seen += answer.records.len();
        tally.add(answer.records.len());
        iterator = Some(answer.next_shard_iterator.context("an open shard has ended")?);
    }
    Ok(())
}

async fn work(task: &ConsumeTask, application: &str, tally: &Tally) -> anyhow::Result<()> {
    let config = sdk_config(&task.endpoint);
    let mut settings = WorkerSettings::starting_at(InitialPosition::TrimHorizon);
    settings.fetch.calls_per_second_max = 10_000.0;
    settings.fetch.bytes_per_second_max = u64::MAX;
    let processors = tally.clone();
    let worker = Worker::builder(application, KinesisStream::new(&config, &task.stream.name))
        .with_lease_store(DynamoDbLeaseStore::new(&config, application, settings.failover))
        .with_settings(settings)
        .build(move |_: &ShardId| Counting { tally: processors.clone() })?;
    let handle = worker.start().await?;
    tokio::select! {
        biased;
        complete = tally.complete() => complete?,
        end = handle.finished() => anyhow::bail!("the worker ended by itself: {end:?}"),
    };
    handle.shutdown().await;
    Ok(())
}

/// Counts, and calls everything durable.
#[derive(Debug)]
struct Counting {
    tally: Tally,
}

impl RecordProcessor for Counting {
    type Error = Infallible;

    async fn initialize(&mut self, _: &mut ShardContext) -> Result<(), Infallible> {
        self.tally.begin();
        Ok(())
    }

    async fn process(&mut self, batch: RecordBatch, _: &mut ShardContext) -> Result<Progress, Infallible> {
        self.tally.add(batch.len());
        Ok(Progress::Durable)
    }

    async fn shard_ended(&mut self, _: &mut ShardContext) -> Result<Option<String>, Infallible> {
        Ok(None)
    }

    async fn drain(&mut self, _: DrainReason, _: &mut ShardContext) -> Result<Progress, Infallible> {
        Ok(Progress::Durable)
    }

    fn lease_lost(&mut self) {}
}

/// Counts records, and keeps the moments of the beginning and of the last record. Clones are the same tally.
#[derive(Clone, Debug)]
struct Tally {
    records: Arc<AtomicUsize>,
    expected: usize,
    began: watch::Sender<Option<Moment>>,
    ended: watch::Sender<Option<Moment>>,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    cpu_time: Duration,
}

impl Tally {
    fn expecting(records: usize) -> Self {
        Self {
            records: Arc::default(),
            expected: records,
            began: watch::Sender::default(),
            ended: watch::Sender::default(),
        }
    }

    /// Reading begins; only the first call counts.
    fn begin(&self) {
        mark(&self.began);
    }

    fn add(&self, records: usize) {
        if self.records.fetch_add(records, Ordering::Relaxed) + records >= self.expected {
            mark(&self.ended);
        }
    }

    async fn complete(&self) -> anyhow::Result<(Moment, Moment)> {
        let ended = self.ended.subscribe().wait_for(Option::is_some).await?.context("no end")?;
        let began = (*self.began.borrow()).context("records were counted before reading began")?;
        Ok((began, ended))
    }
}

fn mark(moment: &watch::Sender<Option<Moment>>) {
    moment.send_if_modified(|moment| {
        let is_first = moment.is_none();
        if is_first {
            let cpu_time = cpu_time().expect("a process can read its own usage");
            *moment = Some(Moment { at: Instant::now(), cpu_time });
        }
        is_first
    });
}

/// The quota of a call, and the default of the worker.
const RECORDS_PER_CALL_MAX: i32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tally_ends_with_the_last_record_and_keeps_the_first_moments() {
        let tally = Tally::expecting(5);
        tally.begin();
        let (began, _) = (*tally.began.borrow()).map(|moment| (moment.at, moment.cpu_time)).expect("begun");
        tally.add(3);
        assert!(tally.ended.borrow().is_none());
        tally.clone().add(2);
        tally.begin();
        let (first, last) = tally.complete().await.expect("complete");
        assert_eq!(first.at, began);
        assert!(last.at >= first.at && last.cpu_time >= first.cpu_time);
    }
}
