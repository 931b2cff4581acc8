//! What there is already: published autoscalers for Kinesis, from their published behaviour, under the same simulation.
//!
//! Each is one [`Scaler`] that sees and calls what the original does, with the original's defaults; its module says where it
//! comes from, what is modelled and what is not. Where something had to be decided, it was decided in the original's favour.
//!
//! ```text
//!   Cloud::minutes ─▶ MathAlarm ─┬▶ aws-samples ×2/÷2 ───────────┐
//!                                ├▶ application-autoscaling ±1 ──┤
//!                                └▶ epsagon ─────────────────────┼─▶ update_shard_count
//!   Cloud::minutes ─▶ samples ────▶ scaling-utils ───────────────┤    refused ─▶ Repartition ─▶ split, merge
//!                  ─▶ demand ─────▶ target tracking ─────────────┤
//!   trace ───────────────────────▶ static ───────────────────────┘
//! ```

mod application_autoscaling;
mod aws_samples;
mod epsagon;
mod fixed;
mod math_alarm;
mod repartition;
#[cfg(test)]
mod replay;
mod scaling_utils;
mod target_tracking;

use self::application_autoscaling::ApplicationAutoscaling;
use self::aws_samples::AwsSamples;
use self::epsagon::Epsagon;
use self::fixed::Fixed;
pub use self::fixed::fixed_count;
use self::scaling_utils::ScalingUtils;
use self::target_tracking::TargetTracking;
use super::{Scaler, Trace};

/// Every baseline, ready for one run. The trace is for the one that knows the peak in advance.
#[must_use]
pub fn all(trace: &Trace) -> Vec<Box<dyn Scaler>> {
    vec![
        Box::new(aws_samples()),
        Box::new(ScalingUtils::percent()),
        Box::new(ScalingUtils::count()),
        Box::new(ApplicationAutoscaling::new()),
        Box::new(Epsagon::new()),
        Box::new(TargetTracking::default()),
        Box::new(Fixed::new(trace)),
    ]
}

/// aws-samples/kinesis-auto-scaling, with which others are compared: the most copied of the published ones.
#[must_use]
pub fn aws_samples() -> impl Scaler {
    AwsSamples::new()
}
