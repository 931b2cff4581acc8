//! Autoscalers replayed against traffic on a virtual clock: what they are given, what they do, and how they are judged.
//!
//! ```text
//!   Trace ─▶ run ─▶ Cloud ◀─looks, calls─ Scaler
//!             └──▶ Run: minutes, operations, refusals, Scores
//! ```
//!
//! Everything is a function of its arguments: the same trace, settings and scaler give the same run.

mod baseline;
mod cloud;
mod ideal;
mod ours;
mod page;
mod run;
mod scaler;
mod score;
mod suite;
mod trace;
mod traffic;

pub use baseline::{all as baselines, aws_samples, fixed_count};
pub use cloud::{
    ApplicationSettings, Cloud, CloudSettings, MetricSettings, ReadMode, RetrySettings, Slowdown,
    TelemetrySettings,
};
pub use ideal::{clairvoyant, reactive, required};
pub use ours::Ours;
pub use page::{TracePlot, report_page};
pub use run::{Judgement, Occasion, Operation, OperationKind, Refusal, Run, RunMinute, run};
pub use scaler::Scaler;
pub use score::{Scores, minutes_to_absorb};
pub use suite::{Bar, Comparison, Figures, Row, Summary, compare, compare_plotted, plot_surge};
pub use trace::{Gaps, TraceError, TraceFile, TraceSettings, read_trace};
pub use traffic::{Family, KeySchedule, MinuteLoad, Trace, skewed, suite, surge};
