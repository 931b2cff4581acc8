//! Plans and changes the shards of a Kinesis stream: how many there are and where their hash ranges begin.
//!
//! One pure function decides, everything else only chooses when to call it and carries out what it says:
//!
//! ```text
//!   CloudWatch ─┐                                         ┌─▶ UpdateShardCount
//!   workers ────┼─▶ Observation ─┐                        │
//!   traces ─────┘                ├─▶ plan(…) ─▶ Plan ─▶ executor ─▶ SplitShard, MergeShards
//!   calls made ───▶ Ledger ──────┤      │                 │
//!   settings ─────▶ Policy ──────┘      └─▶ reasons       └─▶ journal, audit
//!        ▲
//!   alarms, timers, operators: "look at the stream"
//! ```
//!
//! - [`Learner`] is the function with a memory: it chooses some knobs by the stream's own last days.
//! - [`Boundaries`] are what a layout of shards is, apart from the shards' names; [`Layout`] has the names, too.
//! - [`LoadMap`] says how the load lies on the hash space, so that a layout can be judged before it exists.
//! - [`Observation`] is everything seen at one moment. A reading that is missing is unknown, never zero.
//! - [`Policy`] holds every knob, [`Policies`] those of many streams; [`Ledger`] holds what was done, above all the calls that count against the quota.
//! - [`reconcile`] carries plans out under a lock and a journal; `service`, with the feature `aws`, wires it to streams on AWS.
//! - [`advise`] prices the capacity modes, [`alarms`] renders the infrastructure.
//! - [`trigger`] reads alarms by every route of CloudWatch, and makes of each a look at a stream or a refusal.

pub mod advise;
pub mod alarms;
#[cfg(feature = "aws")]
pub mod aws;
mod learn;
mod plan;
mod policy;
pub mod reconcile;
#[cfg(feature = "aws")]
pub mod service;
mod signal;
mod simulate;
mod stream;
pub mod trigger;

pub use kinesis_model::{EpochMillis, KinesisError};
pub use learn::Learner;
pub use plan::{
    Action, Change, Constraint, Decision, IneffectiveSplit, Ledger, LedgerCall, OperationDurations, Origin,
    Plan, Rejected, Step, partition, plan,
};
pub use policy::{Day, Floor, Policies, PoliciesProblem, Policy, PolicyProblem, ShardLimits, WeeklySpan};
pub use signal::{
    ApplicationLag, HeavyKey, IgnoredRows, LoadMap, Minute, Observation, ShardMinute, StreamState,
    TelemetryQuality, TelemetryReading, TelemetryScope,
};
pub use simulate::{
    ApplicationSettings, Bar, Cloud, CloudSettings, Comparison, Family, Figures, Gaps, Judgement,
    KeySchedule, MetricSettings, MinuteLoad, Occasion, Operation, OperationKind, Ours, ReadMode, Refusal,
    RetrySettings, Row, Run, RunMinute, Scaler, Scores, Slowdown, Summary, TelemetrySettings, Trace,
    TraceError, TraceFile, TracePlot, TraceSettings, aws_samples, baselines, clairvoyant, compare,
    compare_plotted, fixed_count, minutes_to_absorb, plot_surge, reactive, read_trace, report_page, required,
    run, skewed, suite, surge,
};
pub use stream::{Boundaries, InvalidLayout, Layout, OpenShard};
