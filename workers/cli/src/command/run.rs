//! `leasehold run`: one worker, on AWS or any endpoint.

use std::sync::Arc;

use kcl::aws::{DynamoDbLeaseStore, DynamoDbTelemetryStore, KinesisStream};
use kcl::{InitialPosition, Worker, WorkerSettings};
use local::Clock;
use tokio::signal::unix::{SignalKind, signal};
use workers::{
    ObjectStore, Pipeline, PipelineFactory, PipelineSettings, S3Store, SelfTestError,
    check_conditional_writes,
};

use super::{settings_of, start_logging, stdin_closed};
use crate::arguments::RunArguments;
use crate::clock::ServicesClock;
use crate::connection::sdk_config;
use crate::problem::{FAILED, Problem, UNAVAILABLE, text};

pub(crate) async fn run(arguments: RunArguments) -> anyhow::Result<()> {
    start_logging(arguments.log);
    let resolved = settings_of(&arguments.config)?;
    let settings = resolved.settings().clone();
    let pipeline = Pipeline::compile(&resolved).map_err(|error| Problem::usage(error.to_string()))?;
    let endpoint = arguments.endpoint.or_else(|| settings.stream.endpoint.clone());
    let sdk = sdk_config(settings.stream.region.as_deref(), endpoint.as_deref()).await;
    let table = settings.lease.table.clone().unwrap_or_else(|| settings.application.name.clone());
    announce(&settings, &table);

    let client = S3Store::client(&sdk, endpoint.as_deref());
    let objects: Arc<dyn ObjectStore> = Arc::new(S3Store::new(client, &settings.sink.bucket, ""));
    check_bucket(objects.as_ref(), &settings.sink.bucket).await?;
    let leases = DynamoDbLeaseStore::new(&sdk, &table, settings.lease.failover);
    let application = &settings.application.name;
    let mut builder = Worker::builder(application, KinesisStream::new(&sdk, &settings.stream.name))
        .with_lease_store(leases)
        .with_settings(worker_settings(&settings, arguments.worker_id));
    if settings.telemetry.is_some() {
        builder = builder.with_telemetry_store(DynamoDbTelemetryStore::new(&sdk, application));
    }
    if let Some(anchor) = arguments.clock {
        builder = builder.with_clock(Arc::new(ServicesClock::new(Clock::anchored(anchor).into())));
    }
    let worker = builder.build(PipelineFactory::new(pipeline, objects))?;
    let handle = worker.start().await?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let orphaned = stdin_closed(arguments.stop_with_stdin);
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = orphaned => {
            handle.abort();
            return Ok(());
        }
        end = handle.finished() => anyhow::bail!("the worker ended by itself: {end:?}"),
    }
    tracing::info!("stopping; another signal stops at once");
    tokio::select! {
        biased;
        _ = interrupt.recv() => handle.abort(),
        _ = terminate.recv() => handle.abort(),
        _ = handle.shutdown() => {}
    }
    Ok(())
}

async fn check_bucket(objects: &dyn ObjectStore, bucket: &str) -> anyhow::Result<()> {
    let Err(error) = check_conditional_writes(objects).await else { return Ok(()) };
    let (code, what) = match &error {
        SelfTestError::Unavailable(_) => {
            (UNAVAILABLE, "cannot be written; check endpoint, network, credentials and that it exists")
        }
        SelfTestError::NotOneWinner { .. } | SelfTestError::MetadataLost { .. } => {
            (FAILED, "cannot hold exactly-once output")
        }
    };
    Err(Problem::with_code(code, format!("bucket {bucket} {what}: {}", text(&error.into()))))
}

fn worker_settings(settings: &PipelineSettings, worker_id: Option<String>) -> WorkerSettings {
    let initial = match settings.stream.initial_position {
        workers::InitialPosition::TrimHorizon => InitialPosition::TrimHorizon,
        workers::InitialPosition::Latest => InitialPosition::Latest,
        workers::InitialPosition::At(time) => {
            InitialPosition::AtTimestamp(u64::try_from(time.as_millisecond()).unwrap_or(0))
        }
    };
    let mut worker = WorkerSettings::starting_at(initial);
    worker.failover = settings.lease.failover;
    worker.shutdown_timeout = settings.lease.shutdown_timeout;
    worker.worker_id = worker_id;
    if let Some(telemetry) = &settings.telemetry {
        worker.telemetry_interval = telemetry.interval;
    }
    worker.fetch.records_per_call_max = settings.fetch.records_max;
    worker.fetch.idle_pause_max = settings.fetch.poll_interval;
    worker.fetch.prefetch_bytes_max = settings.fetch.buffer_bytes_max;
    worker
}

/// Says what will be used, and the rights it takes, before anything is written.
fn announce(settings: &PipelineSettings, table: &str) {
    tracing::info!(
        stream = settings.stream.name,
        table,
        bucket = settings.sink.bucket,
        actions = IAM_ACTIONS,
        "resources and the IAM actions they need"
    );
}

const IAM_ACTIONS: &str = "kinesis:DescribeStreamSummary kinesis:ListShards kinesis:GetShardIterator \
    kinesis:GetRecords; dynamodb:DescribeTable dynamodb:CreateTable dynamodb:GetItem dynamodb:PutItem \
    dynamodb:UpdateItem dynamodb:DeleteItem dynamodb:Scan dynamodb:Query (table and index); s3:PutObject s3:GetObject \
    s3:DeleteObject s3:ListBucket s3:AbortMultipartUpload";
