//! What happened, for logs, metrics and tests. One place turns events into logs: the shell.

use std::fmt;
use std::time::Duration;

use super::audit::AuditRecord;
use super::effect::Effect;
use super::journal::JournalProblem;
use super::judge::{Move, Unsound};
use super::message::{Call, Refusal};

/// Something that happened in a controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// This controller acts for the stream.
    BecameLeader {
        /// The term.
        term: u64,
    },
    /// It does so no longer.
    SteppedDown,
    /// The journal cannot be used, so the row is not taken.
    JournalRefused(JournalProblem),
    /// A line for the audit.
    Audit(Box<AuditRecord>),
    /// A plan's action is not carried out.
    Withheld(Withheld),
    /// A call was answered, or given up.
    Called {
        /// The call.
        call: Call,
        /// What came of it.
        result: CallResult,
    },
    /// A change is done.
    Done {
        /// The change.
        change: Move,
        /// From the acceptance until it was seen; none if the acceptance was not seen.
        took: Option<Duration>,
    },
    /// A call of unknown outcome had no effect on the layout.
    DidNotHappen {
        /// The change.
        change: Move,
    },
    /// A change takes far longer than estimated: the plan is dropped. Somebody should look.
    Overdue {
        /// The change.
        change: Move,
        /// Since it was written down.
        waited: Duration,
    },
    /// The layout changed without us.
    ChangedOutside {
        /// Shards before.
        from: u32,
        /// Shards now.
        to: u32,
        /// Calls of `UpdateShardCount` that this is taken for.
        calls: u32,
    },
    /// Somebody else used the quota up.
    QuotaSpentOutside,
    /// What a move did.
    Effect(Effect),
    /// A round is over: the stream was looked at, and what had to be done was begun.
    RoundDone(Vitals),
    /// The stream could not be looked at.
    LookFailed {
        /// So many times in a row.
        failures: u32,
    },
}

/// Why a plan's action is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The stream cannot be changed.
    NotActive,
    /// Kinesis refused a call a moment ago.
    Backoff,
    /// The quota is used up.
    Quota,
    /// The plan is unsound.
    Unsound(Unsound),
    /// The controller is being shut down.
    Leaving,
}

impl Withheld {
    /// In words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotActive => "the stream cannot be changed at the moment",
            Self::Backoff => "Kinesis refused a call a moment ago",
            Self::Quota => "the quota of UpdateShardCount calls is used up",
            Self::Unsound(Unsound::StepTooGreat) => "more than double or less than half",
            Self::Unsound(Unsound::Sliver) => "a split that leaves a shard of a single key",
            Self::Unsound(Unsound::StrayStep) => "a step that does not lead to the target",
            Self::Leaving => "the controller is being shut down",
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// Kinesis began it.
    Accepted,
    /// Kinesis refused it.
    Refused(Refusal),
    /// Too late to be sent.
    NotSent,
    /// Not known: counts as used, and the layout will tell.
    Unknown,
}

/// Utilisation of the shards of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilisation {
    /// Of the emptiest shard.
    pub least: f64,
    /// Of all shards together.
    pub mean: f64,
    /// Of the fullest shard.
    pub greatest: f64,
}

/// How a stream is, after a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vitals {
    /// Open shards.
    pub shards: u32,
    /// Utilisation of its shards, as the planner sees it; 1 is the limit.
    pub utilisation: Option<Utilisation>,
    /// Part of all records that was refused in the newest known minute.
    pub throttle_ratio: Option<f64>,
    /// Calls of `UpdateShardCount` that are left of the 10 of a day.
    pub quota_left: u32,
    /// Whether a change is under way.
    pub is_changing: bool,
}

impl fmt::Display for CallResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => formatter.write_str("accepted"),
            Self::NotSent => formatter.write_str("not sent: it was too late"),
            Self::Unknown => formatter.write_str("unknown: it counts as used"),
            Self::Refused(Refusal::InUse) => formatter.write_str("refused: another operation runs"),
            Self::Refused(Refusal::LimitExceeded) => formatter.write_str("refused: a limit is reached"),
            Self::Refused(Refusal::Throttled) => formatter.write_str("refused: too many calls at a time"),
            Self::Refused(Refusal::Misfit { message } | Refusal::Denied { message }) => {
                write!(formatter, "refused: {message}")
            }
        }
    }
}
