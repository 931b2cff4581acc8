//! One process: a controller, its clocks, and what reaches it while it stands still.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use autoscaler::reconcile::{Controller, Moment, ReconcileSettings, Reply, Request, RequestId};
use autoscaler::{Action, Constraint, Decision, EpochMillis, Ledger, Observation, Plan, Policy, StreamState};
use kcl_core::{Millis, WorkerId};

use crate::faults::{MINUTE, PlannerKind};
use crate::oracle::Decided;

type Plans = Box<dyn FnMut(&Observation, &Ledger, EpochMillis) -> Plan>;

/// A process, running or not.
pub(crate) struct Process {
    pub(crate) controller: Option<Controller<Plans>>,
    pub(crate) name: String,
    pub(crate) incarnation: u64,
    pub(crate) paused_until: Option<u64>,
    pub(crate) inbox: Vec<(RequestId, Reply)>,
    /// When the controller wants to be woken, in the world's time.
    pub(crate) wake_at: u64,
    decided: Rc<RefCell<Option<Decided>>>,
    rate_ppm: u64,
    steady_zero: u64,
    wall_ahead: u64,
}

impl Process {
    /// A process that does not run yet, with clocks of its own.
    pub(crate) fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            controller: None,
            name: String::new(),
            incarnation: 0,
            paused_until: None,
            inbox: Vec::new(),
            wake_at: u64::MAX,
            decided: Rc::default(),
            rate_ppm: rng.u64(..1_000),
            steady_zero: rng.u64(..1 << 40),
            wall_ahead: rng.u64(..1_500),
        }
    }

    /// Starts it anew, with nothing remembered.
    pub(crate) fn start(&mut self, place: usize, planner: PlannerKind, seed: u64, now: u64) {
        self.incarnation += 1;
        self.name = format!("controller-{place}-{}", self.incarnation);
        self.decided = Rc::default();
        let decided = Rc::clone(&self.decided);
        let plans: Plans = Box::new(move |observation, ledger, at| {
            let plan = plan_as(planner, observation, ledger, at);
            *decided.borrow_mut() = Some(Decided { layout: observation.layout.clone(), plan: plan.clone() });
            plan
        });
        let me = WorkerId::new(&self.name).expect("valid");
        let moment = self.moment(now);
        self.controller = Some(Controller::new("clicks", settings(), me, seed, plans, moment));
        self.paused_until = None;
        self.inbox.clear();
        self.wake_at = now;
    }

    pub(crate) fn crash(&mut self) {
        self.controller = None;
        self.paused_until = None;
        self.inbox.clear();
        self.wake_at = u64::MAX;
    }

    pub(crate) fn decided(&self) -> Option<Decided> {
        self.decided.borrow().clone()
    }

    /// Now, on the process's clocks.
    pub(crate) fn moment(&self, now: u64) -> Moment {
        let steady = self.steady_zero + now + now * self.rate_ppm / 1_000_000;
        Moment { steady: Millis(steady), epoch: EpochMillis(epoch(now).0 + self.wall_ahead) }
    }

    /// When its steady clock shows `steady`, in the world's time; now at the earliest.
    pub(crate) fn world_time(&self, steady: Millis, now: u64) -> u64 {
        if steady == Millis::MAX {
            return u64::MAX;
        }
        let elapsed = u128::from(steady.0.saturating_sub(self.steady_zero));
        let world = (elapsed * 1_000_000).div_ceil(1_000_000 + u128::from(self.rate_ppm));
        u64::try_from(world).unwrap_or(u64::MAX).max(now)
    }
}

/// A request as the history names it.
pub(crate) fn brief(request: &Request) -> String {
    match request {
        Request::WriteRow(write) if write.journal.is_some() => "a write of the journal".to_owned(),
        Request::WriteRow(_) => "a beat".to_owned(),
        Request::Call { call, .. } => call.to_string(),
        Request::ReadRow | Request::Look | Request::Observe | Request::AccountRoom => format!("{request:?}"),
    }
}

/// The wall clock of the world.
pub(crate) fn epoch(now: u64) -> EpochMillis {
    EpochMillis(1_800_000_000_000 + now)
}

/// The plan of one of the planners.
pub(crate) fn plan_as(
    planner: PlannerKind,
    observation: &Observation,
    ledger: &Ledger,
    now: EpochMillis,
) -> Plan {
    match planner {
        PlannerKind::Shipped => autoscaler::plan(observation, ledger, &policy(), now),
        PlannerKind::Spender => spend(observation, ledger, now),
    }
}

/// Target tracking by `UpdateShardCount` alone, up and down, as long as there are calls.
fn spend(observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Plan {
    let demand =
        observation.minutes.iter().rev().find_map(|minute| {
            Some((minute.records? + minute.rejected_records?) / (60.0 * RECORDS_OF_A_SECOND))
        });
    let count = observation.layout.count();
    let utilisation = demand.map(|demand| demand / f64::from(count));
    let wanted = demand.map_or(count, |demand| (demand / 0.7).ceil() as u32);
    let target = wanted.clamp(count.div_ceil(2), count * 2).clamp(1, policy().shards_max);
    let is_off = utilisation.is_some_and(|utilisation| !(0.5..=0.8).contains(&utilisation));
    let has_calls = ledger.calls_used(now) < policy().calls_max;
    let is_active = observation.state == StreamState::Active;
    let action = if is_off && has_calls && is_active && target != count {
        Action::Scale { target }
    } else {
        Action::Nothing
    };
    let decision = Decision {
        constraint: if has_calls { Constraint::InBounds } else { Constraint::Quota },
        demand_shards: demand,
        utilisation: utilisation.map(|utilisation| (utilisation, utilisation)),
        quota_left: None,
        rejected: None,
    };
    Plan { action, decision }
}

/// What a full shard accepts in the world: its bytes bind, its records do not.
pub(crate) const RECORDS_OF_A_SECOND: f64 = 500.0;

/// Shorter windows than the default: more moves in a simulated hour.
pub(crate) fn policy() -> Policy {
    Policy {
        shards_max: 48,
        shrink_window: Duration::from_millis(15 * MINUTE),
        shrink_pause: Duration::from_millis(5 * MINUTE),
        ..Policy::default()
    }
}

pub(crate) fn settings() -> ReconcileSettings {
    ReconcileSettings::default()
}
