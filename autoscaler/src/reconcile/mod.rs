//! Carries out plans: one leader for each stream, one change at a time, nothing taken on trust.
//!
//! ```text
//!  alarms, timers ─ "look again" ─▶ ┌────────────┐ ◀── row: lock + journal (conditional writes) ──▶ DynamoDB
//!                                   │ Controller │ ◀── look, observe ───────────────────────────── Kinesis, CloudWatch
//!   plan(observation, ledger) ◀───▶ └────────────┘ ──▶ UpdateShardCount, SplitShard, MergeShards
//!                                          └──▶ events, audit records
//! ```
//!
//! [`Controller`] decides and waits without IO, so that the same code runs in production and under faults by the hundred
//! thousand; [`Reconciler`] gives it clocks and ports. The rules that it keeps:
//!
//! - **Level-triggered.** What to do follows from what is seen now. A lost, late or repeated alarm changes nothing but when.
//! - **Written down first.** An intent precedes its call. A call of unknown outcome counts as used, and the layout tells
//!   whether it happened. Moves are named by hash boundaries, so the rest of a way is the difference of two layouts.
//! - **Fenced.** The intent is written on the row's version held; whoever lost the row cannot write one, and does not call.
//! - **Bounded.** Every wait ends: by the layout, or by giving the plan up aloud.
//! - **Judged.** The load of what a change touched is compared before and after; a split that met a hot key is listed for
//!   the planner.

mod audit;
mod controller;
mod effect;
mod event;
mod journal;
mod judge;
mod message;
mod pace;
mod port;
mod reconciler;
mod settings;
mod tenure;
mod trail;

pub use audit::{
    AuditAction, AuditChange, AuditEntry, AuditPlan, AuditReading, AuditRecord, AuditSink, JsonLines,
};
pub use controller::{Controller, Planner};
pub use effect::{Effect, Reading, Trial, Verdict};
pub use event::{CallResult, Event, Utilisation, Vitals, Withheld};
pub use journal::{DecisionId, Intent, Journal, JournalProblem, Settled};
pub use judge::{Fingerprint, Move, Unsound};
pub use message::{Call, CallReply, Look, Moment, Refusal, Reply, Request, RequestId, Row, RowWrite};
pub use port::{Gauges, MemoryRowStore, Observer, PortError, RowStore, RowWritten, ShardControl};
pub use reconciler::{Ports, Reconciler, RunFor};
pub use settings::{InvalidReconcileSetting, ReconcileSettings};
pub use trail::{AuditTrail, DecisionLog};
