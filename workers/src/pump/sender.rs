//! The loop that moves entries from the reader through the lanes to the stream.
//!
//! One task; the requests in flight are futures that it polls, at most one per lane. What a request carries is decided
//! when the lane is free, so batches grow by themselves while the stream is slow.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::entry::Entry;
use super::error::PumpError;
use super::input::InputError;
use super::lane::LaneQueue;
use super::line::{InputLine, Line};
use super::progress::{PumpProgress, PumpSummary};
use super::rate::TokenBucket;
use super::reader;
use super::retry::{LaneRetry, Next};
use super::settings::{LANES_MAX, PumpSettings, WINDOW_BYTES_MAX, WINDOW_RECORDS_MAX};
use super::target::{EntryError, PutError, Target};

/// Puts lines on a stream.
pub struct Pump {
    target: Arc<dyn Target>,
    settings: PumpSettings,
    end_mark: Option<EndMark>,
    skips: Box<dyn FnMut(u64) -> bool + Send>,
    progress: Arc<PumpProgress>,
}

/// The control record that says that nothing follows, put on every open shard after everything else is acknowledged.
#[derive(Clone, Debug)]
pub struct EndMark {
    /// The payload.
    pub data: Bytes,
    /// Shards that have their end mark already.
    pub except: HashSet<String>,
}

impl fmt::Debug for Pump {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pump").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Pump {
    /// A pump that puts on `target`.
    #[must_use]
    pub fn new(target: Arc<dyn Target>, settings: PumpSettings) -> Self {
        Self { target, settings, end_mark: None, skips: Box::new(|_| false), progress: Arc::default() }
    }

    /// Ends the input with `end_mark` on every open shard.
    #[must_use]
    pub fn with_end_mark(mut self, end_mark: EndMark) -> Self {
        self.end_mark = Some(end_mark);
        self
    }

    /// Passes over the lines whose number `skips` says yes to, because they are on the stream already.
    #[must_use]
    pub fn skipping(mut self, skips: impl FnMut(u64) -> bool + Send + 'static) -> Self {
        self.skips = Box::new(skips);
        self
    }

    /// The counters, for whoever shows them while [`run`](Self::run) goes on.
    #[must_use]
    pub fn progress(&self) -> Arc<PumpProgress> {
        Arc::clone(&self.progress)
    }

    /// Pumps `lines` until they end or `stop` completes. A stopped pump reads nothing more, waits until everything read
    /// is acknowledged, and puts no end marks: [`PumpSummary::last_line`] says where to go on.
    ///
    /// # Errors
    /// [`PumpError`], which names the first line that is not on the stream for certain.
    pub async fn run<L, E>(
        self,
        lines: L,
        encode: E,
        stop: impl Future<Output = ()>,
    ) -> Result<PumpSummary, PumpError>
    where
        L: Iterator<Item = Result<Line, InputError>> + Send + 'static,
        E: FnMut(InputLine) -> Entry + Send + 'static,
    {
        tokio::pin!(stop);
        let mut sender = Sender::new(self.target, &self.settings, Arc::clone(&self.progress));
        let mut input = Some(reader::spawn(lines, encode, self.skips, Arc::clone(&self.progress)));
        let mut is_stopped = false;
        let mut failure = None;
        while input.is_some() || !sender.is_idle() {
            sender.dispatch();
            tokio::select! {
                // An order to stop counts more than more work; finished requests make room before more is read.
                biased;
                () = &mut stop, if input.is_some() => {
                    is_stopped = true;
                    input = None;
                }
                Some(finished) = sender.in_flight.next(), if !sender.in_flight.is_empty() => {
                    sender.settle(finished)?;
                }
                chunk = async { input.as_mut().expect("checked by the branch").recv().await },
                    if input.is_some() && sender.has_room() =>
                {
                    match chunk {
                        Some(Ok(chunk)) => sender.accept(chunk),
                        Some(Err(error)) => {
                            failure = Some(error);
                            input = None;
                        }
                        None => input = None,
                    }
                }
            }
        }
        if let Some(source) = failure {
            return Err(PumpError::Input { line: sender.last_line, source });
        }
        let end_marks = match self.end_mark {
            Some(end_mark) if !is_stopped => sender.put_end_marks(end_mark).await?,
            Some(_) | None => 0,
        };
        Ok(self.progress.summary(sender.last_line, end_marks, sender.started.elapsed()))
    }
}

struct Sender {
    target: Arc<dyn Target>,
    settings: PumpSettings,
    progress: Arc<PumpProgress>,
    lanes: Vec<Lane>,
    in_flight: FuturesUnordered<BoxFuture<'static, Finished>>,
    records_rate: Option<TokenBucket>,
    bytes_rate: Option<TokenBucket>,
    window_records: usize,
    window_bytes: usize,
    last_line: u64,
    started: Instant,
}

struct Lane {
    queue: LaneQueue,
    retry: LaneRetry,
    pause: Duration,
    /// First line of the request in flight.
    sent_line: Option<u64>,
}

struct Finished {
    lane: usize,
    entries: Vec<Entry>,
    answer: Result<Vec<Option<EntryError>>, PutError>,
}

impl Sender {
    fn new(target: Arc<dyn Target>, settings: &PumpSettings, progress: Arc<PumpProgress>) -> Self {
        let lane = |index: usize| Lane {
            queue: LaneQueue::default(),
            retry: LaneRetry::new(u64::from(std::process::id()) * LANES_MAX as u64 + index as u64),
            pause: Duration::ZERO,
            sent_line: None,
        };
        Self {
            target,
            settings: settings.clone(),
            progress,
            lanes: (0..settings.lanes.clamp(1, LANES_MAX)).map(lane).collect(),
            in_flight: FuturesUnordered::new(),
            records_rate: settings.records_per_second.map(TokenBucket::new),
            bytes_rate: settings.bytes_per_second.map(TokenBucket::new),
            window_records: 0,
            window_bytes: 0,
            last_line: 0,
            started: Instant::now(),
        }
    }

    fn is_idle(&self) -> bool {
        self.window_records == 0
    }

    fn has_room(&self) -> bool {
        self.window_records < WINDOW_RECORDS_MAX && self.window_bytes < WINDOW_BYTES_MAX
    }

    fn accept(&mut self, chunk: reader::Chunk) {
        self.last_line = self.last_line.max(chunk.last_line);
        for entry in chunk.entries {
            let lane = xxh3_64(entry.partition_key.as_bytes()) % self.lanes.len() as u64;
            self.push(lane as usize, entry);
        }
    }

    fn push(&mut self, lane: usize, entry: Entry) {
        self.window_records += 1;
        self.window_bytes += entry.bytes();
        self.lanes[lane].queue.push(entry);
    }

    /// Starts a request on every lane that has something to send and nothing in flight.
    fn dispatch(&mut self) {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.sent_line.is_some() || lane.queue.is_empty() {
                continue;
            }
            let entries = lane.queue.next_request(self.settings.ordering, lane.retry.records_max());
            lane.sent_line = entries.iter().map(|entry| entry.line).min();
            let now = self.started.elapsed();
            let bytes: usize = entries.iter().map(Entry::bytes).sum();
            let waits = [
                std::mem::take(&mut lane.pause),
                self.records_rate
                    .as_mut()
                    .map_or(Duration::ZERO, |rate| rate.take(entries.len() as u64, now)),
                self.bytes_rate.as_mut().map_or(Duration::ZERO, |rate| rate.take(bytes as u64, now)),
            ];
            let wait = waits.into_iter().max().unwrap_or_default();
            let target = Arc::clone(&self.target);
            self.in_flight.push(Box::pin(async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                let answer = target.put(&entries).await;
                Finished { lane: index, entries, answer }
            }));
        }
    }

    fn settle(&mut self, finished: Finished) -> Result<(), PumpError> {
        let Finished { lane: index, entries, answer } = finished;
        let sent = entries.len();
        let mut refused = Vec::new();
        let (mut is_throttle, mut reason) = (false, String::new());
        match answer {
            Ok(outcomes) => {
                for (entry, outcome) in entries.into_iter().zip(outcomes) {
                    let Some(error) = outcome else {
                        self.window_records -= 1;
                        self.window_bytes -= entry.bytes();
                        if entry.explicit_hash_key.is_none() {
                            self.progress.acknowledged(entry.bytes());
                        }
                        continue;
                    };
                    is_throttle |= error.is_throttle;
                    reason = error.reason;
                    refused.push(entry);
                }
            }
            Err(error @ PutError::Passing { .. }) => {
                reason = chain(&error);
                refused = entries;
            }
            Err(source @ PutError::Lasting { .. }) => {
                return Err(PumpError::Put { line: self.first_open_line(), source });
            }
        }
        let first_refused = refused.first().map(|entry| entry.line);
        let refused_count = refused.len();
        let lane = &mut self.lanes[index];
        lane.sent_line = None;
        lane.queue.restore(refused);
        if first_refused.is_none() {
            lane.retry.succeeded();
            return Ok(());
        }
        self.progress.retried(refused_count);
        let now = self.started.elapsed();
        match lane.retry.refused(is_throttle, refused_count < sent, now, self.settings.stalled_after) {
            Next::After(pause) => {
                lane.pause = pause;
                Ok(())
            }
            Next::GiveUp { waited, attempts } => {
                Err(PumpError::Stalled { line: self.first_open_line(), waited, attempts, reason })
            }
        }
    }

    /// The first line that is not acknowledged.
    fn first_open_line(&self) -> u64 {
        let waiting = self.lanes.iter().filter_map(|lane| lane.queue.first_line());
        let sent = self.lanes.iter().filter_map(|lane| lane.sent_line);
        waiting.chain(sent).min().unwrap_or(self.last_line + 1)
    }

    async fn put_end_marks(&mut self, end_mark: EndMark) -> Result<usize, PumpError> {
        let shards = self.target.open_shards().await.map_err(|source| PumpError::ListShards { source })?;
        let mut count = 0;
        for shard in shards {
            if end_mark.except.contains(&shard.shard) {
                continue;
            }
            count += 1;
            let entry = Entry {
                partition_key: shard.shard,
                explicit_hash_key: Some(shard.starting_hash_key),
                data: end_mark.data.clone(),
                line: self.last_line + 1,
            };
            self.push(0, entry);
        }
        while !self.is_idle() {
            self.dispatch();
            let finished =
                self.in_flight.next().await.expect("a lane that is not empty has a request in flight");
            self.settle(finished)?;
        }
        Ok(count)
    }
}

/// The messages of an error and all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
