//! What a controller asks for, and what it can be told.

use std::fmt;

use kcl_core::{HashKey, LeaderLock, LockCondition, Millis, ShardId};

use crate::{EpochMillis, Layout, Observation, StreamState};

/// Now, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic and going on while the machine is suspended: for the lease and for waiting.
    pub steady: Millis,
    /// The wall clock: for what is stored and read by others.
    pub epoch: EpochMillis,
}

/// Tells the replies to one controller's requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One call to the outside. Every request is answered at most once; one that is not answered is given up.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The stream's row, strongly consistent. Answer: [`Reply::Row`].
    ReadRow,
    /// A conditional write of the row, never repeated. Answer: [`Reply::Written`] or [`Reply::Refused`].
    WriteRow(RowWrite),
    /// State and open shards, without metrics. Answer: [`Reply::Looked`].
    Look,
    /// Everything that the planner is given. Answer: [`Reply::Observed`].
    Observe,
    /// How many shards the account may still open. Answer: [`Reply::AccountRoom`].
    AccountRoom,
    /// A change of the stream, never repeated, not sent past `not_after`. Answer: [`Reply::Called`].
    Call {
        /// What to call.
        call: Call,
        /// When it is too late, on the steady clock.
        not_after: Millis,
    },
}

/// A write of the stream's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWrite {
    /// What must hold.
    pub condition: LockCondition,
    /// The lock to store.
    pub lock: LeaderLock,
    /// The journal to store; none leaves the stored one as it is.
    pub journal: Option<String>,
}

/// The stream's row: who leads, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The lock.
    pub lock: LeaderLock,
    /// The journal's text.
    pub journal: String,
}

impl RowWrite {
    /// The executable meaning of a write: changes `row`, or answers that the condition did not hold.
    ///
    /// # Errors
    /// The row as it is.
    pub fn apply(&self, row: &mut Option<Row>) -> Result<(), Option<Row>> {
        if !self.condition.holds(row.as_ref().map(|row| &row.lock)) {
            return Err(row.clone());
        }
        let earlier = row.take().map(|row| row.journal);
        let journal = self.journal.clone().or(earlier).unwrap_or_default();
        *row = Some(Row { lock: self.lock.clone(), journal });
        Ok(())
    }
}

/// A change of the stream. Shards are named by id, which Kinesis never uses twice: a call that is carried out late finds its
/// shards closed unless their boundary is still as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `UpdateShardCount`.
    Scale {
        /// The count asked for.
        target: u32,
    },
    /// `SplitShard`.
    Split {
        /// The shard that holds the key.
        shard: ShardId,
        /// First key of the upper child.
        at: HashKey,
    },
    /// `MergeShards`.
    Merge {
        /// The shard that ends before the boundary.
        lower: ShardId,
        /// The shard that begins at it.
        upper: ShardId,
        /// The boundary.
        at: HashKey,
    },
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale { target } => write!(formatter, "UpdateShardCount to {target}"),
            Self::Split { shard, at } => write!(formatter, "SplitShard {shard} at {at}"),
            Self::Merge { lower, upper, at } => write!(formatter, "MergeShards {lower} and {upper} at {at}"),
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The row, if there is one.
    Row(Option<Row>),
    /// The row was written.
    Written,
    /// The condition did not hold; the row as it is.
    Refused(Option<Row>),
    /// State and open shards.
    Looked(Look),
    /// Everything that the planner is given.
    Observed(Box<Observation>),
    /// Shards that the account may still open.
    AccountRoom(u32),
    /// What came of a change.
    Called(CallReply),
    /// Nothing was read; a write was surely not applied.
    Failed,
    /// Nothing is known; a write may have been applied, or may still be.
    Unknown,
}

/// State and open shards of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether it can be changed.
    pub state: StreamState,
    /// The open shards.
    pub layout: Layout,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallReply {
    /// Kinesis began it.
    Accepted,
    /// Kinesis refused it: surely without effect.
    Refused(Refusal),
    /// It was not sent: surely without effect.
    NotSent,
    /// It may have been begun, or may still be (timeout, connection lost, server error).
    Unknown,
}

/// Why Kinesis refused a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ResourceInUse`: another operation runs.
    InUse,
    /// `LimitExceeded`: the quota of a day, the account's shards, or too many calls at a time. AWS does not say which.
    LimitExceeded,
    /// `InvalidArgument`, `Validation` or `ResourceNotFound` of a shard: the layout is not what it was.
    Misfit {
        /// What Kinesis said.
        message: String,
    },
    /// The request rate was too high.
    Throttled,
    /// The credentials do not allow the call.
    Denied {
        /// What Kinesis said.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use kcl_core::{LockVersion, WorkerId};

    use super::*;

    fn lock(version: &str) -> LeaderLock {
        LeaderLock {
            owner: WorkerId::new("a").expect("valid"),
            version: LockVersion(version.to_owned()),
            lease_duration: Millis(1),
            is_released: false,
        }
    }

    #[test]
    fn a_beat_leaves_the_journal_and_a_late_write_changes_nothing() {
        let mut row = None;
        let first =
            RowWrite { condition: LockCondition::Absent, lock: lock("1"), journal: Some("first".to_owned()) };
        assert_eq!(first.apply(&mut row), Ok(()));
        let beat = RowWrite {
            condition: LockCondition::Version(LockVersion("1".to_owned())),
            lock: lock("2"),
            journal: None,
        };
        assert_eq!(beat.apply(&mut row), Ok(()));
        let stored = Row { lock: lock("2"), journal: "first".to_owned() };
        assert_eq!(row, Some(stored.clone()));
        assert_eq!(beat.apply(&mut row), Err(Some(stored.clone())));
        assert_eq!(row, Some(stored));
    }
}
