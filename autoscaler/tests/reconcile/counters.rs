//! How often the situations that matter came up; a run in which one never did proves little.

use std::collections::BTreeMap;
use std::fmt;

use autoscaler::Action;
use autoscaler::reconcile::{CallResult, Event, Refusal, Verdict};

use crate::process::Process;

/// Something that seeds must reach now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Situation {
    ScaleAccepted,
    SplitAccepted,
    MergeAccepted,
    BecameLeader,
    SteppedDown,
    CrashedBeforeCall,
    CrashedBeforeResult,
    CrashedInFlight,
    PausedAtTheBrink,
    CaughtByTheDeadline,
    LateCallAccepted,
    LateCallRefused,
    UnknownHappened,
    UnknownDidNotHappen,
    InheritedIntent,
    RowReplyLost,
    ReplyDuplicated,
    ReplyLate,
    OutsideReshard,
    OutsideInferred,
    OutsideDuringPlan,
    QuotaUsedUp,
    QuotaSpentOutside,
    RefusedInUse,
    RefusedLimit,
    RefusedThrottled,
    LookFailed,
    StaleMetrics,
    WakesAtOnce,
    EffectHelped,
    Restarted,
    ReleasedByShutdown,
}

impl Situation {
    const ALL: [Self; 32] = [
        Self::ScaleAccepted,
        Self::SplitAccepted,
        Self::MergeAccepted,
        Self::BecameLeader,
        Self::SteppedDown,
        Self::CrashedBeforeCall,
        Self::CrashedBeforeResult,
        Self::CrashedInFlight,
        Self::PausedAtTheBrink,
        Self::CaughtByTheDeadline,
        Self::LateCallAccepted,
        Self::LateCallRefused,
        Self::UnknownHappened,
        Self::UnknownDidNotHappen,
        Self::InheritedIntent,
        Self::RowReplyLost,
        Self::ReplyDuplicated,
        Self::ReplyLate,
        Self::OutsideReshard,
        Self::OutsideInferred,
        Self::OutsideDuringPlan,
        Self::QuotaUsedUp,
        Self::QuotaSpentOutside,
        Self::RefusedInUse,
        Self::RefusedLimit,
        Self::RefusedThrottled,
        Self::LookFailed,
        Self::StaleMetrics,
        Self::WakesAtOnce,
        Self::EffectHelped,
        Self::Restarted,
        Self::ReleasedByShutdown,
    ];
}

/// Counts of situations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<Situation, u64>);

impl Counters {
    pub(crate) fn note(&mut self, situation: Situation) {
        *self.0.entry(situation).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (situation, count) in &other.0 {
            *self.0.entry(*situation).or_default() += count;
        }
    }

    pub(crate) fn missing(&self) -> Vec<Situation> {
        Situation::ALL.into_iter().filter(|situation| !self.0.contains_key(situation)).collect()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (situation, count) in &self.0 {
            writeln!(formatter, "{count:>10}  {situation:?}")?;
        }
        Ok(())
    }
}

/// Counts what a controller tells.
pub(crate) fn hear(teller: &Process, told: &Event, counters: &mut Counters) {
    let situation = match told {
        Event::BecameLeader { term } => {
            let journal = teller.controller.as_ref().and_then(|controller| controller.journal());
            if *term > 1 && journal.is_some_and(|journal| journal.intent.is_some()) {
                counters.note(Situation::InheritedIntent);
            }
            Situation::BecameLeader
        }
        Event::SteppedDown => Situation::SteppedDown,
        Event::Done { took: None, .. } => Situation::UnknownHappened,
        Event::DidNotHappen { .. } => Situation::UnknownDidNotHappen,
        Event::ChangedOutside { .. } => {
            let action = teller.decided().map(|decided| decided.plan.action);
            if matches!(action, Some(Action::Reshape { .. } | Action::Scale { .. })) {
                counters.note(Situation::OutsideDuringPlan);
            }
            Situation::OutsideInferred
        }
        Event::QuotaSpentOutside => Situation::QuotaSpentOutside,
        Event::Called { result: CallResult::Refused(Refusal::InUse), .. } => Situation::RefusedInUse,
        Event::Called { result: CallResult::Refused(Refusal::LimitExceeded), .. } => Situation::RefusedLimit,
        Event::Called { result: CallResult::Refused(Refusal::Throttled), .. } => Situation::RefusedThrottled,
        Event::LookFailed { .. } => Situation::LookFailed,
        Event::Effect(effect) if effect.verdict == Verdict::Helped => Situation::EffectHelped,
        Event::Called { .. }
        | Event::Done { .. }
        | Event::Effect(_)
        | Event::JournalRefused(_)
        | Event::Audit(_)
        | Event::Withheld(_)
        | Event::Overdue { .. }
        | Event::RoundDone(_) => return,
    };
    counters.note(situation);
}
