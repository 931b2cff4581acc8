//! A lease store that counts what it is asked to write, told apart by what each write changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use kcl::{Application, LeaseStore, OpenError};
use kcl_core::{LeaseChange, LeaseWrite, StoreReply, StoreRequest};
use serde::{Deserialize, Serialize};

/// Writes on lease rows since the start, by kind.
#[derive(Debug, Default)]
pub(crate) struct WriteCounts {
    renewals: AtomicU64,
    checkpoints: AtomicU64,
    others: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Writes {
    pub(crate) renewals: u64,
    pub(crate) checkpoints: u64,
    pub(crate) others: u64,
}

impl WriteCounts {
    /// The counts at this moment.
    pub(crate) fn read(&self) -> Writes {
        Writes {
            renewals: self.renewals.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
            others: self.others.load(Ordering::Relaxed),
        }
    }

    fn count(&self, write: &LeaseWrite) {
        let counter = match kind(write) {
            Kind::Renewal => &self.renewals,
            Kind::Checkpoint => &self.checkpoints,
            Kind::Other => &self.others,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Writes {
    /// What was written since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            renewals: self.renewals - earlier.renewals,
            checkpoints: self.checkpoints - earlier.checkpoints,
            others: self.others - earlier.others,
        }
    }
}

/// A store that counts.
#[derive(Debug)]
pub(crate) struct CountingStore<S> {
    inner: S,
    counts: Arc<WriteCounts>,
}

impl<S> CountingStore<S> {
    /// `inner`, with its writes counted in `counts`.
    pub(crate) fn new(inner: S, counts: Arc<WriteCounts>) -> Self {
        Self { inner, counts }
    }
}

#[async_trait]
impl<S: LeaseStore> LeaseStore for CountingStore<S> {
    async fn open(&self, application: &Application) -> Result<(), OpenError> {
        self.inner.open(application).await
    }

    async fn execute(&self, request: StoreRequest) -> StoreReply {
        if let StoreRequest::UpdateLease(write) = &request {
            self.counts.count(write);
        }
        self.inner.execute(request).await
    }
}

enum Kind {
    /// Changes nothing but counter and nonce: the price of holding on to a lease.
    Renewal,
    /// Moves the checkpoint.
    Checkpoint,
    /// Adopts, assigns, hands off, releases.
    Other,
}

fn kind(write: &LeaseWrite) -> Kind {
    let is_bare = |change: &LeaseChange| matches!(change, LeaseChange::RaiseCounter | LeaseChange::Nonce(_));
    if write.changes.iter().all(is_bare) {
        Kind::Renewal
    } else if write.changes.iter().any(|change| matches!(change, LeaseChange::Checkpoint(_))) {
        Kind::Checkpoint
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::{Generation, Lease, LeaseKey, Nonce, Position, SequenceNumber, WorkerId};

    use super::*;

    #[test]
    fn a_renewal_is_told_from_a_checkpoint_and_from_an_assignment() {
        let counts = WriteCounts::default();
        let worker = WorkerId::new("a").expect("valid");
        let key = LeaseKey::new("shardId-0").expect("valid");
        let lease = Lease::new(key, Position::TrimHorizon, Generation(1));
        let position = Position::record(SequenceNumber::from_parts(0, 1));
        counts.count(&LeaseWrite::renew(&lease, &worker, Nonce(1)));
        counts.count(&LeaseWrite::checkpoint(&lease, &worker, position, Nonce(2)));
        counts.count(&LeaseWrite::checkpoint(&lease, &worker, position, Nonce(3)));
        counts.count(&LeaseWrite::assign(&lease, &worker, Nonce(4)));
        assert_eq!(counts.read(), Writes { renewals: 1, checkpoints: 2, others: 1 });
    }
}
