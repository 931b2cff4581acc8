//! `leasehold local`: services, producer and worker processes on this machine, through the same code as on AWS.
//!
//! ```text
//!  this process: services (own thread) ◀── pump ── file or generator
//!        │ spawns                ▲
//!        ▼                       │ one loopback port
//!  worker processes `leasehold run` ──▶ <data>/s3/<bucket>/…      manifests tell when everything is written
//! ```
//!
//! With an autoscaler in the loop it is [`scaling`] that sends the traffic and waits.

mod feeding;
mod fleet;
mod folder;
mod progress;
mod report;
mod scaling;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_kinesis::types::StreamStatus;
use local::{LocalSettings, Services, Storage};
use tokio::signal::unix::{SignalKind, signal};
use workers::{ManifestSummary, PipelineSettings, S3Store};

use crate::arguments::LocalArguments;
use crate::connection::sdk_config;
use feeding::Feeding;
use fleet::Fleet;
use folder::{Folder, Identity};
use progress::Progress;
use report::{Outcome, progress_text};
use scaling::{ScalingOutcome, Scene};

pub(crate) async fn run(arguments: LocalArguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let identity = Identity::of(&arguments)?;
    let folder = Folder::prepare(&arguments, identity)?;
    let services = start_services(&folder, &arguments).await?;
    let result = run_with(&arguments, &folder, &services, began).await;
    tokio::task::spawn_blocking(move || services.shutdown()).await?;
    match result? {
        None => Ok(()),
        Some(Ended::Pumped(outcome)) => outcome.print(arguments.json, &folder),
        Some(Ended::Scaled(outcome)) => outcome.print(arguments.json, &folder),
    }
}

/// How a run ended.
enum Ended {
    /// The input was written.
    Pumped(Outcome),
    /// The shards followed the traffic.
    Scaled(Box<ScalingOutcome>),
}

/// The run itself; `None` if Ctrl-C ended it.
async fn run_with(
    arguments: &LocalArguments,
    folder: &Folder,
    services: &Services,
    began: Instant,
) -> anyhow::Result<Option<Ended>> {
    let (endpoint, clock) = (&*services.endpoint(), services.clock());
    let settings = settings_of_run(arguments, folder, endpoint);
    let sdk = sdk_config(None, Some(endpoint)).await;
    create_resources(&sdk, endpoint, &settings, arguments.shards).await?;
    folder.write_config(&settings)?;

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut fleet = Fleet::start(arguments.workers, folder, endpoint, clock.anchor())?;
    let driven = tokio::select! {
        biased;
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
        ended = async {
            if arguments.autoscaling.autoscale {
                let (settings, sdk, audit) = (&settings, &sdk, &*folder.audit());
                let scene = Scene { arguments, settings, sdk, endpoint, clock, audit };
                scaling::drive(scene, &mut fleet, began).await.map(Box::new).map(Ended::Scaled)
            } else {
                drive(arguments, &settings, &sdk, endpoint, &mut fleet, began).await.map(Ended::Pumped)
            }
        } => ended.map(Some),
    };
    fleet.stop().await;
    if matches!(driven, Ok(None)) {
        let data = arguments.data.display();
        if arguments.autoscaling.autoscale {
            eprintln!("stopped; start anew with --fresh: what the stream held is gone");
        } else if !arguments.follow {
            eprintln!("stopped; go on with `leasehold local --resume --data {data}` and the same options");
        }
    }
    driven
}

/// Feeds the stream and watches the manifests until every shard's input has ended.
async fn drive(
    arguments: &LocalArguments,
    settings: &PipelineSettings,
    sdk: &SdkConfig,
    endpoint: &str,
    fleet: &mut Fleet,
    began: Instant,
) -> anyhow::Result<Outcome> {
    let store = S3Store::new(S3Store::client(sdk, Some(endpoint)), &settings.sink.bucket, "");
    let mut feeding = Feeding::start(arguments, settings, sdk).await?;
    let shards: BTreeSet<String> = feeding.shards().clone();
    let mut summary = ManifestSummary::default();
    summary.collect(&store, &settings.stream.name).await?;
    let records_earlier = summary.totals.records;
    let mut progress = Progress::new(arguments.json, PLAIN_TICKS);
    let mut first_record = None;
    let mut killed = None;
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        feeding.check().await?;
        fleet.check(killed.as_ref())?;
        summary.collect(&store, &settings.stream.name).await?;
        if summary.totals.records > records_earlier && first_record.is_none() {
            first_record = Some(began.elapsed());
        }
        let is_midway = summary.totals.records > 0 && feeding.records() > summary.totals.records;
        if arguments.kill_one
            && killed.is_none()
            && (is_midway || feeding.is_done() && summary.totals.records > 0)
        {
            killed = fleet.kill_a_holder(sdk, settings).await?;
        }
        progress.show(progress_text(&feeding, &summary, fleet.alive()));
        if feeding.is_done() && summary.ended_shards.is_superset(&shards) {
            break;
        }
    }
    progress.finish();
    Ok(Outcome {
        totals: summary.totals,
        records_earlier,
        objects: summary.objects,
        refused: feeding.refused(),
        elapsed: began.elapsed(),
        first_record: first_record.unwrap_or_else(|| began.elapsed()),
        workers: arguments.workers,
        killed,
        bucket: settings.sink.bucket.clone(),
    })
}

async fn start_services(folder: &Folder, arguments: &LocalArguments) -> anyhow::Result<Services> {
    let mut settings = LocalSettings::new(folder.path());
    settings.port = arguments.port;
    if arguments.autoscaling.autoscale {
        scaling::adapt_services(&mut settings, arguments);
    } else {
        settings.kinesis_storage = Storage::File(folder.services().join("kinesis.log"));
        settings.dynamodb_storage = Storage::File(folder.services().join("dynamodb.sqlite"));
    }
    Ok(tokio::task::spawn_blocking(move || Services::start(settings)).await??)
}

/// The preset's settings with the names of this run, and the short times that suit one machine.
fn settings_of_run(arguments: &LocalArguments, folder: &Folder, endpoint: &str) -> PipelineSettings {
    let mut settings = arguments.preset.settings();
    let run = folder.run_id();
    settings.application.name = format!("{}-{run}", settings.application.name);
    settings.stream.name = format!("{}-{run}", settings.stream.name);
    settings.stream.endpoint = Some(endpoint.to_owned());
    settings.lease.failover = FAILOVER;
    settings.lease.shutdown_timeout = Duration::from_secs(5);
    settings.fetch.poll_interval = Duration::from_millis(200);
    settings.sink.batch_age_max = BATCH_AGE_MAX;
    settings.sink.batch_rows_max = BATCH_ROWS_MAX;
    if arguments.autoscaling.autoscale {
        scaling::adapt_pipeline(&mut settings, arguments);
    }
    settings
}

/// Creates stream and bucket unless an earlier part of this run did.
async fn create_resources(
    sdk: &SdkConfig,
    endpoint: &str,
    settings: &PipelineSettings,
    shards: u16,
) -> anyhow::Result<()> {
    let kinesis = aws_sdk_kinesis::Client::new(sdk);
    let stream = &settings.stream.name;
    let created = kinesis.create_stream().stream_name(stream).shard_count(i32::from(shards)).send().await;
    if let Err(error) = created {
        let error = error.into_service_error();
        if !error.is_resource_in_use_exception() {
            return Err(error).with_context(|| format!("stream {stream} cannot be created"));
        }
    }
    // A stream is made in no time unless the control plane takes as long as AWS'.
    let created_by = Instant::now() + CREATION_MAX;
    while status(&kinesis, stream).await? == StreamStatus::Creating {
        anyhow::ensure!(
            Instant::now() < created_by,
            "stream {stream} is not created within {CREATION_MAX:?}"
        );
        tokio::time::sleep(TICK).await;
    }
    let s3 = S3Store::client(sdk, Some(endpoint));
    let bucket = &settings.sink.bucket;
    if let Err(error) = s3.create_bucket().bucket(bucket).send().await {
        let error = error.into_service_error();
        if !error.is_bucket_already_owned_by_you() && !error.is_bucket_already_exists() {
            return Err(error).with_context(|| format!("bucket {bucket} cannot be created"));
        }
    }
    Ok(())
}

async fn status(kinesis: &aws_sdk_kinesis::Client, stream: &str) -> anyhow::Result<StreamStatus> {
    let answer = kinesis.describe_stream_summary().stream_name(stream).send().await?;
    let summary = answer.stream_description_summary.context("a description is empty")?;
    Ok(summary.stream_status)
}

/// Short, so that a killed worker is replaced while one watches.
const FAILOVER: Duration = Duration::from_secs(3);
const BATCH_AGE_MAX: Duration = Duration::from_secs(1);
/// Several batches per shard even for small inputs, so that there is something to watch, and to recover.
const BATCH_ROWS_MAX: u64 = 500;
/// Thrice what the services take on a clock that is the machine's.
const CREATION_MAX: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);
/// Three seconds.
const PLAIN_TICKS: u64 = 30;
