//! Times of a fleet, and what idle leases cost.
//!
//! ```text
//! handover, idle ─▶ Bed: stream, trickle, lease table ─▶ Member processes ─▶ Journal of what they said ─▶ figures
//! plan           ─▶ one coordinator in simulated time
//! ```
//!
//! Every worker is a process of its own, on the AWS adapters, against the local services in a process of theirs.

mod bed;
mod counting;
mod handover;
mod idle;
mod journal;
mod member;
mod plan;
mod trickle;
mod worker;

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::figure::{Bar, Figure};
use crate::measurement::{Context, Measurement, median};
use crate::services::Services;
use handover::Takeover;
use idle::Cost;
use plan::Planned;
use worker::WorkerTask;

/// All measurements of this module.
pub(crate) fn measurements() -> Vec<Measurement> {
    vec![
        Measurement { name: "kill-10s", measure: |context| Box::pin(kill(context, DEFAULT_FAILOVER)) },
        Measurement { name: "kill-3s", measure: |context| Box::pin(kill(context, SHORT_FAILOVER)) },
        Measurement { name: "stop", measure: |context| Box::pin(stop(context)) },
        Measurement { name: "join", measure: |context| Box::pin(join(context)) },
        Measurement { name: "split", measure: |context| Box::pin(split(context)) },
        Measurement { name: "idle", measure: |context| Box::pin(idle_leases(context)) },
        Measurement { name: "busy", measure: |context| Box::pin(busy_leases(context)) },
        Measurement { name: "plan", measure: |context| Box::pin(plan(context)) },
    ]
}

/// What a child of these measurements does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Runs one worker.
    Worker(WorkerTask),
}

impl Task {
    /// Carries it out in this process.
    pub(crate) async fn carry_out(self) -> anyhow::Result<()> {
        match self {
            Self::Worker(task) => task.carry_out().await,
        }
    }
}

async fn kill(context: &Context, failover: Duration) -> anyhow::Result<Vec<Figure>> {
    let takeovers =
        rounds(context, |endpoint, run| Box::pin(handover::killed(endpoint, failover, run))).await?;
    Ok(vec![Figure {
        quantity: format!("SIGKILL → consumed again, failover {} s", failover.as_secs()),
        bar: Bar::AtMost(failover.as_secs_f64() + 1.0),
        value: median_seconds(takeovers.iter().map(|takeover| takeover.slowest_millis)),
        unit: "s",
        peer: Some("28.7–43.5 s (kcl-rs)"),
        detail: takeover_detail(&takeovers),
    }])
}

async fn stop(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let takeovers =
        rounds(context, |endpoint, run| Box::pin(handover::stopped(endpoint, DEFAULT_FAILOVER, run))).await?;
    let duplicates = takeovers.iter().map(|takeover| takeover.duplicates).max().unwrap_or(0);
    let detail = takeover_detail(&takeovers);
    Ok(vec![
        Figure {
            quantity: "clean stop → consumed again".to_owned(),
            bar: Bar::AtMost(1.0),
            value: median_seconds(takeovers.iter().map(|takeover| takeover.slowest_millis)),
            unit: "s",
            peer: Some("30.2–44.8 s (kcl-rs)"),
            detail: detail.clone(),
        },
        Figure {
            quantity: "clean stop: records delivered twice, worst run".to_owned(),
            bar: Bar::AtMost(0.0),
            value: duplicates as f64,
            unit: "",
            peer: None,
            detail,
        },
    ])
}

async fn join(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let times =
        rounds(context, |endpoint, run| Box::pin(handover::joined(endpoint, DEFAULT_FAILOVER, run))).await?;
    Ok(vec![Figure {
        quantity: "second worker joins 40 shards → 20/20".to_owned(),
        bar: Bar::AtMost(5.0),
        value: median_seconds(times.iter().copied()),
        unit: "s",
        peer: Some("391 s (kcl-rs)"),
        detail: format!("from the start of its process to its 20th shard's first record, ms: {times:?}"),
    }])
}

async fn split(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let times =
        rounds(context, |endpoint, run| Box::pin(handover::split(endpoint, DEFAULT_FAILOVER, run))).await?;
    Ok(vec![Figure {
        quantity: "split: parent's last record → children's first".to_owned(),
        bar: Bar::AtMost(1.0),
        value: median_seconds(times.iter().copied()),
        unit: "s",
        peer: Some("10.9 s (kcl-rs)"),
        detail: format!("to the slower child, ms: {times:?}"),
    }])
}

async fn idle_leases(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let costs =
        rounds(context, |endpoint, run| Box::pin(idle::idle(endpoint, DEFAULT_FAILOVER, run))).await?;
    let unread =
        rounds(context, |endpoint, run| Box::pin(idle::unread(endpoint, DEFAULT_FAILOVER, run))).await?;
    let detail = format!("{}; without reading: {}", cost_detail(&costs), cost_detail(&unread));
    let figure = |quantity: &str, bar, unit, costs: &[Cost], value: fn(&Cost) -> f64| Figure {
        quantity: format!("1,000 idle leases: {quantity}"),
        bar: Bar::AtMost(bar),
        value: median(costs.iter().map(value).collect()),
        unit,
        peer: None,
        detail: detail.clone(),
    };
    Ok(vec![
        figure("memory", 64.0, "MiB", &costs, |cost| cost.resident_mib),
        figure("share of a core, leases alone", 3.0, "%", &unread, |cost| cost.core_percent),
        figure("share of a core, each shard read once a second", 3.0, "%", &costs, |cost| cost.core_percent),
        figure("renewals per lease", 0.15, "/s", &costs, |cost| cost.renewals_per_second),
    ])
}

async fn busy_leases(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let costs =
        rounds(context, |endpoint, run| Box::pin(idle::busy(endpoint, DEFAULT_FAILOVER, run))).await?;
    anyhow::ensure!(
        costs.iter().all(|cost| cost.writes.checkpoints > 0),
        "no checkpoint was written: {costs:?}"
    );
    Ok(vec![Figure {
        quantity: "renewals beside checkpoints each second".to_owned(),
        bar: Bar::AtMost(0.0),
        value: median(costs.iter().map(|cost| cost.writes.renewals as f64).collect()),
        unit: "",
        peer: Some("18 a minute (kcl-rs)"),
        detail: cost_detail(&costs),
    }])
}

async fn plan(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let rounds = context.runs as u64;
    let planned: Vec<Planned> =
        tokio::task::spawn_blocking(move || (1..=rounds).map(plan::planned).collect()).await?;
    let mut detail = String::new();
    for run in &planned {
        let (join, death) = (run.join, run.death);
        write!(
            detail,
            "{:?}, join {} of {}, death {} of {}; ",
            run.slowest_scan, join.made, join.fewest, death.made, death.fewest
        )?;
    }
    let figure = |quantity: &str, bar, unit, value: fn(&Planned) -> f64| Figure {
        quantity: quantity.to_owned(),
        bar: Bar::AtMost(bar),
        value: median(planned.iter().map(value).collect()),
        unit,
        peer: None,
        detail: format!("slowest scan, moves made of fewest possible: {}", detail.trim_end_matches("; ")),
    };
    Ok(vec![
        figure("plan for 10,000 leases × 500 workers", 200.0, "ms", |run| {
            run.slowest_scan.as_secs_f64() * 1e3
        }),
        figure("its moves ÷ the fewest, after a join", 1.1, "", |run| run.join.ratio()),
        figure("its moves ÷ the fewest, after a death", 1.1, "", |run| run.death.ratio()),
        figure("its moves in ten quiet minutes", 0.0, "", |run| run.steady_moves as f64),
    ])
}

/// Measures as often as the context says, each time on its own stream of one server.
async fn rounds<T>(
    context: &Context,
    measure: impl for<'a> Fn(&'a str, u32) -> BoxFuture<'a, anyhow::Result<T>>,
) -> anyhow::Result<Vec<T>> {
    let services = Services::start(context).await?;
    let mut measured = Vec::with_capacity(context.runs);
    for run in 0..u32::try_from(context.runs)? {
        measured.push(measure(services.endpoint(), run).await?);
    }
    services.stop().await?;
    Ok(measured)
}

fn median_seconds(millis: impl Iterator<Item = u64>) -> f64 {
    median(millis.map(|millis| millis as f64 / 1000.0).collect())
}

fn takeover_detail(takeovers: &[Takeover]) -> String {
    let slowest: Vec<u64> = takeovers.iter().map(|takeover| takeover.slowest_millis).collect();
    let fastest: Vec<u64> = takeovers.iter().map(|takeover| takeover.fastest_millis).collect();
    let twice: Vec<usize> = takeovers.iter().map(|takeover| takeover.duplicates).collect();
    format!(
        "slowest of 4 shards, ms: {slowest:?}, fastest: {fastest:?}; records delivered twice: {twice:?}; \
         the leader is the one that ends in every other run, the first included"
    )
}

fn cost_detail(costs: &[Cost]) -> String {
    let runs = costs.iter().map(|cost| {
        let writes = cost.writes;
        format!(
            "{:.1} MiB, {:.2} %, {:.4} renewals/s and lease, {} renewals, {} checkpoints, {} other writes",
            cost.resident_mib,
            cost.core_percent,
            cost.renewals_per_second,
            writes.renewals,
            writes.checkpoints,
            writes.others
        )
    });
    runs.collect::<Vec<_>>().join("; ")
}

/// The worker's default.
const DEFAULT_FAILOVER: Duration = Duration::from_secs(10);
const SHORT_FAILOVER: Duration = Duration::from_secs(3);
