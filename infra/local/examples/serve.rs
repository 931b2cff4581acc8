//! Serves all local services until Ctrl-C.
//!
//! ```text
//! cargo run -p leasehold-local --example serve -- 4566 [--limits aws] [--iterator-ttl SECONDS] [--time-scale FACTOR]
//!     [--alarm-events QUEUE] [--data DIR] [--keep]
//! ```
//!
//! `--keep` keeps streams and tables in files below the data folder. Without `--data` the folder is `leasehold-data`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use local::{Limits, LocalSettings, Services, Storage};

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings(std::env::args().skip(1))?;
    let services = Services::start(settings)?;
    println!("{}", services.endpoint());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    services.shutdown();
    Ok(())
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Result<LocalSettings, Box<dyn Error>> {
    let mut settings = LocalSettings::new("leasehold-data");
    let mut keep = false;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--limits" => {
                settings.limits = match value()?.as_str() {
                    "aws" => Limits::Aws,
                    "off" => Limits::Off,
                    other => return Err(format!("--limits {other}: it must be off or aws").into()),
                }
            }
            "--iterator-ttl" => settings.iterator_ttl = Duration::from_secs(value()?.parse()?),
            "--time-scale" => settings.time_scale = value()?.parse()?,
            "--alarm-events" => settings.alarm_events_queue = Some(value()?),
            "--data" => settings.data_dir = PathBuf::from(value()?),
            "--keep" => keep = true,
            port => {
                settings.port = port.parse().map_err(|_| format!("{port}: it must be a port or an option"))?
            }
        }
    }
    if keep {
        let state = settings.data_dir.join("state");
        settings.kinesis_storage = Storage::File(state.join("kinesis.log"));
        settings.dynamodb_storage = Storage::File(state.join("dynamodb.sqlite"));
    }
    Ok(settings)
}
