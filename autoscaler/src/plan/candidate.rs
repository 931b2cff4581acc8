//! One thing that could be done, and what it would lead to.

use std::time::Duration;

use super::{Action, Situation, Step};
use crate::Boundaries;

/// An action with its outcome.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) action: Action,
    pub(super) boundaries: Boundaries,
    /// Share of the fullest shard at the end.
    pub(super) greatest_share: f64,
    /// Most shards that are open at once on the way.
    pub(super) open_max: u32,
    /// Shards that come into being, intermediate ones included.
    pub(super) created: u32,
    /// Until it is done.
    pub(super) duration: Duration,
}

impl Candidate {
    /// `UpdateShardCount` to `target`: every missing boundary is a split, every surplus one a merge.
    pub(super) fn scale(situation: &Situation<'_>, current: &Boundaries, target: u32) -> Self {
        let boundaries = Boundaries::uniform(target);
        let splits = count(boundaries.without(current).len());
        let merges = count(current.without(&boundaries).len());
        let is_quarter_step = (target * 4).is_multiple_of(current.count());
        Self {
            action: Action::Scale { target },
            greatest_share: situation.map.greatest_share(&boundaries),
            boundaries,
            open_max: current.count() + splits,
            created: 2 * splits + merges,
            duration: scale_duration(target, is_quarter_step),
        }
    }

    /// The steps to `target`, one after the other.
    pub(super) fn reshape(
        situation: &Situation<'_>,
        current: &Boundaries,
        target: Boundaries,
        steps: Vec<Step>,
    ) -> Self {
        let (mut open, mut open_max, mut created) = (current.count(), current.count(), 0);
        for step in &steps {
            match step {
                Step::Split { .. } => (open, created) = (open + 1, created + 2),
                Step::Merge { .. } => (open, created) = (open - 1, created + 1),
            }
            open_max = open_max.max(open);
        }
        Self {
            greatest_share: situation.map.greatest_share(&target),
            open_max,
            created,
            duration: STEP * count(steps.len()),
            action: Action::Reshape { target: target.clone(), steps },
            boundaries: target,
        }
    }

    /// Whether the account and the policy allow it.
    pub(super) fn is_allowed(&self, situation: &Situation<'_>, current: &Boundaries) -> bool {
        let count = self.boundaries.count();
        let opened = self.open_max - current.count();
        let (least, most) = situation.ledger.counts_of_the_hour(current.count(), situation.now);
        let factor = situation.policy.change_per_hour_max;
        situation.observation.account_shards_left.is_none_or(|left| opened <= left)
            && (situation.shards_min()..=situation.policy.shards_max).contains(&count)
            && f64::from(count) <= f64::from(least) * factor
            && f64::from(count) * factor >= f64::from(most)
    }
}

/// How long `UpdateShardCount` takes.
pub(super) fn scale_duration(target: u32, is_quarter_step: bool) -> Duration {
    let base = SCALE_BASE + SCALE_PER_SHARD * target;
    if is_quarter_step { base } else { base * 3 / 2 }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// One split or merge. AWS publishes no figure; the field's tools assume half a minute.
const STEP: Duration = Duration::from_secs(30);
/// `UpdateShardCount` takes "a few minutes" by AWS's FAQ; longer off multiples of 25 %.
const SCALE_BASE: Duration = Duration::from_secs(120);
const SCALE_PER_SHARD: Duration = Duration::from_millis(1800);
