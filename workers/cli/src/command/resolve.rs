//! `leasehold leases resolve`: an operator's decision about a shard that stands still, written into its lease row.

use std::time::{SystemTime, UNIX_EPOCH};

use kcl::{Generation, HaltKind, Lease, LeaseStore, Resolution};
use kcl_core::{LeaseKey, LeaseWrite, Nonce, StoreReply, StoreRequest};

use crate::arguments::DecisionArguments;
use crate::problem::{Problem, UNAVAILABLE};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Retry,
    AcceptExisting,
    Rewrite,
    RecordGap,
}

impl Decision {
    fn of(arguments: &DecisionArguments) -> Self {
        match arguments {
            DecisionArguments { accept_existing: true, .. } => Self::AcceptExisting,
            DecisionArguments { rewrite: true, .. } => Self::Rewrite,
            DecisionArguments { record_gap: true, .. } => Self::RecordGap,
            DecisionArguments { .. } => Self::Retry,
        }
    }

    /// Why the decision does not fit the row, if so.
    fn refusal(self, lease: &Lease) -> Option<String> {
        let Some(reason) = &lease.own.halt else {
            return Some(format!("shard {} does not stand still: there is nothing to decide", lease.key));
        };
        if self != Self::Retry && lease.pending.is_none() {
            return Some(format!(
                "shard {} has no pending batch, which the decision would be about; it stands still for another \
                 reason ({reason}): mend that, then use --retry",
                lease.key
            ));
        }
        if self == Self::AcceptExisting && HaltKind::of_row_text(reason) != Some(HaltKind::Conflict) {
            return Some(format!(
                "shard {} found no conflicting object that could be accepted: {reason}; use --retry, --rewrite or \
                 --record-gap",
                lease.key
            ));
        }
        None
    }

    fn write(self, lease: &Lease, now_epoch_millis: u64, nonce: Nonce) -> LeaseWrite {
        match self {
            Self::Retry => LeaseWrite::resolve(lease, None, nonce),
            Self::AcceptExisting => LeaseWrite::resolve(lease, Some(Resolution::AcceptExisting), nonce),
            Self::RecordGap => LeaseWrite::resolve(lease, Some(Resolution::RecordGap), nonce),
            Self::Rewrite => {
                let seed = (nonce.0 & u128::from(u64::MAX)) as u64;
                let generation = Generation::minted(now_epoch_millis, seed, lease.own.generation);
                LeaseWrite::rewrite(lease, generation, nonce)
            }
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Retry => "it will be tried again",
            Self::AcceptExisting => "the batch will be committed with the objects that lie there",
            Self::Rewrite => {
                "the pending batch is dropped; its records will be written under a new generation"
            }
            Self::RecordGap => "the batch's range will be recorded as a gap",
        }
    }
}

/// Writes the decision at the counter just read; the holder goes on renewing, so a few tries may be needed.
pub(super) async fn resolve(
    store: &dyn LeaseStore,
    table: &str,
    shard: &str,
    arguments: &DecisionArguments,
) -> anyhow::Result<()> {
    let decision = Decision::of(arguments);
    let key = LeaseKey::new(shard).map_err(|error| Problem::usage(error.to_string()))?;
    let unreachable = || {
        let message =
            format!("lease table {table} cannot be reached; check its name, the region and the endpoint");
        Problem::with_code(UNAVAILABLE, message)
    };
    let mut ours = Vec::new();
    for _ in 0..TRIES_MAX {
        let StoreReply::Lease(row) = store.execute(StoreRequest::ReadLease(key.clone())).await else {
            return Err(unreachable());
        };
        let Some(lease) = row else {
            let message = format!("table {table} has no lease {key}; `leasehold leases list` shows them");
            return Err(Problem::usage(message));
        };
        if lease.own.nonce.is_some_and(|nonce| ours.contains(&nonce)) {
            println!("shard {key}: {}", decision.done());
            return Ok(());
        }
        if let Some(refusal) = decision.refusal(&lease) {
            return Err(Problem::usage(refusal));
        }
        let nonce = Nonce(uuid::Uuid::new_v4().as_u128());
        ours.push(nonce);
        let write = decision.write(&lease, now_epoch_millis(), nonce);
        if let StoreReply::Applied(_) = store.execute(StoreRequest::UpdateLease(write)).await {
            println!("shard {key}: {}", decision.done());
            return Ok(());
        }
    }
    Err(unreachable())
}

fn now_epoch_millis() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// A holder renews every few seconds, so a second try nearly always meets an unchanged row.
const TRIES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use kcl::WorkerId;
    use kcl::{PendingCheckpoint, Position};
    use kcl_core::LeaseTable;

    use super::*;

    fn halted(reason: &str) -> Lease {
        let key = LeaseKey::new("shardId-0").expect("valid");
        let mut lease = Lease::new(key, Position::TrimHorizon, Generation(7));
        lease.owner = Some(WorkerId::new("a").expect("valid"));
        lease.own.holder = Some(Nonce(1));
        lease.own.halt = Some(reason.to_owned());
        lease.pending = Some(PendingCheckpoint { position: Position::Latest, state: "intent".into() });
        lease
    }

    #[test]
    fn a_decision_that_does_not_fit_is_refused_with_what_to_do() {
        let mut lease = halted("unreplayable: its range aged out");
        assert_eq!(Decision::RecordGap.refusal(&lease), None);
        assert_eq!(Decision::Rewrite.refusal(&lease), None);
        let refusal = Decision::AcceptExisting.refusal(&lease).expect("refused");
        assert!(refusal.contains("no conflicting object"), "{refusal}");
        lease.pending = None;
        assert_eq!(Decision::Retry.refusal(&lease), None);
        assert!(Decision::RecordGap.refusal(&lease).expect("refused").contains("use --retry"));
        lease.own.halt = None;
        assert!(Decision::Retry.refusal(&lease).expect("refused").contains("does not stand still"));
    }

    #[test]
    fn every_decision_takes_the_lease_from_its_holder_and_only_a_rewrite_drops_the_intent() {
        for decision in [Decision::Retry, Decision::AcceptExisting, Decision::Rewrite, Decision::RecordGap] {
            let lease = halted("conflict: object x");
            let mut table = LeaseTable::new();
            table.execute(&StoreRequest::CreateLease(Box::new(lease.clone())));
            let write = decision.write(&lease, 5, Nonce(9));
            let StoreReply::Applied(row) = table.execute(&StoreRequest::UpdateLease(write)) else {
                panic!("{decision:?} was not applied");
            };
            assert_eq!((row.own.holder, row.own.halt, row.counter), (None, None, lease.counter.next()));
            assert_eq!(row.pending.is_none(), decision == Decision::Rewrite, "{decision:?}");
            assert_eq!(
                row.own.generation > lease.own.generation,
                decision == Decision::Rewrite,
                "{decision:?}"
            );
        }
    }
}
