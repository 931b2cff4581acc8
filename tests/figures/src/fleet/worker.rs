//! One worker as a process of its own: the hidden task of a child.
//!
//! ```text
//! parent ── SIGTERM, SIGKILL, stdin closes ──▶ kcl::Worker on the AWS adapters ── one fact per line on stdout ──▶ parent
//! ```
//!
//! Decides nothing about the measurement: it says when each record was delivered, on the monotonic clock that all
//! processes of a machine share, and each second what it used and wrote so far.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kcl::aws::{DynamoDbLeaseStore, KinesisStream};
use kcl::{
    Clock as _, DrainReason, InitialPosition, Progress, Record, RecordBatch, RecordProcessor, ShardContext,
    ShardId, SystemClock, Worker, WorkerSettings,
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::counting::{CountingStore, WriteCounts, Writes};
use crate::child::{report, stopped};
use crate::services::sdk_config;
use crate::usage::{Memory, cpu_time};

/// What a worker process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkerTask {
    /// Where the local services are.
    pub(crate) endpoint: String,
    /// The stream, and the application, which are called the same.
    pub(crate) stream: String,
    /// Failover time.
    pub(crate) failover: Duration,
    /// Checkpoint interval.
    pub(crate) checkpoint_interval: Duration,
    /// Pause between two reads of a shard on which nothing happens; none: that of the worker's defaults.
    pub(crate) idle_pause: Option<Duration>,
}

/// What a worker process says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    /// The worker runs.
    Started,
    /// Its processor got records of a shard.
    Delivered {
        /// The shard.
        shard: String,
        /// Slot and round of each record.
        records: Vec<(u32, u64)>,
    },
    /// What it used and wrote so far.
    Used(Used),
}

/// What a process used and wrote so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// CPU time, user and system.
    pub(crate) cpu_time: Duration,
    /// Resident memory at this moment.
    pub(crate) resident_bytes: u64,
    /// Writes on lease rows.
    pub(crate) writes: Writes,
}

impl WorkerTask {
    /// Runs the worker until it is stopped.
    pub(crate) async fn carry_out(self) -> anyhow::Result<()> {
        let config = sdk_config(&self.endpoint);
        let mut settings = WorkerSettings::starting_at(InitialPosition::TrimHorizon);
        settings.failover = self.failover;
        settings.checkpoint_interval = self.checkpoint_interval;
        if let Some(pause) = self.idle_pause {
            (settings.fetch.idle_pause_min, settings.fetch.idle_pause_max) = (pause, pause);
        }
        let counts = Arc::new(WriteCounts::default());
        let leases = DynamoDbLeaseStore::new(&config, &self.stream, self.failover);
        let worker = Worker::builder(&self.stream, KinesisStream::new(&config, &self.stream))
            .with_lease_store(CountingStore::new(leases, Arc::clone(&counts)))
            .with_settings(settings)
            .build(|shard: &ShardId| Reporter { shard: shard.to_string() })?;
        let handle = worker.start().await?;
        say(Fact::Started)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut ticks = interval(USE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let parent_gone = stopped();
        tokio::pin!(parent_gone);
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => {
                    handle.shutdown().await;
                    return Ok(());
                }
                gone = &mut parent_gone => {
                    handle.abort();
                    return gone;
                }
                end = handle.finished() => anyhow::bail!("the worker ended by itself: {end:?}"),
                _ = ticks.tick() => {
                    let resident_bytes = Memory::own()?.resident_bytes;
                    say(Fact::Used(Used { cpu_time: cpu_time()?, resident_bytes, writes: counts.read() }))?;
                }
            }
        }
    }
}

/// Reports each record, and calls it durable.
#[derive(Debug)]
struct Reporter {
    shard: String,
}

impl RecordProcessor for Reporter {
    type Error = Infallible;

    async fn initialize(&mut self, _: &mut ShardContext) -> Result<(), Infallible> {
        Ok(())
    }

    async fn process(&mut self, batch: RecordBatch, _: &mut ShardContext) -> Result<Progress, Infallible> {
        let records: Vec<_> = batch.iter().map(slot_and_round).collect();
        if !records.is_empty() {
            let delivered = Fact::Delivered { shard: self.shard.clone(), records };
            say(delivered).expect("facts are serializable");
        }
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

/// Milliseconds since boot, the same in every process of the machine.
pub(crate) fn now_millis() -> u64 {
    SystemClock::new().now().0
}

fn say(fact: Fact) -> anyhow::Result<()> {
    report(&(now_millis(), fact))
}

/// The payload that the trickle puts.
fn slot_and_round(record: &Record) -> (u32, u64) {
    let text = String::from_utf8_lossy(&record.data);
    let numbers = text.split_once(' ').and_then(|(slot, round)| slot.parse().ok().zip(round.parse().ok()));
    numbers.expect("every record of the stream is the trickle's")
}

/// Often enough to cut a window of a few seconds out of it.
const USE_INTERVAL: Duration = Duration::from_secs(1);
