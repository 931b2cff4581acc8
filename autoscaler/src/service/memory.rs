//! What a process remembers of one stream from look to look: its latest minutes, and what its days taught.

use parking_lot::Mutex;

use super::{Hold, Past, plan_under};
use crate::{EpochMillis, Learner, Ledger, Observation, Plan, Policy};

/// The memory of one stream, which outlives a reconciler: a function that looks once for each event keeps it between events.
#[derive(Debug, Default)]
pub struct StreamMemory {
    pub(super) past: Past,
    learner: Mutex<Option<Learner>>,
}

impl StreamMemory {
    /// The plan under `policy`, by what was learnt and by what `observation` adds to it.
    pub(super) fn plan(
        &self,
        observation: &Observation,
        ledger: &Ledger,
        (policy, hold): (Policy, Option<Hold>),
        now: EpochMillis,
    ) -> Plan {
        let mut learner = self.learner.lock();
        let learner = learner.get_or_insert_with(|| Learner::new(policy.clone()));
        if policy != *learner.policy() {
            learner.set_policy(policy);
        }
        plan_under(observation, ledger, learner, hold, now)
    }
}
