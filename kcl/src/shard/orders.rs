//! The way from the consumer of a shard to the coordinator: one command at a time, whose outcome is never forgotten.
//!
//! A command may be left alone by its caller (a cancelled `process` future). It is still written, so its outcome is
//! kept and taken in before the next command or the next start from the row: nobody works on an old copy of the row.

use kcl_core::{Command, FencingToken, LeaseKey, Outcome};
use tokio::sync::{mpsc, oneshot};

/// A command on its way to the coordinator.
#[derive(Debug)]
pub(crate) struct ShardOrder {
    /// The lease.
    pub(crate) key: LeaseKey,
    /// The tenure that sends it.
    pub(crate) token: FencingToken,
    /// What is to be written.
    pub(crate) command: Command,
    /// Where the outcome goes.
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// The consumer's end.
#[derive(Debug)]
pub(crate) struct OrderLink {
    key: LeaseKey,
    token: FencingToken,
    sender: mpsc::Sender<ShardOrder>,
    in_flight: Option<oneshot::Receiver<Outcome>>,
}

impl OrderLink {
    /// The link of one tenure.
    pub(crate) fn new(key: LeaseKey, token: FencingToken, sender: mpsc::Sender<ShardOrder>) -> Self {
        Self { key, token, sender, in_flight: None }
    }

    /// The outcome of the command that was left alone, if there is one. Safe to cancel.
    pub(crate) async fn settled(&mut self) -> Option<Outcome> {
        let outcome = self.in_flight.as_mut()?.await.unwrap_or(Outcome::Lost);
        self.in_flight = None;
        Some(outcome)
    }

    /// Sends `command` and waits for its outcome. Safe to cancel: once sent, the outcome is kept for [`Self::settled`].
    pub(crate) async fn send(&mut self, command: Command) -> Outcome {
        debug_assert!(self.in_flight.is_none(), "the last command is settled first");
        let Ok(permit) = self.sender.reserve().await else {
            return Outcome::Lost;
        };
        let (reply, receiver) = oneshot::channel();
        permit.send(ShardOrder { key: self.key.clone(), token: self.token, command, reply });
        self.in_flight = Some(receiver);
        self.settled().await.expect("a command is in flight")
    }

    /// The tenure of the link.
    pub(crate) const fn token(&self) -> FencingToken {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kcl_core::{Generation, Lease, LeaseCounter, Position};

    use super::*;

    fn link() -> (OrderLink, mpsc::Receiver<ShardOrder>) {
        let (sender, receiver) = mpsc::channel(1);
        let token = FencingToken { generation: Generation(1), counter: LeaseCounter(2) };
        (OrderLink::new(LeaseKey::new("shardId-0").expect("valid"), token, sender), receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn the_outcome_of_a_command_left_alone_is_kept() {
        let (mut link, mut orders) = link();
        let send = link.send(Command::Checkpoint(Position::ShardEnd));
        assert!(tokio::time::timeout(Duration::from_secs(1), send).await.is_err());
        let order = orders.recv().await.expect("sent");
        let lease = Box::new(Lease::new(order.key, Position::ShardEnd, Generation(1)));
        order.reply.send(Outcome::Done(lease.clone())).expect("kept");
        assert_eq!(link.settled().await, Some(Outcome::Done(lease)));
        assert_eq!(link.settled().await, None);
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_means_lost() {
        let (mut link, orders) = link();
        drop(orders);
        assert_eq!(link.send(Command::Drained).await, Outcome::Lost);
        let (mut link, mut orders) = self::link();
        let (outcome, ()) = tokio::join!(link.send(Command::Drained), async {
            drop(orders.recv().await);
        });
        assert_eq!(outcome, Outcome::Lost);
    }
}
