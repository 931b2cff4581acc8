//! Turns what the coordinator says into log lines: the one place that decides how loud each is.
//!
//! A change of what this worker does is INFO; a loss that costs repeated work, or an item that nobody understands, is
//! WARN; everything that passes by itself is DEBUG.

use kcl_core::{Event, LossCause};

/// Logs one event.
pub(crate) fn log(event: &Event) {
    match event {
        Event::BecameLeader => tracing::info!("this worker leads"),
        Event::SteppedDown => tracing::info!("this worker no longer leads"),
        Event::LeaseCreated { key } => tracing::info!(lease = %key, "lease created"),
        Event::Adopted { key, token } => tracing::info!(lease = %key, %token, "lease adopted"),
        Event::OwnAttributesDropped { key } => {
            tracing::warn!(lease = %key, "another program moved the checkpoint; state pointer dropped, generation minted");
        }
        Event::AwaitingParent { key, parent } => {
            tracing::debug!(lease = %key, %parent, "waiting for a parent shard to be consumed");
        }
        Event::Draining { key, reason } => tracing::info!(lease = %key, %reason, "draining"),
        Event::HandedOff { key, to } => {
            let to = to.as_ref().map_or("nobody", |worker| worker.as_str());
            tracing::info!(lease = %key, to, "lease handed off");
        }
        Event::Released { key } => tracing::info!(lease = %key, "lease released"),
        Event::ShardFinished { key } => tracing::info!(lease = %key, "shard consumed to its end"),
        Event::Lost { key, cause } => log_loss(key.as_str(), *cause),
        Event::WriteAmbiguous { key } => {
            tracing::debug!(lease = %key, "reply lost; the write is being settled")
        }
        Event::AmbiguousWriteApplied { key } => {
            tracing::debug!(lease = %key, "the write whose reply was lost had been applied");
        }
        Event::Assigned { key, to } => tracing::info!(lease = %key, %to, "lease assigned"),
        Event::HandOffStarted { key, from, to } => {
            tracing::info!(lease = %key, %from, %to, "hand-off started");
        }
        Event::HandOffForced { key, to } => {
            tracing::warn!(lease = %key, %to, "hand-off took too long and was forced; records may come twice");
        }
        Event::TakenWithoutLeader { key } => {
            tracing::info!(lease = %key, "taking a lease that no leader assigns")
        }
        Event::PlanRefused { key } => {
            tracing::debug!(lease = %key, "the row had changed since it was planned for")
        }
        Event::UnreadableItems { count } => {
            tracing::warn!(count, "items of the lease table cannot be read as anything known");
        }
        Event::Throttled => tracing::debug!("the lease table throttles"),
    }
}

fn log_loss(lease: &str, cause: LossCause) {
    match cause {
        LossCause::Taken => tracing::info!(lease, "lease taken by another worker"),
        LossCause::DeadlinePassed => {
            tracing::warn!(
                lease,
                "lease lost: it could not be renewed in time; another worker starts at the checkpoint"
            );
        }
        LossCause::RowDeleted => tracing::warn!(lease, "lease lost: its row was deleted"),
        LossCause::DrainOverdue => {
            tracing::warn!(
                lease,
                "the consumer did not stop in time; another worker starts at the checkpoint"
            );
        }
    }
}
