//! The planner of this crate, driven against the simulated cloud.
//!
//! Owns what an executor remembers: the ledger, and what the stream's days taught. It plans each minute and whenever a reshard is done, so before each step.

use std::time::Duration;

use super::{Cloud, Scaler};
use crate::{Action, Change, Decision, Learner, Ledger, LedgerCall, Origin, Policy, Step, StreamState};

/// The planner under a policy.
#[derive(Debug)]
pub struct Ours {
    learner: Learner,
    ledger: Ledger,
    decision: Option<Decision>,
    /// Shard counts before and after what was begun, until it is done.
    changing: Option<(u32, u32)>,
}

impl Ours {
    /// A planner without history.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { learner: Learner::new(policy), ledger: Ledger::default(), decision: None, changing: None }
    }

    fn look(&mut self, cloud: &mut Cloud) {
        if let Some((from, to)) = self.changing.take() {
            self.ledger.note_change(Change { at: cloud.now(), from, to });
        }
        let observation = cloud.observe(Learner::window_max(self.learner.policy()) + METRIC_DELAY_MAX);
        let plan = self.learner.plan(&observation, &self.ledger, cloud.now());
        self.decision = Some(plan.decision);
        self.carry_out(plan.action, cloud);
    }

    fn carry_out(&mut self, action: Action, cloud: &mut Cloud) {
        let count = cloud.layout().count();
        match action {
            Action::Nothing => self.ledger.reshaping = None,
            Action::Scale { target } => {
                self.ledger.reshaping = None;
                self.ledger.note_call(LedgerCall { at: cloud.now(), target, origin: Origin::Own });
                if cloud.update_shard_count(target).is_ok() {
                    self.changing = Some((count, target));
                }
            }
            Action::Reshape { target, steps } => {
                let Some(&step) = steps.first() else { return };
                self.ledger.reshaping = Some(target);
                let (reply, to) = match step {
                    Step::Split { at } => (cloud.split(at), count + 1),
                    Step::Merge { at } => (cloud.merge(at), count - 1),
                };
                if reply.is_ok() {
                    self.changing = Some((count, to));
                }
            }
        }
    }
}

impl Scaler for Ours {
    fn name(&self) -> &str {
        "leasehold"
    }

    fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        if cloud.state() == StreamState::Active {
            self.look(cloud);
        }
    }

    fn reshard_done(&mut self, cloud: &mut Cloud) {
        self.look(cloud);
    }
}

/// What CloudWatch may be late by, so that the longest shrink window is seen.
const METRIC_DELAY_MAX: Duration = Duration::from_secs(15 * 60);
