//! The planner of a single purpose: one layout, step by step, and then the end.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Steering;
use crate::plan::partition::steps_between;
use crate::reconcile::Planner;
use crate::{
    Action, Boundaries, Constraint, Decision, EpochMillis, Ledger, LoadMap, Observation, Plan, Rejected, Step,
};

/// Leads a stream to a layout of the same load, and cancels a token when it is reached. The kill switch and lagging readers
/// stop it between two steps as they stop everything else.
#[derive(Clone, Debug)]
pub struct Rebalance {
    target: Boundaries,
    map: LoadMap,
    steering: Arc<Steering>,
    done: CancellationToken,
}

impl Rebalance {
    /// To `target`, judged by the load as `map` tells it; `done` is cancelled when nothing is left to do.
    #[must_use]
    pub const fn new(
        target: Boundaries,
        map: LoadMap,
        steering: Arc<Steering>,
        done: CancellationToken,
    ) -> Self {
        Self { target, map, steering, done }
    }

    /// The steps from `current`, each of which keeps every shard below the fullest of both layouts.
    #[must_use]
    pub fn steps(&self, current: &Boundaries) -> Vec<Step> {
        steps_between(current, &self.target, &self.map, self.map.greatest_share(&self.target))
    }
}

impl Planner for Rebalance {
    fn plan(&mut self, observation: &Observation, _: &Ledger, _: EpochMillis) -> Plan {
        let current = observation.layout.boundaries();
        let steps = self.steps(&current);
        let (policy, hold) = self.steering.present();
        let next = steps.first().copied();
        if next.is_none() {
            self.done.cancel();
        }
        let action = match next {
            Some(_) => Action::Reshape { target: self.target.clone(), steps },
            None => Action::Nothing,
        };
        let alternative =
            || Rejected { action: Action::Nothing, reason: "the layout is not reached".to_owned() };
        let plan = Plan {
            action,
            decision: Decision {
                constraint: Constraint::Requested,
                demand_shards: None,
                utilisation: None,
                quota_left: None,
                rejected: next.map(|_| alternative()),
            },
        };
        let late = observation.applications.iter().find(|lag| lag.forbids_merges(policy.lag_max));
        match (hold, late, next) {
            (Some(hold), _, _) => plan.withheld(Constraint::Withheld { by: hold.by() }),
            (None, _, _) if policy.is_paused => plan.withheld(Constraint::Withheld { by: "is_paused" }),
            (None, Some(late), Some(Step::Merge { .. })) => {
                plan.withheld(Constraint::Lag { application: late.name.clone() })
            }
            (None, Some(_) | None, Some(Step::Split { .. } | Step::Merge { .. }) | None) => plan,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use kcl_core::{HashKey, ShardId};

    use super::*;
    use crate::{ApplicationLag, Layout, OpenShard, Policy, StreamState};

    fn seen(boundaries: &Boundaries, behind: Option<Duration>) -> Observation {
        let shard =
            |(index, range)| OpenShard { id: ShardId::new(format!("shard-{index}")).expect("valid"), range };
        let name = "billing".to_owned();
        Observation {
            state: StreamState::Active,
            layout: Layout::new(boundaries.ranges().enumerate().map(shard).collect()).expect("covers"),
            account_shards_left: None,
            fan_out_consumers: 0,
            minutes: Vec::new(),
            load_map: None,
            shards: BTreeMap::new(),
            applications: vec![ApplicationLag { name, behind, is_rising: false, undrained_parents: None }],
        }
    }

    #[test]
    fn it_goes_step_by_step_waits_for_readers_and_ends() {
        let (from, target) = (Boundaries::uniform(2), Boundaries::new([HashKey(1 << 120)]));
        let done = CancellationToken::new();
        let steering = Arc::new(Steering::new("clicks", Arc::new(Policy::default()), Policy::default()));
        let map = LoadMap::new([(HashKey(0), 1.0), (HashKey(1 << 120), 1.0)], []);
        let mut rebalance = Rebalance::new(target.clone(), map, steering, done.clone());
        let mut plan = |boundaries: &Boundaries, behind| {
            rebalance.plan(&seen(boundaries, behind), &Ledger::default(), EpochMillis(0))
        };
        let first = plan(&from, Some(Duration::ZERO));
        let Action::Reshape { steps, .. } = first.action else { panic!("{first:?}") };
        assert_eq!(steps.len(), 2);
        let mut half_way = from.clone();
        steps[0].apply(&mut half_way);
        let waiting = plan(&half_way, None);
        assert_eq!(waiting.action, Action::Nothing);
        assert_eq!(waiting.decision.constraint, Constraint::Lag { application: "billing".to_owned() });
        assert!(!done.is_cancelled());
        assert_eq!(plan(&target, None).action, Action::Nothing);
        assert!(done.is_cancelled());
    }
}
