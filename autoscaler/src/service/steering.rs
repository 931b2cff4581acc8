//! What an operator may change while the autoscaler runs: the policy, and the kill switch.
//!
//! Both are read at the start of every round, so a change holds from the next look on. What cannot be read holds nothing up
//! and lets nothing through: the stream is observed, and nothing is changed until it can be read again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use thiserror::Error;

use super::StreamMemory;
use crate::aws::{AwsObserver, PauseSwitch};
use crate::reconcile::{Observer, PortError};
use crate::{EpochMillis, Observation, Policy};

/// Where the policy of one stream comes from.
#[async_trait]
pub trait PolicySource: fmt::Debug + Send + Sync {
    /// The policy as it is now; it must be valid.
    ///
    /// # Errors
    /// [`PolicyUnreadable`] if there is none.
    async fn read(&self) -> Result<Policy, PolicyUnreadable>;
}

/// A policy that never changes.
#[async_trait]
impl PolicySource for Policy {
    async fn read(&self) -> Result<Policy, PolicyUnreadable> {
        Ok(self.clone())
    }
}

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PolicyUnreadable(pub String);

/// What holds for one stream at the moment.
#[derive(Debug)]
pub struct Steering {
    stream: String,
    source: Arc<dyn PolicySource>,
    switch: Option<PauseSwitch>,
    is_dry: bool,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    policy: Policy,
    hold: Option<Hold>,
}

/// Why nothing is changed, beside what the policy itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing is ever changed by this process.
    DryRun,
    /// The stream's switch is on.
    Switch,
    /// The policy cannot be read, so nobody knows whether it pauses.
    PolicyUnreadable,
}

impl Hold {
    /// The setting, as a plan names it.
    #[must_use]
    pub const fn by(self) -> &'static str {
        match self {
            Self::DryRun => "a run that only observes",
            Self::Switch => "the pause switch, which `leasehold autoscale resume` ends",
            Self::PolicyUnreadable => "a policy that cannot be read",
        }
    }
}

impl Steering {
    /// `stream`, steered by `source`, of which `policy` was read first.
    #[must_use]
    pub fn new(stream: impl Into<String>, source: Arc<dyn PolicySource>, policy: Policy) -> Self {
        let state = Mutex::new(State { policy, hold: None });
        Self { stream: stream.into(), source, switch: None, is_dry: false, state }
    }

    /// Obeys the stream's switch, too.
    #[must_use]
    pub fn with_switch(mut self, switch: PauseSwitch) -> Self {
        self.switch = Some(switch);
        self
    }

    /// Changes nothing, whatever is planned.
    #[must_use]
    pub fn dry(mut self) -> Self {
        self.is_dry = true;
        self.state.get_mut().hold = Some(Hold::DryRun);
        self
    }

    /// The policy, and why nothing is changed.
    #[must_use]
    pub fn present(&self) -> (Policy, Option<Hold>) {
        let State { policy, hold } = self.state.lock().clone();
        (policy, hold)
    }

    /// Reads policy and switch anew. A policy that cannot be read leaves the last one in force, held.
    ///
    /// # Errors
    /// [`PortError`] if the switch cannot be read.
    pub async fn refresh(&self) -> Result<(), PortError> {
        let pause = match &self.switch {
            Some(switch) => switch.read().await?,
            None => None,
        };
        let read = self.source.read().await;
        let stream = &*self.stream;
        let mut state = self.state.lock();
        let before = state.hold;
        state.hold = match (self.is_dry, &pause, &read) {
            (true, _, _) => Some(Hold::DryRun),
            (false, Some(_), _) => Some(Hold::Switch),
            (false, None, Err(_)) => Some(Hold::PolicyUnreadable),
            (false, None, Ok(_)) => None,
        };
        match read {
            Ok(policy) if policy != state.policy => {
                tracing::info!(stream, "the policy has changed");
                state.policy = policy;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(stream, %error, "the policy cannot be read: nothing is changed"),
        }
        if let Some(pause) = pause.filter(|_| before != state.hold) {
            tracing::warn!(stream, by = pause.by, reason = pause.reason, "paused");
        }
        Ok(())
    }
}

/// An observer that looks at what steers the stream before it looks at the stream.
#[derive(Clone, Debug)]
pub struct Steered {
    observer: AwsObserver,
    steering: Arc<Steering>,
    memory: Arc<StreamMemory>,
}

impl Steered {
    /// Sees what `observer` sees, under `steering`, and what `memory` holds of the days before.
    #[must_use]
    pub const fn new(observer: AwsObserver, steering: Arc<Steering>, memory: Arc<StreamMemory>) -> Self {
        Self { observer, steering, memory }
    }
}

#[async_trait]
impl Observer for Steered {
    async fn observe(&self, now: EpochMillis) -> Result<Observation, PortError> {
        self.steering.refresh().await?;
        let (policy, _) = self.steering.present();
        let observer = self.observer.clone().looking_back(window_of(&policy), policy.limits);
        let mut observation = observer.observe(now).await?;
        self.memory.past.complete(&mut observation, &observer, &policy).await;
        Ok(observation)
    }
}

/// How far back minutes are read, so that the whole shrink window is seen.
pub(super) fn window_of(policy: &Policy) -> Duration {
    policy.shrink_window + METRIC_DELAY_MAX
}

/// What CloudWatch may be late by.
const METRIC_DELAY_MAX: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one answer after the other.
    #[derive(Debug)]
    struct Answers(Mutex<Vec<Result<Policy, PolicyUnreadable>>>);

    #[async_trait]
    impl PolicySource for Answers {
        async fn read(&self) -> Result<Policy, PolicyUnreadable> {
            self.0.lock().remove(0)
        }
    }

    #[tokio::test]
    async fn a_policy_that_cannot_be_read_holds_the_last_one() {
        let changed = Policy { shards_min: 7, ..Policy::default() };
        let unreadable = PolicyUnreadable("line 3".to_owned());
        let answers = vec![Ok(changed.clone()), Err(unreadable), Ok(changed.clone())];
        let steering = Steering::new("orders", Arc::new(Answers(Mutex::new(answers))), Policy::default());
        for expected in [None, Some(Hold::PolicyUnreadable), None] {
            steering.refresh().await.expect("no switch is read");
            assert_eq!(steering.present(), (changed.clone(), expected));
        }
    }

    #[tokio::test]
    async fn a_dry_run_is_held_from_the_start_and_for_good() {
        let steering = Steering::new("orders", Arc::new(Policy::default()), Policy::default()).dry();
        assert_eq!(steering.present().1, Some(Hold::DryRun));
        steering.refresh().await.expect("no switch is read");
        assert_eq!(steering.present().1, Some(Hold::DryRun));
    }
}
