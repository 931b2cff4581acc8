//! What must hold whatever happens, checked when Kinesis accepts or refuses a change, and at the end.

use std::fmt;

use autoscaler::reconcile::{Call, Journal, Row};
use autoscaler::{Action, Boundaries, EpochMillis, Layout, Origin, Plan, Step};

use crate::faults::{HOUR, SECOND};

/// A property that did not hold.
#[derive(Debug)]
pub(crate) struct Violation {
    property: &'static str,
    detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.property, self.detail)
    }
}

/// The decision behind a call.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) layout: Layout,
    pub(crate) plan: Plan,
}

/// A call that reached Kinesis.
#[derive(Clone, Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) call: &'a Call,
    pub(crate) caller: &'a str,
    pub(crate) decided: &'a Decided,
    /// It came after the time at which its caller should have given it up.
    pub(crate) is_late: bool,
    /// Somebody else changed the layout after the decision.
    pub(crate) is_raced: bool,
}

/// The truth about calls.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// `UpdateShardCount` accepted from controllers, and whether it came late.
    own: Vec<(EpochMillis, bool)>,
    outside: Vec<EpochMillis>,
}

impl Oracle {
    pub(crate) fn outside_accepted(&mut self, now: EpochMillis) {
        self.outside.push(now);
    }

    /// Checks a call that arrives, before Kinesis has answered it.
    pub(crate) fn arrives(
        &self,
        arrived: &Arrived<'_>,
        row: Option<&Row>,
        layout: &Layout,
    ) -> Result<(), Violation> {
        let owner = row.map(|row| row.lock.owner.as_str());
        ensure(
            arrived.is_late || owner == Some(arrived.caller),
            "a call in time is the row holder's",
            || format!("{} by {}, but the row is {owner:?}'s", arrived.call, arrived.caller),
        )?;
        let decided = &arrived.decided.layout;
        let range = |id: &kcl_core::ShardId| {
            decided.shards().iter().find(|shard| shard.id == *id).map(|shard| shard.range)
        };
        let is_at_boundary = match arrived.call {
            Call::Scale { .. } => true,
            Call::Split { shard, at } => {
                range(shard).is_some_and(|range| range.start() < *at && range.contains(*at))
            }
            Call::Merge { lower, upper, at } => range(lower)
                .zip(range(upper))
                .is_some_and(|(lower, upper)| lower.is_followed_by(upper) && upper.start() == *at),
        };
        ensure(is_at_boundary, "a step names the shards of its boundary", || arrived.call.to_string())?;
        for shard in named(arrived.call) {
            let range = |layout: &Layout| {
                layout.shards().iter().find(|open| open.id == *shard).map(|open| open.range)
            };
            let (then, now) = (range(decided), range(layout));
            ensure(now.is_none() || now == then, "no step on a wrong boundary", || {
                format!("{} meets {now:?}, decided for {then:?}", arrived.call)
            })?;
        }
        Ok(())
    }

    /// Checks a call that Kinesis accepted.
    pub(crate) fn accepted(
        &mut self,
        arrived: &Arrived<'_>,
        row: Option<&Row>,
        before: &Boundaries,
        now: EpochMillis,
    ) -> Result<(), Violation> {
        let decided = &arrived.decided;
        let is_as_decided = *before == decided.layout.boundaries();
        ensure(
            is_as_decided || arrived.is_late || arrived.is_raced,
            "a change is made on the layout it was decided for",
            || {
                format!(
                    "{} on {} shards, decided on {}",
                    arrived.call,
                    before.count(),
                    decided.layout.count()
                )
            },
        )?;
        match arrived.call {
            Call::Scale { target } => {
                ensure(
                    decided.plan.action == Action::Scale { target: *target },
                    "the planner wanted it",
                    || format!("{} for {:?}", arrived.call, decided.plan.action),
                )?;
                self.own.push((now, arrived.is_late));
                self.check_account(row, now)?;
                let (used, late) = self.own_used(now);
                ensure(used <= OWN_CALLS_MAX + late, "at most 9 own calls in 24 h", || {
                    format!("{used}, of which {late} came late")
                })?;
            }
            Call::Split { at, .. } => self.check_step(Step::Split { at: *at }, decided, arrived.call)?,
            Call::Merge { at, .. } => self.check_step(Step::Merge { at: *at }, decided, arrived.call)?,
        }
        Ok(())
    }

    /// Checks a call that Kinesis refused for the quota of a day.
    pub(crate) fn refused_by_quota(&self, now: EpochMillis) -> Result<(), Violation> {
        let outside = self.outside.iter().filter(|&&at| is_of_the_day(at, now)).count();
        let (used, late) = self.own_used(now);
        ensure(outside + late > 0, "no call is refused by the quota unless others used it", || {
            format!("{used} own calls, none outside")
        })
    }

    pub(crate) fn is_quota_used_up(&self, now: EpochMillis) -> bool {
        let outside = self.outside.iter().filter(|&&at| is_of_the_day(at, now)).count();
        self.own_used(now).0 + outside >= 10
    }

    /// The row's account holds at least what Kinesis accepted from controllers; calls that came late are allowed to be missing.
    pub(crate) fn check_account(&self, row: Option<&Row>, now: EpochMillis) -> Result<(), Violation> {
        let journal = row.map(|row| Journal::decode(&row.journal));
        let Some(Ok(journal)) = journal else {
            return ensure(self.own.is_empty(), "a call is written down before", || {
                "there is no journal".to_owned()
            });
        };
        let soon = EpochMillis(now.0 + CLOCKS_DIFFER_MAX);
        let own = journal.ledger.calls().filter(|call| call.origin == Origin::Own);
        let noted = own.filter(|call| is_of_the_day(call.at, now)).count();
        let (used, late) = self.own_used(soon);
        ensure(noted + late >= used, "the journal's account is at least the truth", || {
            format!("{noted} noted, {used} made, of which {late} came late")
        })
    }

    fn check_step(&self, step: Step, decided: &Decided, call: &Call) -> Result<(), Violation> {
        let wanted = match &decided.plan.action {
            Action::Reshape { target, steps } => {
                let leads_there = match step {
                    Step::Split { at } => target.contains(at),
                    Step::Merge { at } => !target.contains(at),
                };
                leads_there && steps.contains(&step)
            }
            Action::Nothing | Action::Scale { .. } => false,
        };
        ensure(wanted, "the planner wanted this step", || format!("{call} for {:?}", decided.plan.action))
    }

    fn own_used(&self, now: EpochMillis) -> (usize, usize) {
        let used: Vec<_> = self.own.iter().filter(|(at, _)| is_of_the_day(*at, now)).collect();
        (used.len(), used.iter().filter(|(_, is_late)| *is_late).count())
    }
}

pub(crate) fn ensure(
    holds: bool,
    property: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { property, detail: detail() }) }
}

fn named(call: &Call) -> Vec<&kcl_core::ShardId> {
    match call {
        Call::Scale { .. } => Vec::new(),
        Call::Split { shard, .. } => vec![shard],
        Call::Merge { lower, upper, .. } => vec![lower, upper],
    }
}

fn is_of_the_day(at: EpochMillis, now: EpochMillis) -> bool {
    at.0 + 24 * HOUR > now.0
}

/// One of the ten stays for an operator.
const OWN_CALLS_MAX: usize = 9;
/// The wall clocks of two processes.
pub(crate) const CLOCKS_DIFFER_MAX: u64 = 2 * SECOND;
