//! The processor of the runs: tells the oracle everything that happens to it, and misbehaves as the menu says.
//!
//! Three styles of work, as users have them: durable at once, durable some time later, and two-phase batches put into a
//! store of objects by names made of generation and ordinal.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kcl::{
    CommitError, DrainReason, PrepareError, Prepared, ProcessorFactory, Progress, RangeError, Record,
    RecordBatch, RecordProcessor, ShardContext,
};
use kcl_core::{Position, RecordPosition, ShardId};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::{Instant, sleep, sleep_until};

use crate::draws::Draws;
use crate::lab::Lab;
use crate::oracle::{Place, RunId};
use crate::process::Process;
use crate::situation::Situation;

/// How the processors of a run work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Each batch is durable when it was processed.
    Durable,
    /// Records become durable some time after they were processed, not always whole batches.
    Lagging,
    /// Intent, object, commit.
    TwoPhase,
}

/// Makes the processors of one process.
#[derive(Debug)]
pub struct Recorder {
    lab: Arc<Lab>,
    process: Arc<Process>,
    style: Style,
    failover: Duration,
    draws: Mutex<Draws>,
}

impl Recorder {
    /// Processors for `process`, whose leases live for `failover`.
    #[must_use]
    pub fn new(lab: Arc<Lab>, process: Arc<Process>, style: Style, failover: Duration, draws: Draws) -> Self {
        Self { lab, process, style, failover, draws: Mutex::new(draws) }
    }
}

impl ProcessorFactory for Recorder {
    type Processor = Recording;

    fn processor(&self, _shard: &ShardId) -> Recording {
        let mut draws = self.draws.lock();
        Recording {
            lab: Arc::clone(&self.lab),
            process: Arc::clone(&self.process),
            style: self.style,
            failover: self.failover,
            draws: Draws::of(draws.seed(), "processor", 0),
            place: None,
            open: Vec::new(),
            taken: None,
        }
    }
}

/// The processor of one shard.
#[derive(Debug)]
pub struct Recording {
    lab: Arc<Lab>,
    process: Arc<Process>,
    style: Style,
    failover: Duration,
    draws: Draws,
    place: Option<(Place, RunId)>,
    /// Processed and not yet durable.
    open: Vec<RecordPosition>,
    /// The last record taken: a batch that failed half way comes again.
    taken: Option<RecordPosition>,
}

/// Why a call failed.
#[derive(Debug, Error)]
pub enum Failed {
    /// As the menu says.
    #[error("injected failure")]
    Injected,
    /// The intent was not written.
    #[error("an intent was not written")]
    Prepare(#[from] PrepareError),
    /// The batch was not committed.
    #[error("a batch was not committed")]
    Commit(#[from] CommitError),
    /// The range of a pending batch could not be read.
    #[error("a range was not read")]
    Range(#[from] RangeError),
}

impl Recording {
    fn place(&self) -> (&Place, RunId) {
        let (place, run) = self.place.as_ref().expect("initialize comes first");
        (place, *run)
    }

    /// The faults of one call: time, and then perhaps an error or a panic.
    async fn suffer(&mut self) -> Result<(), Failed> {
        let is_stuck = self.lab.strikes(Situation::ProcessStuck, &mut self.draws);
        let is_slow = self.lab.strikes(Situation::ProcessSlow, &mut self.draws);
        let span = if is_stuck {
            self.failover + self.draws.between(0, 10_000)
        } else if is_slow {
            self.draws.between(100, 2_000)
        } else {
            self.draws.between(0, 3)
        };
        let naps = if is_stuck || is_slow { NAPS } else { 1 };
        for _ in 0..naps {
            sleep(span / naps).await;
        }
        if self.lab.strikes(Situation::ProcessPanicked, &mut self.draws) {
            self.lab.say(|| "a processor panics".to_owned());
            // Without the hook's report: the panic is meant.
            resume_unwind(Box::new("injected panic"));
        }
        if self.lab.strikes(Situation::ProcessFailed, &mut self.draws) {
            return Err(Failed::Injected);
        }
        Ok(())
    }

    async fn start(&mut self, context: &mut ShardContext) -> Result<(), Failed> {
        self.suffer().await?;
        if let Some(prepared) = context.resume_pending() {
            self.finish_batch(prepared).await?;
        }
        let (_, run) = self.place();
        let checkpoint = context.lease().checkpoint;
        self.lab.oracle().ready(run, checkpoint);
        Ok(())
    }

    async fn take(&mut self, batch: RecordBatch, context: &mut ShardContext) -> Result<Progress, Failed> {
        self.suffer().await?;
        for position in batch.iter().map(|record| record.position) {
            if self.taken < Some(position) {
                self.taken = Some(position);
                self.open.push(position);
            }
        }
        match self.style {
            Style::Durable => Ok(self.all_durable()),
            Style::Lagging if batch.is_empty() => Ok(self.all_durable()),
            Style::Lagging => Ok(self.some_durable()),
            Style::TwoPhase => {
                if self.open.len() >= BATCH_RECORDS || batch.is_empty() {
                    self.write_batch(context).await?;
                }
                Ok(Progress::Buffered)
            }
        }
    }

    /// Makes everything durable that was processed.
    async fn flush(&mut self, context: &mut ShardContext) -> Result<Progress, Failed> {
        self.suffer().await?;
        match self.style {
            Style::Durable | Style::Lagging => Ok(self.all_durable()),
            Style::TwoPhase => {
                self.write_batch(context).await?;
                Ok(Progress::Buffered)
            }
        }
    }

    fn all_durable(&mut self) -> Progress {
        let Some(last) = self.open.last().copied() else { return Progress::Durable };
        self.open.clear();
        self.note_durable(last);
        Progress::Durable
    }

    fn some_durable(&mut self) -> Progress {
        let Some(index) = self.draws.index(self.open.len() * 2).filter(|index| *index < self.open.len())
        else {
            return Progress::Buffered;
        };
        let last = self.open[index];
        self.open.drain(..=index);
        self.note_durable(last);
        Progress::DurableTo(last)
    }

    fn note_durable(&self, last: RecordPosition) {
        let (_, run) = self.place();
        self.lab.oracle().durable(run, last);
    }

    async fn write_batch(&mut self, context: &mut ShardContext) -> Result<(), Failed> {
        if let Some(prepared) = context.resume_pending() {
            self.finish_batch(prepared).await?;
        }
        let checkpoint = context.lease().checkpoint;
        self.open.retain(|position| Position::At(*position) > checkpoint);
        let Some(last) = self.open.last().copied() else { return Ok(()) };
        let prepared = context.prepare(last.into(), "intent".into()).await?;
        self.suffer().await?;
        self.finish_batch(prepared).await
    }

    /// Puts the object of a prepared batch, read again from the stream, and commits.
    async fn finish_batch(&mut self, prepared: Prepared<'_>) -> Result<(), Failed> {
        let context = prepared.context();
        let (after, generation, ordinal) =
            (context.lease().checkpoint, context.lease().own.generation, prepared.ordinal());
        let Position::At(last) = prepared.position() else {
            unreachable!("intents of the runs lead to records");
        };
        let mut range = context.read_range(after, last);
        let mut object = Vec::new();
        while let Some(batch) = range.next().await? {
            object.extend(batch.iter().map(|record| record.position));
        }
        self.suffer().await?;
        let (place, _) = self.place();
        self.lab.oracle().put_object(place, generation, ordinal, object);
        prepared.commit(None).await?;
        self.open.retain(|position| *position > last);
        Ok(())
    }
}

impl RecordProcessor for Recording {
    type Error = Failed;

    async fn initialize(&mut self, context: &mut ShardContext) -> Result<(), Failed> {
        let place =
            Place { process: self.process.number(), shard: context.shard().clone(), token: context.token() };
        if self.place.is_none() {
            let lease = context.lease().clone();
            let run = self.lab.watched(|oracle, table| oracle.begin(&place, &lease, table));
            self.place = Some((place.clone(), run));
        }
        let (lab, process) = (Arc::clone(&self.lab), Arc::clone(&self.process));
        watched(&lab, &process, &place, self.start(context)).await
    }

    async fn process(&mut self, batch: RecordBatch, context: &mut ShardContext) -> Result<Progress, Failed> {
        let (place, run) = (self.place().0.clone(), self.place().1);
        let records: Vec<Record> = batch.to_vec();
        let (lab, process) = (Arc::clone(&self.lab), Arc::clone(&self.process));
        let is_new = !records.is_empty();
        if is_new {
            lab.oracle().delivered(run, &records);
        }
        let result = watched(&lab, &process, &place, self.take(batch, context)).await;
        if is_new {
            lab.oracle().processed(run, result.is_ok());
        }
        result
    }

    async fn shard_ended(&mut self, context: &mut ShardContext) -> Result<Option<String>, Failed> {
        let (place, run) = (self.place().0.clone(), self.place().1);
        let (lab, process) = (Arc::clone(&self.lab), Arc::clone(&self.process));
        watched(&lab, &process, &place, self.flush(context)).await?;
        lab.oracle().shard_ended(run);
        Ok(None)
    }

    async fn drain(&mut self, _: DrainReason, context: &mut ShardContext) -> Result<Progress, Failed> {
        let place = self.place().0.clone();
        let (lab, process) = (Arc::clone(&self.lab), Arc::clone(&self.process));
        watched(&lab, &process, &place, self.flush(context)).await
    }

    fn lease_lost(&mut self) {
        self.lab.note(Situation::LeaseLost);
        if let Some((place, _)) = &self.place {
            self.lab.say(|| format!("{place} lost"));
        }
    }
}

/// Runs `work` and reports each poll of it as activity; a frozen process does not poll.
async fn watched<T>(lab: &Lab, process: &Process, place: &Place, work: impl Future<Output = T>) -> T {
    let mut ended = CancelWatch { lab, is_over: false };
    let mut work = pin!(work);
    let mut thaw = pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        if let Some(until) = process.frozen_until() {
            thaw.as_mut().reset(until);
            if thaw.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        lab.oracle().active(place);
        let polled = work.as_mut().poll(context);
        ended.is_over = polled.is_ready();
        polled
    })
    .await
}

/// Notes a call that is dropped before it is over.
struct CancelWatch<'a> {
    lab: &'a Lab,
    is_over: bool,
}

impl Drop for CancelWatch<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.lab.note(Situation::CallCancelled);
        }
    }
}

/// Parts of a slow call, between which it can be cancelled.
const NAPS: u32 = 4;
/// Records of a two-phase batch that is not closed by time.
const BATCH_RECORDS: usize = 12;
