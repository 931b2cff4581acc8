//! The planner of this crate under what steers the stream.

use std::sync::Arc;

use super::{Hold, Steering};
use crate::reconcile::Planner;
use crate::{Constraint, EpochMillis, Learner, Ledger, Observation, Plan};

/// Plans by the policy of the moment, and by what the stream's days have taught since the process began.
#[derive(Clone, Debug)]
pub struct Governor {
    steering: Arc<Steering>,
    learner: Learner,
}

impl Governor {
    /// A planner under `steering`.
    #[must_use]
    pub fn new(steering: Arc<Steering>) -> Self {
        let (policy, _) = steering.present();
        Self { learner: Learner::new(policy), steering }
    }
}

impl Planner for Governor {
    fn plan(&mut self, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan {
        let (policy, hold) = self.steering.present();
        if policy != *self.learner.policy() {
            self.learner.set_policy(policy);
        }
        plan_under(observation, ledger, &mut self.learner, hold, now)
    }
}

/// The plan; while something holds it, nothing, with what would be done as the rejected alternative.
#[must_use]
pub fn plan_under(
    observation: &Observation,
    ledger: &Ledger,
    learner: &mut Learner,
    hold: Option<Hold>,
    now: EpochMillis,
) -> Plan {
    let plan = learner.plan(observation, ledger, now);
    match hold {
        Some(hold) => plan.withheld(Constraint::Withheld { by: hold.by() }),
        None => plan,
    }
}
