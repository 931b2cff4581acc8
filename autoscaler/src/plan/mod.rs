//! What is to be done with a stream, and why: one pure function.
//!
//! ```text
//!   Observation ─▶ Demand (shards) ─┐          too full     ┌─▶ grow::choose   ┐ candidates, priced in shard-hours
//!   LoadMap ────▶ greatest share ───┴─▶ utilisation ────────┤                  ├─▶ cheapest, best rejected
//!   Ledger ─────▶ quota left, pauses        too empty ──────┴─▶ shrink::choose ┘           │
//!   Policy ─────▶ bounds                                                         withheld? ▼ Plan
//!   Learnt ─────▶ what earlier days asked for at this hour, and how uneven shards are where no map tells
//! ```
//!
//! A layout carries `1 / greatest share` shards' worth, not as many as it has shards: under an even load the widest shard
//! binds, under a skewed one the shard of the heavy keys. Every candidate is judged by that figure.
//!
//! Nothing here calls anything, waits or remembers: the ledger and the clock are arguments.

mod candidate;
mod demand;
mod grow;
mod ledger;
mod outcome;
pub mod partition;
mod price;
mod shrink;

use std::time::Duration;

use candidate::Candidate;
use demand::Demand;
pub(crate) use demand::{demand_of_minute, rejecting_utilisation};
use kcl_core::HashKeyRange;
pub use ledger::{Change, IneffectiveSplit, Ledger, LedgerCall, OperationDurations, Origin};
pub use outcome::{Action, Constraint, Decision, Plan, Rejected, Step};
use partition::steps_between;
pub(crate) use price::SHARD_CREATED;
pub(crate) use shrink::{CALLS_PLENTY, SAVING_MIN};

use crate::{ApplicationLag, Boundaries, EpochMillis, LoadMap, Observation, Policy, StreamState};

/// Decides what to do with the stream at `now`.
///
/// The answer is [`Action::Nothing`] whenever a reading that the decision needs is unknown, the stream cannot be changed,
/// or a bound forbids it; the decision then names what bound it and what would have been done otherwise.
#[must_use]
pub fn plan(observation: &Observation, ledger: &Ledger, policy: &Policy, now: EpochMillis) -> Plan {
    plan_knowing(observation, ledger, policy, Learnt::default(), now)
}

/// The same where something is known of the stream beyond what is seen now.
pub(crate) fn plan_knowing(
    observation: &Observation,
    ledger: &Ledger,
    policy: &Policy,
    learnt: Learnt,
    now: EpochMillis,
) -> Plan {
    let even = LoadMap::even();
    let map = observation.load_map.as_ref().unwrap_or(&even);
    let capacity = 1.0 / map.greatest_share(&observation.layout.boundaries());
    let Some(demand) = Demand::of(observation, capacity, policy, ledger.grown_at(), now) else {
        return Plan::unknown(
            observation,
            "a reading of IncomingBytes or IncomingRecords of the last 10 minutes",
        );
    };
    let demand = if observation.load_map.is_none() { demand.times(learnt.unevenness) } else { demand };
    let situation = Situation { observation, ledger, policy, now, demand, learnt, map };
    let mut plan = situation.decide();
    if policy.is_paused {
        plan = plan.withheld(Constraint::Withheld { by: "is_paused" });
    }
    match observation.state {
        StreamState::Active => plan,
        StreamState::Changing | StreamState::Deleting => plan.withheld(Constraint::NotActive),
        StreamState::OnDemand => plan.withheld(Constraint::Withheld { by: "the stream's on-demand mode" }),
    }
}

/// What the stream's days taught: it may add capacity and keep it, never take it away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Learnt {
    /// What an earlier day asked for at the same hour, in shards: the greatest demand until new capacity has been there for
    /// a while.
    pub(crate) expected_soon: f64,
    /// The greatest demand for which capacity must be kept.
    pub(crate) expected_later: f64,
    /// How many times the mean the fullest shard carries where no load map tells.
    pub(crate) unevenness: f64,
}

impl Default for Learnt {
    fn default() -> Self {
        Self { expected_soon: 0.0, expected_later: 0.0, unevenness: 1.0 }
    }
}

/// Everything that a decision looks at.
struct Situation<'a> {
    observation: &'a Observation,
    ledger: &'a Ledger,
    policy: &'a Policy,
    now: EpochMillis,
    demand: Demand,
    learnt: Learnt,
    map: &'a LoadMap,
}

impl Situation<'_> {
    fn decide(&self) -> Plan {
        let current = self.observation.layout.boundaries();
        if let Some(plan) = self.go_on(&current) {
            return plan;
        }
        let demand = self.demand.now.max(self.learnt.expected_soon);
        if current.count() < self.shards_min() || self.is_overloaded(&current, demand) {
            grow::choose(self, &current)
        } else {
            shrink::choose(self, &current)
        }
    }

    fn is_overloaded(&self, current: &Boundaries, demand: f64) -> bool {
        self.utilisation(current, demand) > self.grow_above()
            || self.demand.rejected_share > REJECTED_SHARE_MAX
    }

    /// Where growth begins. What was taken away within the hour is added again only when it is missing, not to leave room.
    fn grow_above(&self) -> f64 {
        let ledger = self.ledger;
        let is_young = |change: &Change| self.now < change.at.after(UNDONE_WITHIN);
        let before = ledger.changes().find(is_young).map(|change| change.from);
        let is_less = before.is_some_and(|before| self.observation.layout.count() < before);
        if is_less && ledger.shrunk_at() > ledger.grown_at() {
            self.policy.grow_above.max(1.0)
        } else {
            self.policy.grow_above
        }
    }

    /// Goes on with a layout that is being reached step by step, as long as it still carries the demand.
    fn go_on(&self, current: &Boundaries) -> Option<Plan> {
        let target = self.ledger.reshaping.as_ref().filter(|&target| target != current)?;
        let merges = !current.without(target).is_empty();
        let fuller = self.map.greatest_share(target) > self.map.greatest_share(current);
        let demand = self.demand.recent_max.max(self.learnt.expected_soon);
        let carries = self.utilisation(target, demand) <= self.policy.grow_above;
        if !carries || (merges && fuller && self.demand.rejected_share > REJECTED_SHARE_MAX) {
            return None;
        }
        if merges && (self.lag().is_some() || self.policy.is_frozen_at(self.now)) {
            return None;
        }
        let steps = steps_between(current, target, self.map, self.map.greatest_share(target));
        let candidate = Candidate::reshape(self, current, target.clone(), steps);
        if !candidate.is_allowed(self, current) {
            return None;
        }
        let constraint =
            if target.count() < current.count() { Constraint::Surplus } else { Constraint::Overload };
        let rejected = Rejected { action: Action::Nothing, reason: "a layout is half reached".to_owned() };
        Some(self.answer(current, Some(candidate), constraint, Some(rejected)))
    }

    fn answer(
        &self,
        current: &Boundaries,
        chosen: Option<Candidate>,
        constraint: Constraint,
        rejected: Option<Rejected>,
    ) -> Plan {
        let scales =
            chosen.as_ref().is_some_and(|candidate| matches!(candidate.action, Action::Scale { .. }));
        let after = chosen.as_ref().map_or_else(|| self.map.greatest_share(current), |c| c.greatest_share);
        let before = self.utilisation(current, self.demand.now);
        Plan {
            decision: Decision {
                constraint,
                demand_shards: Some(self.demand.now),
                utilisation: Some((before, after * self.demand.now)),
                quota_left: Some(self.calls_left().saturating_sub(u32::from(scales))),
                rejected,
            },
            action: chosen.map_or(Action::Nothing, |candidate| candidate.action),
        }
    }

    /// Utilisation of the fullest shard under `demand`; 1 is the limit.
    fn utilisation(&self, boundaries: &Boundaries, demand: f64) -> f64 {
        self.map.greatest_share(boundaries) * demand
    }

    /// Whether no shard is above `share_max`, but for those of a single key that is so alone.
    fn fits_but_for_heavy_keys(&self, boundaries: &Boundaries, share_max: f64) -> bool {
        let is_heavy = |range: HashKeyRange| {
            self.map.heavy_keys().any(|heavy| heavy.share > share_max && range.contains(heavy.hash))
        };
        let shares = self.map.shares(boundaries);
        boundaries.ranges().zip(shares).all(|(range, share)| share <= share_max || is_heavy(range))
    }

    /// Fewest shards at the moment.
    fn shards_min(&self) -> u32 {
        self.policy.shards_min_at(self.now)
    }

    fn calls_left(&self) -> u32 {
        self.policy.calls_max.saturating_sub(self.ledger.calls_used(self.now))
    }

    /// The application for whose sake nothing may be merged.
    fn lag(&self) -> Option<Constraint> {
        let forbids = |lag: &&ApplicationLag| lag.forbids_merges(self.policy.lag_max);
        let late = self.observation.applications.iter().find(forbids)?;
        Some(Constraint::Lag { application: late.name.clone() })
    }
}

/// Growth so soon after capacity was taken away undoes it.
const UNDONE_WITHIN: Duration = Duration::from_secs(3600);
/// Rejections beyond one record in a hundred mean that capacity is missing, whatever the minute's mean says: bursts within
/// seconds do not show in it.
const REJECTED_SHARE_MAX: f64 = 0.01;

#[cfg(test)]
pub(crate) mod tests;
