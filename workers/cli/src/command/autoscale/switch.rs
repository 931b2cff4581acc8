//! `leasehold autoscale pause` and `resume`: the kill switch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use autoscaler::EpochMillis;
use autoscaler::aws::{Pause, PauseSwitch, is_not_found};
use autoscaler::reconcile::PortError;

use crate::arguments::{PauseArguments, SwitchArguments};
use crate::connection::sdk_config;
use crate::problem::{FAILED, Problem, UNAVAILABLE, text};

/// Pauses each stream.
pub(super) async fn pause(arguments: &PauseArguments) -> anyhow::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let pause = Pause {
        by: std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned()),
        reason: arguments.reason.clone(),
        since: EpochMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
    };
    for (stream, switch) in switches(&arguments.switch).await {
        switch.pause(&pause).await.map_err(|error| problem(&arguments.switch.table, error))?;
        println!(
            "{stream} is paused: nothing is changed from the next round on, five minutes from now at the latest"
        );
    }
    Ok(())
}

/// Ends the pause of each stream.
pub(super) async fn resume(arguments: &SwitchArguments) -> anyhow::Result<()> {
    for (stream, switch) in switches(arguments).await {
        switch.resume().await.map_err(|error| problem(&arguments.table, error))?;
        println!("{stream} is not paused");
    }
    Ok(())
}

async fn switches(arguments: &SwitchArguments) -> Vec<(String, PauseSwitch)> {
    let sdk = sdk_config(None, arguments.endpoint.as_deref()).await;
    let switch = |stream: &str| PauseSwitch::new(&sdk, &arguments.table, stream, CALL_TIMEOUT);
    arguments.streams.iter().map(|stream| (stream.to_string(), switch(stream.as_str()))).collect()
}

fn problem(table: &str, error: PortError) -> anyhow::Error {
    if is_not_found(&error) {
        let message = format!("table {table} does not exist: give that of the autoscaler by --table");
        return Problem::with_code(FAILED, message);
    }
    let message =
        format!("table {table} cannot be written; check its name, region, endpoint and credentials");
    Problem::with_code(UNAVAILABLE, format!("{message}: {}", text(&error.into())))
}

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
