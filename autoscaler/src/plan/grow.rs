//! More capacity: which way, and how much of it.
//!
//! Under an even load only equal ranges help, so `UpdateShardCount` or a split of every shard; under a skewed one cutting the
//! full shards is cheaper. Both are proposed, the price decides. As calls run short, a call takes a greater step, and the
//! last ones are kept for demand that is already rejected.

use std::time::Duration;

use kcl_core::HashKey;

use super::candidate::Candidate;
use super::demand::Demand;
use super::partition::steps_between;
use super::price::price;
use super::shrink::{self, merged};
use super::{Action, Constraint, Plan, Rejected, Situation};
use crate::{Boundaries, LoadMap};

/// The cheapest way to carry the demand.
pub(super) fn choose(situation: &Situation<'_>, current: &Boundaries) -> Plan {
    let asked = situation.demand.recent_max.max(situation.demand.now);
    if let Some(most) = unexplained(situation, current, asked) {
        return stuck(situation, current, Constraint::Rejections, most);
    }
    let burst = if situation.demand.rejected_share > super::REJECTED_SHARE_MAX {
        hidden_burst(situation, current)
    } else {
        1.0
    };
    let demand = (asked * burst).max(situation.learnt.expected_soon);
    let share_max = situation.policy.aim / demand.max(f64::MIN_POSITIVE);
    let capacity = 1.0 / situation.map.greatest_share(current);

    let mut candidates = scales(situation, current, share_max);
    candidates.extend(steps(situation, current, share_max));
    candidates.retain(|candidate| helps(situation, current, candidate, share_max));
    let is_helpless = candidates.is_empty();
    candidates.retain(|candidate| candidate.is_allowed(situation, current));
    let suffices = |candidate: &Candidate| {
        candidate.duration <= SOON && candidate.greatest_share * demand <= situation.policy.grow_above
    };
    let is_most = |candidate: &Candidate| candidate.action == Action::Scale { target: 2 * current.count() };
    if candidates.iter().any(suffices) {
        candidates.retain(|candidate| suffices(candidate) || is_most(candidate));
    }
    let mut priced: Vec<_> = candidates
        .into_iter()
        .map(|candidate| (price(situation, &candidate, demand, capacity), candidate))
        .collect();
    priced.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut priced = priced.into_iter();
    let Some((cost, chosen)) = priced.next() else {
        let bearable = situation.policy.grow_above / demand.max(f64::MIN_POSITIVE);
        if is_helpless && situation.fits_but_for_heavy_keys(current, bearable) {
            let plain = situation.policy.aim / asked.max(f64::MIN_POSITIVE);
            let constraint = hot_key(situation, plain).unwrap_or(Constraint::Rejections);
            return stuck(situation, current, constraint, demand);
        }
        let rejected = Rejected {
            action: Action::Scale { target: current.count().saturating_mul(2) },
            reason: "no admissible layout carries more than the present one".to_owned(),
        };
        return situation.answer(current, None, bound(situation, current), Some(rejected));
    };
    let rejected = priced.next().map_or_else(
        || Rejected { action: Action::Nothing, reason: "records are or will be rejected".to_owned() },
        |(other, candidate)| Rejected {
            reason: format!("it costs {other:.1} shard-hours, the chosen action {cost:.1}"),
            action: candidate.action,
        },
    );
    let constraint = diagnosis(situation, current, share_max);
    situation.answer(current, Some(chosen), constraint, Some(rejected))
}

/// Records are rejected, and the stream's mean leaves room for all that more shards can mend: for this demand.
fn unexplained(situation: &Situation<'_>, current: &Boundaries, asked: f64) -> Option<f64> {
    let unevenness = if situation.observation.load_map.is_none() { situation.learnt.unevenness } else { 1.0 };
    let most = (asked * BURST_MAX.max(unevenness) / unevenness).max(situation.learnt.expected_soon);
    let fits = situation.utilisation(current, most) <= situation.policy.aim;
    let rejects = situation.demand.rejected_share > super::REJECTED_SHARE_MAX;
    (fits && rejects && current.count() >= situation.shards_min()).then_some(most)
}

/// More shards do not help. What is too much for `most`, the demand with all its bursts, can go all the same.
fn stuck(situation: &Situation<'_>, current: &Boundaries, constraint: Constraint, most: f64) -> Plan {
    let peak = situation.demand.peak.map(|peak| peak.max(most));
    let plan =
        shrink::choose(&Situation { demand: Demand { peak, ..situation.demand }, ..*situation }, current);
    if plan.action != Action::Nothing {
        return plan;
    }
    let reason = match situation.observation.load_map {
        Some(_) => "no split divides a key or a second, and the other shards need none",
        None => {
            "even at twice its mean each shard fits at the aim; metrics by shard or workers' telemetry would tell more"
        }
    };
    let action = Action::Scale { target: current.count().saturating_mul(2) };
    let rejected = Rejected { action, reason: reason.to_owned() };
    situation.answer(current, None, constraint, Some(rejected))
}

/// Calls of `UpdateShardCount`: to the least count that suffices, and to twice the present one.
fn scales(situation: &Situation<'_>, current: &Boundaries, share_max: f64) -> Vec<Candidate> {
    let left = situation.calls_left();
    let count = current.count();
    let is_urgent = situation.demand.rejected_share > super::REJECTED_SHARE_MAX
        || situation.utilisation(current, situation.demand.now) >= 1.0;
    if left == 0 || (left <= CALLS_KEPT && !is_urgent) {
        return Vec::new();
    }
    let quarters_min = match left {
        0..=2 => 4,
        3..=4 => 2,
        _ => 1,
    };
    let most = (2 * count).min(situation.policy.shards_max);
    let quarter = count.div_ceil(4);
    let targets = (quarters_min..=4).map(|quarters| (count + quarter * quarters).max(situation.shards_min()));
    let mut scales = Vec::new();
    for target in targets.map(|target| target.min(most)).filter(|&target| target > count) {
        let candidate = Candidate::scale(situation, current, target);
        let suffices = candidate.greatest_share <= share_max;
        scales.push(candidate);
        if suffices {
            break;
        }
    }
    scales
}

/// Splits of the shards that are too full, and the same with cold neighbours merged, which costs no capacity: to give some
/// up is never part of growing. Where a key keeps a shard too full, that shard is no measure for the others.
fn steps(situation: &Situation<'_>, current: &Boundaries, share_max: f64) -> Vec<Candidate> {
    let least = Boundaries::uniform(situation.shards_min());
    let cut = cut_full_shards(current, situation.map, share_max);
    let fullest = situation.map.greatest_share(&cut);
    let carries = situation.utilisation(&cut, situation.demand.recent_max) <= situation.policy.grow_above;
    let together_max = if carries { fullest } else { fullest.min(share_max) };
    let together = merged(&cut, situation.map, together_max, least.count());
    let targets = [cut, together]
        .into_iter()
        .map(|target| if target.count() < least.count() { least.clone() } else { target });
    let may_merge = situation.lag().is_none();
    targets
        .filter(|target| target != current && (may_merge || current.without(target).is_empty()))
        .map(|target| {
            let steps = steps_between(current, &target, situation.map, share_max);
            Candidate::reshape(situation, current, target, steps)
        })
        .collect()
}

/// Cuts each shard that is above `share_max` into equal parts of its load; a key that is heavier alone gets a shard of its
/// own, so that its neighbours recover.
fn cut_full_shards(current: &Boundaries, map: &LoadMap, share_max: f64) -> Boundaries {
    let mut target = current.clone();
    for heavy in map.heavy_keys().filter(|heavy| heavy.share > share_max) {
        cut(&mut target, heavy.hash);
        if let Some(next) = heavy.hash.0.checked_add(2) {
            cut(&mut target, HashKey(next));
        }
    }
    for range in target.clone().ranges() {
        let share = map.share(range);
        let parts = (share / share_max).ceil().min(PARTS_MAX);
        if parts < 2.0 || map.heavy_keys().any(|heavy| heavy.share > share_max && range.contains(heavy.hash))
        {
            continue;
        }
        let below = map.below(range.start());
        for part in 1..parts as u32 {
            cut(&mut target, map.quantile(below + share * f64::from(part) / parts));
        }
    }
    target
}

/// Whether `candidate` lowers the fullest shard, or what all shards together have beyond `share_max`: where a key fills a
/// shard alone, the others can still be relieved.
fn helps(situation: &Situation<'_>, current: &Boundaries, candidate: &Candidate, share_max: f64) -> bool {
    let beyond = |boundaries| -> f64 {
        situation.map.shares(boundaries).into_iter().map(|share| (share - share_max).max(0.0)).sum()
    };
    current.count() < situation.shards_min()
        || candidate.greatest_share < situation.map.greatest_share(current) * GAIN_MIN
        || beyond(&candidate.boundaries) < beyond(current) * GAIN_MIN
}

/// Adds a boundary where Kinesis allows one: each child must hold two hash keys.
fn cut(boundaries: &mut Boundaries, at: HashKey) {
    let place = boundaries.index_of(at);
    let range = boundaries.ranges().nth(place).expect("every key lies in a range");
    if at.0 > range.start().0.saturating_add(1) && at < range.end() {
        boundaries.split(at);
    }
}

/// Rejections at a mean below the limit: the busiest second asks for more than the minute's mean shows.
fn hidden_burst(situation: &Situation<'_>, current: &Boundaries) -> f64 {
    let utilisation = situation.utilisation(current, situation.demand.now);
    (1.0 / utilisation.max(0.25)).clamp(1.0, BURST_MAX)
}

/// The heaviest key, if it needs more than a shard at the aim.
fn hot_key(situation: &Situation<'_>, share_max: f64) -> Option<Constraint> {
    let heaviest = situation.map.heaviest_key().filter(|heavy| heavy.share > share_max)?;
    Some(Constraint::HotKey { at: heaviest.hash, shards: heaviest.share * situation.demand.now })
}

/// Why capacity is needed.
fn diagnosis(situation: &Situation<'_>, current: &Boundaries, share_max: f64) -> Constraint {
    if let Some(hot_key) = hot_key(situation, share_max) {
        return hot_key;
    }
    if !situation.is_overloaded(current, situation.demand.now)
        && situation.is_overloaded(current, situation.learnt.expected_soon)
    {
        return Constraint::Expected { shards: situation.learnt.expected_soon };
    }
    let shares = situation.map.shares(current);
    let mean = 1.0 / f64::from(current.count());
    let fullest = (0..shares.len()).max_by(|&one, &other| shares[one].total_cmp(&shares[other]));
    match fullest {
        Some(place)
            if mean * situation.demand.now <= situation.policy.aim && shares[place] > mean * SKEW_NOTICED =>
        {
            Constraint::HotShard { at: current.keys()[place] }
        }
        Some(_) | None => Constraint::Overload,
    }
}

/// What keeps the stream from growing.
fn bound(situation: &Situation<'_>, current: &Boundaries) -> Constraint {
    if f64::from(current.count()) > f64::from(situation.policy.shards_max) * GAIN_MIN {
        Constraint::Bounds
    } else if situation.observation.account_shards_left.is_some_and(|left| left < current.count()) {
        Constraint::AccountLimit
    } else {
        Constraint::Quota
    }
}

/// Calls that are kept for demand that is already rejected.
const CALLS_KEPT: u32 = 2;
/// What suffices within this time is preferred to what would have to be done again.
const SOON: Duration = Duration::from_secs(15 * 60);
/// A layout that lowers the fullest shard's share by less is not worth a call.
const GAIN_MIN: f64 = 0.95;
/// A shard so much above the mean is hot.
const SKEW_NOTICED: f64 = 1.25;
/// Most parts of one shard: a step more is for the next plan.
const PARTS_MAX: f64 = 16.0;
/// How much more than its mean a minute may hide in its busiest second, for sizing.
const BURST_MAX: f64 = 2.0;
