//! What holding leases costs: a thousand idle ones in one process, and the writes of busy ones.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::bed::{Bed, BedSettings};
use super::counting::Writes;
use super::journal::Said;
use super::worker::{Used, now_millis};

/// What a process used over a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Resident memory at the end, in MiB.
    pub(crate) resident_mib: f64,
    /// Share of one core, in percent.
    pub(crate) core_percent: f64,
    /// Renewals per second and lease.
    pub(crate) renewals_per_second: f64,
    /// Writes on lease rows.
    pub(crate) writes: Writes,
}

/// One worker holds every shard of a stream on which nothing happens.
pub(crate) async fn idle(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<Cost> {
    cost_of(endpoint, idle_settings(format!("idle-{run}"), failover, None), IDLE_WINDOW).await
}

/// The same without reading: what holding the leases costs alone.
pub(crate) async fn unread(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<Cost> {
    cost_of(endpoint, idle_settings(format!("unread-{run}"), failover, Some(READ_NEVER)), IDLE_WINDOW).await
}

/// One worker gets records on every shard, and checkpoints each second.
pub(crate) async fn busy(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<Cost> {
    let settings = BedSettings {
        name: format!("busy-{run}"),
        shards: BUSY_SHARDS,
        failover,
        checkpoint_interval: Duration::from_secs(1),
        idle_pause: None,
        trickle_every: Some(Duration::from_millis(200)),
    };
    cost_of(endpoint, settings, failover * 3).await
}

fn idle_settings(name: String, failover: Duration, idle_pause: Option<Duration>) -> BedSettings {
    BedSettings {
        name,
        shards: IDLE_SHARDS,
        failover,
        checkpoint_interval: failover / 2,
        idle_pause,
        trickle_every: None,
    }
}

async fn cost_of(endpoint: &str, settings: BedSettings, window: Duration) -> anyhow::Result<Cost> {
    let (shards, failover) = (settings.shards, settings.failover);
    let mut bed = Bed::make(endpoint, settings).await?;
    let member = bed.start_member()?;
    member.started().await?;
    until_held(&bed, shards as usize).await?;
    // The start is over, and every lease was renewed once in its own time.
    sleep(failover).await;
    let before = bed.journal.until("it reports", window, |said| said.used(0, now_millis())).await?;
    sleep(window).await;
    let later = |said: &Said<'_>| {
        said.used(0, now_millis()).filter(|(at, _)| u128::from(at - before.0) >= window.as_millis())
    };
    let after = bed.journal.until("it reports again", window, later).await?;
    bed.finish_trickle().await?;
    member.stop().await?;
    bed.remove().await?;
    Ok(Cost::between(before, after, shards))
}

async fn until_held(bed: &Bed, shards: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let held: usize = bed.leases_by_owner().await?.into_values().sum();
        if held == shards {
            return Ok(());
        }
        anyhow::ensure!(
            began.elapsed() < HOLD_TIMEOUT,
            "{held} of {shards} leases are held after {HOLD_TIMEOUT:?}"
        );
        sleep(HOLD_POLL_INTERVAL).await;
    }
}

impl Cost {
    fn between((began, before): (u64, Used), (ended, after): (u64, Used), leases: u32) -> Self {
        let span = Duration::from_millis(ended - began).as_secs_f64();
        let writes = after.writes.since(before.writes);
        Self {
            resident_mib: after.resident_bytes as f64 / f64::from(1 << 20),
            core_percent: (after.cpu_time - before.cpu_time).as_secs_f64() / span * 100.0,
            renewals_per_second: writes.renewals as f64 / span / f64::from(leases),
            writes,
        }
    }
}

const IDLE_SHARDS: u32 = 1000;
const BUSY_SHARDS: u32 = 4;
/// Six renewals of each lease.
const IDLE_WINDOW: Duration = Duration::from_secs(40);
/// Longer than any window.
const READ_NEVER: Duration = Duration::from_secs(3600);
const HOLD_TIMEOUT: Duration = Duration::from_secs(120);
const HOLD_POLL_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_that_of_its_window() {
        let used = |seconds, renewals| Used {
            cpu_time: Duration::from_secs(seconds),
            resident_bytes: 3 << 20,
            writes: Writes { renewals, checkpoints: 9, others: 0 },
        };
        let cost = Cost::between((5_000, used(2, 10)), (15_000, used(3, 40)), 10);
        assert_eq!((cost.resident_mib, cost.core_percent), (3.0, 10.0));
        assert_eq!((cost.renewals_per_second, cost.writes.checkpoints), (0.3, 0));
    }
}
