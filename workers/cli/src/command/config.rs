//! `leasehold config check`: every problem of a settings file at once.

use workers::Pipeline;

use super::settings_of;
use crate::arguments::{ConfigArguments, ConfigCommand};
use crate::problem::Problem;

pub(crate) fn config(arguments: &ConfigArguments) -> anyhow::Result<()> {
    let ConfigCommand::Check { file } = &arguments.command;
    let settings = settings_of(file)?;
    Pipeline::compile(&settings).map_err(|error| Problem::usage(format!("{}: {error}", file.display())))?;
    println!("{} is valid (configuration {})", file.display(), &settings.config_hash()[..12]);
    Ok(())
}
