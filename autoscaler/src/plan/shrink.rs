//! Less capacity: never urgent, so by merges, which no quota counts, and one at a time, so that demand that returns is met.
//!
//! The peak of the whole shrink window must fit into the new layout at the aim, in every intermediate layout, and no
//! application may be behind.

use std::time::Duration;

use super::candidate::Candidate;
use super::partition::{fewest, reshape, steps_between};
use super::price::{PRICE_OF_STEP, price};
use super::{Action, Constraint, Plan, Rejected, Situation};
use crate::Boundaries;

/// The cheapest layout that carries the window's peak, if it is worth the way.
pub(super) fn choose(situation: &Situation<'_>, current: &Boundaries) -> Plan {
    let Some(peak) = situation.demand.peak.map(|peak| peak.max(situation.demand.recent_max)) else {
        let rejected = Rejected {
            action: Action::Scale { target: current.count().div_ceil(2) },
            reason: "minutes of the shrink window are missing, and missing is not zero".to_owned(),
        };
        let unknown = Constraint::Unknown { signal: "the whole shrink window" };
        return situation.answer(current, None, unknown, Some(rejected));
    };
    let share_max = situation.policy.aim / peak.max(f64::MIN_POSITIVE);
    let capacity = 1.0 / situation.map.greatest_share(current);
    let best = targets(situation, current, share_max)
        .into_iter()
        .filter(|target| target.count() < current.count())
        .map(|target| {
            let steps = steps_between(current, &target, situation.map, share_max);
            Candidate::reshape(situation, current, target, steps)
        })
        .filter(|candidate| candidate.is_allowed(situation, current))
        .map(|candidate| (price(situation, &candidate, peak, capacity), candidate))
        .min_by(|(one, _), (other, _)| one.total_cmp(other));
    let Some((_, candidate)) = best else {
        let rejected = Rejected {
            action: Action::Scale { target: current.count().saturating_sub(1).max(1) },
            reason: "no smaller layout carries the peak of the shrink window".to_owned(),
        };
        return situation.answer(current, None, Constraint::InBounds, Some(rejected));
    };
    let saved = f64::from(current.count() - candidate.boundaries.count());
    let withheld = |constraint: Constraint, reason: String, action| {
        situation.answer(current, None, constraint, Some(Rejected { action, reason }))
    };
    if saved < f64::from(current.count()) * SAVING_MIN {
        let reason = format!("it saves {saved} of {} shards, too few for its way", current.count());
        return withheld(Constraint::InBounds, reason, candidate.action);
    }
    if situation.policy.is_frozen_at(situation.now) {
        let reason = "nothing is taken away in a freeze".to_owned();
        return withheld(Constraint::Withheld { by: "freezes" }, reason, candidate.action);
    }
    if let Some(wait) = pause_left(situation) {
        let reason = "capacity was added a short while ago".to_owned();
        return withheld(Constraint::TooSoon { wait }, reason, candidate.action);
    }
    if let Some(lag) = situation.lag() {
        let reason = "a merge closes shards that are still to be read".to_owned();
        return withheld(lag, reason, candidate.action);
    }
    let rejected =
        Rejected { action: Action::Nothing, reason: format!("{saved} shards would be kept for nothing") };
    situation.answer(current, Some(candidate), Constraint::Surplus, Some(rejected))
}

/// Layouts that carry the peak: the fewest equal ranges, the fewest of any kind, and the one of the cheapest way.
fn targets(situation: &Situation<'_>, current: &Boundaries, share_max: f64) -> Vec<Boundaries> {
    let share_max = share_max.min(1.0);
    let Ok(least) = fewest(situation.map, share_max) else { return Vec::new() };
    let uniform = Boundaries::uniform(least.count().max(situation.shards_min()));
    let cheapest = reshape(current, situation.map, share_max, PRICE_OF_STEP, 1.0);
    let carries = |target: &Boundaries| situation.map.greatest_share(target) <= share_max * ROUNDING;
    [uniform, least].into_iter().chain(cheapest).filter(carries).collect()
}

/// How long nothing may be taken away yet.
fn pause_left(situation: &Situation<'_>) -> Option<Duration> {
    let end = situation.ledger.grown_at()?.after(situation.policy.shrink_pause);
    let left = Duration::from_millis(end.millis_since(situation.now));
    (!left.is_zero()).then_some(left)
}

/// A layout that saves less is left alone: its steps would create more shards than they free.
const SAVING_MIN: f64 = 0.15;
/// Shares are sums of floating-point numbers.
const ROUNDING: f64 = 1.0 + 1e-9;
