//! `leasehold autoscale`: what the autoscaler would do, shown before it may do anything.

mod simulate;

use std::path::Path;

use anyhow::Context as _;
use autoscaler::Policy;

use crate::arguments::{AutoscaleArguments, AutoscaleCommand};
use crate::problem::Problem;

/// Runs one of the modes.
pub(crate) fn autoscale(arguments: AutoscaleArguments) -> anyhow::Result<()> {
    match arguments.command {
        AutoscaleCommand::Simulate(arguments) => simulate::simulate(&arguments),
        AutoscaleCommand::Policy => print_policy(),
    }
}

/// The policy of `file`, or the default one.
fn policy_of(file: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(file) = file else { return Ok(Policy::default()) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("policy file {} cannot be read", file.display()))?;
    let problem = |error: &dyn std::fmt::Display| Problem::usage(format!("{}: {error}", file.display()));
    let policy: Policy = toml::from_str(&text).map_err(|error| problem(&error))?;
    policy.validate().map_err(|error| problem(&error))?;
    Ok(policy)
}

/// The default policy as a file to start from.
fn print_policy() -> anyhow::Result<()> {
    print!("{}", toml::to_string(&Policy::default()).context("the policy has no TOML")?);
    Ok(())
}
