//! `leasehold autoscale`: what the autoscaler would do, shown before it may do anything.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use autoscaler::{
    CloudSettings, Comparison, Ours, Policy, TelemetrySettings, Trace, TraceSettings, compare, read_trace,
    suite,
};

use crate::arguments::{AutoscaleArguments, AutoscaleCommand, SimulateArguments};
use crate::problem::{FAILED, Problem};

/// Runs one of the modes.
pub(crate) fn autoscale(arguments: AutoscaleArguments) -> anyhow::Result<()> {
    match arguments.command {
        AutoscaleCommand::Simulate(simulate) => run_simulation(&simulate),
        AutoscaleCommand::Policy => print_policy(),
    }
}

/// Replays traffic against the planner and the published autoscalers, and judges the planner by its bars.
fn run_simulation(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let policy = policy_of(arguments.policy.as_deref())?;
    let traces = traces_of(arguments)?;
    let telemetry = (!arguments.without_workers).then(TelemetrySettings::default);
    let settings = CloudSettings { telemetry, limits: policy.limits, ..CloudSettings::default() };
    let begun = Instant::now();
    if !arguments.json {
        eprintln!("replaying {} traces against every autoscaler …", traces.len());
    }
    let candidate = || Ours::new(policy.clone());
    let mut comparison = compare(&traces, &settings, candidate);
    if arguments.traces.is_empty() {
        comparison = comparison.with_trials(&settings, candidate);
    }
    print(&comparison, arguments)?;
    if !arguments.json {
        eprintln!("{} traces in {:.0} s", traces.len(), begun.elapsed().as_secs_f64());
    }
    if arguments.check && !comparison.holds() {
        return Err(Problem::with_code(FAILED, "a bar does not hold; its line says what binds it"));
    }
    Ok(())
}

fn print(comparison: &Comparison, arguments: &SimulateArguments) -> anyhow::Result<()> {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(comparison).context("the comparison has no JSON")?);
        return Ok(());
    }
    if arguments.each_trace {
        println!("{}", comparison.traces_table());
    }
    println!("{comparison}");
    Ok(())
}

fn traces_of(arguments: &SimulateArguments) -> anyhow::Result<Vec<Trace>> {
    if arguments.traces.is_empty() {
        return Ok(suite(&arguments.seeds));
    }
    let settings = TraceSettings { mean_shards: arguments.mean_shards, ..TraceSettings::default() };
    let read = |path| read_trace(path, &settings).map(|file| file.trace);
    arguments
        .traces
        .iter()
        .map(|path| read(path).map_err(|error| Problem::usage(error.to_string())))
        .collect()
}

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
