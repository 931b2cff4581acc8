//! `leasehold autoscale`: what the autoscaler sees, plans, does, and would have done.

mod advise;
mod alarms;
mod apply;
mod connect;
mod lambda;
mod metrics;
mod observe;
mod parts;
mod plan;
mod policy;
mod rebalance;
mod simulate;
mod switch;

use crate::arguments::{AlarmsCommand, AutoscaleArguments, AutoscaleCommand};

/// Runs one of the modes.
pub(crate) async fn autoscale(arguments: AutoscaleArguments) -> anyhow::Result<()> {
    match arguments.command {
        AutoscaleCommand::Observe(arguments) => observe::observe(&arguments).await,
        AutoscaleCommand::Plan(arguments) => plan::plan(&arguments).await,
        AutoscaleCommand::Apply(arguments) => apply::apply(arguments).await,
        AutoscaleCommand::Rebalance(arguments) => rebalance::rebalance(arguments).await,
        AutoscaleCommand::AdviseMode(arguments) => advise::advise_mode(&arguments).await,
        AutoscaleCommand::Pause(arguments) => switch::pause(&arguments).await,
        AutoscaleCommand::Resume(arguments) => switch::resume(&arguments).await,
        AutoscaleCommand::Alarms(arguments) => match arguments.command {
            AlarmsCommand::Render(arguments) => alarms::render(&arguments),
        },
        AutoscaleCommand::Lambda(arguments) => lambda::lambda(arguments).await,
        AutoscaleCommand::Simulate(arguments) => simulate::simulate(&arguments),
        AutoscaleCommand::Policy => policy::print_policy(),
    }
}
