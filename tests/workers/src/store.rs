//! The lease store as one process reaches it: slow, lossy, and out of its hands once a request is sent.
//!
//! ```text
//! execute ─▶ fate drawn ─▶ own task { before ─▶ carry out (─▶ once more) ─▶ after ─▶ answer } ─▶ reply, or none in time
//! ```
//!
//! A request travels in a task of its own, so it arrives though its author gives up or dies.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl::{Application, LeaseStore, OpenError};
use kcl_core::{Millis, StoreReply, StoreRequest};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::draws::Draws;
use crate::lab::Lab;
use crate::process::Process;
use crate::situation::Situation;

/// The way of one process to the lease table.
#[derive(Debug)]
pub struct ProcessStore {
    lab: Arc<Lab>,
    process: Arc<Process>,
    draws: Mutex<Draws>,
    call_timeout: Duration,
}

impl ProcessStore {
    /// The way of `process`, which usually gives up on a call after `call_timeout`.
    #[must_use]
    pub fn new(lab: Arc<Lab>, process: Arc<Process>, draws: Draws, call_timeout: Duration) -> Self {
        Self { lab, process, draws: Mutex::new(draws), call_timeout }
    }

    fn fate(&self, request: &StoreRequest) -> Fate {
        let is_write = matches!(request, StoreRequest::CreateLease(_) | StoreRequest::UpdateLease(_));
        let draws = &mut *self.draws.lock();
        let lab = &self.lab;
        let usual = draws.between(1, 15);
        let mut fate = Fate {
            is_throttled: lab.strikes(Situation::StoreThrottled, draws),
            arrives: !lab.strikes(Situation::RequestLost, draws),
            is_answered: !lab.strikes(Situation::ReplyLost, draws),
            before: usual,
            repeated_after: None,
            after: draws.between(1, 15),
            patience: self.call_timeout,
        };
        if lab.strikes(Situation::AppliedTwice, draws) {
            fate.repeated_after = Some(draws.between(0, 2_000));
        }
        if let Some(each_way_max) = self.process.slowness() {
            let millis_max = Millis::from(each_way_max).0;
            (fate.before, fate.after) = (draws.between(0, millis_max), draws.between(0, millis_max));
            fate.patience = each_way_max * 3;
        } else if lab.strikes(Situation::AnsweredLate, draws) {
            fate.before = draws.between(0, LATENESS_MAX_MILLIS);
            fate.after = Duration::from_millis(LATENESS_MAX_MILLIS) - fate.before;
            fate.patience = Duration::from_millis(LATENESS_MAX_MILLIS * 2);
        } else if is_write && lab.strikes(Situation::LandedLate, draws) {
            fate.before = self.call_timeout + draws.between(1, LATENESS_MAX_MILLIS);
        }
        fate
    }
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug)]
struct Fate {
    is_throttled: bool,
    arrives: bool,
    is_answered: bool,
    before: Duration,
    repeated_after: Option<Duration>,
    after: Duration,
    patience: Duration,
}

#[async_trait]
impl LeaseStore for ProcessStore {
    async fn open(&self, application: &Application) -> Result<(), OpenError> {
        self.process.thawed().await;
        self.lab.table().open(application).await
    }

    async fn execute(&self, request: StoreRequest) -> StoreReply {
        self.process.thawed().await;
        let fate = self.fate(&request);
        if fate.is_throttled {
            sleep(fate.before).await;
            return StoreReply::Throttled;
        }
        let (answer, reply) = oneshot::channel();
        tokio::spawn(travel(Arc::clone(&self.lab), Arc::clone(&self.process), request, fate, answer));
        let reply = timeout(fate.patience, reply).await;
        self.process.thawed().await;
        reply.map_or(StoreReply::Unknown, |answered| answered.unwrap_or(StoreReply::Unknown))
    }
}

async fn travel(
    lab: Arc<Lab>,
    process: Arc<Process>,
    request: StoreRequest,
    fate: Fate,
    answer: oneshot::Sender<StoreReply>,
) {
    let given_up_at = Instant::now() + fate.patience;
    if fate.arrives {
        sleep(fate.before).await;
        let mut reply = lab.carry_out(&process, &request);
        if let Some(pause) = fate.repeated_after {
            sleep(pause).await;
            reply = lab.carry_out(&process, &request);
        }
        if fate.is_answered {
            sleep(fate.after).await;
            // Its author may have given up or died.
            let _ = answer.send(reply);
            return;
        }
        lab.oracle().reply_lost(&reply);
    }
    sleep_until(given_up_at).await;
    drop(answer);
}

/// Longer than any lease of the runs lives.
const LATENESS_MAX_MILLIS: u64 = 15_000;
