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
use workers::{ManifestSummary, PipelineSettings, S3Store, TelemetrySettings};

use super::fleet::Fleet;
use crate::arguments::LocalArguments;
use controller::{Autoscaler, AutoscalerParts};
use producer::Producer;
pub(crate) use report::ScalingOutcome;
use report::{Progress, Seen};
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
    let interval = TelemetrySettings::default().interval / arguments.autoscaling.time_scale.get();
    settings.telemetry = Some(TelemetrySettings { interval: interval.max(TELEMETRY_INTERVAL_MIN) });
    settings.session = None;
    LAYOUT.clone_into(&mut settings.sink.layout);
    settings.sink.batch_age_max = BATCH_AGE_MAX;
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

/// Sends the traffic, waits until the autoscaler has nothing left to change, and verifies what was written.
pub(crate) async fn drive(
    scene: Scene<'_>,
    fleet: &mut Fleet,
    began: Instant,
) -> anyhow::Result<ScalingOutcome> {
    let Scene { arguments, settings, sdk, endpoint, clock, audit } = scene;
    let (stream, shards) = (&settings.stream.name, u32::from(arguments.shards));
    let record_weight = arguments.autoscaling.record_weight.get();
    let profile = profile_of(arguments);
    let store = S3Store::new(S3Store::client(sdk, Some(endpoint)), &settings.sink.bucket, "");
    let mut progress = Progress::new(arguments, &profile);

    let policy = policy_of(shards, clock.scale().get());
    let forgotten_after = Profile::surge().1 + policy.shrink_window + METRICS_LATE_MAX;
    let parts = AutoscalerParts { sdk, settings, policy, clock: Arc::clone(&clock), record_weight, audit };
    let autoscaler = Autoscaler::start(parts).await?;
    let looks = autoscaler.looks();
    let mut producer = Producer::start(sdk, settings, arguments.seed, profile.clone(), &clock)?;
    let mut watch = StreamWatch::new(sdk, stream, producer.started_at());
    let mut written = ManifestSummary::default();
    let mut killed = None;
    let forgotten_at = producer.started_at().after(forgotten_after);
    let mut ticks = tokio::time::interval(TICK);
    let is_at_rest = loop {
        ticks.tick().await;
        producer.check().await?;
        autoscaler.check()?;
        fleet.check(killed.as_ref())?;
        watch.look(clock.now()).await?;
        written.collect(&store, stream).await?;
        if arguments.kill_one && killed.is_none() && watch.shards() > shards {
            killed = fleet.kill_a_holder(sdk, settings).await?;
        }
        let elapsed = producer.elapsed();
        progress.show(&Seen {
            elapsed,
            rate: producer.rate(),
            taken: producer.taken(),
            waiting: producer.waiting(),
            written: written.totals.records,
            shards: watch.shards(),
            is_active: watch.is_active(),
            looks: looks.all(),
            looks_by_alarm: looks.by_alarm(),
            workers: fleet.alive(),
        });
        if watch.is_active() && autoscaler.is_content(forgotten_at) {
            break true;
        }
        if elapsed >= forgotten_after + RETURN_MAX {
            break false;
        }
    };
    // Nothing may change the shards while their end is marked.
    let alarms = autoscaler.alarms();
    let audit = autoscaler.stop().await?;
    watch.until_active(&clock).await?;
    let virtual_time = producer.elapsed();
    progress.say("the traffic ends; workers write what is left");
    let started_at = producer.started_at();
    let (put, keys) = producer.finish().await?;
    let kinesis = Client::new(sdk);
    let open = open_shards(&kinesis, stream).await?;
    let drained_by = Instant::now() + DRAIN_MAX;
    while !open.iter().all(|shard| written.ended_shards.contains(shard)) {
        anyhow::ensure!(
            Instant::now() < drained_by,
            "the workers have not come to the end within {DRAIN_MAX:?}"
        );
        ticks.tick().await;
        fleet.check(killed.as_ref())?;
        written.collect(&store, stream).await?;
    }
    progress.say("everything is written; every object is read and compared with what was put");
    let throttled = watch.throttled(clock.now()).await?;
    let verification = verify(&store, &kinesis, stream, &keys).await?;
    progress.finish();
    Ok(ScalingOutcome {
        profile,
        time_scale: clock.scale().get(),
        record_weight,
        totals: written.totals,
        objects: written.objects,
        put,
        elapsed: began.elapsed(),
        virtual_time,
        started_at,
        shards_at_start: shards,
        counts: watch.counts().to_vec(),
        is_at_rest,
        throttled,
        audit,
        alarms,
        looks: looks.all(),
        looks_by_alarm: looks.by_alarm(),
        wakes: looks.wakes(),
        verification,
        workers: arguments.workers,
        killed,
        bucket: settings.sink.bucket.clone(),
    })
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

async fn open_shards(kinesis: &Client, stream: &str) -> anyhow::Result<Vec<String>> {
    use workers::Target as _;
    let target = workers::KinesisTarget::new(kinesis.clone(), stream);
    Ok(target.open_shards().await?.into_iter().map(|shard| shard.shard).collect())
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
/// For the merges after that: many times what they take.
const RETURN_MAX: Duration = Duration::from_secs(4 * 3600);
/// One folder: the rows of a batch lie in one object, in the order in which they were read.
const LAYOUT: &str = "events";
/// Few objects, and shards that end keep nobody waiting for long.
const BATCH_AGE_MAX: Duration = Duration::from_secs(4);
/// A takeover of leases, and a few batches.
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// The least that settings allow.
const TELEMETRY_INTERVAL_MIN: Duration = Duration::from_millis(100);
const TICK: Duration = Duration::from_millis(250);
