//! One held lease, from its adoption to its end: one task, made of one or more runs of a processor.
//!
//! ```text
//!           ┌───────────── panic, late extension: from the row's checkpoint ──────────┐
//!           ▼                                                                          │
//!  new processor ─▶ initialize ─▶ { fetching half ∥ delivering half } ─▶ drained, finished, fenced, halted
//! ```
//!
//! Both halves live in the same task: a tenure ends by dropping one future, and nothing of it runs on.

use std::sync::Arc;

use kcl_core::{Command, DrainReason, Millis};
use tokio::sync::mpsc;

use super::call::isolated;
use super::delivering::Delivering;
use super::fetching::Fetching;
use super::progress::ProgressTracker;
use super::reader::ShardReader;
use super::tenure::Decision;
use crate::backoff::Backoff;
use crate::budget::ByteBudget;
use crate::context::ShardContext;
use crate::port::StreamControl;
use crate::processor::ProcessorFactory;
use crate::settings::WorkerSettings;
use crate::telemetry::TelemetryTap;
use crate::worker::{ShardGauge, ShardState};

/// What the consumer of a shard shares with the worker.
#[derive(Debug)]
pub(crate) struct ShardParts {
    pub(crate) control: Arc<dyn StreamControl>,
    pub(crate) budget: Arc<ByteBudget>,
    pub(crate) settings: Arc<WorkerSettings>,
    pub(crate) gauge: ShardGauge,
    pub(crate) telemetry: Option<TelemetryTap>,
    pub(crate) seed: u64,
}

/// How one run of a processor ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The shard is consumed and its row says so.
    Finished,
    /// An order to drain, to be carried out.
    Drain {
        /// Why.
        reason: DrainReason,
        /// By when.
        until: Millis,
    },
    /// The processor drained.
    Drained,
    /// A call was cancelled to drain in time; what was durable before it is still to be written.
    CutOff(Box<ProgressTracker>),
    /// The tenure is over, and the processor knows.
    Fenced,
    /// The processor is gone.
    Panicked(String),
    /// The shard stands still until an operator acts.
    Halted,
}

/// Consumes a shard until its tenure ends.
pub(crate) async fn consume<F: ProcessorFactory>(
    factory: Arc<F>,
    mut context: ShardContext,
    parts: ShardParts,
) {
    let settings = &parts.settings;
    let mut retries = Backoff::new(settings.retry_pause_min, settings.retry_pause_max, parts.seed);
    loop {
        let end = run_once(&*factory, &mut context, &parts, &mut retries).await;
        let goes_on = match end {
            End::Finished => false,
            End::Drain { .. } | End::Drained => {
                say_drained(&mut context).await;
                false
            }
            End::CutOff(tracker) => {
                write_last(&mut context, &tracker).await;
                false
            }
            End::Fenced => context.decided().await == Decision::Extended,
            End::Panicked(message) => {
                report_panic(&parts, &mut retries, &message);
                may_start_again(&mut context, &mut retries).await
            }
            End::Halted => {
                stand_still(&mut context, &parts).await;
                false
            }
        };
        if !goes_on {
            return;
        }
    }
}

async fn run_once<F: ProcessorFactory>(
    factory: &F,
    context: &mut ShardContext,
    parts: &ShardParts,
    retries: &mut Backoff,
) -> End {
    if context.settle().await.is_err() {
        return End::Fenced;
    }
    let processor = match isolated(|| factory.processor(context.shard())) {
        Ok(processor) => processor,
        Err(message) => return End::Panicked(message),
    };
    let delivering = match Delivering::start(processor, context, parts, retries).await {
        Ok(delivering) => delivering,
        Err(end) => return end,
    };
    let (queue, answers) = mpsc::channel(parts.settings.fetch.prefetch_answers_max);
    let context = delivering.context();
    let fetching = Fetching {
        reader: ShardReader::new(context.reader().clone(), context.start()).telling(parts.telemetry.clone()),
        shard: context.shard().clone(),
        control: Arc::clone(&parts.control),
        tenure: context.tenure().clone(),
        budget: Arc::clone(&parts.budget),
        settings: parts.settings.fetch.clone(),
        gauge: parts.gauge.clone(),
        queue,
    };
    tokio::select! {
        // Delivery first: it sees the end of the tenure.
        biased;
        end = delivering.run(answers) => end,
        never = fetching.run() => match never {},
    }
}

/// Tells the coordinator that the lease may go; if it is gone already, there is nothing to tell.
async fn say_drained(context: &mut ShardContext) {
    if let Err(error) = context.order(Command::Drained).await {
        tracing::debug!(?error, "the lease was gone before it was drained");
    }
}

async fn write_last(context: &mut ShardContext, tracker: &ProgressTracker) {
    if context.settle().await.is_ok()
        && let Some(position) = tracker.beyond(context.lease().checkpoint)
        && let Err(error) = context.order(Command::Checkpoint(position)).await
    {
        tracing::debug!(?error, "the last checkpoint was not written");
    }
    say_drained(context).await;
}

fn report_panic(parts: &ShardParts, retries: &mut Backoff, message: &str) {
    tracing::warn!(%message, "the processor panicked; a new one starts at the checkpoint");
    parts.gauge.update(|health| {
        health.last_error = Some(format!("panic: {message}"));
        health.retries = retries.attempts() + 1;
        health.state = ShardState::Retrying;
    });
}

/// Pauses; false if the tenure ended meanwhile.
async fn may_start_again(context: &mut ShardContext, retries: &mut Backoff) -> bool {
    let tenure = context.tenure().clone();
    tokio::select! {
        biased;
        () = tenure.ended() => tenure.decided().await == Decision::Extended,
        _ = tenure.drain_ordered() => {
            say_drained(context).await;
            false
        }
        () = tokio::time::sleep(retries.next_pause()) => true,
    }
}

/// Keeps the lease and does nothing, until it is to move or is lost.
async fn stand_still(context: &mut ShardContext, parts: &ShardParts) {
    let reason = context.halted().cloned();
    if let Some(reason) = &reason {
        tracing::error!(kind = %reason.kind, detail = %reason.detail, "the shard stands still until an operator acts");
        parts.gauge.update(|health| health.state = ShardState::Halted(reason.clone()));
        if let Err(error) = context.order(Command::Halt(reason.row_text())).await {
            tracing::debug!(?error, "the row does not say why the shard stands still");
        }
    }
    let tenure = context.tenure().clone();
    loop {
        tokio::select! {
            biased;
            () = tenure.ended() => if tenure.decided().await == Decision::Stopped { return },
            _ = tenure.drain_ordered() => {
                say_drained(context).await;
                return;
            }
        }
    }
}
