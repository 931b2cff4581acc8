//! `leasehold autoscale alarms render`: templates, and the values of streams for them.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use autoscaler::alarms::{AlarmSpec, Form, Rendered, SpecProblem, StreamAlarms, render as rendered};

use super::policy::policies_of;
use crate::arguments::{FormChoice, RenderArguments};
use crate::problem::Problem;

/// Writes or prints the files.
pub(super) fn render(arguments: &RenderArguments) -> anyhow::Result<()> {
    let policies = policies_of(arguments.policy.as_deref())?;
    let hours = u64::from(arguments.retention_hours);
    let spec = || -> Result<AlarmSpec, SpecProblem> {
        arguments.streams.iter().try_fold(AlarmSpec::named(&arguments.deployment)?, |spec, stream| {
            let policy = policies.for_stream(stream);
            spec.with(StreamAlarms {
                stream: stream.to_string(),
                shards: (policy.shards_min, policy.shards_max),
                grow_above: policy.grow_above,
                lag_max: policy.lag_max,
                retention: Duration::from_secs(hours * 60 * 60),
                limits: policy.limits,
                consumers: arguments.consumers.clone(),
            })
        })
    };
    let form = match arguments.form {
        FormChoice::Cloudformation => Form::CloudFormation,
        FormChoice::Terraform => Form::Terraform,
    };
    let spec = spec().map_err(|problem| Problem::usage(problem.to_string()))?;
    let Rendered { files } = rendered(&spec, form);
    match &arguments.out {
        Some(folder) => write(folder, &files),
        None => {
            for (name, text) in &files {
                println!("==> {name} <==\n{text}");
            }
            Ok(())
        }
    }
}

fn write(folder: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("folder {} cannot be made", folder.display()))?;
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
