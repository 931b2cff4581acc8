//! `leasehold autoscale`: what the autoscaler sees, plans, does, and would have done.

mod apply;
mod connect;
mod metrics;
mod observe;
mod plan;
mod policy;
mod simulate;

use crate::arguments::{AutoscaleArguments, AutoscaleCommand};

/// Runs one of the modes.
pub(crate) async fn autoscale(arguments: AutoscaleArguments) -> anyhow::Result<()> {
    match arguments.command {
        AutoscaleCommand::Observe(arguments) => observe::observe(&arguments).await,
        AutoscaleCommand::Plan(arguments) => plan::plan(&arguments).await,
        AutoscaleCommand::Apply(arguments) => apply::apply(arguments).await,
        AutoscaleCommand::Simulate(arguments) => simulate::simulate(&arguments),
        AutoscaleCommand::Policy => policy::print_policy(),
    }
}
