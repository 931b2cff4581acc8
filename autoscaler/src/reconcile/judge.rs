//! What happened to the stream, told from its layout and never from memory.
//!
//! A move has happened when the layout is the one that it leads to. A layout that is neither the one before nor the one
//! expected was changed by somebody else.

use kcl_core::HashKey;
use xxhash_rust::xxh3::Xxh3;

use super::message::Call;
use crate::{Action, Boundaries, Layout, Plan, Step};

/// A change of the stream, named by boundaries: it means the same whatever the shards are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// `UpdateShardCount`.
    Scale {
        /// The count asked for.
        target: u32,
    },
    /// `SplitShard` or `MergeShards`.
    Step(Step),
}

impl Move {
    /// The layout that it leads to.
    #[must_use]
    pub fn applied(self, boundaries: &Boundaries) -> Boundaries {
        match self {
            Self::Scale { target } => Boundaries::uniform(target),
            Self::Step(step) => {
                let mut after = boundaries.clone();
                step.apply(&mut after);
                after
            }
        }
    }
}

/// Tells layouts apart in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a layout's boundaries.
    #[must_use]
    pub fn of(boundaries: &Boundaries) -> Self {
        let mut hasher = Xxh3::new();
        for key in boundaries.keys() {
            hasher.update(&key.0.to_be_bytes());
        }
        Self(hasher.digest())
    }
}

/// Why a plan's action is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsound {
    /// More than double or less than half.
    StepTooGreat,
    /// A step that does not lead from the layout to the plan's target.
    StrayStep,
    /// A split that leaves a child of a single key, which Kinesis refuses.
    Sliver,
}

/// The next move of a plan at this layout; none if there is nothing left to do.
///
/// Steps that are done already are passed over: the way is the difference between the layout as it is and the target.
///
/// # Errors
/// [`Unsound`] if Kinesis would refuse the move, or it leads elsewhere.
pub(super) fn next_move(plan: &Plan, layout: &Boundaries) -> Result<Option<Move>, Unsound> {
    let change = first_open_move(plan, layout)?;
    if let Some(Move::Step(Step::Split { at })) = change {
        let range = layout.ranges().nth(layout.index_of(at)).expect("every key lies in a range");
        if at.0 - range.start().0 < 2 || at >= range.end() {
            return Err(Unsound::Sliver);
        }
    }
    Ok(change)
}

fn first_open_move(plan: &Plan, layout: &Boundaries) -> Result<Option<Move>, Unsound> {
    match &plan.action {
        Action::Nothing => Ok(None),
        Action::Scale { target } => {
            let count = layout.count();
            if *target > count.saturating_mul(2) || *target < count.div_ceil(2) {
                return Err(Unsound::StepTooGreat);
            }
            let is_there = *layout == Boundaries::uniform(*target);
            Ok((!is_there).then_some(Move::Scale { target: *target }))
        }
        Action::Reshape { target, steps } => {
            let is_done = |step: &Step| match *step {
                Step::Split { at } => layout.contains(at),
                Step::Merge { at } => !layout.contains(at),
            };
            let Some(step) = steps.iter().find(|step| !is_done(step)) else { return Ok(None) };
            let leads_there = match *step {
                Step::Split { at } => target.contains(at),
                Step::Merge { at } => !target.contains(at),
            };
            if leads_there { Ok(Some(Move::Step(*step))) } else { Err(Unsound::StrayStep) }
        }
    }
}

/// The call for a move at this layout, its shards named; none if its boundary is not as the move needs it.
pub(super) fn call_for(change: Move, layout: &Layout) -> Option<Call> {
    let shards = layout.shards();
    match change {
        Move::Scale { target } => Some(Call::Scale { target }),
        Move::Step(Step::Split { at }) => {
            let shard = shards.iter().find(|shard| shard.range.contains(at))?;
            (shard.range.start() < at).then(|| Call::Split { shard: shard.id.clone(), at })
        }
        Move::Step(Step::Merge { at }) => {
            let place = shards.iter().position(|shard| shard.range.start() == at)?;
            let lower = shards.get(place.checked_sub(1)?)?;
            Some(Call::Merge { lower: lower.id.clone(), upper: shards[place].id.clone(), at })
        }
    }
}

/// The fewest calls of `UpdateShardCount` that lead from one count to another.
pub(super) fn calls_between(from: u32, to: u32) -> u32 {
    let (mut count, mut calls) = (from.max(1), 0);
    while count < to {
        count = count.saturating_mul(2);
        calls += 1;
    }
    let mut count = from.max(1);
    while count > to.max(1) {
        count = count.div_ceil(2);
        calls += 1;
    }
    calls.max(1)
}

/// The part of the hash space that a move touches.
pub(super) fn touched(change: Move, layout: &Boundaries) -> (HashKey, HashKey) {
    let ranges: Vec<_> = layout.ranges().collect();
    match change {
        Move::Scale { .. } => (HashKey(0), HashKey(u128::MAX)),
        Move::Step(Step::Split { at }) => {
            let range = ranges[layout.index_of(at)];
            (range.start(), range.end())
        }
        Move::Step(Step::Merge { at }) => {
            let upper = layout.index_of(at);
            (ranges[upper.saturating_sub(1)].start(), ranges[upper].end())
        }
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::{HashKeyRange, ShardId};

    use super::*;
    use crate::{Constraint, Decision, OpenShard};

    fn plan(action: Action) -> Plan {
        let decision = Decision {
            constraint: Constraint::InBounds,
            demand_shards: None,
            utilisation: None,
            quota_left: None,
            rejected: None,
        };
        Plan { action, decision }
    }

    fn layout(boundaries: &Boundaries) -> Layout {
        let shard = |(index, range): (usize, HashKeyRange)| OpenShard {
            id: ShardId::new(format!("shard-{index}")).expect("valid"),
            range,
        };
        Layout::new(boundaries.ranges().enumerate().map(shard).collect()).expect("covers")
    }

    #[test]
    fn a_plan_goes_on_from_whatever_layout_it_meets() {
        let (from, target) = (Boundaries::uniform(4), Boundaries::uniform(2));
        let gone = from.without(&target);
        let steps: Vec<_> = gone.iter().map(|&at| Step::Merge { at }).collect();
        let plan = plan(Action::Reshape { target: target.clone(), steps: steps.clone() });
        assert_eq!(next_move(&plan, &from), Ok(Some(Move::Step(steps[0]))));
        let half_way = Move::Step(steps[0]).applied(&from);
        assert_eq!(next_move(&plan, &half_way), Ok(Some(Move::Step(steps[1]))));
        assert_eq!(next_move(&plan, &target), Ok(None));
    }

    #[test]
    fn a_move_that_kinesis_would_refuse_or_that_leads_elsewhere_is_unsound() {
        let four = Boundaries::uniform(4);
        let scale = |target| next_move(&plan(Action::Scale { target }), &four);
        assert_eq!(scale(9), Err(Unsound::StepTooGreat));
        assert_eq!(scale(1), Err(Unsound::StepTooGreat));
        assert_eq!(scale(4), Ok(None));
        assert_eq!(scale(8), Ok(Some(Move::Scale { target: 8 })));
        let stray = Action::Reshape { target: four.clone(), steps: vec![Step::Split { at: HashKey(7) }] };
        assert_eq!(next_move(&plan(stray), &four), Err(Unsound::StrayStep));
        for at in [HashKey(1), HashKey(u128::MAX)] {
            let action = Action::Reshape { target: Boundaries::new([at]), steps: vec![Step::Split { at }] };
            assert_eq!(next_move(&plan(action), &Boundaries::uniform(1)), Err(Unsound::Sliver));
        }
    }

    #[test]
    fn calls_name_the_shards_on_both_sides_of_the_boundary() {
        let (boundaries, at) = (Boundaries::uniform(2), Boundaries::uniform(2).keys()[1]);
        let layout = layout(&boundaries);
        let id = |index| layout.shards()[index as usize].id.clone();
        let merge = call_for(Move::Step(Step::Merge { at }), &layout);
        assert_eq!(merge, Some(Call::Merge { lower: id(0), upper: id(1), at }));
        let split = call_for(Move::Step(Step::Split { at: HashKey(5) }), &layout);
        assert_eq!(split, Some(Call::Split { shard: id(0), at: HashKey(5) }));
        assert_eq!(call_for(Move::Step(Step::Split { at }), &layout), None);
        assert_eq!(call_for(Move::Step(Step::Merge { at: HashKey(5) }), &layout), None);
        assert_eq!(call_for(Move::Step(Step::Merge { at: HashKey(0) }), &layout), None);
    }

    #[test]
    fn an_outside_change_counts_as_the_fewest_calls_that_explain_it() {
        let calls = [(4, 8, 1), (4, 5, 1), (4, 16, 2), (16, 4, 2), (5, 2, 2), (5, 3, 1), (4, 4, 1)];
        for (from, to, expected) in calls {
            assert_eq!(calls_between(from, to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn fingerprints_differ_where_boundaries_do() {
        let four = Fingerprint::of(&Boundaries::uniform(4));
        assert_eq!(four, Fingerprint::of(&Boundaries::uniform(4)));
        assert_ne!(four, Fingerprint::of(&Boundaries::uniform(5)));
    }
}
