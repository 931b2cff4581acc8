//! One file per command.

mod autoscale;
mod config;
mod init;
mod leases;
mod pump;
mod resolve;
mod run;
mod services;

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::Context as _;
use workers::{PipelineSettings, ResolvedSettings};

pub(crate) use autoscale::autoscale;
pub(crate) use config::config;
pub(crate) use init::init;
pub(crate) use leases::leases;
pub(crate) use pump::{Feed, encoder, generated, pump};
pub(crate) use run::run;
pub(crate) use services::services;

use crate::arguments::LogFormat;
use crate::problem::Problem;

/// Reads, checks and resolves a settings file.
pub(crate) fn settings_of(file: &Path) -> anyhow::Result<ResolvedSettings> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("settings file {} cannot be read", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    PipelineSettings::from_toml(&text)
        .and_then(|settings| settings.resolve(|path| std::fs::read_to_string(folder.join(path))))
        .map_err(|error| Problem::usage(format!("{}: {error}", file.display())))
}

/// Completes when standard input ends, which it does when the parent is gone, however it went; never if nobody asked.
pub(crate) async fn stdin_closed(is_watched: bool) {
    if !is_watched {
        return std::future::pending().await;
    }
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut sink = [0_u8; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
        drop(sender);
    });
    // The sender is dropped without a message: the error is the news.
    let _ = receiver.await;
}

/// Logs to standard error; `RUST_LOG` filters.
fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,aws_config=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}
