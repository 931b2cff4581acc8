//! The planner of this crate under what steers the stream.

use std::sync::Arc;

use super::Steering;
use crate::reconcile::Planner;
use crate::{Constraint, EpochMillis, Ledger, Observation, Plan, plan};

/// Plans by the policy of the moment. What is held becomes the rejected alternative of doing nothing.
#[derive(Clone, Debug)]
pub struct Governor(Arc<Steering>);

impl Governor {
    /// A planner under `steering`.
    #[must_use]
    pub const fn new(steering: Arc<Steering>) -> Self {
        Self(steering)
    }
}

impl Planner for Governor {
    fn plan(&mut self, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan {
        let (policy, hold) = self.0.present();
        let plan = plan(observation, ledger, &policy, now);
        match hold {
            Some(hold) => plan.withheld(Constraint::Withheld { by: hold.by() }),
            None => plan,
        }
    }
}
