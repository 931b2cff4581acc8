//! `leasehold services`: the embedded services on their own, until Ctrl-C.

use std::time::Duration;

use local::{ControlPlane, Limits, LocalSettings, Services};

use super::stdin_closed;
use crate::arguments::{ControlPlaneChoice, LimitsChoice, ServicesArguments};
use crate::problem::Problem;

pub(crate) async fn services(arguments: ServicesArguments) -> anyhow::Result<()> {
    let mut settings = LocalSettings::new(&arguments.data);
    settings.port = arguments.port;
    settings.iterator_ttl = Duration::from_secs(arguments.iterator_ttl);
    settings.time_scale = arguments.time_scale;
    settings.record_weight = arguments.record_weight;
    settings.metrics_delay = Duration::from_secs(arguments.metrics_delay);
    settings.alarm_events_queue = arguments.alarm_events;
    settings.limits = match arguments.limits {
        LimitsChoice::Off => Limits::Off,
        LimitsChoice::Aws => Limits::Aws,
    };
    settings.control_plane = match arguments.control_plane {
        ControlPlaneChoice::Instant => ControlPlane::Instant,
        ControlPlaneChoice::Aws => ControlPlane::Aws,
    };
    settings.validate().map_err(|error| Problem::usage(error.to_string()))?;
    let services = tokio::task::spawn_blocking(move || Services::start(settings)).await??;
    let endpoint = services.endpoint();
    println!(
        "Kinesis, DynamoDB, S3, CloudWatch, SNS and SQS at {endpoint}; objects in {}/s3",
        arguments.data.display()
    );
    println!("try: aws --endpoint-url {endpoint} --region us-east-1 kinesis list-streams");
    println!("Ctrl-C ends");
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        () = stdin_closed(arguments.stop_with_stdin) => {}
    }
    tokio::task::spawn_blocking(move || services.shutdown()).await?;
    Ok(())
}
