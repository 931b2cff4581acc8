//! How long the consumer of a shard may go on: what the worker last said, seen from the shard's task.
//!
//! ```text
//! Signal::Extend / Drain / Stop ──▶ watch ──▶ Tenure ──▶ every delivery, every write, every poll of a running future
//! ```
//!
//! The deadline is looked at on each poll, not only when a timer fires: a machine that was suspended past it does
//! nothing more for the lease, however late its timers are.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kcl_core::{DrainReason, Millis};
use tokio::sync::watch;

use crate::clock::sleep_until;
use crate::port::Clock;

/// What the worker says about a held lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TenureState {
    /// Nothing is delivered or written from here on.
    pub(crate) deadline: Millis,
    /// What to do until then.
    pub(crate) order: TenureOrder,
}

/// What the worker wants of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TenureOrder {
    /// Go on.
    Consume,
    /// Finish what is in hand by `until`.
    Drain {
        /// Why.
        reason: DrainReason,
        /// The consumer is stopped then at the latest.
        until: Millis,
    },
    /// The lease is gone.
    Stop,
}

/// The consumer's view of its tenure.
#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    state: watch::Receiver<TenureState>,
    clock: Arc<dyn Clock>,
}

impl Tenure {
    /// A view of `state`; a worker that goes away ends the tenure.
    pub(crate) fn new(state: watch::Receiver<TenureState>, clock: Arc<dyn Clock>) -> Self {
        Self { state, clock }
    }

    /// The clock that deadlines are counted on.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The deadline as last extended.
    pub(crate) fn deadline(&self) -> Millis {
        self.state.borrow().deadline
    }

    /// Time left to the deadline; zero once the lease is gone.
    pub(crate) fn remaining(&self) -> Duration {
        if self.is_stopped() { Duration::ZERO } else { self.deadline().since(self.clock.now()).into() }
    }

    /// Whether the worker said that the lease is gone, or is gone itself.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.borrow().order == TenureOrder::Stop || self.state.has_changed().is_err()
    }

    /// Whether nothing may be delivered or written at this moment.
    pub(crate) fn is_over(&self) -> bool {
        self.is_stopped() || self.clock.now() >= self.deadline()
    }

    /// The order to drain, if it was given.
    pub(crate) fn drain_order(&self) -> Option<(DrainReason, Millis)> {
        match self.state.borrow().order {
            TenureOrder::Drain { reason, until } => Some((reason, until)),
            TenureOrder::Consume | TenureOrder::Stop => None,
        }
    }

    /// Returns once the tenure is over.
    pub(crate) async fn ended(&self) {
        let mut timer = pin!(async {
            let mut state = self.state.clone();
            loop {
                let TenureState { deadline, order } = *state.borrow_and_update();
                if order == TenureOrder::Stop {
                    return;
                }
                tokio::select! {
                    biased;
                    changed = state.changed() => if changed.is_err() { return },
                    () = sleep_until(&*self.clock, deadline) => return,
                }
            }
        });
        poll_fn(|context| if self.is_over() { Poll::Ready(()) } else { timer.as_mut().poll(context) }).await;
    }

    /// Returns once the lease is gone, or the deadline was extended after it had passed.
    pub(crate) async fn decided(&self) -> Decision {
        let mut state = self.state.clone();
        loop {
            state.borrow_and_update();
            if self.is_stopped() {
                return Decision::Stopped;
            }
            if !self.is_over() {
                return Decision::Extended;
            }
            if state.changed().await.is_err() {
                return Decision::Stopped;
            }
        }
    }

    /// Returns once the worker ordered to drain.
    pub(crate) async fn drain_ordered(&self) -> (DrainReason, Millis) {
        let mut state = self.state.clone();
        loop {
            state.borrow_and_update();
            if let Some(order) = self.drain_order() {
                return order;
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What became of a lease whose deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is gone.
    Stopped,
    /// A reply that was under way extended it.
    Extended,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TokioClock;

    fn tenure(deadline: Millis) -> (watch::Sender<TenureState>, Tenure) {
        let (sender, receiver) = watch::channel(TenureState { deadline, order: TenureOrder::Consume });
        (sender, Tenure::new(receiver, Arc::new(TokioClock::starting_at(0))))
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_deadline_as_extended_meanwhile() {
        let (sender, tenure) = tenure(Millis(1000));
        let extend = async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            sender.send_modify(|state| state.deadline = Millis(2500));
        };
        tokio::join!(tenure.ended(), extend);
        assert_eq!(tenure.clock().now(), Millis(2500));
        assert_eq!(tenure.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_once_when_stopped_or_left_alone() {
        let (sender, tenure) = tenure(Millis(1000));
        sender.send_modify(|state| state.order = TenureOrder::Stop);
        tenure.ended().await;
        assert_eq!(tenure.decided().await, Decision::Stopped);
        let (sender, orphan) = self::tenure(Millis(1000));
        drop(sender);
        assert!(orphan.is_over());
        orphan.ended().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_extension_is_told_apart_from_a_loss() {
        let (sender, tenure) = tenure(Millis(100));
        tenure.ended().await;
        let extend = async { sender.send_modify(|state| state.deadline = Millis(900)) };
        let (decision, ()) = tokio::join!(tenure.decided(), extend);
        assert_eq!(decision, Decision::Extended);
        assert!(!tenure.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_order_is_seen() {
        let (sender, tenure) = tenure(Millis(100));
        assert_eq!(tenure.drain_order(), None);
        let order = TenureOrder::Drain { reason: DrainReason::Shutdown, until: Millis(70) };
        sender.send_modify(|state| state.order = order);
        assert_eq!(tenure.drain_ordered().await, (DrainReason::Shutdown, Millis(70)));
    }
}
