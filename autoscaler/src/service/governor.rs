//! The planner of this crate under what steers the stream.

use std::sync::Arc;

use super::{Hold, Steering, StreamMemory};
use crate::reconcile::Planner;
use crate::{Constraint, EpochMillis, Learner, Ledger, Observation, Plan};

/// Plans by the policy of the moment, and by what the stream's days have taught.
#[derive(Clone, Debug)]
pub struct Governor {
    steering: Arc<Steering>,
    memory: Arc<StreamMemory>,
}

impl Governor {
    /// A planner under `steering`, with the stream's `memory`.
    #[must_use]
    pub const fn new(steering: Arc<Steering>, memory: Arc<StreamMemory>) -> Self {
        Self { steering, memory }
    }
}

impl Planner for Governor {
    fn plan(&mut self, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan {
        self.memory.plan(observation, ledger, self.steering.present(), now)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::plan::tests::{observation, seen_at};

    #[test]
    fn what_one_planner_learnt_the_next_one_knows() {
        let steering = Arc::new(Steering::new("orders", Arc::new(Policy::default()), Policy::default()));
        let plan_by = |memory: &Arc<StreamMemory>, minutes: usize| {
            let mut seen = observation(15, &[8.0; 1_500]);
            seen.minutes.drain(..seen.minutes.len() - minutes);
            let mut governor = Governor::new(Arc::clone(&steering), Arc::clone(memory));
            governor.plan(&seen, &Ledger::default(), seen_at(&seen)).decision.constraint
        };
        let memory = Arc::default();
        assert_eq!(plan_by(&memory, 1_500), Constraint::Surplus, "a steady stream needs little room");
        assert_eq!(plan_by(&memory, 70), Constraint::Surplus);
        assert_eq!(plan_by(&Arc::default(), 70), Constraint::InBounds);
    }
}
