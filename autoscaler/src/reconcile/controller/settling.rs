//! What has happened since the last round: ended changes, changes by others, effects.

use std::time::Duration;

use super::{Controller, Lead, Planner};
use crate::reconcile::audit::AuditEntry;
use crate::reconcile::effect::{Trial, Verdict};
use crate::reconcile::event::Event;
use crate::reconcile::journal::{Intent, Settled};
use crate::reconcile::judge::{Move, calls_between};
use crate::reconcile::message::Moment;
use crate::reconcile::settings::ReconcileSettings;
use crate::{
    Boundaries, Change, EpochMillis, IneffectiveSplit, LedgerCall, Observation, OperationDurations, Origin,
    Step, StreamState,
};

impl<P: Planner> Controller<P> {
    /// Compares what is seen with what was intended.
    pub(super) fn settle(&mut self, state: StreamState, boundaries: &Boundaries, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let waited = lead.journal.intent.map(|intent| since(intent.written_at, now));
        let is_overdue = lead
            .journal
            .intent
            .is_some_and(|intent| waited > Some(lead.estimate(&intent) * self.settings.patience));
        if state == StreamState::Changing {
            lead.changing_since.get_or_insert(now.steady);
            if is_overdue && !lead.is_overdue_told {
                self.overdue(now);
            }
            return;
        }
        lead.changing_since = None;
        lead.is_overdue_told = false;
        let seen = Settled::of(boundaries);
        match lead.journal.intent {
            Some(intent) if seen == intent.after => self.ended(&intent, now),
            Some(intent) if seen == intent.before => {
                let may_still_come = match intent.accepted_at {
                    Some(_) => !is_overdue,
                    None => waited <= Some(late_call_max(&self.settings)),
                };
                if may_still_come {
                    return;
                }
                if intent.accepted_at.is_some() {
                    self.overdue(now);
                }
                self.did_not_happen(&intent, now);
            }
            Some(intent) => {
                let ours = match intent.change {
                    Move::Step(Step::Split { at }) => boundaries.contains(at),
                    Move::Step(Step::Merge { at }) => !boundaries.contains(at),
                    Move::Scale { .. } => false,
                };
                if ours {
                    self.ended(&intent, now);
                } else {
                    self.did_not_happen(&intent, now);
                }
                self.changed_outside(intent.before.shards, boundaries, now);
            }
            None => {
                if let Some(before) = lead.journal.settled.filter(|before| *before != seen) {
                    self.changed_outside(before.shards, boundaries, now);
                }
            }
        }
        if let Some(lead) = &mut self.lead
            && lead.journal.settled != Some(seen)
        {
            lead.journal.settled = Some(seen);
            lead.is_dirty = true;
        }
    }

    /// Judges the moves whose effect shows by now.
    pub(super) fn judge_trials(&mut self, observation: &Observation, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let (limits, verify_after) = (&self.settings.limits, self.settings.verify_after);
        let effect = |trial: &Trial| trial.effect(observation, limits, verify_after, now.epoch);
        let judged: Vec<_> = lead.journal.trials.iter().filter_map(effect).collect();
        if judged.is_empty() {
            return;
        }
        lead.is_dirty = true;
        lead.journal.trials.retain(|trial| judged.iter().all(|effect| effect.trial != *trial));
        for effect in judged {
            if let (Move::Step(Step::Split { at }), Verdict::DidNotHelp) =
                (effect.trial.change, effect.verdict)
                && let Some(lead) = &mut self.lead
            {
                lead.journal.ledger.note_ineffective_split(IneffectiveSplit { at, seen_at: now.epoch });
            }
            self.audit(effect.trial.decision, AuditEntry::from(&effect), now);
            self.events.push_back(Event::Effect(effect));
        }
    }

    fn ended(&mut self, intent: &Intent, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let took = intent.accepted_at.map(|accepted_at| since(accepted_at, now));
        let ledger = &mut lead.journal.ledger;
        if let Some(took) = took {
            let average = match intent.change {
                Move::Scale { .. } => &mut ledger.durations.scale,
                Move::Step(_) => &mut ledger.durations.step,
            };
            OperationDurations::learn(average, took);
        }
        ledger.note_change(Change { at: now.epoch, from: intent.before.shards, to: intent.after.shards });
        if ledger.reshaping.as_ref().is_some_and(|target| Settled::of(target) == intent.after) {
            ledger.reshaping = None;
        }
        let (start, end) = intent.touched;
        lead.journal.note_trial(Trial {
            decision: intent.decision,
            change: intent.change,
            start,
            end,
            before: intent.reading,
            done_at: now.epoch,
        });
        lead.drop_intent(now);
        let (change, shards) = (intent.change.into(), intent.after.shards);
        self.audit(intent.decision, AuditEntry::Ended { change, result: "done", shards }, now);
        self.events.push_back(Event::Done { change: intent.change, took });
    }

    fn did_not_happen(&mut self, intent: &Intent, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        lead.drop_intent(now);
        let (change, shards) = (intent.change.into(), intent.before.shards);
        self.audit(intent.decision, AuditEntry::Ended { change, result: "did not happen", shards }, now);
        self.events.push_back(Event::DidNotHappen { change: intent.change });
    }

    /// The plan is dropped. The intent stays until the stream is at rest, so that the change is not taken for another's.
    fn overdue(&mut self, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let Some(intent) = lead.journal.intent else { return };
        lead.is_overdue_told = true;
        lead.is_dirty |= lead.journal.ledger.reshaping.take().is_some();
        let (change, shards) = (intent.change.into(), intent.before.shards);
        self.audit(intent.decision, AuditEntry::Ended { change, result: "given up", shards }, now);
        self.events
            .push_back(Event::Overdue { change: intent.change, waited: since(intent.written_at, now) });
    }

    /// Somebody else changed the layout. Equal ranges are what `UpdateShardCount` makes, and count against the quota.
    fn changed_outside(&mut self, from: u32, boundaries: &Boundaries, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let to = boundaries.count();
        let is_uniform = *boundaries == Boundaries::uniform(to);
        let calls = if is_uniform { calls_between(from, to) } else { 0 };
        let ledger = &mut lead.journal.ledger;
        for _ in 0..calls {
            ledger.note_call(LedgerCall { at: now.epoch, target: to, origin: Origin::Outside });
        }
        ledger.note_change(Change { at: now.epoch, from, to });
        ledger.reshaping = None;
        lead.is_dirty = true;
        self.events.push_back(Event::ChangedOutside { from, to, calls });
    }
}

impl Lead {
    /// Forgets the intent. If it was never seen to be accepted, it may have been as late as now, and counts from now.
    pub(super) fn drop_intent(&mut self, now: Moment) {
        let Some(intent) = self.journal.intent.take() else { return };
        self.is_dirty = true;
        if let Some(call) = intent.counted.filter(|_| intent.accepted_at.is_none()) {
            self.journal.ledger.withdraw_call(call);
            self.journal.ledger.note_call(LedgerCall { at: now.epoch, ..call });
        }
    }

    /// How long a change should take, by what was seen and what AWS tells.
    fn estimate(&self, intent: &Intent) -> Duration {
        let durations = &self.journal.ledger.durations;
        match intent.change {
            Move::Scale { .. } => {
                let shards = intent.before.shards.max(intent.after.shards);
                let usual = SCALE_TIME + SCALE_TIME_PER_SHARD * shards;
                durations.scale.map_or(usual, |seen| seen.max(usual))
            }
            Move::Step(_) => durations.step.map_or(STEP_TIME, |seen| seen.max(STEP_TIME)),
        }
    }
}

fn since(earlier: EpochMillis, now: Moment) -> Duration {
    Duration::from_millis(now.epoch.millis_since(earlier))
}

/// From writing an intent until its call has surely been answered or given up: as old as a decision may be when it is sent,
/// and the call itself, twice for a slow service.
fn late_call_max(settings: &ReconcileSettings) -> Duration {
    settings.decision_age_max + settings.call_timeout * 2
}

/// `UpdateShardCount`: "a few minutes", more for many shards and for steps that are no multiple of 25 %.
const SCALE_TIME: Duration = Duration::from_secs(180);
const SCALE_TIME_PER_SHARD: Duration = Duration::from_millis(2_700);
/// `SplitShard` and `MergeShards`, as amazon-kinesis-scaling-utils assumes.
const STEP_TIME: Duration = Duration::from_secs(30);
