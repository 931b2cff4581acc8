//! `leasehold autoscale rebalance`: the best layout for the load as it lies, shown or reached.

use std::sync::Arc;
use std::time::Duration;

use autoscaler::partition::balanced;
use autoscaler::reconcile::{AuditChange, Move, RunFor};
use autoscaler::service::{Attendance, Rebalance};
use autoscaler::{Boundaries, LoadMap, Policy, Step};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::apply::end_on_signals;
use super::connect::Site;
use super::metrics::Board;
use super::observe::Seen;
use super::parts::{AuditPlaces, Purpose, identity, parts};
use crate::arguments::RebalanceArguments;
use crate::command::start_logging;
use crate::problem::{FAILED, Problem};

/// Shows the layout and the way to it, or goes it.
pub(super) async fn rebalance(arguments: RebalanceArguments) -> anyhow::Result<()> {
    let [stream] = &arguments.streams.streams[..] else {
        return Err(Problem::usage("--stream: name one stream at a time"));
    };
    if arguments.yes {
        start_logging(arguments.log);
    }
    let site = Site::of(&arguments.streams).await?;
    let seen = Seen::of(&site, stream).await?;
    let Some(map) = seen.observation.load_map.clone() else {
        let message = format!(
            "how the load lies on {stream} is unknown: name --applications whose workers tell, or switch on shard metrics \
             (aws kinesis enable-enhanced-monitoring), and wait for a few minutes"
        );
        return Err(Problem::with_code(FAILED, message));
    };
    let current = seen.observation.layout.boundaries();
    let count = arguments.shards.unwrap_or_else(|| current.count());
    check_bounds(count, site.policy(stream))?;
    let target = target(&map, &current, count);
    let done = CancellationToken::new();
    let steering = || Arc::new(site.steering(stream));
    let planner = Rebalance::new(target.clone(), map.clone(), steering(), done.clone());
    let steps = planner.steps(&current);
    let way = Way::of(stream.as_str(), &map, &current, &target, &steps);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&way)?);
    } else {
        way.print(arguments.yes);
    }
    if !arguments.yes || steps.is_empty() {
        return Ok(());
    }

    site.open_table(false).await?;
    let board = Arc::new(Board::new());
    let parts = parts(&site, stream, Purpose::Apply, &AuditPlaces::default(), &board, Arc::default()).await?;
    let planner = Rebalance::new(target.clone(), map, Arc::clone(&parts.steering), done.clone());
    let (me, seed) = identity();
    let reconciler = site.connection.reconciler_with(planner, stream.as_str(), me, seed, parts);
    let (_, wakes) = mpsc::channel(1);
    let signals = tokio::spawn(end_on_signals(done.clone(), false)?);
    let running = Attendance::new().with(stream.clone(), reconciler).run(RunFor::Ever, wakes, done.clone());
    tokio::pin!(running);
    let idle = async {
        tokio::time::sleep(LEAD_MAX).await;
        if !board.has_looked() {
            done.cancel();
        }
        std::future::pending::<()>().await;
    };
    let rounds = tokio::select! {
        biased;
        rounds = &mut running => rounds,
        () = idle => unreachable!("it never ends"),
        _ = signals => return Err(Problem::with_code(FAILED, "stopped at once: what is under way is not written down")),
    };
    if rounds.values().all(|&rounds| rounds == 0) {
        let table = site.connection.table();
        let message = format!(
            "another controller acts for {stream} by table {table}: stop it for the time of the change"
        );
        return Err(Problem::with_code(FAILED, message));
    }
    let reached = site.look(stream.as_str()).await?.layout.boundaries();
    let left = Rebalance::new(target, LoadMap::even(), steering(), done).steps(&reached).len();
    if left > 0 {
        let message =
            format!("{stream} was left {left} steps before its layout; the same command goes on from there");
        return Err(Problem::with_code(FAILED, message));
    }
    Ok(())
}

fn check_bounds(count: u32, policy: &Policy) -> anyhow::Result<()> {
    if (policy.shards_min..=policy.shards_max).contains(&count) {
        return Ok(());
    }
    Err(Problem::usage(format!(
        "{count} shards: the policy allows {} to {}; give --shards within, or change the policy",
        policy.shards_min, policy.shards_max
    )))
}

/// The best layout of `count` shards, unless the present one is as good.
fn target(map: &LoadMap, current: &Boundaries, count: u32) -> Boundaries {
    let best = balanced(map, count);
    let is_better = map.greatest_share(&best) < map.greatest_share(current) * GAIN_MIN;
    if current.count() == count && !is_better { current.clone() } else { best }
}

/// The way from one layout to another, readable.
#[derive(Serialize)]
struct Way {
    stream: String,
    shards: u32,
    shards_after: u32,
    /// Part of the load that the fullest shard has.
    fullest_share: f64,
    fullest_share_after: f64,
    steps: Vec<AuditChange>,
}

impl Way {
    fn of(stream: &str, map: &LoadMap, current: &Boundaries, target: &Boundaries, steps: &[Step]) -> Self {
        Self {
            stream: stream.to_owned(),
            shards: current.count(),
            shards_after: target.count(),
            fullest_share: map.greatest_share(current),
            fullest_share_after: map.greatest_share(target),
            steps: steps.iter().map(|&step| AuditChange::from(Move::Step(step))).collect(),
        }
    }

    fn print(&self, is_carried_out: bool) {
        let carries = |share: f64| 1.0 / share.max(f64::MIN_POSITIVE);
        println!(
            "{}: {} shards that carry {:.2} shards' worth, then {} that carry {:.2}",
            self.stream,
            self.shards,
            carries(self.fullest_share),
            self.shards_after,
            carries(self.fullest_share_after)
        );
        for step in &self.steps {
            println!("  {step}");
        }
        match (self.steps.is_empty(), is_carried_out) {
            (true, _) => println!("  the layout is as good as one of so many shards can be"),
            (false, false) => println!("  nothing is changed without --yes"),
            (false, true) => {}
        }
    }
}

/// A gain of less than a hundredth is not worth a step.
const GAIN_MIN: f64 = 0.99;
/// Longer than the row of a controller that died is held.
const LEAD_MAX: Duration = Duration::from_secs(90);
