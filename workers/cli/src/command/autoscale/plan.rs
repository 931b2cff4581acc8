//! `leasehold autoscale plan`: one decision for each stream, with its reasons and its price.

use autoscaler::reconcile::AuditPlan;
use autoscaler::{Action, Ledger};
use serde::Serialize;

use super::connect::Site;
use super::observe::{Seen, number};
use crate::arguments::ObserveArguments;

/// Shows what would be done with each stream.
pub(super) async fn plan(arguments: &ObserveArguments) -> anyhow::Result<()> {
    let site = Site::of(&arguments.streams).await?;
    let mut all = Vec::new();
    for stream in &arguments.streams.streams {
        let seen = Seen::of(&site, stream).await?;
        all.push(Planned::of(stream.as_str(), &seen));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for planned in &all {
        planned.print();
    }
    Ok(())
}

/// A plan, readable.
#[derive(Serialize)]
struct Planned {
    stream: String,
    #[serde(flatten)]
    plan: AuditPlan,
    shards_after: u32,
    /// Shards and fan-out consumers, without what is put and read.
    dollars_per_hour: f64,
    dollars_per_hour_after: f64,
    /// Whether the calls of the last 24 hours are known.
    is_history_known: bool,
}

impl Planned {
    fn of(stream: &str, seen: &Seen) -> Self {
        let Seen { observation, ledger, at, plan, .. } = seen;
        let shards = observation.layout.count();
        let shards_after = match &plan.action {
            Action::Nothing => shards,
            Action::Scale { target } => *target,
            Action::Reshape { target, .. } => target.count(),
        };
        let price = |shards: u32| {
            f64::from(shards) * DOLLARS_OF_SHARD_HOUR * f64::from(1 + observation.fan_out_consumers)
        };
        Self {
            stream: stream.to_owned(),
            plan: AuditPlan::new(plan, observation, ledger.as_ref().unwrap_or(&Ledger::default()), *at),
            shards_after,
            dollars_per_hour: price(shards),
            dollars_per_hour_after: price(shards_after),
            is_history_known: ledger.is_some(),
        }
    }

    fn print(&self) {
        let plan = &self.plan;
        println!("{}: {} shards; {}", self.stream, plan.shards, plan.action);
        println!("  why          {}", plan.constraint);
        if let Some((rejected, reason)) = plan.rejected.as_ref().zip(plan.rejected_because.as_ref()) {
            println!("  rather than  {rejected}: {reason}");
        }
        let (before, after) = (number(plan.utilisation_before, 2), number(plan.utilisation_after, 2));
        println!(
            "  demand       {} shards; fullest shard at {before}, then {after}",
            number(plan.demand_shards, 2)
        );
        println!(
            "  cost         ${:.3} an hour for {} shards, then ${:.3} for {}",
            self.dollars_per_hour, plan.shards, self.dollars_per_hour_after, self.shards_after
        );
        let left = plan.quota_left.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let known =
            if self.is_history_known { "" } else { "; earlier calls are unknown: the table is not there" };
        println!("  calls left   {left} of UpdateShardCount within 24 h, then{known}");
    }
}

/// A provisioned shard, or a fan-out consumer of one, in us-east-1.
const DOLLARS_OF_SHARD_HOUR: f64 = 0.015;
