//! One controller of one stream: holds the row, looks, asks the planner, carries out one move at a time.
//!
//! ```text
//!   handle_wake ────┐                        ┌─▶ poll_request   row, look, observe, call
//!   handle_reply ───┼──▶   Controller   ─────┼─▶ poll_event     what happened; audit records
//!   handle_timeout ─┘  (no IO, no clock)     └─▶ poll_timeout   when to call handle_timeout next
//! ```
//!
//! A round, while the row is held:
//!
//! ```text
//! Resting ─due─▶ look ─▶ settle: what happened, by the layout ─┬─ something runs ─▶ rest a little
//!    ▲                                                         └─▶ observe ─▶ judge effects ─▶ plan ─▶ nothing to do ─▶ rest
//!    │                                                                                          │
//!    └── rest ◀── write the result ◀── call ◀── fence: write the intent, on the version held ◀──┘
//! ```
//!
//! Wakes and timers only mark "look again"; every decision comes from what is seen in the round that makes it, and is
//! carried out within `decision_age_max` or not at all.
//!
//! **Who may act.** A call is sent only after its intent was written on the row's version held, and only if its timeout ends
//! before the row's deadline. So a controller that was deposed is stopped by its own fence. What remains is a process that
//! is paused between the fence and the socket: at most one call of each deposed controller comes late. Its successor found
//! the intent and counted it. A late split or merge names shards that are closed unless their boundary is still there; a late
//! `UpdateShardCount` costs one call of the quota beyond what the ledger knows, and one call stays unused for that.

mod acting;
mod settling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::{LockCondition, Millis, WorkerId};

use super::audit::{AuditEntry, AuditRecord};
use super::event::{Event, Vitals};
use super::journal::Journal;
use super::message::{Call, CallReply, Look, Moment, Reply, Request, RequestId};
use super::pace;
use super::settings::ReconcileSettings;
use super::tenure::{Tenure, Turn};
use crate::{EpochMillis, Ledger, Observation, Plan};

/// Decides what to do with the stream.
pub trait Planner {
    /// The plan for what is seen.
    fn plan(&mut self, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan;
}

impl<F: FnMut(&Observation, &Ledger, EpochMillis) -> Plan> Planner for F {
    fn plan(&mut self, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan {
        self(observation, ledger, now)
    }
}

/// The state machine of one controller.
#[derive(Debug)]
pub struct Controller<P> {
    stream: Arc<str>,
    actor: Arc<str>,
    settings: ReconcileSettings,
    planner: P,
    tenure: Tenure,
    /// The journal that goes with a take under way.
    taking: Option<Journal>,
    row_call: Option<Waiting>,
    lead: Option<Lead>,
    events: VecDeque<Event>,
    requests_made: u64,
    leave_by: Option<Millis>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: RequestId,
    give_up_at: Millis,
}

/// What a controller knows while it holds the row.
#[derive(Debug)]
struct Lead {
    journal: Journal,
    /// The journal holds more than the row.
    is_dirty: bool,
    phase: Phase,
    look_at: Millis,
    looked_at: Option<Millis>,
    /// A wake that came while a round was under way.
    is_woken: bool,
    changing_since: Option<Millis>,
    is_overdue_told: bool,
    failures: u32,
    backoff: Backoff,
}

#[derive(Debug)]
enum Phase {
    Resting,
    /// To be sent with the next requests.
    Due(Work),
    Waiting(Work, Waiting),
    /// The journal is to be written before anything else happens.
    Committing {
        next: Next,
        is_sent: bool,
    },
}

#[derive(Clone, Debug)]
enum Work {
    Look,
    Observe,
    /// After a refusal that does not say which limit was met.
    AccountRoom {
        shards_wanted: u32,
        is_scale: bool,
    },
    Call(PlannedCall),
}

#[derive(Clone, Debug)]
struct PlannedCall {
    call: Call,
    decided_at: Millis,
}

#[derive(Debug)]
enum Next {
    Rest(Duration),
    Call(PlannedCall),
    AccountRoom { shards_wanted: u32, is_scale: bool },
}

/// Pauses after refusals, which double.
#[derive(Debug, Default)]
struct Backoff {
    until: Millis,
    attempts: u32,
    /// `UpdateShardCount` calls refused in a row for a limit that could not be told.
    unexplained: u32,
}

impl<P: Planner> Controller<P> {
    /// A controller that contends for `stream`'s row at once. `seed` must be random per process: row versions derive from it.
    #[must_use]
    pub fn new(
        stream: &str,
        settings: ReconcileSettings,
        me: WorkerId,
        seed: u64,
        planner: P,
        now: Moment,
    ) -> Self {
        let actor = Arc::from(me.as_str());
        let tenure = Tenure::new(&settings, me, seed, now.steady);
        Self {
            stream: Arc::from(stream),
            actor,
            settings,
            planner,
            tenure,
            taking: None,
            row_call: None,
            lead: None,
            events: VecDeque::new(),
            requests_made: 0,
            leave_by: None,
        }
    }

    /// Look at the stream soon; says nothing about what will be seen.
    pub fn handle_wake(&mut self, now: Moment) {
        let Some(lead) = &mut self.lead else { return };
        let gap = Millis::from(self.settings.look_gap);
        let soonest = lead.looked_at.map_or(now.steady, |looked_at| (looked_at + gap).max(now.steady));
        match lead.phase {
            Phase::Resting => lead.look_at = lead.look_at.min(soonest),
            Phase::Due(_) | Phase::Waiting(..) | Phase::Committing { .. } => lead.is_woken = true,
        }
    }

    /// Finish what is under way, write it down, and give the row back, within `within`.
    pub fn handle_shutdown(&mut self, within: Duration, now: Moment) {
        self.leave_by.get_or_insert(now.steady + within.into());
        self.pump(now);
    }

    /// Time has passed. Too many of these change nothing.
    pub fn handle_timeout(&mut self, now: Moment) {
        let turn = self.tenure.handle_timeout(now.steady);
        self.take_turn(turn, now);
        if self.row_call.is_some_and(|call| call.give_up_at <= now.steady) {
            self.row_call = None;
            let turn = self.tenure.handle_unknown(now.steady);
            self.take_turn(turn, now);
        }
        if let Some(lead) = &mut self.lead {
            match std::mem::replace(&mut lead.phase, Phase::Resting) {
                Phase::Waiting(work, waiting) if waiting.give_up_at <= now.steady => {
                    self.given_up(work, now);
                }
                Phase::Resting if lead.look_at <= now.steady && self.leave_by.is_none() => lead.start(now),
                other @ (Phase::Waiting(..) | Phase::Resting | Phase::Due(_) | Phase::Committing { .. }) => {
                    lead.phase = other;
                }
            }
        }
        self.pump(now);
    }

    /// What came of a request. Replies to requests that were given up are ignored.
    pub fn handle_reply(&mut self, id: RequestId, reply: Reply, now: Moment) {
        if self.row_call.is_some_and(|call| call.id == id) {
            self.row_call = None;
            let turn = match reply {
                Reply::Row(row) => self.tenure.handle_row(row, now.steady),
                Reply::Written => self.tenure.handle_written(now.steady),
                Reply::Refused(row) => self.tenure.handle_refused(row, now.steady),
                Reply::Failed => self.tenure.handle_failed(now.steady),
                Reply::Unknown
                | Reply::Looked(_)
                | Reply::Observed(_)
                | Reply::AccountRoom(_)
                | Reply::Called(_) => self.tenure.handle_unknown(now.steady),
            };
            self.take_turn(turn, now);
        } else if let Some(lead) = &mut self.lead
            && matches!(&lead.phase, Phase::Waiting(_, waiting) if waiting.id == id)
            && let Phase::Waiting(work, _) = std::mem::replace(&mut lead.phase, Phase::Resting)
        {
            self.answered(work, reply, now);
        }
        self.pump(now);
    }

    /// The next call to the outside, if one is due. What may not be sent any more at `now` is dropped.
    pub fn poll_request(&mut self, now: Moment) -> Option<(RequestId, Request)> {
        let latest = self.tenure.deadline().map(|deadline| deadline - self.settings.call_timeout.into());
        self.drop_late_call(latest, now);
        if self.row_call.is_none()
            && let Some(request) = self.tenure.poll_request(now.steady)
        {
            let waiting = self.waiting(self.settings.call_timeout, now);
            self.row_call = Some(waiting);
            return Some((waiting.id, request));
        }
        let lead = self.lead.as_mut()?;
        match std::mem::replace(&mut lead.phase, Phase::Resting) {
            Phase::Due(work) => {
                let age_max = Millis::from(self.settings.decision_age_max);
                let request = match &work {
                    Work::Look => Request::Look,
                    Work::Observe => Request::Observe,
                    Work::AccountRoom { .. } => Request::AccountRoom,
                    Work::Call(PlannedCall { call, decided_at }) => {
                        let not_after = latest.unwrap_or_default().min(*decided_at + age_max);
                        Request::Call { call: call.clone(), not_after }
                    }
                };
                let timeout = match work {
                    Work::Look | Work::Observe => self.settings.call_timeout * CALLS_OF_A_LOOK,
                    Work::AccountRoom { .. } | Work::Call(_) => self.settings.call_timeout,
                };
                let waiting = self.waiting(timeout, now);
                self.lead.as_mut()?.phase = Phase::Waiting(work, waiting);
                Some((waiting.id, request))
            }
            other @ (Phase::Resting | Phase::Waiting(..) | Phase::Committing { .. }) => {
                lead.phase = other;
                None
            }
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Controller::handle_timeout`] at the latest; what is queued is due at once.
    #[must_use]
    pub fn poll_timeout(&self) -> Millis {
        if !self.events.is_empty() {
            return Millis(0);
        }
        let row = match &self.row_call {
            Some(call) => call.give_up_at.min(self.tenure.deadline().unwrap_or(Millis::MAX)),
            None => self.tenure.wake_at(),
        };
        let work = match self.lead.as_ref().map(|lead| (&lead.phase, lead.look_at)) {
            Some((Phase::Due(_), _)) => Millis(0),
            Some((Phase::Waiting(_, waiting), _)) => waiting.give_up_at,
            Some((Phase::Resting, look_at)) if self.leave_by.is_none() => look_at,
            Some((Phase::Resting | Phase::Committing { .. }, _)) | None => Millis::MAX,
        };
        row.min(work).min(self.leave_by.filter(|_| !self.is_finished()).unwrap_or(Millis::MAX))
    }

    /// Whether this controller acts for the stream at `now`.
    #[must_use]
    pub fn is_leader(&self, now: Millis) -> bool {
        self.lead.is_some() && self.tenure.holds(now)
    }

    /// Whether it leads and waits for the time of its next look.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.lead.as_ref().is_some_and(|lead| matches!(lead.phase, Phase::Resting))
    }

    /// Whether nothing more will happen, after [`Controller::handle_shutdown`].
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.tenure.is_gone()
    }

    /// The journal, while the row is held.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.lead.as_ref().map(|lead| &lead.journal)
    }

    fn waiting(&mut self, timeout: Duration, now: Moment) -> Waiting {
        self.requests_made += 1;
        Waiting { id: RequestId(self.requests_made), give_up_at: now.steady + timeout.into() }
    }

    fn take_turn(&mut self, turn: Turn, now: Moment) {
        match turn {
            Turn::Same => {}
            Turn::Free(condition, journal) => self.take(condition, journal.as_deref()),
            Turn::Taken => {
                if let Some(journal) = self.taking.take() {
                    self.events.push_back(Event::BecameLeader { term: journal.term });
                    self.lead = Some(Lead::new(journal, now));
                }
            }
            Turn::Committed => self.committed(now),
            Turn::Lost | Turn::Released => {
                self.row_call = None;
                self.taking = None;
                if self.lead.take().is_some() {
                    self.events.push_back(Event::SteppedDown);
                }
            }
        }
    }

    /// Takes a free row into a new term.
    fn take(&mut self, condition: LockCondition, stored: Option<&str>) {
        if self.leave_by.is_some() {
            return;
        }
        match stored.map_or_else(|| Ok(Journal::default()), Journal::decode) {
            Ok(mut journal) => {
                journal.term += 1;
                self.tenure.take(condition, journal.encode());
                self.taking = Some(journal);
            }
            Err(problem) => self.events.push_back(Event::JournalRefused(problem)),
        }
    }

    /// Starts what waits for the row to be free: a write of the journal, or the release.
    fn pump(&mut self, now: Moment) {
        if self.leave_by.is_some_and(|by| by <= now.steady) {
            self.tenure.abandon();
            self.take_turn(Turn::Released, now);
            return;
        }
        if self.leave_by.is_some() {
            self.stop_looking(now);
        }
        if self.row_call.is_some() || !self.tenure.is_free() {
            return;
        }
        match &mut self.lead {
            Some(Lead { phase: Phase::Committing { is_sent, .. }, journal, .. }) if !*is_sent => {
                *is_sent = true;
                self.tenure.commit(journal.encode());
            }
            Some(Lead { phase: Phase::Resting, .. }) | None if self.leave_by.is_some() => {
                self.tenure.release();
            }
            Some(_) | None => {}
        }
    }

    fn answered(&mut self, work: Work, reply: Reply, now: Moment) {
        match (work, reply) {
            (Work::Look, Reply::Looked(look)) => self.looked(look, now),
            (Work::Observe, Reply::Observed(observation)) => self.observed(&observation, now),
            (Work::AccountRoom { shards_wanted, is_scale }, Reply::AccountRoom(room)) => {
                self.limit_told(Some(room), shards_wanted, is_scale, now);
            }
            (Work::Call(planned), Reply::Called(reply)) => self.called(planned.call, reply, now),
            (work, _) => self.given_up(work, now),
        }
    }

    /// A request without an answer.
    fn given_up(&mut self, work: Work, now: Moment) {
        match work {
            Work::Look | Work::Observe => {
                let Some(lead) = &mut self.lead else { return };
                lead.failures = lead.failures.saturating_add(1);
                self.events.push_back(Event::LookFailed { failures: lead.failures });
                let pause = pace::in_flight(self.settings.look_in_flight * lead.failures, &self.settings);
                lead.rest(pause, &self.settings, now);
            }
            Work::AccountRoom { shards_wanted, is_scale } => {
                self.limit_told(None, shards_wanted, is_scale, now);
            }
            Work::Call(planned) => self.called(planned.call, CallReply::Unknown, now),
        }
    }

    fn looked(&mut self, look: Look, now: Moment) {
        self.settle(look.state, &look.layout.boundaries(), now);
        let Some(lead) = &mut self.lead else { return };
        if lead.is_in_flight() {
            let vitals = Vitals {
                shards: look.layout.count(),
                utilisation: None,
                throttle_ratio: None,
                quota_left: quota_left(&lead.journal.ledger, now),
                is_changing: true,
            };
            self.events.push_back(Event::RoundDone(vitals));
            let pause = lead.pause_in_flight(&self.settings, now);
            lead.rest(pause, &self.settings, now);
        } else {
            lead.phase = Phase::Due(Work::Observe);
        }
    }

    fn observed(&mut self, observation: &Observation, now: Moment) {
        self.settle(observation.state, &observation.layout.boundaries(), now);
        self.judge_trials(observation, now);
        let Some(lead) = &mut self.lead else { return };
        lead.failures = 0;
        let pause = lead.pause_in_flight(&self.settings, now);
        let is_changing = lead.is_in_flight();
        let utilisation = if is_changing {
            lead.rest(pause, &self.settings, now);
            None
        } else {
            self.decide(observation, now)
        };
        let Some(lead) = &self.lead else { return };
        self.events.push_back(Event::RoundDone(Vitals {
            shards: observation.layout.count(),
            utilisation,
            throttle_ratio: throttle_ratio(observation),
            quota_left: quota_left(&lead.journal.ledger, now),
            is_changing,
        }));
    }

    fn audit(&mut self, decision: super::journal::DecisionId, entry: AuditEntry, now: Moment) {
        let record = AuditRecord {
            decision: decision.to_string(),
            at_millis: now.epoch.0,
            stream: Arc::clone(&self.stream),
            actor: Arc::clone(&self.actor),
            entry,
        };
        self.events.push_back(Event::Audit(Box::new(record)));
    }
}

impl Lead {
    fn new(journal: Journal, now: Moment) -> Self {
        Self {
            journal,
            is_dirty: false,
            phase: Phase::Resting,
            look_at: now.steady,
            looked_at: None,
            is_woken: false,
            changing_since: None,
            is_overdue_told: false,
            failures: 0,
            backoff: Backoff::default(),
        }
    }

    /// Begins a round: a short look while something runs, everything otherwise.
    fn start(&mut self, now: Moment) {
        self.looked_at = Some(now.steady);
        self.is_woken = false;
        self.phase = Phase::Due(if self.is_in_flight() { Work::Look } else { Work::Observe });
    }

    fn is_in_flight(&self) -> bool {
        self.journal.intent.is_some() || self.changing_since.is_some()
    }

    fn pause_in_flight(&self, settings: &ReconcileSettings, now: Moment) -> Duration {
        let elapsed = self.changing_since.map_or(Millis(0), |since| now.steady.since(since));
        pace::in_flight(elapsed.into(), settings)
    }

    /// Ends the round; what the journal has learnt is written first.
    fn rest(&mut self, pause: Duration, settings: &ReconcileSettings, now: Moment) {
        if self.is_dirty {
            self.commit(Next::Rest(pause));
            return;
        }
        let pause = if self.is_woken { pause.min(settings.look_gap) } else { pause };
        self.phase = Phase::Resting;
        self.look_at = now.steady + pause.into();
    }

    fn commit(&mut self, next: Next) {
        self.is_dirty = false;
        self.phase = Phase::Committing { next, is_sent: false };
    }
}

fn quota_left(ledger: &Ledger, now: Moment) -> u32 {
    CALLS_OF_A_DAY.saturating_sub(ledger.calls_used(now.epoch))
}

/// Part of the records that was refused in the newest minute of which both are known.
fn throttle_ratio(observation: &Observation) -> Option<f64> {
    observation.minutes.iter().rev().find_map(|minute| {
        let (accepted, rejected) = (minute.records?, minute.rejected_records?);
        let all = accepted + rejected;
        Some(if all > 0.0 { rejected / all } else { 0.0 })
    })
}

/// `UpdateShardCount` of one stream within 24 hours, by the AWS quotas page.
const CALLS_OF_A_DAY: u32 = 10;
/// A look takes several calls, one after the other.
const CALLS_OF_A_LOOK: u32 = 3;

#[cfg(test)]
mod tests;
