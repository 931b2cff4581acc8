//! Puts events at a steady rate until it is told to stop, then an end mark on every shard.
//!
//! ```text
//! tick ─▶ issue events ─▶ one PutRecords ─┬─ acknowledged ─▶ next tick
//!                              ▲          └─ refused, no answer ─▶ next attempt of just these ─┐
//!                              └───────────────────────────────────────────────────────────────┘
//! ```
//!
//! The SDK repeats nothing by itself: each attempt says its number, so that what a lost answer left on the stream is
//! known for what it is. Now and then an answer is not waited for on purpose. One request is in flight at a time, so
//! records of a key lie on the stream in the order of their counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use workers::{END_MARK, KinesisTarget, Target as _};

use crate::event::SoakEvent;
use crate::ledger::{Ledger, Outcome, Place};

/// What the producer has done so far, for whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    acknowledged: AtomicU64,
    ambiguous_puts: AtomicU64,
}

/// The producer of one run.
#[derive(Debug)]
pub(crate) struct Producer {
    client: Client,
    stream: String,
    ledger: Ledger,
    random: Rng,
    events_per_tick: u64,
    tally: Arc<Tally>,
}

impl Tally {
    /// Events acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Requests without an answer.
    pub(crate) fn ambiguous_puts(&self) -> u64 {
        self.ambiguous_puts.load(Ordering::Relaxed)
    }
}

impl Producer {
    /// A producer for `stream`. `client` must not repeat calls.
    pub(crate) fn new(client: Client, stream: &str, random: Rng, events_per_second: u64) -> Self {
        let events_per_tick = (events_per_second / TICKS_PER_SECOND).max(1);
        let stream = stream.to_owned();
        Self { client, stream, ledger: Ledger::default(), random, events_per_tick, tally: Arc::default() }
    }

    /// The counters that go on changing while it runs.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Puts events until `stop` turns true.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Ledger> {
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(TICKS_PER_SECOND).expect("small"));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                changed = stop.wait_for(|is_stopped| *is_stopped) => {
                    changed.context("nobody watches the producer")?;
                    break;
                }
                _ = ticks.tick() => {}
            }
            let events: Vec<u64> = (0..self.events_per_tick).map(|_| self.issue()).collect();
            self.put_all(events).await?;
        }
        self.end_every_shard().await?;
        Ok(self.ledger)
    }

    /// Half of the keys are silent for a while, then the other half: sessions end and begin.
    fn issue(&mut self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let phase = u16::from((now.as_secs() / PHASE.as_secs()).is_multiple_of(2));
        let key = self.random.u16(0..KEYS / 2) * 2 + phase;
        self.ledger.issue(key, i64::try_from(now.as_millis()).expect("a time of this age"))
    }

    /// Repeats until every event is acknowledged.
    async fn put_all(&mut self, mut events: Vec<u64>) -> anyhow::Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let before = events.len();
            self.put(&mut events).await?;
            self.tally.acknowledged.fetch_add((before - events.len()) as u64, Ordering::Relaxed);
            if events.is_empty() {
                return Ok(());
            }
        }
        anyhow::bail!(
            "{} events were not taken in {ATTEMPTS_MAX} attempts; is the stream there?",
            events.len()
        )
    }

    /// One request for `events`; those acknowledged are removed.
    async fn put(&mut self, events: &mut Vec<u64>) -> anyhow::Result<()> {
        let mut call = self.client.put_records().stream_name(&self.stream);
        for event in &*events {
            call = call.records(entry(&self.ledger.attempt(*event))?);
        }
        let patience = if self.random.u32(0..CUT_ONE_IN) == 0 { self.cut_short() } else { PUT_TIMEOUT };
        match timeout(patience, call.send()).await {
            Ok(Ok(answer)) => {
                let results = answer.records();
                anyhow::ensure!(
                    results.len() == events.len(),
                    "{} results for {} events",
                    results.len(),
                    events.len()
                );
                let mut results = results.iter();
                let ledger = &mut self.ledger;
                let mut malformed = None;
                events.retain(|event| {
                    let outcome = results.next().map(outcome_of).expect("as many as events");
                    let outcome = outcome.unwrap_or_else(|error| {
                        malformed = Some(error);
                        Outcome::Unknown
                    });
                    let is_open = !matches!(outcome, Outcome::Acknowledged(_));
                    ledger.settle(*event, outcome);
                    is_open
                });
                malformed.map_or(Ok(()), Err)
            }
            Ok(Err(error)) if is_surely_refused(&error) => {
                for event in events {
                    self.ledger.settle(*event, Outcome::Refused);
                }
                tokio::time::sleep(REFUSED_PAUSE).await;
                Ok(())
            }
            Ok(Err(_)) | Err(_) => {
                self.tally.ambiguous_puts.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Some part of a round trip, so that the request is cut off before, while and after it is carried out.
    fn cut_short(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(0..CUT_MICROS_MAX))
    }

    /// Nothing follows: held events are to be written. A mark that lies there twice does no harm.
    async fn end_every_shard(&self) -> anyhow::Result<()> {
        let shards = KinesisTarget::new(self.client.clone(), &self.stream).open_shards().await?;
        for shard in shards {
            let mut attempts = 0;
            loop {
                let put = self
                    .client
                    .put_record()
                    .stream_name(&self.stream)
                    .partition_key("end")
                    .explicit_hash_key(&shard.starting_hash_key)
                    .data(Blob::new(END_MARK))
                    .send();
                match timeout(PUT_TIMEOUT, put).await {
                    Ok(Ok(_)) => break,
                    Ok(Err(_)) | Err(_) if attempts < ATTEMPTS_MAX => attempts += 1,
                    Ok(Err(error)) => return Err(error).context("an end mark was not taken"),
                    Err(_) => anyhow::bail!("an end mark was not taken in {ATTEMPTS_MAX} attempts"),
                }
            }
        }
        Ok(())
    }
}

fn entry(event: &SoakEvent) -> anyhow::Result<PutRecordsRequestEntry> {
    let data = Blob::new(serde_json::to_vec(event)?);
    Ok(PutRecordsRequestEntry::builder().partition_key(&event.user_id).data(data).build()?)
}

fn outcome_of(result: &PutRecordsResultEntry) -> anyhow::Result<Outcome> {
    if result.error_code().is_some() {
        return Ok(Outcome::Refused);
    }
    let (shard, sequence) =
        result.shard_id().zip(result.sequence_number()).context("a result without place")?;
    Ok(Outcome::Acknowledged(Place { shard: shard.to_owned(), sequence: sequence.parse()? }))
}

/// The service answered, and blames the request: it has had no effect.
fn is_surely_refused<E>(error: &SdkError<E>) -> bool {
    error.raw_response().is_some_and(|answer| (400..500).contains(&answer.status().as_u16()))
}

const TICKS_PER_SECOND: u64 = 10;
/// About 16 for each of 16 shards, so that hardly a shard is without.
const KEYS: u16 = 256;
/// Longer than the preset's session gap of 10 s.
const PHASE: Duration = Duration::from_secs(13);
const PUT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than a minute of outage.
const ATTEMPTS_MAX: u32 = 100;
const REFUSED_PAUSE: Duration = Duration::from_millis(500);
/// Often enough for some in each run, rarely enough that most requests go through.
const CUT_ONE_IN: u32 = 30;
/// About two round trips on one machine.
const CUT_MICROS_MAX: u64 = 10_000;
