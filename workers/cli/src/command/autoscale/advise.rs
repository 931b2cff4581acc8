//! `leasehold autoscale advise-mode`: what a month costs in each capacity mode.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use autoscaler::advise::{Advice, Prices, Readers, advise};
use autoscaler::reconcile::Observer as _;
use autoscaler::{KeySchedule, LoadMap, Minute, MinuteLoad, Policy, Trace, TraceSettings, read_trace};
use serde::Serialize;

use super::connect::{Site, problem_of_stream};
use super::policy::policies_of;
use crate::arguments::{AdviseArguments, StreamsArguments, TABLE};
use crate::problem::{FAILED, Problem};

/// Shows the modes beside each other.
pub(super) async fn advise_mode(arguments: &AdviseArguments) -> anyhow::Result<()> {
    let prices = prices_of(arguments.prices.as_deref())?;
    let policies = policies_of(arguments.policy.as_deref())?;
    let policy = arguments.stream.as_ref().map_or(policies.top_level(), |stream| policies.for_stream(stream));
    let (trace, consumers) = match &arguments.trace {
        Some(file) => (trace_of(file, arguments, policy)?, 0),
        None => seen(arguments, policy).await?,
    };
    let readers = Readers { polling: arguments.readers, fan_out: arguments.consumers.unwrap_or(consumers) };
    let advice = advise(&trace, policy, readers, &prices);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&WithPrices { advice: &advice, prices: &prices })?);
        return Ok(());
    }
    print(&advice);
    Ok(())
}

#[derive(Serialize)]
struct WithPrices<'a> {
    #[serde(flatten)]
    advice: &'a Advice,
    prices: &'a Prices,
}

fn print(advice: &Advice) {
    let Advice { trace, volume, readers, modes, hinges } = advice;
    println!(
        "{trace}: {:.0} GB in {:.0} million records a month, at most {:.2} MB a second; {} polling, {} fan-out",
        volume.bytes / 1e9,
        volume.records / 1e6,
        volume.peak_bytes_per_second / 1e6,
        readers.polling,
        readers.fan_out
    );
    println!(
        "{:<28} {:>10} {:>10} {:>10} {:>10} {:>8} {:>16}",
        "DOLLARS A MONTH", "ALL", "FIXED", "PUT", "READ", "SHARDS", "THROTTLED MIN/D"
    );
    for mode in modes {
        let known = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        println!(
            "{:<28} {:>10.0} {:>10.0} {:>10.0} {:>10.0} {:>8} {:>16}",
            mode.mode.to_string(),
            mode.dollars,
            mode.fixed,
            mode.put,
            mode.read,
            known(mode.shards),
            known(mode.throttled_minutes_per_day)
        );
    }
    println!("What this hinges on:");
    for hinge in hinges {
        println!("- {hinge}");
    }
}

fn trace_of(file: &Path, arguments: &AdviseArguments, policy: &Policy) -> anyhow::Result<Trace> {
    let settings = TraceSettings {
        mean_shards: arguments.mean_shards,
        limits: policy.limits,
        ..TraceSettings::default()
    };
    let file = read_trace(file, &settings).map_err(|error| Problem::usage(error.to_string()))?;
    Ok(file.trace)
}

/// The stream's traffic as CloudWatch has it, and its fan-out consumers.
async fn seen(arguments: &AdviseArguments, policy: &Policy) -> anyhow::Result<(Trace, u32)> {
    let stream = arguments.stream.clone().context("clap asks for a trace or a stream")?;
    let reached = StreamsArguments {
        streams: vec![stream.clone()],
        policy: arguments.policy.clone(),
        applications: Vec::new(),
        table: TABLE.to_owned(),
        endpoint: arguments.endpoint.clone(),
        clock: arguments.clock,
    };
    let site = Site::of(&reached).await?;
    site.look(stream.as_str()).await?;
    let observer = site.connection.observer(stream.as_str(), policy);
    let observer = observer.looking_back(DAY * u32::from(arguments.days), policy.limits);
    let seen = observer.observe(site.now()).await;
    let seen = seen.map_err(|error| problem_of_stream(stream.as_str(), error))?;
    let known: Vec<&Minute> = seen.minutes.iter().skip_while(|minute| minute.bytes.is_none()).collect();
    if known.len() < MINUTES_MIN {
        let message = format!(
            "{stream}: CloudWatch has {} minutes of its traffic, fewer than {MINUTES_MIN}: wait, or give a --trace",
            known.len()
        );
        return Err(Problem::with_code(FAILED, message));
    }
    // A minute without a point is one without puts: the metrics of a stream are there whenever it takes records.
    let load = |minute: &&Minute| MinuteLoad {
        bytes: minute.bytes.unwrap_or_default(),
        records: minute.records.unwrap_or_default(),
        burst: 1.0,
    };
    let trace = Trace {
        name: stream.to_string(),
        start: known[0].start,
        minutes: known.iter().map(load).collect(),
        keys: KeySchedule::constant(LoadMap::even()),
    };
    Ok((trace, seen.fan_out_consumers))
}

fn prices_of(file: Option<&Path>) -> anyhow::Result<Prices> {
    let Some(file) = file else { return Ok(Prices::default()) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("price file {} cannot be read", file.display()))?;
    let problem = |error: &dyn std::fmt::Display| Problem::usage(format!("{}: {error}", file.display()));
    let prices: Prices = toml::from_str(&text).map_err(|error| problem(&error))?;
    prices.validate().map_err(|error| problem(&error))?;
    Ok(prices)
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Less than an hour says nothing about a month.
const MINUTES_MIN: usize = 60;
