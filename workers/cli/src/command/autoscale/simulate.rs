//! `leasehold autoscale simulate`: the planner beside the published autoscalers, on traffic that was or is made up.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use autoscaler::{
    CloudSettings, Comparison, Ours, TelemetrySettings, Trace, TracePlot, TraceSettings, compare,
    compare_plotted, plot_surge, read_trace, report_page, suite,
};

use super::policy::policies_of;
use crate::arguments::SimulateArguments;
use crate::problem::{FAILED, Problem};

/// Replays traffic against the planner and the published autoscalers, and judges the planner by its bars.
pub(super) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<()> {
    let policies = policies_of(arguments.policy.as_deref())?;
    let policy = policies.top_level();
    let traces = traces_of(arguments)?;
    let page = arguments.html.as_deref().map(Page::open).transpose()?;
    let telemetry = (!arguments.without_workers).then(TelemetrySettings::default);
    let settings = CloudSettings { telemetry, limits: policy.limits, ..CloudSettings::default() };
    let begun = Instant::now();
    if !arguments.json {
        eprintln!("replaying {} traces against every autoscaler …", traces.len());
    }
    let candidate = || Ours::new(policy.clone());
    let (mut comparison, mut plots) = match page {
        Some(_) => compare_plotted(&traces, &settings, candidate),
        None => (compare(&traces, &settings, candidate), Vec::new()),
    };
    if arguments.traces.is_empty() {
        comparison = comparison.with_trials(&settings, candidate);
        plots.extend(page.is_some().then(|| plot_surge(&settings, candidate)));
    }
    print(&comparison, arguments)?;
    if let Some(page) = page {
        page.write(&comparison, &plots)?;
    }
    if !arguments.json {
        eprintln!("{} traces in {:.0} s", traces.len(), begun.elapsed().as_secs_f64());
    }
    if arguments.check && !comparison.holds() {
        return Err(Problem::with_code(FAILED, "a bar does not hold; its line says what binds it"));
    }
    Ok(())
}

/// The file of the page. It is opened before anything is replayed, so that a wrong name is told at once; what it holds is
/// kept until there is something to replace it by.
struct Page {
    path: PathBuf,
    file: File,
}

impl Page {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).truncate(false).write(true).open(path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(mut self, comparison: &Comparison, plots: &[TracePlot]) -> anyhow::Result<()> {
        let page = report_page(comparison, plots);
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(page.as_bytes()));
        written.with_context(|| format!("{} cannot be written", self.path.display()))?;
        let path = self.path.canonicalize().unwrap_or(self.path);
        eprintln!("page: {} ({:.1} MB), to be opened in a browser", path.display(), page.len() as f64 / 1e6);
        Ok(())
    }
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
