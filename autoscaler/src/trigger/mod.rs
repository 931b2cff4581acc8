//! What wakes the reconciler: alarms by every route that CloudWatch has, and operators.
//!
//! A wake says "look at this stream now" and nothing else. Alarms are delivered at least once, in any order, late, and by
//! whoever may write to the queue; so their thresholds, readings and states are kept for the log and never acted upon.
//!
//! ```text
//!  alarm ─▶ SNS ─────────▶ SQS ─▶ WakePoller ─┐                      ┌─ Refusal: logged, counted, deleted
//!        └▶ EventBridge ─▶ SQS ─▶     "      ─┼─▶ read_event ─────────┤
//!        └▶ SNS, EventBridge, SQS ─▶ Lambda ──┤   read_message       └─ Wake ─▶ SeenWindow ─▶ reconciler
//!        └▶ Lambda action ──────────────────  ┘   (bounded, typed)
//!  operator ────────────────────────────────────── Wake::by_operator ──────────────────────▶ reconciler
//! ```
//!
//! Reading is pure: bytes and [`TriggerSettings`] in, [`Wake`]s or a [`Refusal`] out. No signature is verified and no
//! subscription confirmed: the access policy of the topic, queue or function says who may send.

mod alarm;
mod arn;
mod document;
mod envelope;
#[cfg(feature = "lambda")]
mod lambda;
mod memory;
mod name;
mod poller;
mod queue;
mod refusal;
mod seen;
mod settings;
#[cfg(feature = "aws")]
mod sqs;
mod tally;
mod wake;

pub use arn::AlarmArn;
pub use envelope::{Delivery, read_event, read_message};
#[cfg(feature = "lambda")]
pub use lambda::{LambdaError, LambdaService, Unhandled, serve_lambda};
pub use memory::MemoryWakeQueue;
pub use name::{AccountId, InvalidName, Region, StreamName};
pub use poller::{PollEnd, WakePoller};
pub use queue::{QueueError, QueueMessage, Receipt, WakeQueue};
pub use refusal::{Excerpt, Refusal, RefusalKind};
pub use seen::SeenWindow;
pub use settings::{TriggerProblem, TriggerSettings};
#[cfg(feature = "aws")]
pub use sqs::SqsWakeQueue;
pub use tally::{Counter, Tally};
pub use wake::{AlarmChange, AlarmState, Wake, WakeSource};
