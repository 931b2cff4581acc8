//! One file per command.

mod config;
mod init;
mod leases;
mod pump;
mod resolve;
mod run;
mod services;

use std::path::Path;

use anyhow::Context as _;
use workers::{PipelineSettings, ResolvedSettings};

pub(crate) use config::config;
pub(crate) use init::init;
pub(crate) use leases::leases;
pub(crate) use pump::{Feed, encoder, generated, pump};
pub(crate) use run::run;
pub(crate) use services::services;

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
