//! How soon a whole pipeline on this machine has written something: the first thing that a new user waits for.

use std::process::Stdio;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::process::Command;

use crate::figure::{Bar, Figure};
use crate::measurement::{Context, median};

/// Runs `leasehold local` in an empty folder, as often as the context says.
pub(crate) async fn measure(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let mut seconds = Vec::with_capacity(context.runs);
    for _ in 0..context.runs {
        seconds.push(first_record_seconds(context).await?);
    }
    Ok(vec![Figure {
        quantity: "leasehold local: start → first record".to_owned(),
        bar: Bar::AtMost(2.0),
        value: median(seconds.clone()),
        unit: "s",
        peer: Some("71–95 s (kcl-rs, without a sink)"),
        detail: format!("until the first object with its manifest is written, s: {seconds:?}"),
    }])
}

async fn first_record_seconds(context: &Context) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let run = Command::new(context.leasehold())
        .args(["local", "--json", "--data"])
        .arg(folder.path().join("data"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("leasehold local cannot be started")?;
    let errors = String::from_utf8_lossy(&run.stderr);
    anyhow::ensure!(run.status.success(), "leasehold local ended with {}: {errors}", run.status);
    let outcome: Outcome =
        serde_json::from_slice(&run.stdout).context("leasehold local printed no outcome")?;
    anyhow::ensure!(outcome.events_written > 0, "leasehold local wrote nothing");
    Ok(outcome.first_record_seconds)
}

/// The part of its last line that counts here.
#[derive(Debug, Deserialize)]
struct Outcome {
    events_written: u64,
    first_record_seconds: f64,
}
