//! What a stream's own last days teach: which knobs would have served it best, and what is usual at this hour.
//!
//! ```text
//!   minutes seen ─▶ History ─┬─▶ Rehearsal 1 … n    each one setting of the knobs, scaled on paper, and its cost
//!                            │        └─▶ the cheapest ─▶ aim, bounds and windows of the policy from now on
//!                            └─▶ what the same hour of an earlier day asked for ─▶ adds capacity, never takes any away
//!   rejections at a low mean ─▶ Unevenness ─▶ how full the fullest shard is, where no load map tells
//! ```
//!
//! A steady stream needs little room above its demand, a gusty one much; a stream of jobs on the clock is met before they
//! start. No knob set once and for all does both. The bounds of the policy, its floors, freezes and quota hold as before,
//! and so do the planner's own rules: what is learnt only moves five knobs and raises the demand.
//!
//! Never reads a clock, never stores anything: what was learnt is learnt again from CloudWatch's minutes, and
//! unevenness from the next rejections, because past minutes do not tell their layout.

mod history;
mod rehearsal;
mod unevenness;

use std::time::Duration;

use history::History;
use rehearsal::{Knobs, PAUSE, Rehearsal, Season};
use tracing::info;
use unevenness::Unevenness;

use crate::plan::{Learnt, demand_of_minute, plan_knowing, rejecting_utilisation};
use crate::{EpochMillis, Ledger, Observation, Plan, Policy};

/// The planner of one stream, with what it has learnt of it.
///
/// Costs about 60 KB of memory and some microseconds for each new minute.
#[derive(Clone, Debug)]
pub struct Learner {
    policy: Policy,
    history: History,
    rehearsals: Vec<Rehearsal>,
    chosen: Option<usize>,
    unevenness: Unevenness,
}

impl Learner {
    /// Knows nothing yet, and plans by the knobs of `policy` until six hours are known; for good if `policy.learns` is false.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let mut rehearsals = Vec::new();
        if policy.learns {
            for aim in AIMS {
                for shrink_window in SHRINK_WINDOWS {
                    let knobs = Season::ALL.map(|season| Knobs { aim, shrink_window, season });
                    rehearsals.extend(knobs.map(Rehearsal::new));
                }
            }
        }
        Self {
            policy,
            history: History::default(),
            rehearsals,
            chosen: None,
            unevenness: Unevenness::default(),
        }
    }

    /// The policy, before anything is learnt.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Plans by another policy from now on; what was learnt stays.
    pub fn set_policy(&mut self, policy: Policy) {
        if policy.learns == self.policy.learns {
            self.policy = policy;
        } else {
            *self = Self::new(policy);
        }
    }

    /// The longest time that a plan under `policy` may look back.
    #[must_use]
    pub fn window_max(policy: &Policy) -> Duration {
        let learnt = if policy.learns { SHRINK_WINDOWS[SHRINK_WINDOWS.len() - 1] } else { 0 };
        policy.shrink_window.max(minutes(learnt))
    }

    /// The plan for what is seen, by what was learnt and by what `observation` adds to it.
    pub fn plan(&mut self, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan {
        if !self.policy.learns {
            return plan_knowing(observation, ledger, &self.policy, Learnt::default(), now);
        }
        self.learn(observation, now);
        self.unevenness.look(observation.load_map.is_some(), now);
        if let Some(utilisation) = rejecting_utilisation(observation, ledger, &self.policy) {
            self.unevenness.note(utilisation);
        }
        let learnt = Learnt { unevenness: self.unevenness.factor(), ..Learnt::default() };
        let Some(knobs) = self.chosen.map(|chosen| self.rehearsals[chosen].knobs) else {
            return plan_knowing(observation, ledger, &self.policy, learnt, now);
        };
        let minute = now.0 / MINUTE_MILLIS;
        let learnt = Learnt {
            expected_soon: knobs.expected_soon(&self.history, minute),
            expected_later: knobs.expected_later(&self.history, minute),
            ..learnt
        };
        plan_knowing(observation, ledger, &self.policy_by(knobs), learnt, now)
    }

    /// Takes in the minutes that are new and settled.
    fn learn(&mut self, observation: &Observation, now: EpochMillis) {
        let settled = now.before(SETTLED);
        for minute in observation.minutes.iter().filter(|minute| minute.start <= settled) {
            let at = minute.start.0 / MINUTE_MILLIS;
            if at < self.history.end() {
                continue;
            }
            let Some(demand) = demand_of_minute(observation, minute, &self.policy) else { continue };
            self.unevenness.fade();
            let demand =
                if observation.load_map.is_none() { demand * self.unevenness.factor() } else { demand };
            self.history.push(at, demand);
            for rehearsal in &mut self.rehearsals {
                rehearsal.pass(at, demand, &self.history);
            }
        }
        if self.history.len() >= KNOWN_MIN {
            self.choose();
        }
    }

    fn choose(&mut self) {
        let cost = |place: usize| self.rehearsals[place].cost();
        let best = (0..self.rehearsals.len()).min_by(|&one, &other| cost(one).total_cmp(&cost(other)));
        let Some(best) = best else { return };
        if self.chosen.is_some_and(|chosen| cost(best) >= cost(chosen) * BETTER) {
            return;
        }
        self.chosen = Some(best);
        let Knobs { aim, shrink_window, season } = self.rehearsals[best].knobs;
        info!(
            aim,
            shrink_window_minutes = shrink_window,
            ?season,
            "the stream's last days chose these knobs"
        );
    }

    fn policy_by(&self, knobs: Knobs) -> Policy {
        Policy {
            aim: knobs.aim,
            grow_above: knobs.grow_above(),
            shrink_aim: knobs.shrink_aim(),
            shrink_window: minutes(knobs.shrink_window),
            shrink_pause: minutes(PAUSE),
            ..self.policy.clone()
        }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// From much room for gusts to as little as the seconds within a minute allow.
const AIMS: [f64; 5] = [0.5, 0.6, 0.7, 0.78, 0.85];
/// Minutes.
const SHRINK_WINDOWS: [u64; 5] = [15, 30, 60, 120, 240];
/// CloudWatch has a minute right by then, if ever.
const SETTLED: Duration = Duration::from_secs(5 * 60);
/// Minutes that must be known before they choose.
const KNOWN_MIN: usize = 6 * 60;
/// So much cheaper must another setting be, so that knobs do not change for nothing.
const BETTER: f64 = 0.99;
const MINUTE_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{observation, seen_at};
    use crate::{Action, Constraint};

    /// Minutes that the observation has before the demand given.
    const BEFORE: usize = 70;

    /// A learner that has seen `minutes` of `demand` and plans for the last of them, on `shards` equal shards.
    fn planned(
        policy: Policy,
        shards: u32,
        demand: impl Fn(usize) -> f64,
        minutes: usize,
    ) -> (Learner, Plan) {
        let demand: Vec<_> = (0..minutes).map(demand).collect();
        let mut learner = Learner::new(policy);
        let seen = observation(shards, &demand);
        let now = seen_at(&seen);
        let plan = learner.plan(&seen, &Ledger::default(), now);
        (learner, plan)
    }

    #[test]
    fn a_steady_stream_gives_back_what_the_default_keeps() {
        let steady = |_: usize| 8.0;
        let (learner, plan) = planned(Policy::default(), 15, steady, 1_500);
        assert!(learner.policy_by(learner.rehearsals[learner.chosen.expect("chosen")].knobs).aim > 0.8);
        assert_eq!(plan.decision.constraint, Constraint::Surplus, "{plan:?}");
        let held = Policy { learns: false, ..Policy::default() };
        let (learner, plan) = planned(held, 15, steady, 1_500);
        assert_eq!((learner.chosen, plan.decision.constraint), (None, Constraint::InBounds));
    }

    #[test]
    fn what_came_yesterday_is_met_before_it_comes_today() {
        let daily =
            |minute: usize| if (600..720).contains(&((minute + BEFORE) % 1_440)) { 16.0 } else { 4.0 };
        let plan_at = |minute: usize| planned(Policy::default(), 6, daily, 4 * 1_440 + minute - BEFORE).1;
        assert!(matches!(plan_at(595).action, Action::Scale { target } if target > 8), "{:?}", plan_at(595));
        assert!(
            matches!(plan_at(595).decision.constraint, Constraint::Expected { shards } if shards == 16.0)
        );
        assert_eq!(plan_at(500).decision.constraint, Constraint::InBounds);
    }

    #[test]
    fn a_shard_that_rejected_at_a_low_mean_is_remembered() {
        let mut learner = Learner::new(Policy::default());
        let mut seen = observation(8, &[4.0]);
        let latest = seen.minutes.last_mut().expect("there are minutes");
        latest.rejected_records = latest.records.map(|records| records * 0.15);
        let now = seen_at(&seen);
        learner.plan(&seen, &Ledger::default(), now);
        seen.minutes.last_mut().expect("there are minutes").rejected_records = None;
        let plan = learner.plan(&seen, &Ledger::default(), now);
        let (demand, utilisation) = (plan.decision.demand_shards, plan.decision.utilisation);
        assert!(demand.is_some_and(|demand| (7.5..7.7).contains(&demand)), "4 of 4.2 × 8: {demand:?}");
        assert!(utilisation.is_some_and(|(before, after)| before > 0.9 && after < 0.7), "{utilisation:?}");
    }

    #[test]
    fn too_little_is_known_at_first() {
        let (learner, _) = planned(Policy::default(), 12, |_| 8.0, 200);
        assert_eq!(learner.chosen, None);
    }

    #[test]
    fn a_changed_policy_keeps_what_was_learnt() {
        let (mut learner, _) = planned(Policy::default(), 12, |_| 8.0, 1_500);
        learner.set_policy(Policy { shards_max: 5, ..Policy::default() });
        assert!(learner.chosen.is_some());
        learner.set_policy(Policy { learns: false, ..Policy::default() });
        assert_eq!(
            (learner.chosen, Learner::window_max(learner.policy())),
            (None, Policy::default().shrink_window)
        );
    }
}
