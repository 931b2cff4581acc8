//! The comparison as a page: one HTML file that refers to nothing outside itself.
//!
//! ```text
//!   Run, Trace ─▶ TracePlot (lines, spans, marks, shard map; bounded) ─┐
//!   Comparison ────────────────────────────────────────────────────────┴─▶ JSON ─▶ page.html ◀─ page.css, *.js
//! ```
//!
//! Figures are those of the [`Comparison`] that is printed; the scripts only draw and sort them. What is drawn is made
//! coarser the more traces there are, so that the page of a suite stays a few megabytes (see `Detail`).

mod line;
mod operation;
mod plot;
mod shard_map;
mod spans;

use serde::Serialize;

pub(super) use self::plot::Detail;
pub use self::plot::TracePlot;
use super::suite::{AWS_SAMPLES, Comparison, OVER_IDEAL_MAX, THROTTLED_MAX};

/// The page that shows `comparison`, with the traces that `plots` draw.
#[must_use]
pub fn report_page(comparison: &Comparison, plots: &[TracePlot]) -> String {
    let data = PageData {
        comparison,
        rival: AWS_SAMPLES,
        telling: telling(comparison),
        goal: Goal { over_ideal: OVER_IDEAL_MAX, throttled_share: THROTTLED_MAX },
        quota: QUOTA,
        space: shard_map::SPACE,
        load: shard_map::LOAD,
        traces: plots,
    };
    let json = serde_json::to_string(&data).expect("a comparison has JSON");
    let scripts = SCRIPTS.concat();
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + scripts.len() + json.len());
    let mut rest = PAGE;
    for (marker, text) in
        [("{style}", STYLE), ("{data}", &json.replace('<', "\\u003c")), ("{scripts}", &scripts)]
    {
        let (before, after) = rest.split_once(marker).expect("the page has its markers in this order");
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// What the scripts are given.
#[derive(Serialize)]
struct PageData<'a> {
    comparison: &'a Comparison,
    /// The scaler that is shown beside the candidate at first.
    rival: &'a str,
    /// The trace that is shown at first.
    telling: Option<&'a str>,
    goal: Goal,
    quota: u32,
    space: f64,
    load: f64,
    traces: &'a [TracePlot],
}

/// What two of the bars ask for.
#[derive(Serialize)]
struct Goal {
    /// Shard-hours over the ideal's, at most.
    over_ideal: f64,
    /// Throttled minutes over the rival's, at most.
    throttled_share: f64,
}

/// The trace on which the rival throttles longer than the candidate by the most.
fn telling(comparison: &Comparison) -> Option<&str> {
    let candidate = comparison.overall.first()?;
    let difference = |trace: &str| {
        let throttled = |scaler: &str| {
            let row = comparison.rows.iter().find(|row| row.trace == trace && row.scaler == scaler);
            row.map_or(0.0, |row| row.figures.throttled_minutes_per_day)
        };
        throttled(AWS_SAMPLES) - throttled(&candidate.scaler)
    };
    let own = comparison.rows.iter().filter(|row| row.scaler == candidate.scaler);
    let traces = own.map(|row| row.trace.as_str());
    traces.max_by(|left, right| difference(left).total_cmp(&difference(right)))
}

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/page.css");
/// One module, in this order: what is used stands before what uses it.
const SCRIPTS: [&str; 9] = [
    include_str!("assets/format.js"),
    include_str!("assets/data.js"),
    include_str!("assets/canvas.js"),
    include_str!("assets/figures.js"),
    include_str!("assets/scatter.js"),
    include_str!("assets/window.js"),
    include_str!("assets/timeline.js"),
    include_str!("assets/shard_map.js"),
    include_str!("assets/page.js"),
];
/// `UpdateShardCount` calls of one stream in 24 hours, by the AWS quotas page.
const QUOTA: u32 = 10;

#[cfg(test)]
mod tests;
