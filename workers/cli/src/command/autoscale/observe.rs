//! `leasehold autoscale observe`: what is seen of a stream, each reading with its age and its gaps.

use std::time::Duration;

use autoscaler::aws::Pause;
use autoscaler::reconcile::Observer as _;
use autoscaler::service::{Hold, Past, plan_under};
use autoscaler::trigger::StreamName;
use autoscaler::{
    ApplicationLag, EpochMillis, HeavyKey, Learner, Ledger, LoadMap, Minute, Observation, OpenShard, Plan,
    Policy, StreamState,
};
use serde::Serialize;

use super::connect::{Site, problem_of_stream};
use crate::arguments::ObserveArguments;

/// Shows what is seen of each stream.
pub(super) async fn observe(arguments: &ObserveArguments) -> anyhow::Result<()> {
    let site = Site::of(&arguments.streams).await?;
    let mut all = Vec::new();
    for stream in &arguments.streams.streams {
        let seen = Seen::of(&site, stream).await?;
        all.push(Shown::of(&seen, stream.as_str(), site.policy(stream)));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for shown in &all {
        shown.print();
    }
    Ok(())
}

/// One stream at one moment, and what is planned from it.
pub(super) struct Seen {
    pub(super) observation: Observation,
    /// None without the autoscaler's table.
    pub(super) ledger: Option<Ledger>,
    pub(super) at: EpochMillis,
    /// The kill switch, if it is on.
    pub(super) pause: Option<Pause>,
    /// What the autoscaler would do: nothing while it is paused.
    pub(super) plan: Plan,
}

impl Seen {
    pub(super) async fn of(site: &Site, name: &StreamName) -> anyhow::Result<Self> {
        let (policy, stream) = (site.policy(name), name.as_str());
        site.look(stream).await?;
        let at = site.now();
        let observer = site.connection.observer(stream, policy);
        let observation = observer.observe(at).await.map_err(|error| problem_of_stream(stream, error))?;
        let ledger = site.ledger(stream).await?;
        let pause = site.pause(stream).await?;
        let hold = pause.as_ref().map(|_| Hold::Switch);
        let known = ledger.as_ref().unwrap_or(&Ledger::default()).clone();
        let mut with_past = observation.clone();
        Past::default().complete(&mut with_past, &observer, policy).await;
        let plan = plan_under(&with_past, &known, &mut Learner::new(policy.clone()), hold, at);
        Ok(Self { observation, ledger, at, pause, plan })
    }
}

/// An observation, readable.
#[derive(Serialize)]
struct Shown {
    stream: String,
    at_millis: u64,
    state: &'static str,
    shards: Vec<Shard>,
    account_shards_left: Option<u32>,
    fan_out_consumers: u32,
    readings: Vec<Reading>,
    has_load_map: bool,
    heavy_keys: Vec<Heavy>,
    applications: Vec<Application>,
    demand_shards: Option<f64>,
    fullest_shard: Option<f64>,
    calls_used: Option<u32>,
    calls_left: Option<u32>,
    paused: Option<Paused>,
}

#[derive(Serialize)]
struct Paused {
    by: String,
    reason: String,
    since_millis: u64,
}

#[derive(Serialize)]
struct Shard {
    shard: String,
    first_hash_key: String,
    last_hash_key: String,
    /// Part of the hash space.
    width: f64,
    /// Part of the load; unknown without a load map.
    load: Option<f64>,
}

/// One metric over the minutes that were asked for.
#[derive(Serialize)]
struct Reading {
    metric: &'static str,
    /// Of the newest minute that is known, by the second.
    newest_per_second: Option<f64>,
    /// From the end of that minute.
    age_seconds: Option<u64>,
    minutes_known: usize,
    minutes: usize,
}

#[derive(Serialize)]
struct Heavy {
    hash_key: String,
    load: f64,
}

#[derive(Serialize)]
struct Application {
    name: String,
    behind_seconds: Option<f64>,
    is_rising: bool,
    undrained_parents: Option<u32>,
}

impl Shown {
    fn of(seen: &Seen, stream: &str, policy: &Policy) -> Self {
        let Seen { observation, ledger, at, pause, plan } = seen;
        let used = ledger.as_ref().map(|ledger| ledger.calls_used(*at));
        let map = observation.load_map.as_ref();
        let shard = |(place, shard): (usize, &OpenShard)| Shard {
            shard: shard.id.to_string(),
            first_hash_key: shard.range.start().to_string(),
            last_hash_key: shard.range.end().to_string(),
            width: LoadMap::even().share(shard.range),
            load: map.and_then(|map| map.shares(&observation.layout.boundaries()).get(place).copied()),
        };
        Self {
            stream: stream.to_owned(),
            at_millis: at.0,
            state: match observation.state {
                StreamState::Active => "active",
                StreamState::Changing => "changing",
                StreamState::OnDemand => "on demand",
                StreamState::Deleting => "deleting",
            },
            shards: observation.layout.shards().iter().enumerate().map(shard).collect(),
            account_shards_left: observation.account_shards_left,
            fan_out_consumers: observation.fan_out_consumers,
            readings: READINGS.iter().map(|reading| reading.of(&observation.minutes, *at)).collect(),
            has_load_map: map.is_some(),
            heavy_keys: map.into_iter().flat_map(LoadMap::heavy_keys).map(Heavy::of).collect(),
            applications: observation.applications.iter().map(Application::of).collect(),
            demand_shards: plan.decision.demand_shards,
            fullest_shard: plan.decision.utilisation.map(|(before, _)| before),
            calls_used: used,
            calls_left: used.map(|used| policy.calls_max.saturating_sub(used)),
            paused: pause.as_ref().map(|Pause { by, reason, since }| Paused {
                by: by.clone(),
                reason: reason.clone(),
                since_millis: since.0,
            }),
        }
    }

    fn print(&self) {
        println!("{}: {}, {} shards", self.stream, self.state, self.shards.len());
        if let Some(Paused { by, reason, .. }) = &self.paused {
            println!("  PAUSED by {by}: {reason}");
        }
        let demand = number(self.demand_shards, 2);
        println!("  demand {demand} shards, fullest shard at {}", number(self.fullest_shard, 2));
        println!(
            "  UpdateShardCount calls left today: {}; shards left in the account: {}; fan-out consumers: {}",
            whole(self.calls_left),
            whole(self.account_shards_left),
            self.fan_out_consumers
        );
        println!("  {:<36} {:>14} {:>8} {:>12}", "READING", "NEWEST A SECOND", "AGE", "MINUTES");
        for Reading { metric, newest_per_second, age_seconds, minutes_known, minutes } in &self.readings {
            let age = age_seconds.map_or_else(|| "-".to_owned(), |age| format!("{age} s"));
            let newest = number(*newest_per_second, 1);
            println!("  {metric:<36} {newest:>15} {age:>8} {:>12}", format!("{minutes_known} of {minutes}"));
        }
        println!("  {:<24} {:>8} {:>8}  FIRST HASH KEY", "SHARD", "WIDTH", "LOAD");
        for Shard { shard, first_hash_key, width, load, .. } in self.shards.iter().take(SHARDS_SHOWN_MAX) {
            println!("  {shard:<24} {width:>8.4} {:>8}  {first_hash_key}", number(*load, 4));
        }
        if let Some(more @ 1..) = self.shards.len().checked_sub(SHARDS_SHOWN_MAX) {
            println!("  … and {more} more; --json lists all");
        }
        if !self.has_load_map {
            println!(
                "  how the load lies is unknown and taken for even: name --applications whose workers tell"
            );
        }
        for Heavy { hash_key, load } in &self.heavy_keys {
            println!("  heavy key at {hash_key}: {load:.4} of the load");
        }
        for Application { name, behind_seconds, is_rising, undrained_parents } in &self.applications {
            let rising = if *is_rising { ", rising" } else { "" };
            println!(
                "  {name}: {} s behind{rising}; closed shards not drained: {}",
                number(*behind_seconds, 1),
                whole(*undrained_parents)
            );
        }
    }
}

impl Heavy {
    fn of(key: HeavyKey) -> Self {
        Self { hash_key: key.hash.to_string(), load: key.share }
    }
}

impl Application {
    fn of(lag: &ApplicationLag) -> Self {
        Self {
            name: lag.name.clone(),
            behind_seconds: lag.behind.map(|behind| behind.as_secs_f64()),
            is_rising: lag.is_rising,
            undrained_parents: lag.undrained_parents,
        }
    }
}

/// How one metric is taken out of a minute.
struct Taken {
    metric: &'static str,
    value: fn(&Minute) -> Option<f64>,
}

impl Taken {
    fn of(&self, minutes: &[Minute], at: EpochMillis) -> Reading {
        let known = || minutes.iter().filter_map(|minute| Some((minute.start, (self.value)(minute)?)));
        let newest = known().next_back();
        let age = |start: EpochMillis| at.millis_since(start.after(MINUTE)) / 1_000;
        Reading {
            metric: self.metric,
            newest_per_second: newest.map(|(_, sum)| sum / MINUTE.as_secs_f64()),
            age_seconds: newest.map(|(start, _)| age(start)),
            minutes_known: known().count(),
            minutes: minutes.len(),
        }
    }
}

/// A number, or a dash for what is unknown.
pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

fn whole(value: Option<u32>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

const READINGS: [Taken; 5] = [
    Taken { metric: "IncomingBytes", value: |minute| minute.bytes },
    Taken { metric: "IncomingRecords", value: |minute| minute.records },
    Taken { metric: "WriteProvisionedThroughputExceeded", value: |minute| minute.rejected_records },
    Taken { metric: "GetRecords.Bytes", value: |minute| minute.read_bytes },
    Taken { metric: "ReadProvisionedThroughputExceeded", value: |minute| minute.rejected_reads },
];
const MINUTE: Duration = Duration::from_secs(60);
/// More lines than these are read by programs.
const SHARDS_SHOWN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_tells_its_age_and_its_gaps() {
        let minute =
            |number: u64, bytes| Minute { start: EpochMillis(number * 60_000), bytes, ..Minute::default() };
        let minutes = [minute(0, Some(60.0)), minute(1, None), minute(2, Some(120.0)), minute(3, None)];
        let reading = READINGS[0].of(&minutes, EpochMillis(245_000));
        assert_eq!((reading.newest_per_second, reading.age_seconds), (Some(2.0), Some(65)));
        assert_eq!((reading.minutes_known, reading.minutes), (2, 4));
        let unknown = READINGS[1].of(&minutes, EpochMillis(245_000));
        assert_eq!((unknown.newest_per_second, unknown.age_seconds, unknown.minutes_known), (None, None, 0));
        assert_eq!(number(unknown.newest_per_second, 1), "-");
    }
}
