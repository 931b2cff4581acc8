//! The calls of a run as marks on its time axis, steps on one way joined, each with the decision that led to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::simulate::{Judgement, Occasion, Operation, OperationKind, Run};
use crate::{Action, Decision, EpochMillis};

/// One call, or several splits and merges in a row. In JSON a row of its fields, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OperationMark {
    /// When it was called, in seconds from the start of the trace.
    at_seconds: u64,
    /// When the last of them was done; nothing if the run ended before.
    until_seconds: Option<u64>,
    /// `UpdateShardCount` calls.
    scales: u32,
    /// `SplitShard` calls.
    splits: u32,
    /// `MergeShards` calls.
    merges: u32,
    /// Open shards before.
    from: u32,
    /// Open shards after.
    to: u32,
    /// Why the first of them was called.
    why: Option<Why>,
}

/// A decision in words. In JSON a row of its fields, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Why {
    /// What it turned on.
    binding: String,
    /// The best action that was not taken, and why it was not.
    instead_of: Option<String>,
    /// The demand that was seen, in shards.
    demand_shards: Option<f64>,
    /// Utilisation of the fullest shard before and after, in percent.
    percent: Option<(u32, u32)>,
}

/// When records began to be refused, in seconds from the start, and what the scaler's decision turned on then.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Shortage(u64, String);

/// The marks of a run, at most `marks_max` unless there are more calls of `UpdateShardCount`, of which Kinesis takes ten a
/// day: pauses between steps of one way may become longer until they fit.
pub(super) fn marks(run: &Run, start: EpochMillis, marks_max: usize) -> Vec<OperationMark> {
    let whys: BTreeMap<usize, &Decision> = run.judgements.iter().filter_map(of_operation).collect();
    let length = MINUTE * u32::try_from(run.minutes.len()).unwrap_or(u32::MAX);
    let mut pause_max = STEP_PAUSE_MAX;
    loop {
        let marks = join(&run.operations, &whys, start, pause_max);
        if marks.len() <= marks_max || pause_max > length {
            return marks;
        }
        pause_max *= 2;
    }
}

/// Why records were refused nonetheless, at most `shortages_max` of these, evenly chosen.
pub(super) fn shortages(run: &Run, start: EpochMillis, shortages_max: usize) -> Vec<Shortage> {
    let all: Vec<_> =
        run.judgements.iter().filter(|judgement| judgement.occasion == Occasion::Throttled).collect();
    let step = all.len().div_ceil(shortages_max.max(1)).max(1);
    let shortage = |judgement: &&Judgement| {
        Shortage(seconds(judgement.at, start), judgement.decision.constraint.to_string())
    };
    all.iter().step_by(step).map(shortage).collect()
}

/// The minutes of all calls that count against the quota.
pub(super) fn quota_calls(run: &Run, start: EpochMillis) -> Vec<u64> {
    let is_call = |operation: &&Operation| operation.kind == OperationKind::UpdateShardCount;
    run.operations.iter().filter(is_call).map(|operation| seconds(operation.at, start) / 60).collect()
}

fn of_operation(judgement: &Judgement) -> Option<(usize, &Decision)> {
    match judgement.occasion {
        Occasion::Operation(place) => Some((place, &judgement.decision)),
        Occasion::Throttled => None,
    }
}

fn join(
    operations: &[Operation],
    whys: &BTreeMap<usize, &Decision>,
    start: EpochMillis,
    pause_max: Duration,
) -> Vec<OperationMark> {
    let mut marks: Vec<OperationMark> = Vec::new();
    let mut open_until: Option<EpochMillis> = None;
    for (place, operation) in operations.iter().enumerate() {
        let is_step = operation.kind != OperationKind::UpdateShardCount;
        let goes_on = is_step && open_until.is_some_and(|done| operation.at <= done.after(pause_max));
        if !goes_on {
            let why = whys.get(&place).map(|decision| Why::of(decision));
            marks.push(OperationMark::before(operation, start, why));
        }
        marks.last_mut().expect("one was pushed").add(operation, start);
        open_until = operation.done.filter(|_| is_step);
    }
    marks
}

impl OperationMark {
    fn before(operation: &Operation, start: EpochMillis, why: Option<Why>) -> Self {
        let (from, to) = (operation.from, operation.from);
        let at_seconds = seconds(operation.at, start);
        Self { at_seconds, until_seconds: None, scales: 0, splits: 0, merges: 0, from, to, why }
    }

    fn add(&mut self, operation: &Operation, start: EpochMillis) {
        match operation.kind {
            OperationKind::UpdateShardCount => self.scales += 1,
            OperationKind::Split => self.splits += 1,
            OperationKind::Merge => self.merges += 1,
        }
        self.until_seconds = operation.done.map(|done| seconds(done, start));
        self.to = operation.to;
    }
}

impl Serialize for OperationMark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { at_seconds, until_seconds, scales, splits, merges, from, to, why } = self;
        (at_seconds, until_seconds, scales, splits, merges, from, to, why).serialize(serializer)
    }
}

impl Serialize for Why {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { binding, instead_of, demand_shards, percent } = self;
        (binding, instead_of, demand_shards, percent).serialize(serializer)
    }
}

impl Why {
    fn of(decision: &Decision) -> Self {
        let percent = |utilisation: f64| (100.0 * utilisation).round() as u32;
        Self {
            binding: decision.constraint.to_string(),
            instead_of: decision
                .rejected
                .as_ref()
                .map(|rejected| format!("{}: {}", words(&rejected.action), rejected.reason)),
            demand_shards: decision.demand_shards.map(|shards| (shards * 100.0).round() / 100.0),
            percent: decision.utilisation.map(|(before, after)| (percent(before), percent(after))),
        }
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Nothing => "doing nothing".to_owned(),
        Action::Scale { target } => format!("UpdateShardCount to {target}"),
        Action::Reshape { target, steps } => {
            let plural = if steps.len() == 1 { "" } else { "s" };
            format!("{} step{plural} to {} shards", steps.len(), target.count())
        }
    }
}

fn seconds(at: EpochMillis, start: EpochMillis) -> u64 {
    at.millis_since(start) / 1_000
}

const MINUTE: Duration = Duration::from_secs(60);
/// Steps of one way follow each other at once, or at the next minute.
const STEP_PAUSE_MAX: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{RunMinute, Scores};
    use crate::{Constraint, Rejected};

    fn operation(minute: u64, kind: OperationKind, from: u32, to: u32) -> Operation {
        let at = EpochMillis(minute * 60_000);
        Operation {
            at,
            done: Some(at.after(MINUTE)),
            kind,
            from,
            to,
            created: 2,
            capacity_before: 1.0,
            capacity_after: 2.0,
        }
    }

    fn minute() -> RunMinute {
        RunMinute {
            offered_shards: 1.0,
            shards: 4,
            capacity_shards: 4.0,
            offered_records: 1.0,
            accepted_records: 1.0,
            throttled_records: 0.0,
            lost_records: 0.0,
            behind: Duration::ZERO,
        }
    }

    fn judgement(place: usize, constraint: Constraint) -> Judgement {
        let rejected =
            Rejected { action: Action::Scale { target: 9 }, reason: "costs 3 shard-hours more".to_owned() };
        let decision = Decision {
            constraint,
            demand_shards: Some(3.456),
            utilisation: Some((0.912, 0.61)),
            quota_left: Some(4),
            rejected: Some(rejected),
        };
        Judgement { at: EpochMillis(0), occasion: Occasion::Operation(place), decision }
    }

    fn run() -> Run {
        use OperationKind::{Merge, Split, UpdateShardCount};
        Run {
            scaler: "s".to_owned(),
            trace: "t".to_owned(),
            minutes: Vec::new(),
            operations: vec![
                operation(1, UpdateShardCount, 4, 8),
                operation(2, Split, 8, 9),
                operation(3, Split, 9, 10),
                operation(5, Merge, 10, 9),
                operation(60, Merge, 9, 8),
            ],
            refused: Vec::new(),
            layouts: Vec::new(),
            judgements: vec![
                judgement(0, Constraint::Overload),
                judgement(1, Constraint::InBounds),
                judgement(4, Constraint::Surplus),
            ],
            scores: Scores::default(),
        }
    }

    #[test]
    fn steps_in_a_row_are_one_mark_with_the_reason_of_the_first() {
        let marks = marks(&run(), EpochMillis(0), 10);
        let counts: Vec<_> =
            marks.iter().map(|mark| (mark.scales, mark.splits, mark.merges, mark.from, mark.to)).collect();
        assert_eq!(counts, [(1, 0, 0, 4, 8), (0, 2, 1, 8, 9), (0, 0, 1, 9, 8)]);
        assert_eq!((marks[1].at_seconds, marks[1].until_seconds), (120, Some(360)));
        let why = marks[0].why.as_ref().expect("judged");
        assert_eq!(why.binding, "the fullest shard is above its target");
        assert_eq!(why.instead_of.as_deref(), Some("UpdateShardCount to 9: costs 3 shard-hours more"));
        assert_eq!((why.demand_shards, why.percent), (Some(3.46), Some((91, 61))));
    }

    #[test]
    fn a_mark_is_a_short_row() {
        let marks = marks(&run(), EpochMillis(0), 10);
        let mut json = serde_json::to_value(&marks[1]).expect("JSON");
        assert_eq!(json[7].take()[0], "utilisation lies within its bounds");
        assert_eq!(json.to_string(), "[120,360,0,2,1,8,9,null]");
    }

    #[test]
    fn too_many_marks_are_joined_over_longer_pauses() {
        let mut run = run();
        assert_eq!(marks(&run, EpochMillis(0), 1).len(), 3, "no pause is longer than the run");
        run.minutes = vec![minute(); 70];
        let marks = marks(&run, EpochMillis(0), 2);
        assert_eq!(
            marks.iter().map(|mark| mark.merges).collect::<Vec<_>>(),
            [0, 2],
            "an hour later, but joined"
        );
        let mut judged = judgement(0, Constraint::Quota);
        judged.occasion = Occasion::Throttled;
        run.judgements = vec![judged; 7];
        assert_eq!(shortages(&run, EpochMillis(0), 3).len(), 3, "of seven each third");
        assert_eq!(quota_calls(&run, EpochMillis(0)), [1]);
    }
}
