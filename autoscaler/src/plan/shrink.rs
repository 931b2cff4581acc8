//! Less capacity: never urgent, so by merges, which no quota counts, and one at a time, so that demand that returns is met;
//! while calls are plenty and the surplus is great also by a call, which gives back in minutes what merges take hours for.
//!
//! The peak of the whole shrink window must fit into the new layout at the aim, in every intermediate layout, and no
//! application may be behind.

use std::time::Duration;

use super::candidate::Candidate;
use super::partition::{fewest, reshape, steps_between, uniform_needed};
use super::price::{PRICE_OF_STEP, price, price_of_staying};
use super::{Action, Constraint, Plan, Rejected, Situation};
use crate::{Boundaries, LoadMap};

/// The cheapest layout that carries the window's peak, if it is worth the way.
pub(super) fn choose(situation: &Situation<'_>, current: &Boundaries) -> Plan {
    let Some(peak) = situation
        .demand
        .peak
        .map(|peak| peak.max(situation.demand.recent_max).max(situation.learnt.expected_later))
    else {
        let rejected = Rejected {
            action: Action::Scale { target: current.count().div_ceil(2) },
            reason: "minutes of the shrink window are missing, and missing is not zero".to_owned(),
        };
        let unknown = Constraint::Unknown { signal: "the whole shrink window" };
        return situation.answer(current, None, unknown, Some(rejected));
    };
    let share_max = aim(situation) / peak.max(f64::MIN_POSITIVE);
    let saving_min = saving_min(situation);
    let least = (1.0 / share_max).ceil().max(f64::from(count_min(situation, current)));
    if f64::from(current.count()) * (1.0 - saving_min) < least {
        let rejected = Rejected {
            action: Action::Scale { target: current.count().saturating_sub(1).max(1) },
            reason: format!("the peak of the shrink window needs at least {least} shards"),
        };
        return situation.answer(current, None, Constraint::InBounds, Some(rejected));
    }
    let capacity = 1.0 / situation.map.greatest_share(current);
    let best = targets(situation, current, share_max)
        .into_iter()
        .filter(|target| target.count() < current.count())
        .map(|target| {
            let steps = steps_between(current, &target, situation.map, situation.map.greatest_share(&target));
            Candidate::reshape(situation, current, target, steps)
        })
        .chain(scale(situation, current, share_max))
        .filter(|candidate| candidate.is_allowed(situation, current))
        .map(|candidate| (price(situation, &candidate, peak, capacity), candidate))
        .filter(|(price, candidate)| *price < price_of_staying(situation, candidate, peak, capacity))
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
    if saved < f64::from(current.count()) * saving_min {
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

/// A call of `UpdateShardCount` while calls are plenty: at once what merges take half a minute each for.
fn scale(situation: &Situation<'_>, current: &Boundaries, share_max: f64) -> Option<Candidate> {
    if situation.calls_left() < CALLS_PLENTY {
        return None;
    }
    let least = current.count().div_ceil(2).max(count_min(situation, current));
    let target = uniform_needed(situation.map, share_max, least..=current.count().saturating_sub(1))?;
    Some(Candidate::scale(situation, current, target))
}

/// Layouts that carry the peak: the present one with neighbours merged, and, once demand has stopped falling, those that
/// cut anew. Cutting anew for a peak that is about to leave the window would be work for nothing.
fn targets(situation: &Situation<'_>, current: &Boundaries, share_max: f64) -> Vec<Boundaries> {
    let share_max = share_max.min(1.0);
    let mut targets = vec![merged(current, situation.map, share_max, count_min(situation, current))];
    let least = (1.0 / share_max).ceil();
    let least_soon = (situation.demand.recent_max / situation.policy.shrink_aim).ceil();
    let may_cut = least_soon >= least * STILL_FALLING && (is_calm(situation) || !is_uneven(situation));
    if may_cut && let Ok(fewest) = fewest(situation.map, share_max) {
        targets.push(Boundaries::uniform(fewest.count().max(count_min(situation, current))));
        targets.push(fewest);
        targets.extend(reshape(current, situation.map, share_max, PRICE_OF_STEP, 1.0));
    }
    targets.retain(|target| situation.fits_but_for_heavy_keys(target, share_max * ROUNDING));
    targets
}

/// The present layout with as many neighbours merged as `share_max` and the least count allow.
pub(super) fn merged(current: &Boundaries, map: &LoadMap, share_max: f64, count_min: u32) -> Boundaries {
    let shares = map.shares(current);
    let mut surplus = current.count().saturating_sub(count_min);
    let mut together = 0.0;
    let kept = current.keys().iter().zip(&shares).filter_map(|(&key, &share)| {
        if surplus > 0 && key.0 > 0 && together + share <= share_max {
            surplus -= 1;
            together += share;
            None
        } else {
            together = share;
            Some(key)
        }
    });
    Boundaries::new(kept.collect::<Vec<_>>())
}

/// Fewest shards that the policy allows at the moment: its bound, and its change per hour. What is left over beyond is taken
/// away in the next hour.
fn count_min(situation: &Situation<'_>, current: &Boundaries) -> u32 {
    let (_, most) = situation.ledger.counts_of_the_hour(current.count(), situation.now);
    let of_the_hour = (f64::from(most) / situation.policy.change_per_hour_max).ceil();
    situation.shards_min().max(of_the_hour as u32)
}

/// How long nothing may be taken away yet: longer if the last growth came soon after something was taken away, because
/// that shows that demand comes back.
fn pause_left(situation: &Situation<'_>) -> Option<Duration> {
    let grown_at = situation.ledger.grown_at()?;
    let was_regretted = situation
        .ledger
        .shrunk_at()
        .is_some_and(|shrunk_at| shrunk_at <= grown_at && grown_at < shrunk_at.after(REGRET_WINDOW));
    let pause = situation.policy.shrink_pause * if was_regretted { REGRET_PAUSES } else { 1 };
    let left = Duration::from_millis(grown_at.after(pause).millis_since(situation.now));
    (!left.is_zero()).then_some(left)
}

/// The utilisation at which the peak may lie afterwards. What lies unevenly also moves about, and needs more room; a stream
/// that has not changed for hours needs no more than growth aims at.
fn aim(situation: &Situation<'_>) -> f64 {
    let policy = situation.policy;
    if is_calm(situation) {
        policy.shrink_aim.max(policy.aim)
    } else if is_uneven(situation) {
        policy.shrink_aim * ROOM_OF_UNEVEN
    } else {
        policy.shrink_aim
    }
}

/// Whether keys, and not their number, decide where the load lies.
fn is_uneven(situation: &Situation<'_>) -> bool {
    situation.map.greatest_share(&Boundaries::uniform(PARTS_OF_LOAD)) * f64::from(PARTS_OF_LOAD) > UNEVEN
}

/// The part of the shards that a new layout must save to be worth its way: less once nothing has changed for hours, because
/// it will be kept as long.
fn saving_min(situation: &Situation<'_>) -> f64 {
    if is_calm(situation) { SAVING_MIN_CALM } else { SAVING_MIN }
}

/// Whether nothing has changed for hours.
fn is_calm(situation: &Situation<'_>) -> bool {
    let ledger = situation.ledger;
    let changed_at = ledger.grown_at().max(ledger.shrunk_at());
    changed_at.is_none_or(|changed_at| changed_at.after(CALM) <= situation.now)
}

/// With fewer calls left, what remains is for growth: half of what a day allows.
pub(crate) const CALLS_PLENTY: u32 = 5;
/// A layout that saves less is left alone: its steps would create more shards than they free.
pub(crate) const SAVING_MIN: f64 = 0.25;
/// The same for a stream that has not changed for [`CALM`].
const SAVING_MIN_CALM: f64 = 0.1;
/// The fullest part is so much above the mean of all parts.
const UNEVEN: f64 = 1.15;
const PARTS_OF_LOAD: u32 = 16;
const ROOM_OF_UNEVEN: f64 = 0.9;
const CALM: Duration = Duration::from_secs(6 * 3600);
/// Growth so soon after capacity was taken away regrets it.
const REGRET_WINDOW: Duration = Duration::from_secs(5400);
/// After regretted growth so many pauses pass: two hours by default.
const REGRET_PAUSES: u32 = 4;
/// Shares are sums of floating-point numbers.
const ROUNDING: f64 = 1.0 + 1e-9;
/// Demand that asks for less than this part of what the window's peak asks for is still falling.
const STILL_FALLING: f64 = 0.75;
