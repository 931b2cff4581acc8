//! The gate that every call of one worker passes on its way out: counted, named, and at one of them something happens.
//!
//! ```text
//! call ─▶ pass ─┬─▶ effect ─▶ answer                                   undisturbed
//!               ├─▶ held ─ release ─▶ effect ─▶ answer                 HangBefore: lands late, if at all
//!               ├─▶ effect ─▶ held ─ release ─▶ answer                 HangAfter
//!               ├─▶ effect ─▶ "outcome not known"                      LoseReply
//!               └─▶ "not done"                                         NotDone, Refuse
//! ```
//!
//! While a call is held, every other call of the worker is held as well: it is cut off from the world.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// The gate of one worker. Clones are the same gate.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    shared: Arc<Mutex<Shared>>,
    phase: Arc<watch::Sender<Phase>>,
}

#[derive(Debug)]
struct Shared {
    steps: Vec<Step>,
    plan: Option<Plan>,
    has_fired: bool,
}

/// What happens, and at which call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) at: At,
    pub(super) fault: Fault,
}

/// A call that something happens to.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// The one of this number, from 0.
    Number(usize),
    /// The first to the object store.
    FirstObject,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    HangBefore,
    HangAfter,
    LoseReply,
    NotDone,
    Refuse,
}

/// A counted call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) kind: StepKind,
    pub(super) name: String,
}

/// Where a call goes, and whether it changes anything there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    /// A conditional write on a lease row.
    Row,
    /// A write to the object store, or one call of a multipart upload.
    ObjectWrite,
    /// A read of the object store.
    ObjectRead,
    /// A read of the stream.
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Held,
    /// The held call goes on, and the worker is cut off from everything else.
    Landed,
}

impl StepKind {
    /// Whether a call that lands late can change anything.
    pub(super) fn is_write(self) -> bool {
        match self {
            Self::Row | Self::ObjectWrite => true,
            Self::ObjectRead | Self::Stream => false,
        }
    }
}

impl Gate {
    pub(super) fn new(plan: Option<Plan>) -> Self {
        let shared = Shared { steps: Vec::new(), plan, has_fired: false };
        Self { shared: Arc::new(Mutex::new(shared)), phase: Arc::new(watch::channel(Phase::Open).0) }
    }

    /// The calls so far.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.shared.lock().steps.clone()
    }

    /// Whether the plan was carried out.
    pub(super) fn has_fired(&self) -> bool {
        self.shared.lock().has_fired
    }

    /// Returns once the worker is cut off.
    pub(super) async fn cut(&self) {
        self.reaches(|phase| phase == Phase::Held).await;
    }

    /// Lets what is held go on; what has not happened yet will not.
    pub(super) fn release(&self) {
        self.shared.lock().plan = None;
        self.phase.send_replace(Phase::Open);
    }

    /// Lets the held call go on, and nothing else.
    pub(super) fn land(&self) {
        self.phase.send_replace(Phase::Landed);
    }

    /// Returns at once unless the worker is cut off; for calls that are not counted.
    pub(super) async fn open(&self) {
        self.reaches(|phase| phase == Phase::Open).await;
    }

    /// One counted call with this effect. It lands even if its caller is gone by then, as a request on its way does.
    pub(super) async fn pass<T: Send + 'static>(
        &self,
        step: Step,
        effect: impl Future<Output = T> + Send + 'static,
        failed: impl FnOnce(Fault) -> T + Send,
    ) -> T {
        self.open().await;
        let Some(fault) = self.fault_of(step) else { return effect.await };
        match fault {
            Fault::HangBefore => {
                self.phase.send_replace(Phase::Held);
                let gate = self.clone();
                let landing = tokio::spawn(async move {
                    gate.reaches(|phase| phase != Phase::Held).await;
                    effect.await
                });
                landing.await.expect("no effect panics")
            }
            Fault::HangAfter => {
                let answer = effect.await;
                self.phase.send_replace(Phase::Held);
                self.reaches(|phase| phase != Phase::Held).await;
                answer
            }
            Fault::LoseReply => {
                drop(effect.await);
                failed(fault)
            }
            Fault::NotDone | Fault::Refuse => failed(fault),
        }
    }

    fn fault_of(&self, step: Step) -> Option<Fault> {
        let mut shared = self.shared.lock();
        let number = shared.steps.len();
        let is_meant = shared.plan.is_some_and(|plan| match plan.at {
            At::Number(at) => at == number,
            At::FirstObject => matches!(step.kind, StepKind::ObjectRead | StepKind::ObjectWrite),
        });
        shared.steps.push(step);
        shared.has_fired |= is_meant;
        shared.plan.take_if(|_| is_meant).map(|plan| plan.fault)
    }

    async fn reaches(&self, is_there: impl Fn(Phase) -> bool) {
        let mut phase = self.phase.subscribe();
        phase.wait_for(|phase| is_there(*phase)).await.expect("the gate holds the sender");
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}
