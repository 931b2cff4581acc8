//! Whether a move helped: the load of what it touched, before and afterwards.
//!
//! A split that leaves nearly all load in one of its children has met a hot key: more splits there do nothing either.

use std::time::Duration;

use kcl_core::HashKey;

use super::journal::DecisionId;
use super::judge::Move;
use crate::{EpochMillis, Minute, Observation, ShardLimits, ShardMinute, Step};

/// The load of a part of the hash space over a few minutes. What is not known is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Records refused in a minute.
    pub rejected: Option<f64>,
    /// Utilisation of its fullest shard, 1 being the limit.
    pub fullest: Option<f64>,
    /// Load of all its shards together, in shards.
    pub total: Option<f64>,
}

/// A move whose effect is still to be judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// The decision that led to it.
    pub decision: DecisionId,
    /// The move.
    pub change: Move,
    /// First key of what it touched.
    pub start: HashKey,
    /// Last key of what it touched.
    pub end: HashKey,
    /// The load before.
    pub before: Reading,
    /// When it was done.
    pub done_at: EpochMillis,
}

/// What a move did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The move, with the load before.
    pub trial: Trial,
    /// The load afterwards.
    pub after: Reading,
    /// What that means.
    pub verdict: Verdict,
}

/// What the loads before and after a move mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The fullest shard has less load, or fewer records are refused; a merge did no harm.
    Helped,
    /// It does not; a merge did harm.
    DidNotHelp,
    /// Too little is known.
    Unclear,
}

impl Trial {
    /// The effect as it shows at `now`; none if it is too early to tell.
    pub(super) fn effect(
        &self,
        observation: &Observation,
        limits: &ShardLimits,
        verify_after: Duration,
        now: EpochMillis,
    ) -> Option<Effect> {
        let due = self.done_at.after(verify_after);
        if now < due {
            return None;
        }
        let after = Reading::of(observation, limits, (self.start, self.end), self.done_at);
        let verdict = self.verdict(&after, children(observation, (self.start, self.end)));
        if verdict == Verdict::Unclear && now < due.after(verify_after) {
            return None;
        }
        Some(Effect { trial: *self, after, verdict })
    }

    fn verdict(&self, after: &Reading, shards: usize) -> Verdict {
        let fewer_rejections = |share: f64| match (self.before.rejected, after.rejected) {
            (Some(before), Some(now)) if before > 0.0 => Some(now <= before * share),
            (Some(_) | None, _) => None,
        };
        let helped = match self.change {
            Move::Step(Step::Merge { .. }) => match (self.before.rejected, after.rejected) {
                (Some(before), Some(now)) => Some(now <= before),
                (_, _) => None,
            },
            Move::Step(Step::Split { .. }) => match (after.fullest, after.total) {
                (Some(fullest), Some(total)) if shards == 2 && total > 0.0 => {
                    Some(fullest < total * HOT_SHARE)
                }
                (_, _) => fewer_rejections(HELPED_SHARE),
            },
            Move::Scale { .. } => match (self.before.fullest, after.fullest) {
                (Some(before), Some(now)) => Some(now < before),
                (_, _) => fewer_rejections(HELPED_SHARE),
            },
        };
        match helped {
            Some(true) => Verdict::Helped,
            Some(false) => Verdict::DidNotHelp,
            None => Verdict::Unclear,
        }
    }
}

impl Reading {
    /// The load between two keys in the last minutes that are known and began at `since` or later.
    pub(super) fn of(
        observation: &Observation,
        limits: &ShardLimits,
        (start, end): (HashKey, HashKey),
        since: EpochMillis,
    ) -> Self {
        let is_all = start.0 == 0 && end.0 == u128::MAX;
        let mut rejected = Sum::default();
        let (mut fullest, mut total) = (Sum::default(), Sum::default());
        for shard in observation.layout.shards() {
            if shard.range.end() < start || shard.range.start() > end {
                continue;
            }
            let minutes = observation.shards.get(&shard.id).map_or(&[][..], Vec::as_slice);
            let load = mean(minutes, since, |minute| load_of(minute.bytes, minute.records, limits));
            rejected.add(mean(minutes, since, |minute| minute.rejected_records));
            fullest.raise(load);
            total.add(load);
        }
        let reading = Self { rejected: rejected.known(), fullest: fullest.known(), total: total.known() };
        if !is_all {
            return reading;
        }
        let minutes = observation.minutes.as_slice();
        let stream = mean(minutes, since, |minute| load_of(minute.bytes, minute.records, limits));
        let greatest_share =
            observation.load_map.as_ref().map(|map| map.greatest_share(&observation.layout.boundaries()));
        Self {
            rejected: mean(minutes, since, |minute| minute.rejected_records).or(reading.rejected),
            fullest: reading.fullest.or_else(|| Some(stream? * greatest_share?)),
            total: stream.or(reading.total),
        }
    }
}

/// A sum or maximum that is unknown as soon as one part is.
#[derive(Debug, Default)]
struct Sum {
    value: f64,
    parts: usize,
    is_unknown: bool,
}

impl Sum {
    fn add(&mut self, part: Option<f64>) {
        self.value += part.unwrap_or_default();
        self.note(part);
    }

    fn raise(&mut self, part: Option<f64>) {
        self.value = self.value.max(part.unwrap_or_default());
        self.note(part);
    }

    fn note(&mut self, part: Option<f64>) {
        self.parts += 1;
        self.is_unknown |= part.is_none();
    }

    fn known(&self) -> Option<f64> {
        (self.parts > 0 && !self.is_unknown).then_some(self.value)
    }
}

trait Timed {
    fn start(&self) -> EpochMillis;
}

impl Timed for Minute {
    fn start(&self) -> EpochMillis {
        self.start
    }
}

impl Timed for ShardMinute {
    fn start(&self) -> EpochMillis {
        self.start
    }
}

/// The mean of the last known values.
fn mean<M: Timed>(minutes: &[M], since: EpochMillis, value: impl Fn(&M) -> Option<f64>) -> Option<f64> {
    let young = minutes.iter().rev().take_while(|minute| minute.start() >= since);
    let known: Vec<f64> = young.filter_map(value).take(MINUTES_COMPARED).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// A minute's load in shards.
fn load_of(bytes: Option<f64>, records: Option<f64>, limits: &ShardLimits) -> Option<f64> {
    let bytes = bytes.map(|bytes| bytes / (60.0 * limits.write_bytes_per_second));
    let records = records.map(|records| records / (60.0 * limits.write_records_per_second));
    match (bytes, records) {
        (Some(bytes), Some(records)) => Some(bytes.max(records)),
        (one, other) => one.or(other),
    }
}

fn children(observation: &Observation, (start, end): (HashKey, HashKey)) -> usize {
    let shards = observation.layout.shards().iter();
    shards.filter(|shard| shard.range.start() >= start && shard.range.end() <= end).count()
}

/// Part of the load of a split range above which one child has it all: a key that no split divides.
const HOT_SHARE: f64 = 0.9;
/// Rejections that are left when a move helped; they swing by more than a few percent of themselves.
const HELPED_SHARE: f64 = 0.5;
/// Minutes whose mean is compared, as the planner's evidence for growing.
const MINUTES_COMPARED: usize = 3;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kcl_core::{HashKeyRange, ShardId};

    use super::*;
    use crate::{Boundaries, Layout, OpenShard, StreamState};

    const DONE: EpochMillis = EpochMillis(600_000);
    const VERIFY: Duration = Duration::from_secs(360);

    /// Each shard with the same three minutes after [`DONE`]: bytes per second and rejected records.
    fn observation(boundaries: &Boundaries, loads: &[(f64, f64)]) -> Observation {
        let id = |index| ShardId::new(format!("shard-{index}")).expect("valid");
        let shard = |(index, range): (usize, HashKeyRange)| OpenShard { id: id(index), range };
        let minute = |at: u64, (bytes, rejected): (f64, f64)| ShardMinute {
            start: EpochMillis(600_000 + at * 60_000),
            bytes: Some(bytes * 60.0),
            records: Some(0.0),
            rejected_records: Some(rejected),
            ..ShardMinute::default()
        };
        let minutes = |load: &(f64, f64)| (0..3).map(|at| minute(at, *load)).collect();
        Observation {
            state: StreamState::Active,
            layout: Layout::new(boundaries.ranges().enumerate().map(shard).collect()).expect("covers"),
            account_shards_left: None,
            fan_out_consumers: 0,
            minutes: Vec::new(),
            load_map: None,
            shards: loads
                .iter()
                .enumerate()
                .map(|(index, load)| (id(index), minutes(load)))
                .collect::<BTreeMap<_, _>>(),
            applications: Vec::new(),
        }
    }

    fn split_trial() -> Trial {
        let before = Reading { rejected: Some(100.0), fullest: Some(1.0), total: Some(1.0) };
        let at = HashKey(1 << 126);
        let change = Move::Step(Step::Split { at });
        Trial {
            decision: DecisionId::default(),
            change,
            start: HashKey(0),
            end: HashKey((1 << 127) - 1),
            before,
            done_at: DONE,
        }
    }

    fn after_split(lower: (f64, f64), upper: (f64, f64)) -> Verdict {
        let boundaries = Boundaries::new([HashKey(1 << 126), HashKey(1 << 127)]);
        let seen = observation(&boundaries, &[lower, upper, (0.0, 0.0)]);
        let now = DONE.after(VERIFY);
        split_trial().effect(&seen, &ShardLimits::default(), VERIFY, now).expect("due").verdict
    }

    #[test]
    fn a_split_helps_unless_one_child_has_all_the_load() {
        assert_eq!(after_split((600_000.0, 0.0), (500_000.0, 0.0)), Verdict::Helped);
        assert_eq!(after_split((990_000.0, 90.0), (20_000.0, 0.0)), Verdict::DidNotHelp);
    }

    #[test]
    fn an_effect_waits_for_its_minutes_and_is_then_given_up() {
        let seen = observation(&Boundaries::uniform(2), &[]);
        let limits = ShardLimits::default();
        let effect = |at| split_trial().effect(&seen, &limits, VERIFY, at);
        assert_eq!(effect(DONE.after(VERIFY).before(Duration::from_millis(1))), None);
        assert_eq!(effect(DONE.after(VERIFY)), None);
        let given_up = effect(DONE.after(VERIFY * 2)).expect("given up");
        assert_eq!(given_up.verdict, Verdict::Unclear);
    }

    #[test]
    fn one_unknown_shard_leaves_the_whole_unknown() {
        let seen = observation(&Boundaries::uniform(2), &[(1.0, 0.0)]);
        let all = (HashKey(0), HashKey(u128::MAX));
        let reading = Reading::of(&seen, &ShardLimits::default(), all, DONE);
        assert_eq!(reading, Reading::default());
    }

    #[test]
    fn a_merge_did_harm_if_more_records_are_refused() {
        let trial = |before| Trial {
            change: Move::Step(Step::Merge { at: HashKey(1 << 126) }),
            before: Reading { rejected: Some(before), ..Reading::default() },
            ..split_trial()
        };
        let seen = observation(&Boundaries::uniform(2), &[(1_000_000.0, 20.0), (0.0, 0.0)]);
        let verdict = |before| {
            let effect = trial(before).effect(&seen, &ShardLimits::default(), VERIFY, DONE.after(VERIFY));
            effect.expect("due").verdict
        };
        assert_eq!(verdict(0.0), Verdict::DidNotHelp);
        assert_eq!(verdict(30.0), Verdict::Helped);
    }
}
