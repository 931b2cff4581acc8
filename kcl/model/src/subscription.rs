//! One `SubscribeToShard` call as a state machine (skeleton; behaviour lands next).

use std::task::Waker;

use crate::{EpochMillis, KinesisError, SubscribeToShardEvent};

/// A running subscription of one consumer to one shard.
#[derive(Debug)]
pub struct Subscription {
    _private: (),
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
    /// The next step at `now`; `waker` is called when records arrive, the shard closes or the subscription fails.
    pub fn poll(&mut self, _now: EpochMillis, _waker: Option<&Waker>) -> SubscriptionStep {
        todo!()
    }
}
