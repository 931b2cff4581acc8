//! The planner's answer: an action, what bound it, and the best alternative that was rejected.

use std::fmt;
use std::time::Duration;

use kcl_core::HashKey;

use crate::{Boundaries, Observation};

/// The answer of the planner.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What to do.
    pub action: Action,
    /// Why.
    pub decision: Decision,
}

impl Plan {
    /// Nothing, for want of a reading.
    pub(super) fn unknown(observation: &Observation, signal: &'static str) -> Self {
        let target = observation.layout.count().div_ceil(2);
        let reason = "a reading that is missing is unknown, not zero".to_owned();
        Self {
            action: Action::Nothing,
            decision: Decision {
                constraint: Constraint::Unknown { signal },
                demand_shards: None,
                utilisation: None,
                quota_left: None,
                rejected: Some(Rejected { action: Action::Scale { target }, reason }),
            },
        }
    }

    /// The same plan, but not carried out: its action becomes the rejected one.
    pub(crate) fn withheld(self, constraint: Constraint) -> Self {
        if self.action == Action::Nothing {
            return self;
        }
        let reason = format!("{constraint}; otherwise: {}", self.decision.constraint);
        let rejected = Some(Rejected { action: self.action, reason });
        Self { action: Action::Nothing, decision: Decision { constraint, rejected, ..self.decision } }
    }
}

/// What to do with the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Leave it as it is.
    Nothing,
    /// Call `UpdateShardCount`, which makes all ranges equal and counts against the quota.
    Scale {
        /// The shard count to ask for.
        target: u32,
    },
    /// Take steps one after the other, each as soon as the stream is `ACTIVE` again. The next plan may stop between two of
    /// them.
    Reshape {
        /// The layout at the end.
        target: Boundaries,
        /// The way to it, first step first.
        steps: Vec<Step>,
    },
}

/// One `SplitShard` or `MergeShards`, named by the boundary and not by shards: it stays right when other steps were
/// taken before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Split the shard that holds this key, the key being the first of the upper child.
    Split {
        /// The new boundary.
        at: HashKey,
    },
    /// Merge the shard that begins here with the one before it.
    Merge {
        /// The boundary that goes.
        at: HashKey,
    },
}

impl Step {
    /// The layout after this step.
    pub fn apply(self, boundaries: &mut Boundaries) {
        match self {
            Self::Split { at } => boundaries.split(at),
            Self::Merge { at } => boundaries.merge(at),
        }
    }
}

/// Why the planner decided so.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the decision turned on.
    pub constraint: Constraint,
    /// The demand that the layout must carry, in shards of the limits' size; unknown without any reading.
    pub demand_shards: Option<f64>,
    /// Utilisation of the fullest shard under that demand: before, and after the action. 1 is the limit.
    pub utilisation: Option<(f64, f64)>,
    /// Calls that the policy allows after the action; unknown where nothing was weighed.
    pub quota_left: Option<u32>,
    /// The best action that was not taken.
    pub rejected: Option<Rejected>,
}

/// An action that was not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// What else could have been done.
    pub action: Action,
    /// Why it was not.
    pub reason: String,
}

/// What a decision turned on.
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// The fullest shard is above the target: more capacity is needed.
    Overload,
    /// An earlier day asked for more at this hour: capacity is there before the demand.
    Expected {
        /// What it asked for, in shards.
        shards: f64,
    },
    /// One shard is too full although the stream is not: its range must be cut.
    HotShard {
        /// A key of the shard.
        at: HashKey,
    },
    /// One key alone fills a shard: no split helps; the producer must spread it.
    HotKey {
        /// Where it falls.
        at: HashKey,
        /// Its load in shards.
        shards: f64,
    },
    /// Records are rejected although no shard is nearly full by its minutes: a key, or bursts within a second. More equal
    /// shards may not help.
    Rejections,
    /// Capacity is left over.
    Surplus,
    /// Utilisation lies between the bounds.
    InBounds,
    /// An operator asked for a layout; load and utilisation were not weighed.
    Requested,
    /// A reading that the decision needs is missing or stale.
    Unknown {
        /// Which one.
        signal: &'static str,
    },
    /// The stream cannot be changed at the moment.
    NotActive,
    /// The evidence is too young.
    TooSoon {
        /// When to look again, at the latest.
        wait: Duration,
    },
    /// The quota of `UpdateShardCount` calls is used up or reserved for scaling up.
    Quota,
    /// The policy's least or greatest shard count.
    Bounds,
    /// The account may not open as many shards.
    AccountLimit,
    /// An application is behind, or has parents to drain, so nothing may be merged.
    Lag {
        /// Which application.
        application: String,
    },
    /// Switched off by the policy: kill switch, maintenance window, or change per hour.
    Withheld {
        /// The setting.
        by: &'static str,
    },
}

impl fmt::Display for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overload => formatter.write_str("the fullest shard is above its target"),
            Self::Expected { shards } => {
                write!(formatter, "an earlier day asked for {shards:.1} shards at this hour")
            }
            Self::HotShard { at } => {
                write!(formatter, "the shard at hash key {at} is hot, the stream is not")
            }
            Self::HotKey { at, shards } => write!(
                formatter,
                "the key at {at} alone carries {shards:.2} shards: no split helps, its producer must spread it"
            ),
            Self::Rejections => formatter.write_str(
                "records are rejected although no shard is nearly full: one key, or bursts of a second",
            ),
            Self::Surplus => formatter.write_str("capacity is left over"),
            Self::Requested => formatter.write_str("an operator asked for it"),
            Self::InBounds => formatter.write_str("utilisation lies within its bounds"),
            Self::Unknown { signal } => write!(formatter, "{signal} is unknown"),
            Self::NotActive => formatter.write_str("the stream cannot be changed at the moment"),
            Self::TooSoon { wait } => {
                write!(
                    formatter,
                    "the evidence is too young: look again in {} s at the latest",
                    wait.as_secs()
                )
            }
            Self::Quota => formatter.write_str("the UpdateShardCount calls of 24 h are used up or reserved"),
            Self::Bounds => formatter.write_str("the policy's least or greatest shard count is reached"),
            Self::AccountLimit => formatter.write_str("the account's shard limit is reached"),
            Self::Lag { application } => write!(formatter, "{application} is behind or has parents to drain"),
            Self::Withheld { by } => write!(formatter, "withheld by {by}"),
        }
    }
}
