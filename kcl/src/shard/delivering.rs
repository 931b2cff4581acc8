//! The delivering half of a shard's task: calls the processor, keeps its progress, and ends the tenure.
//!
//! ```text
//! order to drain ─┐
//! checkpoint due ─┼─▶ one thing at a time ─▶ process ─┬─ ok ─▶ progress ─▶ checkpoint when due
//! answer ready ───┤                                   ├─ error ─▶ pause ─▶ the same batch again
//! nothing came ───┘                                   └─ panic ─▶ a new processor from the checkpoint
//! ```
//!
//! No record is skipped: a batch is repeated until the processor takes it or the tenure ends.

use std::error::Error;
use std::time::Duration;

use kcl_core::{ChildShard, Command, DrainReason, Millis, ShardFilter};
use tokio::sync::mpsc;

use super::call::{Called, call, isolated};
use super::consumer::{End, ShardParts};
use super::fetching::{Prefetched, children_of};
use super::progress::ProgressTracker;
use super::tenure::Tenure;
use crate::backoff::Backoff;
use crate::clock::sleep_until;
use crate::context::{ShardContext, WriteError};
use crate::halt::{HaltKind, HaltReason};
use crate::processor::{Progress, RecordProcessor};
use crate::record::RecordBatch;
use crate::worker::ShardState;

/// The delivering half.
#[derive(Debug)]
pub(crate) struct Delivering<'a, P> {
    processor: P,
    context: &'a mut ShardContext,
    parts: &'a ShardParts,
    retries: &'a mut Backoff,
    tenure: Tenure,
    tracker: ProgressTracker,
    checkpoint_at: Option<Millis>,
    idle: Idle,
}

/// What is known about records that do not come.
#[derive(Clone, Copy, Debug)]
struct Idle {
    last_record_at: Millis,
    duration: Duration,
    behind_latest: Duration,
    call_at: Millis,
}

impl<'a, P: RecordProcessor> Delivering<'a, P> {
    /// Initializes `processor`, which then stands at the row's checkpoint.
    pub(crate) async fn start(
        processor: P,
        context: &'a mut ShardContext,
        parts: &'a ShardParts,
        retries: &'a mut Backoff,
    ) -> Result<Self, End> {
        let tenure = context.tenure().clone();
        let now = tenure.clock().now();
        let idle = Idle {
            last_record_at: now,
            duration: Duration::ZERO,
            behind_latest: Duration::ZERO,
            call_at: now + parts.settings.idle_call_interval.into(),
        };
        let tracker = ProgressTracker::new(context.lease().checkpoint);
        let mut delivering =
            Self { processor, context, parts, retries, tenure, tracker, checkpoint_at: None, idle };
        delivering.initialize().await?;
        delivering.tracker = ProgressTracker::new(delivering.context.lease().checkpoint);
        Ok(delivering)
    }

    /// The shard and its lease.
    pub(crate) fn context(&self) -> &ShardContext {
        self.context
    }

    /// Delivers until the tenure ends.
    pub(crate) async fn run(mut self, mut answers: mpsc::Receiver<Prefetched>) -> End {
        self.set_state(ShardState::Consuming);
        loop {
            match self.step(&mut answers).await {
                Ok(()) => {}
                Err(End::Drain { reason, until }) => return self.drain(reason, until).await,
                Err(End::Panicked(message)) => {
                    // A new processor starts at the row's checkpoint, so what is durable has to be there.
                    if let Err(error) = self.write_progress().await {
                        tracing::debug!(?error, "progress before a panic was not written");
                    }
                    return End::Panicked(message);
                }
                Err(end) => return end,
            }
        }
    }

    async fn step(&mut self, answers: &mut mpsc::Receiver<Prefetched>) -> Result<(), End> {
        let tenure = self.tenure.clone();
        let clock = &**tenure.clock();
        let checkpoint_at = self.checkpoint_at.unwrap_or(Millis::MAX);
        tokio::select! {
            // An end comes first, then what makes delivered records durable, then more of them.
            biased;
            () = tenure.ended() => Err(self.fenced()),
            (reason, until) = tenure.drain_ordered() => Err(End::Drain { reason, until }),
            () = sleep_until(clock, checkpoint_at) => self.checkpoint().await,
            Some(answer) = answers.recv() => self.take(answer).await,
            () = sleep_until(clock, self.idle.call_at) => {
                let batch = RecordBatch::new(Vec::new(), self.idle.behind_latest, self.idle.duration);
                self.process(batch).await
            }
        }
    }

    async fn take(&mut self, answer: Prefetched) -> Result<(), End> {
        self.idle.behind_latest = answer.behind_latest;
        self.parts.gauge.update(|health| health.behind_latest = Some(answer.behind_latest));
        if !answer.records.is_empty() {
            self.idle.last_record_at = answer.answered_at;
            self.idle.duration = Duration::ZERO;
            let batch = RecordBatch::new(answer.records, answer.behind_latest, Duration::ZERO);
            self.process(batch).await?;
        } else if answer.behind_latest.is_zero() {
            self.idle.duration = answer.answered_at.since(self.idle.last_record_at).into();
        }
        drop(answer.reservation);
        match answer.shard_end {
            Some(children) => Err(self.finish(children).await?),
            None => Ok(()),
        }
    }

    async fn process(&mut self, batch: RecordBatch) -> Result<(), End> {
        loop {
            let processing = self.processor.process(batch.clone(), self.context);
            let called = call(&self.tenure, half_way, processing).await;
            let result = self.returned(called)?;
            match result {
                Ok(progress) => {
                    self.succeeded();
                    self.tracker.processed(batch.last_position());
                    let checkpoint = self.context.lease().checkpoint;
                    self.parts.gauge.update(|health| {
                        health.records_delivered += batch.len() as u64;
                        health.checkpoint = checkpoint;
                    });
                    self.idle.call_at =
                        self.tenure.clock().now() + self.parts.settings.idle_call_interval.into();
                    return self.report(progress);
                }
                Err(error) => self.failed("process", &error).await?,
            }
        }
    }

    async fn initialize(&mut self) -> Result<(), End> {
        loop {
            let called = call(&self.tenure, half_way, self.processor.initialize(self.context)).await;
            match self.returned(called)? {
                Ok(()) => {
                    self.succeeded();
                    return Ok(());
                }
                Err(error) => self.failed("initialize", &error).await?,
            }
        }
    }

    /// Everything of a closed shard was processed.
    async fn finish(&mut self, children: Vec<ChildShard>) -> Result<End, End> {
        self.set_state(ShardState::Finishing);
        loop {
            let called = call(&self.tenure, half_way, self.processor.shard_ended(self.context)).await;
            let final_state = match self.returned(called)? {
                Ok(final_state) => final_state,
                Err(error) => {
                    self.failed("shard_ended", &error).await?;
                    continue;
                }
            };
            let children = if children.is_empty() { self.listed_children().await? } else { children.clone() };
            match self.context.order(Command::Finish { children, final_state }).await {
                Ok(()) => return Ok(End::Finished),
                Err(WriteError::Refused { .. }) => return Err(self.contract_broken(PENDING_AT_END)),
                Err(WriteError::Lost { .. } | WriteError::PastDeadline { .. }) => return Err(self.fenced()),
            }
        }
    }

    async fn listed_children(&mut self) -> Result<Vec<ChildShard>, End> {
        loop {
            let tenure = self.tenure.clone();
            let listing = tokio::select! {
                biased;
                () = tenure.ended() => return Err(self.fenced()),
                listing = self.parts.control.list_shards(ShardFilter::All) => listing,
            };
            match listing {
                Ok(listing) => return Ok(children_of(self.context.shard(), listing)),
                Err(error) => self.failed("listing the children", &error).await?,
            }
        }
    }

    /// The last step of a tenure that ends in order.
    async fn drain(mut self, reason: DrainReason, until: Millis) -> End {
        self.set_state(ShardState::Draining(reason));
        let last_write = Millis::from(LAST_WRITE_RESERVE);
        let cut_off = move |now: Millis, until: Millis| until.since(last_write).max(now);
        match call(&self.tenure, cut_off, self.processor.drain(reason, self.context)).await {
            Called::Returned(Ok(progress)) => {
                if let Err(End::Halted) = self.report(progress) {
                    tracing::warn!(reason = ?self.context.halted(), "drained with a broken contract");
                }
            }
            Called::Returned(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "drain failed; the next owner starts at the checkpoint"
                );
            }
            Called::Panicked(message) => {
                tracing::warn!(%message, "drain panicked; the next owner starts at the checkpoint");
            }
            Called::Fenced => return self.fenced(),
            Called::CutOff => {
                tracing::warn!(%until, "drain took too long and was cancelled");
                self.abandon();
            }
        }
        if let Err(End::Fenced) = self.checkpoint().await {
            return End::Fenced;
        }
        End::Drained
    }

    /// Writes progress that is beyond the row.
    async fn checkpoint(&mut self) -> Result<(), End> {
        match self.write_progress().await {
            Ok(()) => Ok(()),
            Err(WriteError::Refused { .. }) => Err(self.contract_broken(PENDING_UNFINISHED)),
            Err(WriteError::Lost { .. } | WriteError::PastDeadline { .. }) => Err(self.fenced()),
        }
    }

    async fn write_progress(&mut self) -> Result<(), WriteError> {
        self.checkpoint_at = None;
        let Some(position) = self.tracker.beyond(self.context.lease().checkpoint) else {
            return Ok(());
        };
        self.context.order(Command::Checkpoint(position)).await?;
        self.parts.gauge.update(|health| health.checkpoint = position);
        Ok(())
    }

    fn report(&mut self, progress: Progress) -> Result<(), End> {
        let is_claim = match progress {
            Progress::Durable | Progress::DurableTo(_) => true,
            Progress::Buffered => false,
        };
        if is_claim && !self.context.use_one_phase() {
            return Err(self.contract_broken(MIXED_STYLES));
        }
        if let Err(impossible) = self.tracker.reported(progress) {
            return Err(self.contract_broken(&impossible.to_string()));
        }
        if self.tracker.beyond(self.context.lease().checkpoint).is_some() {
            let interval = Millis::from(self.parts.settings.checkpoint_interval);
            let now = self.tenure.clock().now();
            self.checkpoint_at.get_or_insert(now + interval);
        }
        Ok(())
    }

    /// What a call returned, unless it is the last one.
    fn returned<T>(&mut self, called: Called<T>) -> Result<T, End> {
        match called {
            Called::Returned(_) if self.context.halted().is_some() => Err(End::Halted),
            Called::Returned(returned) => Ok(returned),
            Called::Panicked(message) => Err(End::Panicked(message)),
            Called::Fenced => Err(self.fenced()),
            Called::CutOff => {
                tracing::warn!("the running call did not end in time for draining and was cancelled");
                self.abandon();
                Err(End::CutOff(Box::new(self.tracker)))
            }
        }
    }

    /// A call failed: pauses before it is repeated. What is durable is written first, since this may take long.
    async fn failed(
        &mut self,
        call: &'static str,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Result<(), End> {
        let pause = self.retries.next_pause();
        let attempts = self.retries.attempts();
        if self.retries.is_escalation() {
            let error: &(dyn Error + 'static) = error;
            tracing::warn!(call, attempts, ?pause, error, "call failed and will be repeated");
        }
        self.parts.gauge.update(|health| {
            health.last_error = Some(text_with_sources(error));
            health.retries = attempts;
            health.state = ShardState::Retrying;
        });
        self.checkpoint().await?;
        let tenure = self.tenure.clone();
        tokio::select! {
            biased;
            () = tenure.ended() => Err(self.fenced()),
            (reason, until) = tenure.drain_ordered() => Err(End::Drain { reason, until }),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    fn succeeded(&mut self) {
        if self.retries.attempts() > 0 {
            tracing::info!(attempts = self.retries.attempts(), "call succeeded after failures");
            self.retries.reset();
            self.parts.gauge.update(|health| health.retries = 0);
            self.set_state(ShardState::Consuming);
        }
    }

    fn contract_broken(&mut self, detail: &str) -> End {
        self.context.halt(HaltReason { kind: HaltKind::Contract, detail: detail.to_owned() });
        End::Halted
    }

    /// Tells the processor that its lease is gone.
    fn fenced(&mut self) -> End {
        self.abandon();
        End::Fenced
    }

    fn abandon(&mut self) {
        if let Err(message) = isolated(|| self.processor.lease_lost()) {
            tracing::warn!(%message, "lease_lost panicked");
        }
    }

    fn set_state(&self, state: ShardState) {
        self.parts.gauge.update(|health| health.state = state);
    }
}

/// The error and what caused it, on one line.
fn text_with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A call that runs when draining is ordered may take half of the time; the rest is for `drain` and the last write.
fn half_way(now: Millis, until: Millis) -> Millis {
    now + Millis(until.since(now).0 / 2)
}

/// Time for the last checkpoint of a tenure: a few round trips.
const LAST_WRITE_RESERVE: Duration = Duration::from_secs(1);
const MIXED_STYLES: &str =
    "progress was reported in a tenure that prepared an intent; a processor must use one style only";
const PENDING_UNFINISHED: &str =
    "the row holds an intent of another run; the processor must take it up in initialize with resume_pending";
const PENDING_AT_END: &str = "shard_ended returned while an intent is pending; it must be committed first";
