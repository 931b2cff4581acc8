//! The `weblog` pipeline on one core, as the bench of `workers` measures it.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::figure::{Bar, Figure};
use crate::measurement::{Context, median};

/// Runs the bench as often as the context says, and reads the medians that criterion leaves behind.
pub(crate) async fn measure(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let results = context.bench_files().join("weblog/weblog/zstd/new");
    let mut rates = Vec::with_capacity(context.runs);
    for _ in 0..context.runs {
        let bench = Command::new("cargo")
            .args(["bench", "--quiet", "-p", "leasehold-workers", "--bench", "weblog", "--", "zstd"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("cargo cannot be started")?;
        let errors = String::from_utf8_lossy(&bench.stderr);
        anyhow::ensure!(bench.status.success(), "the bench ended with {}: {errors}", bench.status);
        let estimates: Estimates = read(&results.join("estimates.json"))?;
        let benchmark: Benchmark = read(&results.join("benchmark.json"))?;
        // Bytes per nanosecond are gigabytes per second.
        rates.push(benchmark.throughput.bytes as f64 / estimates.median.point_estimate * 1e3);
    }
    Ok(vec![Figure {
        quantity: "weblog pipeline: record bytes → zstd-3 object bytes, one core".to_owned(),
        bar: Bar::AtLeast(120.0),
        value: median(rates.clone()),
        unit: "MB/s",
        peer: None,
        detail: format!(
            "MB/s: {rates:.1?}; the share of each step: cargo bench -p leasehold-workers --bench weblog"
        ),
    }])
}

fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not criterion's", file.display()))
}

#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

/// In nanoseconds.
#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
}

#[derive(Debug, Deserialize)]
struct Benchmark {
    throughput: Throughput,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    bytes: u64,
}
