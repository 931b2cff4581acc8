//! What must be true after every action, checked from the outside: from the table's rows and what each coordinator
//! believes, never from the conditions that the coordinators put on their own writes.

use std::collections::BTreeMap;
use std::fmt;

use kcl_core::{Lease, LeaseChange, LeaseKey, LeaseWrite, Nonce, WorkerId};

/// A broken property, with what broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the property: `S1`, `S2`, `S6`, `contract` or `liveness`.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.property, self.detail)
    }
}

/// How often the situations that matter came up; a run in which one never did proves little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// A lease went from one incarnation to another without a hand-off.
    pub taken: u64,
    /// A lease went from one worker to another by hand-off.
    pub handed_off: u64,
    /// A write of a former holder was refused.
    pub stale_writes_refused: u64,
    /// A write whose reply was lost had been applied.
    pub ambiguous_writes_applied: u64,
    /// A worker woke from a stall after the lease it held had gone to another.
    pub losers_awoken: u64,
    /// Checkpoints accepted.
    pub checkpoints: u64,
}

impl Counters {
    /// The counts of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            handed_off: self.handed_off + other.handed_off,
            stale_writes_refused: self.stale_writes_refused + other.stale_writes_refused,
            ambiguous_writes_applied: self.ambiguous_writes_applied + other.ambiguous_writes_applied,
            losers_awoken: self.losers_awoken + other.losers_awoken,
            checkpoints: self.checkpoints + other.checkpoints,
        }
    }
}

/// Watches one world.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// What came up so far.
    pub counters: Counters,
    holders: BTreeMap<LeaseKey, Nonce>,
}

impl Oracle {
    /// S1: at most one worker believes that it holds a lease, each by its own clock.
    ///
    /// # Errors
    /// The violation, if two do.
    pub fn check_beliefs<'a>(
        &self,
        beliefs: impl Iterator<Item = (&'a WorkerId, LeaseKey)>,
    ) -> Result<(), Violation> {
        let mut holders: BTreeMap<LeaseKey, &WorkerId> = BTreeMap::new();
        for (worker, key) in beliefs {
            if let Some(other) = holders.insert(key.clone(), worker) {
                let detail = format!("{other} and {worker} both believe that they hold {key}");
                return Err(Violation { property: "S1", detail });
            }
        }
        Ok(())
    }

    /// S2 and S6, for an accepted write of `worker` (incarnation `holder`) that turned `before` into `after`.
    ///
    /// # Errors
    /// The violation, if a checkpoint moved back, or was written by somebody who is not the holder, or a write of a
    /// tenure was accepted after that tenure had ended.
    pub fn check_accepted(
        &mut self,
        worker: &WorkerId,
        holder: Nonce,
        write: &LeaseWrite,
        before: &Lease,
        after: &Lease,
    ) -> Result<(), Violation> {
        if after.checkpoint < before.checkpoint {
            let detail = format!(
                "checkpoint of {} moved from {} back to {}",
                before.key, before.checkpoint, after.checkpoint
            );
            return Err(Violation { property: "S2", detail });
        }
        let is_adoption = write.changes.contains(&LeaseChange::Holder(Some(holder)));
        let is_of_tenure = write.changes.iter().any(|change| match change {
            LeaseChange::Checkpoint(_) | LeaseChange::Pending(_) | LeaseChange::Batch(_) => true,
            LeaseChange::RaiseCounter
            | LeaseChange::Owner(_)
            | LeaseChange::CheckpointOwner(_)
            | LeaseChange::CountOwnerSwitch
            | LeaseChange::Children(_)
            | LeaseChange::Nonce(_)
            | LeaseChange::Holder(_)
            | LeaseChange::Generation(_)
            | LeaseChange::State(_)
            | LeaseChange::FinalState(_)
            | LeaseChange::Failover(_)
            | LeaseChange::BoundTo(_) => false,
        });
        if is_of_tenure {
            self.counters.checkpoints += 1;
            if before.actual_owner() != Some(worker) {
                let detail = format!(
                    "{worker} wrote a checkpoint of {} owned by {:?}",
                    before.key,
                    before.actual_owner()
                );
                return Err(Violation { property: "S2", detail });
            }
            if before.own.holder != Some(holder) {
                let detail =
                    format!("{worker} wrote a checkpoint of {} after its tenure had ended", before.key);
                return Err(Violation { property: "S6", detail });
            }
        }
        if is_adoption {
            let earlier = self.holders.insert(before.key.clone(), holder);
            if earlier.is_some_and(|earlier| earlier != holder) {
                self.counters.taken += 1;
            }
        } else if before.checkpoint_owner.is_some()
            && after.checkpoint_owner.is_none()
            && before.own.holder == Some(holder)
        {
            self.counters.handed_off += 1;
            self.holders.remove(&before.key);
        }
        Ok(())
    }

    /// A write was refused: counts it if its author had lost the lease.
    pub fn note_refused(&mut self, holder: Nonce, current: Option<&Lease>) {
        if current.is_some_and(|lease| lease.own.holder != Some(holder)) {
            self.counters.stale_writes_refused += 1;
        }
    }
}
