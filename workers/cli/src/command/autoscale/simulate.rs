//! `leasehold autoscale simulate`: the planner beside the published autoscalers, on traffic that was or is made up.

use std::time::Instant;

use anyhow::Context as _;
use autoscaler::{
    CloudSettings, Comparison, Ours, TelemetrySettings, Trace, TraceSettings, compare, read_trace, suite,
};

use super::policy::policy_of;
use crate::arguments::SimulateArguments;
use crate::problem::{FAILED, Problem};

/// Replays traffic against the planner and the published autoscalers, and judges the planner by its bars.
pub(super) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<()> {
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
