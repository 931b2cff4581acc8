//! How long a shard is read by nobody: after a kill, a clean stop, a join and a split.
//!
//! All times are those at which worker processes gave a record to their processor, on the clock that all processes of
//! a machine share. A shard counts as consumed again when its next record was delivered; the figure of a run is that of
//! its slowest shard.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::bed::{Bed, BedSettings};
use super::journal::Said;
use super::member::Member;
use super::worker::now_millis;

/// How long the shards of a worker that went away were read by nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takeover {
    /// From the signal to the first record of the slowest shard, in milliseconds.
    pub(crate) slowest_millis: u64,
    /// The same of the fastest shard.
    pub(crate) fastest_millis: u64,
    /// Records delivered twice over the whole run.
    pub(crate) duplicates: usize,
}

/// Two workers share eight shards; one gets SIGKILL.
pub(crate) async fn killed(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<Takeover> {
    let name = format!("kill-{}-{run}", failover.as_millis());
    let mut pair = Pair::start(endpoint, &name, failover, run).await?;
    let (victim, shards) = pair.choose_victim(run)?;
    let since = now_millis();
    pair.take(victim).kill().await?;
    pair.taken_over(victim, &shards, since).await
}

/// Two workers share eight shards; one gets SIGTERM.
pub(crate) async fn stopped(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<Takeover> {
    let mut pair = Pair::start(endpoint, &format!("stop-{run}"), failover, run).await?;
    let (victim, shards) = pair.choose_victim(run)?;
    let stopping = pair.take(victim);
    let since = now_millis();
    stopping.terminate()?;
    let takeover = pair.taken_over(victim, &shards, since).await?;
    stopping.ended().await?;
    Ok(takeover)
}

/// A worker has forty shards; a second one joins. Milliseconds from the start of its process to the first record of its
/// twentieth shard.
pub(crate) async fn joined(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<u64> {
    let mut bed = Bed::make(endpoint, settings(format!("join-{run}"), JOIN_SHARDS, failover)).await?;
    let first = bed.start_member()?;
    bed.until_shared(&[JOIN_SHARDS as usize]).await?;
    sleep(phase(failover, run)).await;
    let since = now_millis();
    let second = bed.start_member()?;
    let half = JOIN_SHARDS as usize / 2;
    let has_half = |said: &Said<'_>| {
        let mut firsts: Vec<u64> = said.first_deliveries(1, since).into_values().collect();
        firsts.sort_unstable();
        firsts.get(half - 1).copied()
    };
    let at = bed.journal.until("the second has its half", EVENT_TIMEOUT, has_half).await?;
    bed.until_shared(&[half, half]).await?;
    let counts: Vec<usize> = bed.leases_by_owner().await?.into_values().collect();
    anyhow::ensure!(counts == [half, half], "the table says {counts:?}");
    bed.finish_trickle().await?;
    first.stop().await?;
    second.stop().await?;
    bed.remove().await?;
    Ok(at - since)
}

/// A worker has four shards, one of which is split. Milliseconds from the last record of the parent to the first of the
/// slower child.
pub(crate) async fn split(endpoint: &str, failover: Duration, run: u32) -> anyhow::Result<u64> {
    let mut bed = Bed::make(endpoint, settings(format!("split-{run}"), SPLIT_SHARDS, failover)).await?;
    let member = bed.start_member()?;
    bed.until_shared(&[SPLIT_SHARDS as usize]).await?;
    sleep(phase(failover, run)).await;
    let before: BTreeSet<String> = bed.journal.read(|said| said.shards_of(0));
    let parent = before.iter().nth(run as usize % before.len()).expect("there are four").clone();
    bed.split(&parent).await?;
    let both_children = |said: &Said<'_>| {
        let firsts = said.first_deliveries(0, 0);
        let children: Vec<u64> =
            firsts.iter().filter(|(shard, _)| !before.contains(**shard)).map(|(_, at)| *at).collect();
        (children.len() == 2).then(|| children.into_iter().max())?
    };
    let child_at = bed.journal.until("both children are read", EVENT_TIMEOUT, both_children).await?;
    let (_, parent_at) = bed.journal.read(|said| said.last_deliveries()[parent.as_str()]);
    bed.finish_trickle().await?;
    member.stop().await?;
    bed.remove().await?;
    anyhow::ensure!(parent_at <= child_at, "a child was read before its parent's end");
    Ok(child_at - parent_at)
}

/// Two workers that share eight shards evenly.
struct Pair {
    bed: Bed,
    members: [Option<Member>; 2],
}

impl Pair {
    async fn start(endpoint: &str, name: &str, failover: Duration, run: u32) -> anyhow::Result<Self> {
        let mut bed = Bed::make(endpoint, settings(name.to_owned(), PAIR_SHARDS, failover)).await?;
        let first = bed.start_member()?;
        bed.until_shared(&[PAIR_SHARDS as usize]).await?;
        let second = bed.start_member()?;
        bed.until_shared(&[PAIR_SHARDS as usize / 2; 2]).await?;
        sleep(failover + phase(failover, run)).await;
        Ok(Self { bed, members: [Some(first), Some(second)] })
    }

    /// The first worker, which leads, in even runs; the other one in odd ones. With the shards it reads.
    fn choose_victim(&self, run: u32) -> anyhow::Result<(usize, BTreeSet<String>)> {
        let victim = run as usize % 2;
        let shards = self.bed.journal.read(|said| said.shards_of(victim));
        anyhow::ensure!(shards.len() == PAIR_SHARDS as usize / 2, "{victim} reads {shards:?}");
        Ok((victim, shards))
    }

    fn take(&mut self, victim: usize) -> Member {
        self.members[victim].take().expect("a victim is taken once")
    }

    /// Waits until the other worker reads `shards`, then checks that every record arrived.
    async fn taken_over(
        mut self,
        victim: usize,
        shards: &BTreeSet<String>,
        since: u64,
    ) -> anyhow::Result<Takeover> {
        let survivor = 1 - victim;
        let all_read = |said: &Said<'_>| {
            let firsts = said.first_deliveries(survivor, since);
            let times: Option<Vec<u64>> =
                shards.iter().map(|shard| firsts.get(shard.as_str()).copied()).collect();
            times.and_then(|times| times.iter().min().copied().zip(times.iter().max().copied()))
        };
        let (fastest, slowest) =
            self.bed.journal.until("all shards are read again", EVENT_TIMEOUT, all_read).await?;
        let duplicates = self.bed.finish_trickle().await?;
        self.take(survivor).stop().await?;
        self.bed.remove().await?;
        Ok(Takeover { slowest_millis: slowest - since, fastest_millis: fastest - since, duplicates })
    }
}

fn settings(name: String, shards: u32, failover: Duration) -> BedSettings {
    BedSettings {
        name,
        shards,
        failover,
        checkpoint_interval: CHECKPOINT_INTERVAL,
        idle_pause: None,
        trickle_every: Some(TRICKLE_EVERY),
    }
}

/// Runs differ in when the event meets the renewals, so that five of them see the whole cycle.
fn phase(failover: Duration, run: u32) -> Duration {
    failover * (run % PHASES) / PHASES
}

const PAIR_SHARDS: u32 = 8;
const JOIN_SHARDS: u32 = 40;
const SPLIT_SHARDS: u32 = 4;
const PHASES: u32 = 5;
/// The default of the worker's settings.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// Twice as often as a shard is polled at most.
const TRICKLE_EVERY: Duration = Duration::from_millis(100);
/// Several times the longest bar.
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);
