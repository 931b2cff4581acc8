//! `leasehold local --autoscale`: the whole loop on one machine, by a clock that shows hours in minutes.
//!
//! ```text
//!  producer (base, 10 ×, base) ─▶ stream ─▶ worker processes ─▶ objects ─▶ verify
//!                                  │   ▲          │ telemetry
//!            metrics, alarms ◀─────┘   │          ▼
//!              └─ topic ─▶ queue ─▶ autoscaler (controller, planner)
//! ```
//!
//! Everything speaks to the services' port through the AWS SDK. One factor speeds up what takes hours at AWS; producer and
//! workers run at the machine's pace, so their delays look longer by that factor.

mod alarms;
mod controller;
mod producer;
mod report;
mod telemetry;
mod traffic;
mod verify;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use autoscaler::Policy;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use local::{Clock, ControlPlane, Limits, LocalSettings};
use workers::{KinesisTarget, ManifestSummary, PipelineSettings, S3Store, Target as _, TelemetrySettings};

use super::fleet::Fleet;
use super::progress::Progress;
use crate::arguments::LocalArguments;
use controller::{Autoscaler, AutoscalerParts};
use producer::Producer;
pub(crate) use report::ScalingOutcome;
use report::{Seen, traffic_text};
use traffic::Profile;
use verify::verify;
use watch::StreamWatch;

/// Limits and times as AWS has them, on a fast clock.
pub(crate) fn adapt_services(settings: &mut LocalSettings, arguments: &LocalArguments) {
    settings.limits = Limits::Aws;
    settings.control_plane = ControlPlane::Aws;
    settings.time_scale = arguments.autoscaling.time_scale;
    settings.record_weight = arguments.autoscaling.record_weight;
}

/// Telemetry at its usual pace of the fast clock, and no sessions: their state does not follow keys through a reshard.
pub(crate) fn adapt_pipeline(settings: &mut PipelineSettings, arguments: &LocalArguments) {
    let scale = arguments.autoscaling.time_scale.get();
    let interval = TelemetrySettings::default().interval / scale;
    settings.telemetry = Some(TelemetrySettings { interval: interval.max(TELEMETRY_INTERVAL_MIN) });
    settings.session = None;
    LAYOUT.clone_into(&mut settings.sink.layout);
    // Batches age by the fast clock.
    settings.sink.batch_age_max = BATCH_AGE_MAX * scale;
}

/// What a run has to work with.
pub(crate) struct Scene<'a> {
    pub(crate) arguments: &'a LocalArguments,
    pub(crate) settings: &'a PipelineSettings,
    pub(crate) sdk: &'a SdkConfig,
    pub(crate) endpoint: &'a str,
    pub(crate) clock: Arc<Clock>,
    /// Where the audit is kept.
    pub(crate) audit: &'a Path,
}

/// Sends the traffic, waits until the autoscaler has nothing left to change, for an hour of the fast clock at most, and
/// verifies what was written.
pub(crate) async fn drive(
    scene: Scene<'_>,
    fleet: &mut Fleet,
    began: Instant,
) -> anyhow::Result<ScalingOutcome> {
    let Scene { arguments, settings, sdk, endpoint, clock, audit } = scene;
    let (stream, shards) = (&settings.stream.name, u32::from(arguments.shards));
    let (time_scale, record_weight) = (clock.scale().get(), arguments.autoscaling.record_weight.get());
    let profile = profile_of(arguments);
    let progress = Progress::new(arguments.json, PLAIN_TICKS);
    progress.say(&traffic_text(arguments, &profile));
    let policy = policy_of(shards, time_scale);
    let forgotten_after = Profile::surge().1 + policy.shrink_window + METRICS_LATE_MAX;
    let parts = AutoscalerParts { sdk, settings, policy, clock: Arc::clone(&clock), record_weight, audit };
    let autoscaler = Autoscaler::start(parts).await?;
    let (looks, alarms) = (autoscaler.looks(), autoscaler.alarms());
    let mut producer = Producer::start(sdk, settings, arguments.seed, profile.clone(), &clock)?;
    let started_at = producer.started_at();
    let mut run = Run {
        sdk,
        settings,
        clock,
        fleet,
        store: S3Store::new(S3Store::client(sdk, Some(endpoint)), &settings.sink.bucket, ""),
        watch: StreamWatch::new(sdk, stream, started_at),
        written: ManifestSummary::default(),
        killed: None,
        progress,
        ticks: tokio::time::interval(TICK),
    };
    let kill_above = arguments.kill_one.then_some(shards);
    let is_at_rest = run.until_at_rest(&mut producer, &autoscaler, forgotten_after, kill_above).await?;
    // Nothing may change the shards while their end is marked.
    let audit = autoscaler.stop().await?;
    run.watch.until_active(&run.clock).await?;
    let virtual_time = producer.elapsed();
    run.progress.say("the traffic ends; workers write what is left");
    let (put, keys) = producer.finish().await?;
    let kinesis = Client::new(sdk);
    run.until_drained(&kinesis).await?;
    run.progress.say("everything is written; every object is read and compared with what was put");
    let throttled = run.watch.throttled(run.clock.now()).await?;
    let verification = verify(&run.store, &kinesis, stream, &keys).await?;
    run.progress.finish();
    Ok(ScalingOutcome {
        profile,
        time_scale,
        record_weight,
        totals: run.written.totals,
        objects: run.written.objects,
        put,
        elapsed: began.elapsed(),
        virtual_time,
        started_at,
        shards_at_start: shards,
        counts: run.watch.counts().to_vec(),
        is_at_rest,
        throttled,
        audit,
        alarms,
        looks: looks.all(),
        looks_by_alarm: looks.by_alarm(),
        wakes: looks.wakes(),
        verification,
        workers: arguments.workers,
        killed: run.killed,
        bucket: settings.sink.bucket.clone(),
    })
}

/// A run under way.
struct Run<'a> {
    sdk: &'a SdkConfig,
    settings: &'a PipelineSettings,
    clock: Arc<Clock>,
    fleet: &'a mut Fleet,
    store: S3Store,
    watch: StreamWatch,
    written: ManifestSummary,
    killed: Option<String>,
    progress: Progress,
    ticks: tokio::time::Interval,
}

impl Run<'_> {
    /// Goes on until the autoscaler has forgotten the surge and has nothing to change; whether it came to that in time. A
    /// worker is killed once there are more than `kill_above` shards.
    async fn until_at_rest(
        &mut self,
        producer: &mut Producer,
        autoscaler: &Autoscaler,
        forgotten_after: Duration,
        kill_above: Option<u32>,
    ) -> anyhow::Result<bool> {
        let forgotten_at = producer.started_at().after(forgotten_after);
        let looks = autoscaler.looks();
        loop {
            self.tick().await?;
            producer.check().await?;
            autoscaler.check()?;
            self.watch.look(self.clock.now()).await?;
            if kill_above.is_some_and(|shards| self.watch.shards() > shards) && self.killed.is_none() {
                self.killed = self.fleet.kill_a_holder(self.sdk, self.settings).await?;
            }
            let elapsed = producer.elapsed();
            let seen = Seen {
                elapsed,
                rate: producer.rate(),
                taken: producer.taken(),
                waiting: producer.waiting(),
                written: self.written.totals.records,
                shards: self.watch.shards(),
                is_active: self.watch.is_active(),
                looks: looks.all(),
                looks_by_alarm: looks.by_alarm(),
                workers: self.fleet.alive(),
            };
            self.progress.show(seen.text());
            let is_at_rest = self.watch.is_active() && autoscaler.is_content(forgotten_at);
            if is_at_rest || elapsed >= forgotten_after + RETURN_MAX {
                return Ok(is_at_rest);
            }
        }
    }

    /// Goes on until the end of every open shard is written.
    async fn until_drained(&mut self, kinesis: &Client) -> anyhow::Result<()> {
        let target = KinesisTarget::new(kinesis.clone(), &self.settings.stream.name);
        let open = target.open_shards().await?;
        let drained_by = Instant::now() + DRAIN_MAX;
        while !open.iter().all(|open| self.written.ended_shards.contains(&open.shard)) {
            let is_in_time = Instant::now() < drained_by;
            anyhow::ensure!(is_in_time, "the workers have not come to the end within {DRAIN_MAX:?}");
            self.tick().await?;
        }
        Ok(())
    }

    /// Waits a little, and sees how far the workers are.
    async fn tick(&mut self) -> anyhow::Result<()> {
        self.ticks.tick().await;
        self.fleet.check(self.killed.as_ref())?;
        self.written.collect(&self.store, &self.settings.stream.name).await?;
        Ok(())
    }
}

/// Traffic for which the shards of the start are as full as `BASE_UTILISATION` says.
fn profile_of(arguments: &LocalArguments) -> Profile {
    let weight = f64::from(arguments.autoscaling.record_weight.get());
    let base = f64::from(arguments.shards) * BASE_UTILISATION * RECORDS_PER_SECOND / weight;
    let scale = arguments.autoscaling.time_scale;
    if arguments.autoscaling.surge { Profile::surging(base, scale) } else { Profile::steady(base, scale) }
}

/// The default policy, with the shards of the start as its least, and patience for readers at the machine's pace.
fn policy_of(shards: u32, time_scale: u32) -> Policy {
    let default = Policy::default();
    Policy {
        shards_min: shards,
        shards_max: shards * GROWTH_MAX,
        lag_max: default.lag_max.max(LAG_MAX * time_scale),
        ..default
    }
}

/// A tenfold surge then asks for twice what the shards take: they throttle until there are more.
const BASE_UTILISATION: f64 = 0.2;
/// What a shard takes.
const RECORDS_PER_SECOND: f64 = 1_000.0;
/// Room for ten times the base at the policy's aim, and as much again.
const GROWTH_MAX: u32 = 8;
/// A few polls, batches and a takeover of leases, of the machine's time.
const LAG_MAX: Duration = Duration::from_secs(15);
/// When the last minute of the surge has surely left the window that the planner looks back on.
const METRICS_LATE_MAX: Duration = Duration::from_secs(10 * 60);
/// For the merges after that: thrice what they usually take.
const RETURN_MAX: Duration = Duration::from_secs(3600);
/// One folder: the rows of a batch lie in one object, in the order in which they were read.
const LAYOUT: &str = "events";
/// Of the machine's time: few objects, and something to see all the time.
const BATCH_AGE_MAX: Duration = Duration::from_secs(3);
/// A takeover of leases, and a few batches.
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// The least that settings allow.
const TELEMETRY_INTERVAL_MIN: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(250);
/// Five seconds.
const PLAIN_TICKS: u64 = 20;
