//! `leasehold init`: a settings file in which every field is explained.

use anyhow::Context as _;
use workers::PipelineSettings;

use crate::arguments::InitArguments;
use crate::problem::Problem;

pub(crate) fn init(arguments: &InitArguments) -> anyhow::Result<()> {
    let file = arguments.file.display();
    if arguments.file.exists() && !arguments.force {
        return Err(Problem::usage(format!(
            "{file} exists; name another file, or overwrite it with --force"
        )));
    }
    let settings = arguments.preset.map_or_else(PipelineSettings::default, |preset| preset.settings());
    std::fs::write(&arguments.file, settings.to_commented_toml())
        .with_context(|| format!("{file} cannot be written"))?;
    println!("wrote {file}; check it with `leasehold config check {file}`");
    Ok(())
}
