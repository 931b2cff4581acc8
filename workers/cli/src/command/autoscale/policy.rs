//! The policy file: read once by whoever plans once, and in every round by whoever goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use autoscaler::Policy;
use autoscaler::service::{PolicySource, PolicyUnreadable};

use crate::problem::{Problem, text};

/// The policy of `file`, or the default one.
pub(super) fn policy_of(file: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(file) = file else { return Ok(Policy::default()) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("policy file {} cannot be read", file.display()))?;
    policy_in(&text, &file.display())
}

/// The policy in a text that stands in `place`.
pub(super) fn policy_in(text: &str, place: &dyn std::fmt::Display) -> anyhow::Result<Policy> {
    let problem = |error: &dyn std::fmt::Display| Problem::usage(format!("{place}: {error}"));
    let policy: Policy = toml::from_str(text).map_err(|error| problem(&error))?;
    policy.validate().map_err(|error| problem(&error))?;
    Ok(policy)
}

/// Where the policy comes from in every round: the file, if there is one, else the default.
pub(super) fn source_of(file: Option<&Path>) -> Arc<dyn PolicySource> {
    match file {
        Some(file) => Arc::new(PolicyFile(file.to_owned())),
        None => Arc::new(Policy::default()),
    }
}

/// The default policy as a file to start from.
pub(super) fn print_policy() -> anyhow::Result<()> {
    print!("{}", toml::to_string(&Policy::default()).context("the policy has no TOML")?);
    Ok(())
}

#[derive(Debug)]
struct PolicyFile(PathBuf);

#[async_trait]
impl PolicySource for PolicyFile {
    async fn read(&self) -> Result<Policy, PolicyUnreadable> {
        let file = self.0.clone();
        let read = tokio::task::spawn_blocking(move || policy_of(Some(&file))).await;
        let problem = |error: &anyhow::Error| PolicyUnreadable(text(error));
        read.map_err(|error| PolicyUnreadable(error.to_string()))?.map_err(|error| problem(&error))
    }
}
