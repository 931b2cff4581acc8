//! `leasehold leases list`: the lease table as operators want to see it.

use std::time::Duration;

use kcl::aws::DynamoDbLeaseStore;
use kcl::{Lease, LeaseStore};
use kcl_core::{StoreReply, StoreRequest};
use serde::Serialize;
use workers::Intent;

use super::settings_of;
use crate::arguments::{LeasesArguments, LeasesCommand};
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
}

pub(crate) async fn leases(arguments: LeasesArguments) -> anyhow::Result<()> {
    let LeasesCommand::List { config, table, endpoint, json } = arguments.command;
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
    let store = DynamoDbLeaseStore::new(&sdk, &table, CALL_TIMEOUT * 3);
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
    }
    println!("{} leases, {} workers, {} unreadable items", rows.len(), view.workers.len(), view.unreadable);
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
    }
}

const CALL_TIMEOUT: Duration = Duration::from_secs(5);
