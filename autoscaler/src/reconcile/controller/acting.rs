//! From the plan to the call, and what came of it.

use std::time::Duration;

use kcl_core::Millis;

use super::{Controller, Next, Phase, PlannedCall, Planner, Work};
use crate::reconcile::audit::{AuditEntry, AuditPlan};
use crate::reconcile::effect::Reading;
use crate::reconcile::event::{CallResult, Event, Utilisation, Withheld};
use crate::reconcile::journal::{DecisionId, Intent, Settled};
use crate::reconcile::judge::{Move, call_for, next_move, touched};
use crate::reconcile::message::{Call, CallReply, Moment, Refusal};
use crate::reconcile::pace;
use crate::{Action, EpochMillis, LedgerCall, LoadMap, Observation, Origin, Plan, Step, StreamState};

impl<P: Planner> Controller<P> {
    /// Asks the planner, and begins its move. Answers the utilisation that the planner sees.
    pub(super) fn decide(&mut self, observation: &Observation, now: Moment) -> Option<Utilisation> {
        let lead = self.lead.as_mut()?;
        lead.journal.decisions += 1;
        let decision = DecisionId { term: lead.journal.term, number: lead.journal.decisions };
        let plan = self.planner.plan(observation, &lead.journal.ledger, now.epoch);
        let mut told = AuditPlan::new(&plan, observation, &lead.journal.ledger, now.epoch);
        let begun = self.admit(&plan, observation, now);
        if let Err(withheld) = begun {
            told.withheld = Some(withheld.reason());
            self.events.push_back(Event::Withheld(withheld));
        }
        self.audit(decision, AuditEntry::Decided(Box::new(told)), now);
        let lead = self.lead.as_mut()?;
        let reshaping = match &plan.action {
            Action::Reshape { target, .. } => Some(target.clone()),
            Action::Nothing | Action::Scale { .. } => None,
        };
        if lead.journal.ledger.reshaping != reshaping {
            lead.journal.ledger.reshaping = reshaping;
            lead.is_dirty = true;
        }
        match begun {
            Ok(Some((change, call))) => self.intend(decision, change, call, observation, now),
            Ok(None) | Err(_) => {
                let pause = pace::after_plan(&plan, &self.settings).max(lead.backoff_left(now));
                lead.rest(pause, &self.settings, now);
            }
        }
        utilisation(&plan, observation)
    }

    /// The plan's next move and its call, if it may be carried out.
    fn admit(
        &self,
        plan: &Plan,
        observation: &Observation,
        now: Moment,
    ) -> Result<Option<(Move, Call)>, Withheld> {
        let change = next_move(plan, &observation.layout.boundaries()).map_err(Withheld::Unsound)?;
        let Some(change) = change else { return Ok(None) };
        let Some(lead) = &self.lead else { return Err(Withheld::Leaving) };
        if self.leave_by.is_some() {
            return Err(Withheld::Leaving);
        }
        if observation.state != StreamState::Active {
            return Err(Withheld::NotActive);
        }
        if now.steady < lead.backoff.until {
            return Err(Withheld::Backoff);
        }
        let is_scale = matches!(change, Move::Scale { .. });
        if is_scale && lead.journal.ledger.calls_used(now.epoch) >= super::CALLS_OF_A_DAY {
            return Err(Withheld::Quota);
        }
        Ok(call_for(change, &observation.layout).map(|call| (change, call)))
    }

    /// Writes down what is about to be done: the fence, and the account of the call.
    fn intend(
        &mut self,
        decision: DecisionId,
        change: Move,
        call: Call,
        observation: &Observation,
        now: Moment,
    ) {
        let Some(lead) = &mut self.lead else { return };
        let boundaries = observation.layout.boundaries();
        let touched = touched(change, &boundaries);
        let counted = match change {
            Move::Scale { target } => Some(LedgerCall { at: now.epoch, target, origin: Origin::Own }),
            Move::Step(_) => None,
        };
        if let Some(call) = counted {
            lead.journal.ledger.note_call(call);
        }
        lead.journal.intent = Some(Intent {
            decision,
            change,
            before: Settled::of(&boundaries),
            after: Settled::of(&change.applied(&boundaries)),
            touched,
            reading: Reading::of(observation, &self.settings.limits, touched, EpochMillis(0)),
            written_at: now.epoch,
            accepted_at: None,
            counted,
        });
        lead.commit(Next::Call(PlannedCall { call, decided_at: now.steady }));
    }

    /// The journal is written.
    pub(super) fn committed(&mut self, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        match std::mem::replace(&mut lead.phase, Phase::Resting) {
            Phase::Committing { next: Next::Rest(pause), .. } => lead.rest(pause, &self.settings, now),
            Phase::Committing { next: Next::Call(planned), .. } => {
                lead.phase = Phase::Due(Work::Call(planned))
            }
            Phase::Committing { next: Next::AccountRoom { shards_wanted, is_scale }, .. } => {
                lead.phase = Phase::Due(Work::AccountRoom { shards_wanted, is_scale });
            }
            other @ (Phase::Resting | Phase::Due(_) | Phase::Waiting(..)) => lead.phase = other,
        }
    }

    /// A call that waited for too long, or that a shutdown has overtaken, is not sent.
    pub(super) fn drop_late_call(&mut self, latest: Option<Millis>, now: Moment) {
        let Some(lead) = &self.lead else { return };
        let Phase::Due(Work::Call(PlannedCall { call, decided_at })) = &lead.phase else { return };
        let age = now.steady.since(*decided_at);
        let is_late = latest.is_none_or(|latest| now.steady > latest)
            || age > Millis::from(self.settings.decision_age_max)
            || self.leave_by.is_some();
        if is_late {
            let call = call.clone();
            self.called(call, CallReply::NotSent, now);
            self.pump(now);
        }
    }

    /// Lets go of looks that a shutdown makes pointless.
    pub(super) fn stop_looking(&mut self, now: Moment) {
        self.drop_late_call(None, now);
        if let Some(lead) = &mut self.lead {
            match &lead.phase {
                Phase::Due(Work::Look | Work::Observe | Work::AccountRoom { .. })
                | Phase::Waiting(Work::Look | Work::Observe | Work::AccountRoom { .. }, _) => {
                    lead.phase = Phase::Resting;
                }
                Phase::Due(Work::Call(_))
                | Phase::Waiting(Work::Call(_), _)
                | Phase::Resting
                | Phase::Committing { .. } => {}
            }
        }
    }

    /// What came of a call. What surely had no effect is taken out of the account; anything else stays in it.
    pub(super) fn called(&mut self, call: Call, reply: CallReply, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let Some(intent) = &mut lead.journal.intent else { return };
        let (decision, change) = (intent.decision, intent.change);
        let in_flight = self.settings.look_in_flight;
        let (result, next) = match reply {
            CallReply::Accepted => {
                intent.accepted_at = Some(now.epoch);
                if let Some(counted) = &mut intent.counted {
                    lead.journal.ledger.withdraw_call(*counted);
                    counted.at = now.epoch;
                    lead.journal.ledger.note_call(*counted);
                }
                lead.backoff = super::Backoff::default();
                (CallResult::Accepted, Next::Rest(in_flight))
            }
            CallReply::Unknown => (CallResult::Unknown, Next::Rest(in_flight)),
            CallReply::NotSent => {
                lead.take_back();
                (CallResult::NotSent, Next::Rest(self.settings.look_gap))
            }
            CallReply::Refused(refusal) => {
                let shards = intent.before.shards;
                lead.take_back();
                let next = self.after_refusal(&refusal, change, shards, now);
                (CallResult::Refused(refusal), next)
            }
        };
        if let Some(lead) = &mut self.lead {
            lead.commit(next);
        }
        let entry = AuditEntry::Called { call: call.to_string(), result: result.to_string() };
        self.audit(decision, entry, now);
        self.events.push_back(Event::Called { call, result });
    }

    fn after_refusal(&mut self, refusal: &Refusal, change: Move, shards: u32, now: Moment) -> Next {
        let settings = &self.settings;
        let Some(lead) = &mut self.lead else { return Next::Rest(settings.look_busy) };
        match refusal {
            Refusal::InUse => {
                lead.changing_since.get_or_insert(now.steady);
                Next::Rest(settings.look_in_flight)
            }
            Refusal::Throttled => Next::Rest(lead.back_off(RATE_PAUSE, RATE_PAUSE_MAX, now)),
            Refusal::Misfit { .. } => Next::Rest(lead.back_off(settings.look_gap, settings.look_calm, now)),
            Refusal::Denied { .. } => Next::Rest(lead.back_off(settings.look_calm, settings.look_calm, now)),
            Refusal::LimitExceeded => match change {
                Move::Scale { target } => {
                    Next::AccountRoom { shards_wanted: target.saturating_sub(shards), is_scale: true }
                }
                Move::Step(Step::Split { .. }) => Next::AccountRoom { shards_wanted: 1, is_scale: false },
                Move::Step(Step::Merge { .. }) => Next::Rest(lead.back_off(RATE_PAUSE, RATE_PAUSE_MAX, now)),
            },
        }
    }

    /// Which limit a refused call has met, by the account's room: too few shards left; else, for `UpdateShardCount`, too many
    /// calls at a time, and when that was said twice, a quota that somebody else has used up.
    pub(super) fn limit_told(&mut self, room: Option<u32>, shards_wanted: u32, is_scale: bool, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let pause = if room.is_some_and(|room| room < shards_wanted) {
            lead.back_off(ACCOUNT_PAUSE, ACCOUNT_PAUSE, now)
        } else if is_scale && room.is_some() && lead.backoff.unexplained > 0 {
            lead.backoff = super::Backoff::default();
            lead.journal.ledger.bar_calls(now.epoch.after(QUOTA_PAUSE));
            lead.is_dirty = true;
            self.events.push_back(Event::QuotaSpentOutside);
            self.settings.look_gap
        } else {
            lead.backoff.unexplained += u32::from(is_scale && room.is_some());
            lead.back_off(RATE_PAUSE, RATE_PAUSE_MAX, now)
        };
        if let Some(lead) = &mut self.lead {
            lead.rest(pause, &self.settings, now);
        }
    }
}

impl super::Lead {
    /// Takes an intent back that surely had no effect.
    fn take_back(&mut self) {
        if let Some(call) = self.journal.intent.take().and_then(|intent| intent.counted) {
            self.journal.ledger.withdraw_call(call);
        }
    }

    /// No call before the pause is over; it doubles with each refusal in a row.
    fn back_off(&mut self, pause: Duration, pause_max: Duration, now: Moment) -> Duration {
        let doubled = pause.saturating_mul(1 << self.backoff.attempts.min(DOUBLINGS_MAX));
        let pause = doubled.min(pause_max);
        self.backoff.attempts += 1;
        self.backoff.until = now.steady + pause.into();
        pause
    }

    fn backoff_left(&self, now: Moment) -> Duration {
        self.backoff.until.since(now.steady).into()
    }
}

/// What the plan's demand means for the shards as they are.
fn utilisation(plan: &Plan, observation: &Observation) -> Option<Utilisation> {
    let (greatest, _) = plan.decision.utilisation?;
    let demand = plan.decision.demand_shards?;
    let even = LoadMap::even();
    let map = observation.load_map.as_ref().unwrap_or(&even);
    let shares = map.shares(&observation.layout.boundaries());
    let least = shares.into_iter().fold(1.0, f64::min) * demand;
    Some(Utilisation { least, mean: demand / f64::from(observation.layout.count()), greatest })
}

/// After a call that came too fast: Kinesis counts them by the second.
const RATE_PAUSE: Duration = Duration::from_secs(5);
const RATE_PAUSE_MAX: Duration = Duration::from_secs(2 * 60);
/// Accounts get more shards by a request to AWS, or when another stream gives some back.
const ACCOUNT_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Calls that others made leave the window one by one, at times that are not known.
const QUOTA_PAUSE: Duration = Duration::from_secs(60 * 60);
const DOUBLINGS_MAX: u32 = 10;
