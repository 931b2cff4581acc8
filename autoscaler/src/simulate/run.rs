//! One trace against one autoscaler: the loop, and its record minute by minute.

use std::time::Duration;

use super::cloud::History;
use super::traffic::Trace;
use super::{Cloud, CloudSettings, Scaler, Scores};
use crate::{Boundaries, Decision, EpochMillis, ShardLimits};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The autoscaler's name.
    pub scaler: String,
    /// The trace's name.
    pub trace: String,
    /// Each minute.
    pub minutes: Vec<RunMinute>,
    /// The accepted calls, in order.
    pub operations: Vec<Operation>,
    /// The refused ones.
    pub refused: Vec<Refusal>,
    /// Where the shards began: at the start, and from each completed reshard on.
    pub layouts: Vec<(EpochMillis, Boundaries)>,
    /// Why it was done, in order of time; nothing of a scaler that does not say.
    pub judgements: Vec<Judgement>,
    /// How well it went.
    pub scores: Scores,
}

/// One minute of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunMinute {
    /// New load, in shards of the limits' size.
    pub offered_shards: f64,
    /// Open shards at the minute's end.
    pub shards: u32,
    /// The load that they could carry at the minute's end, lying as it does: 1 divided by the fullest shard's part.
    pub capacity_shards: f64,
    /// New records.
    pub offered_records: f64,
    /// Records accepted, new or tried again.
    pub accepted_records: f64,
    /// Records refused, new or tried again, each once in a minute.
    pub throttled_records: f64,
    /// Records refused for the last time.
    pub lost_records: f64,
    /// Age of the oldest unread record of the application that is the furthest behind.
    pub behind: Duration,
}

impl RunMinute {
    /// Whether at least one record was refused; less is a rounding error of the fluid.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.throttled_records >= RECORD
    }
}

/// An accepted call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation {
    /// When it was called.
    pub at: EpochMillis,
    /// When it was done; `None` if the run ended before.
    pub done: Option<EpochMillis>,
    /// Which call.
    pub kind: OperationKind,
    /// Open shards before.
    pub from: u32,
    /// Open shards after.
    pub to: u32,
    /// Shards that it creates, those that exist only meanwhile included.
    pub created: u32,
    /// The load that the stream could carry before, in shards, as the load lay when it was called.
    pub capacity_before: f64,
    /// The same after.
    pub capacity_after: f64,
}

/// A decision worth keeping.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// When it was made.
    pub at: EpochMillis,
    /// What makes it worth keeping.
    pub occasion: Occasion,
    /// The decision.
    pub decision: Decision,
}

/// What a decision led to or met with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// This operation of the run was called.
    Operation(usize),
    /// Records were refused, for the first minute on end.
    Throttled,
}

/// Which call changes the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// `UpdateShardCount`.
    UpdateShardCount,
    /// `SplitShard`.
    Split,
    /// `MergeShards`.
    Merge,
}

/// A refused call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: EpochMillis,
    /// Which call.
    pub kind: OperationKind,
    /// The exception's name.
    pub code: &'static str,
}

/// Replays `trace` against `scaler`.
///
/// The same arguments give the same run. Each minute the scaler looks first, then the minute passes; a reshard that completes
/// within it changes the capacity at that moment.
pub fn run(trace: &Trace, settings: &CloudSettings, scaler: &mut dyn Scaler) -> Run {
    let shards = settings.shards.unwrap_or_else(|| first_shards(trace, &settings.limits));
    let shards = shards.clamp(1, settings.account_shards_max);
    let mut keys = trace.keys.at(0);
    let mut cloud = Cloud::new(settings.clone(), shards, keys.clone(), trace.start);
    let mut minutes: Vec<RunMinute> = Vec::with_capacity(trace.minutes.len());
    let mut judgements = Judgements::default();
    for (index, load) in trace.minutes.iter().enumerate() {
        let keys_now = trace.keys.at(index);
        if !std::ptr::eq(keys, keys_now) {
            keys = keys_now;
            cloud.set_keys(keys);
        }
        scaler.minute(&mut cloud);
        judgements.note_operations(&cloud, scaler);
        cloud.begin_minute(load);
        while cloud.advance() {
            scaler.reshard_done(&mut cloud);
            judgements.note_operations(&cloud, scaler);
        }
        let minute = cloud.end_minute();
        if minute.is_throttled() && !minutes.last().is_some_and(RunMinute::is_throttled) {
            judgements.note(&cloud, scaler, Occasion::Throttled);
        }
        minutes.push(minute);
    }
    let History { operations, refused, layouts, shard_hours } = cloud.into_history();
    let scores = Scores::of(&minutes, &operations, &refused, shard_hours);
    let (scaler, judgements) = (scaler.name().to_owned(), judgements.kept);
    Run { scaler, trace: trace.name.clone(), minutes, operations, refused, layouts, judgements, scores }
}

/// The decisions of a run. Bounded by its operations and minutes.
#[derive(Default)]
struct Judgements {
    kept: Vec<Judgement>,
    operations: usize,
}

impl Judgements {
    fn note_operations(&mut self, cloud: &Cloud, scaler: &dyn Scaler) {
        if cloud.operation_count() > self.operations {
            self.operations = cloud.operation_count();
            self.note(cloud, scaler, Occasion::Operation(self.operations - 1));
        }
    }

    fn note(&mut self, cloud: &Cloud, scaler: &dyn Scaler, occasion: Occasion) {
        if let Some(decision) = scaler.decision() {
            self.kept.push(Judgement { at: cloud.now(), occasion, decision: decision.clone() });
        }
    }
}

/// As many shards as carry the greatest demand of the first hour at the usual utilisation.
fn first_shards(trace: &Trace, limits: &ShardLimits) -> u32 {
    let hour = trace.minutes.iter().take(60);
    let demand = hour.map(|minute| minute.shards(limits)).fold(0.0, f64::max);
    (demand / FIRST_UTILISATION - ROUNDING).ceil() as u32
}

const RECORD: f64 = 1.0;
const FIRST_UTILISATION: f64 = 0.7;
/// Less than this much of a shard is a rounding error.
const ROUNDING: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamState;
    use crate::simulate::{minutes_to_absorb, surge};

    /// Doubles while CloudWatch shows refusals, waiting for nothing else.
    struct Doubler;

    impl Scaler for Doubler {
        fn name(&self) -> &str {
            "doubler"
        }

        fn minute(&mut self, cloud: &mut Cloud) {
            let shown = cloud.minutes(Duration::from_secs(3 * 60)).last();
            let is_throttled = shown.is_some_and(|minute| minute.rejected_records.is_some());
            if is_throttled && cloud.state() == StreamState::Active {
                cloud.update_shard_count(cloud.layout().count() * 2).expect("the quota is not touched");
            }
        }
    }

    struct Fixed;

    impl Scaler for Fixed {
        fn name(&self) -> &str {
            "fixed"
        }

        fn minute(&mut self, _cloud: &mut Cloud) {}
    }

    #[test]
    fn a_surge_is_absorbed_as_fast_as_metrics_and_doublings_allow() {
        let settings = CloudSettings { shards: Some(8), ..CloudSettings::exact() };
        let doubled = run(&surge(), &settings, &mut Doubler);
        assert_eq!(
            minutes_to_absorb(&doubled),
            Some(12),
            "3 to see it, then 149 s, 178 s and 235 s, each begun at a full minute"
        );
        let steps: Vec<_> =
            doubled.operations.iter().map(|operation| (operation.from, operation.to)).collect();
        assert_eq!(
            steps,
            [(8, 16), (16, 32), (32, 64), (64, 128)],
            "the last one by metrics of the time before"
        );
        assert_eq!(
            (doubled.scores.useful_changes, doubled.scores.shards_created),
            (4.0, 2 * (8 + 16 + 32 + 64))
        );
        assert_eq!(
            (doubled.scores.minutes_to_absorb_max, doubled.scores.opposite_moves_within_hour),
            (12, 0)
        );

        let fixed = run(&surge(), &settings, &mut Fixed);
        assert!(minutes_to_absorb(&fixed).is_some_and(|minutes| minutes > 120), "as long as the surge lasts");
        let enough = run(&surge(), &CloudSettings { shards: Some(60), ..settings }, &mut Fixed);
        assert_eq!(minutes_to_absorb(&enough), None);
        assert_eq!((enough.scores.throttled_minutes_per_day, enough.scores.moves), (0.0, 0));
    }

    #[test]
    fn the_first_hour_decides_how_many_shards_there_are_at_first() {
        let run = run(&surge(), &CloudSettings::default(), &mut Fixed);
        assert_eq!(run.minutes[0].shards, 8, "5.6 shards' worth at 70 %");
    }
}
