//! One setting of the knobs, rehearsed on what the stream asked for: what it would have cost.
//!
//! A rehearsal scales on paper: its capacity is a real number of shards, seen late and changed late as Kinesis does, by calls
//! while there are some and by splits and merges otherwise. It knows nothing of keys, and errs as the others do, so costs
//! compare though none is exact.

use super::history::{DAY, History};
use crate::plan::{CALLS_PLENTY, SAVING_MIN, SHARD_CREATED};

/// The knobs that a rehearsal sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Knobs {
    pub(super) aim: f64,
    /// Minutes.
    pub(super) shrink_window: u64,
    pub(super) season: Season,
}

/// Which earlier days are taken for a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Season {
    None,
    /// The day before.
    Day,
    /// The same day of the week before.
    Week,
}

impl Season {
    pub(super) const ALL: [Self; 3] = [Self::None, Self::Day, Self::Week];

    /// The greatest demand of the `count` minutes from `minute` on, an earlier day earlier, and of those beside them; nothing
    /// if that is not known.
    pub(super) fn usual(self, history: &History, minute: u64, count: u64) -> f64 {
        let back = match self {
            Self::None => return 0.0,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
        };
        history.max((minute + count + SLACK).saturating_sub(back), count + 2 * SLACK)
    }
}

impl Knobs {
    /// Half of the room above the aim.
    pub(super) fn grow_above(self) -> f64 {
        f64::midpoint(1.0, self.aim)
    }

    /// A little below the aim, so that the next gust does not undo it.
    pub(super) fn shrink_aim(self) -> f64 {
        self.aim - (self.grow_above() - self.aim) * SHRINK_BELOW_AIM
    }

    /// The greatest demand from `minute` on that new capacity must carry.
    pub(super) fn expected_soon(self, history: &History, minute: u64) -> f64 {
        self.season.usual(history, minute, SOON)
    }

    /// The greatest demand from `minute` on that must fit before capacity is taken away.
    pub(super) fn expected_later(self, history: &History, minute: u64) -> f64 {
        self.season.usual(history, minute, self.shrink_window.max(LATER_MIN))
    }
}

/// A stream of any real number of shards, scaled by the knobs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rehearsal {
    pub(super) knobs: Knobs,
    capacity: f64,
    /// From which minute on capacity will be what a call asked for.
    coming: Option<(u64, f64)>,
    /// What merges take capacity down to, step by step.
    falling_to: Option<f64>,
    calls_left: f64,
    grown_at: Option<u64>,
    shrunk_at: Option<u64>,
    cost: f64,
}

impl Rehearsal {
    pub(super) const fn new(knobs: Knobs) -> Self {
        Self {
            knobs,
            capacity: 0.0,
            coming: None,
            falling_to: None,
            calls_left: CALLS_OF_A_DAY,
            grown_at: None,
            shrunk_at: None,
            cost: 0.0,
        }
    }

    /// What it costs, in shard-hours of the last days, the latest weighing most.
    pub(super) const fn cost(&self) -> f64 {
        self.cost
    }

    /// Passes `minute`, whose demand is the last of `history`.
    pub(super) fn pass(&mut self, minute: u64, demand: f64, history: &History) {
        if let Some((_, capacity)) = self.coming.take_if(|(at, _)| *at <= minute) {
            self.capacity = capacity;
        }
        if let Some(least) = self.falling_to {
            self.capacity = (self.capacity - STEPS_OF_A_MINUTE).max(least);
            self.falling_to.take_if(|least| *least >= self.capacity);
        }
        if self.capacity == 0.0 {
            self.capacity = (demand / self.knobs.aim).max(1.0);
        }
        self.calls_left = (self.calls_left + CALLS_OF_A_DAY / DAY as f64).min(CALLS_OF_A_DAY);
        self.cost = self.cost * KEPT_OF_COST + self.capacity / 60.0;
        if demand > self.capacity {
            let crowded = demand - self.capacity + demand * REJECTING_MINUTE;
            self.cost += crowded / 60.0 * CROWDED;
        }
        if self.coming.is_none() {
            self.decide(minute, history);
        }
    }

    fn decide(&mut self, minute: u64, history: &History) {
        let seen = (minute + 1).saturating_sub(DELAY);
        let soon = self.knobs.expected_soon(history, minute + LEAD);
        let wanted = history.max(seen, RECENT).max(soon);
        if wanted > self.capacity * self.knobs.grow_above() {
            self.grow(minute, wanted / self.knobs.aim);
            return;
        }
        if self.falling_to.is_some() || self.grown_at.is_some_and(|at| minute < at + PAUSE) {
            return;
        }
        let later = self.knobs.expected_later(history, minute + LEAD);
        let peak = history.max(seen, self.knobs.shrink_window).max(later);
        let least = (peak / self.knobs.shrink_aim()).max(1.0);
        if least < self.capacity * (1.0 - SAVING_MIN) {
            self.shrink(minute, least);
        }
    }

    fn grow(&mut self, minute: u64, wanted: f64) {
        self.falling_to = None;
        let capacity = wanted.min(self.capacity * 2.0);
        let added = capacity - self.capacity;
        self.cost += 2.0 * added * SHARD_CREATED;
        let is_regretted =
            self.shrunk_at > self.grown_at && self.shrunk_at.is_some_and(|at| minute < at + REGRET_WINDOW);
        if is_regretted {
            self.cost += capacity * REGRET;
        }
        let minutes = if self.calls_left >= 1.0 {
            self.calls_left -= 1.0;
            call_minutes(capacity)
        } else {
            (added / STEPS_OF_A_MINUTE).ceil() as u64
        };
        self.grown_at = Some(minute + minutes);
        self.coming = Some((minute + minutes, capacity));
    }

    fn shrink(&mut self, minute: u64, least: f64) {
        self.shrunk_at = Some(minute);
        if self.calls_left >= f64::from(CALLS_PLENTY) && self.capacity - least > SURPLUS_OF_A_CALL {
            self.calls_left -= 1.0;
            let least = least.max(self.capacity / 2.0);
            self.cost += (self.capacity - least) * SHARD_CREATED;
            self.coming = Some((minute + call_minutes(least), least));
        } else {
            self.cost += (self.capacity - least) * SHARD_CREATED;
            self.falling_to = Some(least);
        }
    }
}

/// What `UpdateShardCount` takes, as the planner has it.
fn call_minutes(shards: f64) -> u64 {
    LEAD + (shards * 0.03) as u64
}

/// Minutes by which a day may run early or late against the one before.
const SLACK: u64 = 5;
/// Minutes beyond the change that new capacity must carry.
const SOON: u64 = 10;
/// Minutes: growth within the hour after a shrinking undoes it.
const LATER_MIN: u64 = 80;
/// Of the room between the aim and the bound of growth.
const SHRINK_BELOW_AIM: f64 = 0.35;
/// Minutes until a minute is seen.
const DELAY: u64 = 3;
/// Minutes of the latest demand.
const RECENT: u64 = 2;
/// Minutes that a small change takes.
const LEAD: u64 = 3;
/// Minutes after growth in which nothing is taken away: an hour, and what a reshard takes.
pub(super) const PAUSE: u64 = 70;
/// Splits or merges.
const STEPS_OF_A_MINUTE: f64 = 2.0;
/// One of the quota's ten stays for an operator.
const CALLS_OF_A_DAY: f64 = 9.0;
/// Fewer shards are merged in five minutes.
const SURPLUS_OF_A_CALL: f64 = 10.0;
/// Half of what was learnt is forgotten after two days.
const KEPT_OF_COST: f64 = 0.999_76;
/// Price of a shard-hour's worth of records that is crowded out. More than the planner's 80, because a rehearsal
/// knows nothing of keys and seconds: 130 keeps throttling and shard-hours of the synthetic suite in balance.
const CROWDED: f64 = 130.0;
/// Of the minute's demand: a minute with rejections is bad beyond what is rejected.
const REJECTING_MINUTE: f64 = 0.1;
/// Shard-hours for each shard of a stream that grows again within the hour.
const REGRET: f64 = 9.0;
/// Minutes.
const REGRET_WINDOW: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn rehearsed(knobs: Knobs, demand: impl Fn(u64) -> f64, minutes: u64) -> Rehearsal {
        let (mut history, mut rehearsal) = (History::default(), Rehearsal::new(knobs));
        for minute in 0..minutes {
            history.push(minute, demand(minute));
            rehearsal.pass(minute, demand(minute), &history);
        }
        rehearsal
    }

    fn knobs(aim: f64) -> Knobs {
        Knobs { aim, shrink_window: 60, season: Season::None }
    }

    #[test]
    fn a_steady_stream_is_cheapest_at_the_greatest_aim() {
        let cost = |aim| rehearsed(knobs(aim), |_| 8.5, 3 * DAY).cost();
        assert!(cost(0.85) < cost(0.7) && cost(0.7) < cost(0.5));
    }

    #[test]
    fn gusts_cost_those_who_left_no_room() {
        let gusty = |minute: u64| if minute % 100 > 95 { 12.5 } else { 10.0 };
        let cost_of_gusts = |aim| {
            rehearsed(knobs(aim), gusty, 3 * DAY).cost() - rehearsed(knobs(aim), |_| 10.0, 3 * DAY).cost()
        };
        assert!(cost_of_gusts(0.85) > 50.0, "{}", cost_of_gusts(0.85));
        assert!(cost_of_gusts(0.6) < 1.0, "{}", cost_of_gusts(0.6));
    }

    #[test]
    fn what_comes_each_day_is_met_before_it_comes() {
        let daily = |minute: u64| if minute % DAY < 120 { 16.0 } else { 4.0 };
        let cost = |season| rehearsed(Knobs { season, ..knobs(0.7) }, daily, 4 * DAY).cost();
        assert!(cost(Season::Day) < cost(Season::None));
        assert_eq!(cost(Season::Week), cost(Season::None), "no week is known yet");
    }

    #[test]
    fn growth_takes_time_and_at_most_doubles_and_shrinking_waits_for_the_window() {
        let step = |minute: u64| if minute < 100 { 4.0 } else { 16.0 };
        let capacity = |minutes| rehearsed(knobs(0.5), step, minutes).capacity;
        assert_eq!([capacity(100), capacity(106), capacity(107), capacity(120)], [8.0, 8.0, 16.0, 32.0]);
        let spike = |minute: u64| if minute == 100 { 16.0 } else { 4.0 };
        let least = |minutes| rehearsed(knobs(0.5), spike, minutes).capacity;
        assert!(least(170) >= 16.0 && least(200) < 11.0, "{} {}", least(170), least(200));
    }

    #[test]
    fn calls_run_out_and_return() {
        let wave = |minute: u64| if minute % 160 < 80 { 40.0 } else { 4.0 };
        let rehearsal = rehearsed(Knobs { shrink_window: 15, ..knobs(0.8) }, wave, 2 * DAY);
        assert!((0.0..f64::from(CALLS_PLENTY)).contains(&rehearsal.calls_left), "{}", rehearsal.calls_left);
    }
}
