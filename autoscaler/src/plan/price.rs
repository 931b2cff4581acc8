//! What an action costs, in shard-hours, so that unlike actions can be compared.
//!
//! ```text
//!   price = shards afterwards × 2 hours                       the capacity itself
//!         + half of the shards that go × the way to it         what is still paid for meanwhile
//!         + crowded shard-hours until demand is met × 80      records that producers lose or send again
//!         + shards created × 0.3                              a lease row, a lineage level, a closed shard each
//!         + demand ÷ (calls left)²                            a call is dearer as the budget of 24 hours shrinks
//! ```

use std::time::Duration;

use super::candidate::{Candidate, scale_duration};
use super::{Action, Situation};

/// The price of `candidate` where `demand` shards are asked for, `capacity` being there until it is done.
pub(super) fn price(situation: &Situation<'_>, candidate: &Candidate, demand: f64, capacity: f64) -> f64 {
    let consumers = 1.0 + f64::from(situation.observation.fan_out_consumers);
    let kept = f64::from(candidate.boundaries.count()) * hours(HORIZON) * consumers;
    let created = f64::from(candidate.created) * SHARD_CREATED;
    let after = (candidate.boundaries.count(), 1.0 / candidate.greatest_share);
    let crowded = crowded_shard_hours(situation, candidate.duration, after, demand, capacity);
    kept + meanwhile(situation, candidate)
        + crowded * CROWDED
        + created
        + call_price(situation, candidate, demand)
}

/// The price of leaving the shards as they are instead, for the same time: what goes step by step would all stay, and who is
/// crowded would stay so.
pub(super) fn price_of_staying(
    situation: &Situation<'_>,
    candidate: &Candidate,
    demand: f64,
    capacity: f64,
) -> f64 {
    let consumers = 1.0 + f64::from(situation.observation.fan_out_consumers);
    let count = situation.observation.layout.count();
    let crowded = crowded_shard_hours(situation, candidate.duration, (count, capacity), demand, capacity);
    f64::from(count) * hours(HORIZON) * consumers + meanwhile(situation, candidate) + crowded * CROWDED
}

/// What is still paid on the way for shards that go, half of them on the whole.
fn meanwhile(situation: &Situation<'_>, candidate: &Candidate) -> f64 {
    let consumers = 1.0 + f64::from(situation.observation.fan_out_consumers);
    let surplus = situation.observation.layout.count().saturating_sub(candidate.boundaries.count());
    f64::from(surplus) / 2.0 * hours(candidate.duration) * consumers
}

/// Shard-hours asked for beyond what layouts carry at the aim, until the demand is met: for `until_then`, and then while the
/// stream of `count` shards and the capacity that they have by then doubles again and again.
fn crowded_shard_hours(
    situation: &Situation<'_>,
    until_then: Duration,
    (mut count, mut capacity_then): (u32, f64),
    demand: f64,
    capacity: f64,
) -> f64 {
    let missing = |capacity: f64| (demand - capacity * situation.policy.aim).max(0.0);
    let mut crowded = missing(capacity) * hours(until_then);
    for _ in 0..DOUBLINGS_MAX {
        count = count.saturating_mul(2);
        crowded += missing(capacity_then) * hours(scale_duration(count, true));
        capacity_then *= 2.0;
    }
    crowded
}

/// A call is worth the growth that it may have to do later, and the dearer the fewer are left.
fn call_price(situation: &Situation<'_>, candidate: &Candidate, demand: f64) -> f64 {
    match candidate.action {
        Action::Scale { .. } => {
            let left = f64::from(situation.calls_left().max(1));
            demand.max(1.0) / (left * left)
        }
        Action::Nothing | Action::Reshape { .. } => 0.0,
    }
}

fn hours(duration: Duration) -> f64 {
    duration.as_secs_f64() / 3600.0
}

/// How long a layout is kept, for the sake of comparison: the order of magnitude between two changes of a busy day.
const HORIZON: Duration = Duration::from_secs(7200);
/// Price of a shard-hour's worth of records (3.6 GB or 3.6 million) that meets crowded shards: sent again, late or lost.
const CROWDED: f64 = 80.0;
/// After so many doublings any demand is met that the estimate can show.
const DOUBLINGS_MAX: u32 = 5;
/// Price of a step beside a shard kept for the horizon: it creates one or two shards and takes half a minute.
pub(super) const PRICE_OF_STEP: f64 = 0.25;
/// Price of a shard that comes into being, for every consumer's sake.
pub(crate) const SHARD_CREATED: f64 = 0.3;
