//! The planner of this crate under what steers the stream.

use std::sync::Arc;

use super::{Hold, Steering};
use crate::reconcile::Planner;
use crate::{Constraint, EpochMillis, Ledger, Observation, Plan, Policy, plan};

/// Plans by the policy of the moment.
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
        plan_under(observation, ledger, &policy, hold, now)
    }
}

/// The plan; while something holds it, nothing, with what would be done as the rejected alternative.
#[must_use]
pub fn plan_under(
    observation: &Observation,
    ledger: &Ledger,
    policy: &Policy,
    hold: Option<Hold>,
    now: EpochMillis,
) -> Plan {
    let plan = plan(observation, ledger, policy, now);
    match hold {
        Some(hold) => plan.withheld(Constraint::Withheld { by: hold.by() }),
        None => plan,
    }
}
