//! One `SubscribeToShard` call as a state machine: poll it, send what it says.
//!
//! It never sleeps and never spawns. [`Subscription::poll`] reads the shard's log under its lock and says what to do; a
//! waker that was handed in is called when a record arrives, the shard closes, or the subscription loses its slot.
//!
//! ```text
//! Running ─▶ Event ─▶ Event ─▶ … ─▶ Event with child shards ─▶ Ended     (closed shard drained)
//!        └▶ Idle (waker, until)  ─▶ Ended after 5 minutes, Failed when taken over or deregistered
//! ```

use std::sync::Arc;
use std::task::Waker;

use crate::shard_log::{Read, ReadLimits};
use crate::subscription_slots::SlotState;
use crate::throttle::{TokenBucket, subscription_bucket};
use crate::topology::Shard;
use crate::{EpochMillis, KinesisError, Limits, Settings, SubscribeToShardEvent};

/// A running subscription of one consumer to one shard.
#[derive(Debug)]
pub struct Subscription {
    shard: Arc<Shard>,
    consumer_arn: String,
    generation: u64,
    next_offset: u64,
    event_limits: ReadLimits,
    heartbeat: std::time::Duration,
    heartbeat_due: EpochMillis,
    ends_at: EpochMillis,
    budget: Option<TokenBucket>,
    record_weight: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Over,
}

/// What a subscription has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionStep {
    /// Send this, then poll again.
    Event(SubscribeToShardEvent),
    /// Nothing yet: poll again when the waker was called, or at `until` at the latest.
    Idle {
        /// When the next heartbeat, the end, or the next allowance of throughput is due.
        until: EpochMillis,
    },
    /// Send this error and end the stream: another call took over, or stream or consumer are gone.
    Failed(KinesisError),
    /// End the stream: its time is over, or the shard is drained and its last event was sent.
    Ended,
}

impl Subscription {
    /// A subscription that holds slot `generation` and goes on at `offset`. Its first step is an event at once, so that
    /// the consumer has a continuation even of a silent shard.
    pub(crate) fn new(
        shard: Arc<Shard>,
        consumer_arn: String,
        generation: u64,
        offset: u64,
        settings: &Settings,
        now: EpochMillis,
    ) -> Self {
        Self {
            shard,
            consumer_arn,
            generation,
            next_offset: offset,
            event_limits: ReadLimits {
                records_max: EVENT_RECORDS_MAX,
                bytes_max: settings.subscription_event_bytes_max,
            },
            heartbeat: settings.subscription_heartbeat,
            heartbeat_due: now,
            ends_at: now.after(settings.subscription_lifetime),
            budget: match settings.limits {
                Limits::Off => None,
                Limits::Aws => Some(subscription_bucket(settings.time_scale.get(), now)),
            },
            record_weight: settings.record_weight.get().into(),
            phase: Phase::Running,
        }
    }

    /// The next step at `now`. When it is [`SubscriptionStep::Idle`], `waker` is called at the next change of the shard;
    /// it is set under the same lock as the look at the records, so no change is missed.
    pub fn poll(&mut self, now: EpochMillis, waker: Option<&Waker>) -> SubscriptionStep {
        match self.phase {
            Phase::Over => SubscriptionStep::Ended,
            Phase::Running => {
                let step = self.step(now, waker);
                if matches!(step, SubscriptionStep::Failed(_) | SubscriptionStep::Ended) {
                    self.phase = Phase::Over;
                }
                step
            }
        }
    }

    fn step(&mut self, now: EpochMillis, waker: Option<&Waker>) -> SubscriptionStep {
        let shard = self.shard.clone();
        let mut log = shard.log.lock();
        if log.is_deleted() {
            return SubscriptionStep::Failed(KinesisError::ResourceNotFound(format!(
                "Shard {} is gone, and its stream perhaps too.",
                shard.id
            )));
        }
        match log.slots().state(&self.consumer_arn, self.generation) {
            SlotState::Held => {}
            SlotState::TakenOver => {
                return SubscriptionStep::Failed(KinesisError::ResourceInUse(format!(
                    "Another SubscribeToShard call of consumer {} for shard {} took over.",
                    self.consumer_arn, shard.id
                )));
            }
            SlotState::Gone => {
                return SubscriptionStep::Failed(KinesisError::ResourceNotFound(format!(
                    "Consumer {} not found.",
                    self.consumer_arn
                )));
            }
        }
        if now >= self.ends_at {
            return SubscriptionStep::Ended;
        }
        let idle_until = match self.blocked_until(now) {
            Some(solvent) => solvent,
            None => {
                let read = log.read(self.next_offset, self.event_limits, now);
                if !read.records.is_empty() || read.end.is_some() || now >= self.heartbeat_due {
                    let continuation = read.end.is_none().then(|| log.continuation(read.next_offset));
                    return SubscriptionStep::Event(self.event(read, continuation, now));
                }
                self.heartbeat_due
            }
        };
        if let Some(waker) = waker {
            log.watch(waker);
        }
        SubscriptionStep::Idle { until: idle_until.min(self.ends_at) }
    }

    fn event(
        &mut self,
        read: Read,
        continuation_sequence_number: Option<kcl_core::SequenceNumber>,
        now: EpochMillis,
    ) -> SubscribeToShardEvent {
        self.next_offset = read.next_offset;
        self.heartbeat_due = now.after(self.heartbeat);
        if let Some(budget) = &mut self.budget {
            budget.take(read.bytes_len as u64 * self.record_weight, now);
        }
        if read.end.is_some() {
            self.phase = Phase::Over;
        }
        SubscribeToShardEvent {
            records: read.records,
            continuation_sequence_number,
            millis_behind_latest: read.millis_behind,
            child_shards: read.end.unwrap_or_default(),
        }
    }

    fn blocked_until(&mut self, now: EpochMillis) -> Option<EpochMillis> {
        let budget = self.budget.as_mut()?;
        if budget.has(0, now) { None } else { Some(budget.solvent_at()) }
    }
}

/// As many as a `GetRecords` answer has.
const EVENT_RECORDS_MAX: usize = 10_000;
