//! A steady trickle of numbered records on every part of the hash space, for as long as a measurement lasts.
//!
//! Each round puts one record per slot; slots lie evenly in the hash space, two to a shard, so that both halves of a
//! shard that is split go on getting records.

use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// The running producer.
#[derive(Debug)]
pub(crate) struct Trickle {
    stop: watch::Sender<bool>,
    rounds: JoinHandle<anyhow::Result<u64>>,
    slots: u32,
}

impl Trickle {
    /// Puts `slots` records each `every` on `stream`.
    pub(crate) fn start(client: Client, stream: String, slots: u32, every: Duration) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, rounds: tokio::spawn(put_rounds(client, stream, slots, every, stopped)), slots }
    }

    /// Stops, and says how many records were put.
    pub(crate) async fn stop(self) -> anyhow::Result<usize> {
        self.stop.send_replace(true);
        let rounds = self.rounds.await.context("the trickle panicked")??;
        Ok(usize::try_from(rounds)? * self.slots as usize)
    }
}

async fn put_rounds(
    client: Client,
    stream: String,
    slots: u32,
    every: Duration,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<u64> {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds = 0;
    while !*stopped.borrow() {
        ticks.tick().await;
        let records = (0..slots).map(|slot| entry(slot, slots, rounds)).collect::<Result<_, _>>()?;
        let put = client.put_records().stream_name(&stream).set_records(Some(records)).send().await?;
        let failed = put.failed_record_count().unwrap_or(0);
        anyhow::ensure!(failed == 0, "{failed} records of round {rounds} were refused");
        rounds += 1;
    }
    Ok(rounds)
}

fn entry(slot: u32, slots: u32, round: u64) -> anyhow::Result<PutRecordsRequestEntry> {
    let width = u128::MAX / u128::from(slots);
    let middle = width * u128::from(slot) + width / 2;
    let entry = PutRecordsRequestEntry::builder()
        .data(Blob::new(format!("{slot} {round}")))
        .partition_key(format!("slot-{slot}"))
        .explicit_hash_key(middle.to_string());
    Ok(entry.build()?)
}
