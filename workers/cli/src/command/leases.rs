//! `leasehold leases`: the lease table as operators want to see it, and decisions about shards that stand still.

use std::time::Duration;

use kcl::aws::DynamoDbLeaseStore;
use kcl::{Lease, LeaseStore, Resolution};
use kcl_core::{StoreReply, StoreRequest};
use serde::Serialize;
use workers::Intent;

use super::resolve::resolve;
use super::settings_of;
use crate::arguments::{LeasesArguments, LeasesCommand, TableArguments};
use crate::connection::sdk_config;
use crate::problem::{Problem, UNAVAILABLE};

#[derive(Serialize)]
struct Row {
    shard: String,
    owner: Option<String>,
    hand_off_from: Option<String>,
    counter: u64,
    checkpoint: String,
    generation: u64,
    next_batch: u64,
    state: Option<String>,
    pending: Option<String>,
    halted: Option<String>,
    resolution: Option<&'static str>,
}

pub(crate) async fn leases(arguments: LeasesArguments) -> anyhow::Result<()> {
    match arguments.command {
        LeasesCommand::List { table, json } => list(table, json).await,
        LeasesCommand::Resolve { shard, decision, table } => {
            let (store, table) = open(table).await?;
            resolve(&store, &table, &shard, &decision).await
        }
    }
}

/// The table that the arguments name, and its name.
async fn open(arguments: TableArguments) -> anyhow::Result<(DynamoDbLeaseStore, String)> {
    let TableArguments { config, table, endpoint } = arguments;
    let (table, region, endpoint) = match (config, table) {
        (Some(file), _) => {
            let settings = settings_of(&file)?;
            let settings = settings.settings();
            let table = settings.lease.table.clone().unwrap_or_else(|| settings.application.name.clone());
            (table, settings.stream.region.clone(), endpoint.or_else(|| settings.stream.endpoint.clone()))
        }
        (None, Some(table)) => (table, None, endpoint),
        (None, None) => {
            return Err(Problem::usage(
                "name the lease table with --table, or a settings file with --config",
            ));
        }
    };
    let sdk = sdk_config(region.as_deref(), endpoint.as_deref()).await;
    Ok((DynamoDbLeaseStore::new(&sdk, &table, CALL_TIMEOUT * 3), table))
}

async fn list(table: TableArguments, json: bool) -> anyhow::Result<()> {
    let (store, table) = open(table).await?;
    let StoreReply::Table(mut view) = store.execute(StoreRequest::ReadTable).await else {
        let message =
            format!("lease table {table} cannot be read; check its name, the region and the endpoint");
        return Err(Problem::with_code(UNAVAILABLE, message));
    };
    view.leases.sort_by(|a, b| a.key.cmp(&b.key));
    let rows: Vec<Row> = view.leases.iter().map(row).collect();
    if json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    println!("{:<22} {:<32} {:>8} {:>6}  CHECKPOINT", "SHARD", "OWNER", "COUNTER", "BATCH");
    for row in &rows {
        let owner = row.owner.as_deref().unwrap_or("-");
        println!(
            "{:<22} {owner:<32} {:>8} {:>6}  {}",
            row.shard, row.counter, row.next_batch, row.checkpoint
        );
        if let Some(from) = &row.hand_off_from {
            println!("{:<22} handed off by {from}", "");
        }
        if let Some(pending) = &row.pending {
            println!("{:<22} pending: {pending}", "");
        }
        if let Some(reason) = &row.halted {
            println!("{:<22} STANDS STILL, {reason}", "");
        }
        if let Some(resolution) = &row.resolution {
            println!("{:<22} decided: {resolution}, to be carried out by the next holder", "");
        }
    }
    let halted = rows.iter().filter(|row| row.halted.is_some()).count();
    println!(
        "{} leases, {halted} of them stand still, {} workers, {} unreadable items",
        rows.len(),
        view.workers.len(),
        view.unreadable
    );
    if halted > 0 {
        println!("Decide about shards that stand still with `leasehold leases resolve`; see its --help.");
    }
    Ok(())
}

fn row(lease: &Lease) -> Row {
    let pending = lease.pending.as_ref().map(|pending| match Intent::decode(pending) {
        Ok(intent) => format!(
            "batch {} with {} records, from {} to {}",
            intent.batch, intent.facts.records, intent.after, intent.last
        ),
        Err(error) => error.to_string(),
    });
    Row {
        shard: lease.key.to_string(),
        owner: lease.owner.as_ref().map(ToString::to_string),
        hand_off_from: lease.checkpoint_owner.as_ref().map(ToString::to_string),
        counter: lease.counter.0,
        checkpoint: lease.checkpoint.to_string(),
        generation: lease.own.generation.0,
        next_batch: lease.own.batch.0,
        state: lease.own.state.clone(),
        pending,
        halted: lease.own.halt.clone(),
        resolution: lease.own.resolution.map(Resolution::column),
    }
}

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
