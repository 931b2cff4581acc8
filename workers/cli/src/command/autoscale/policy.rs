//! The policy file: read once by whoever plans once, and in every round by whoever goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use autoscaler::service::{PolicySource, PolicyUnreadable};
use autoscaler::trigger::StreamName;
use autoscaler::{Policies, Policy};

use crate::problem::{Problem, text};

/// The policies of `file`, or the default one for every stream.
pub(super) fn policies_of(file: Option<&Path>) -> anyhow::Result<Policies> {
    let Some(file) = file else { return Ok(Policies::default()) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("policy file {} cannot be read", file.display()))?;
    policies_in(&text, &file.display())
}

/// The policies in a text that stands in `place`.
pub(super) fn policies_in(text: &str, place: &dyn std::fmt::Display) -> anyhow::Result<Policies> {
    Policies::parse(text).map_err(|problem| Problem::usage(format!("{place}: {problem}")))
}

/// What `file` says about `stream` in every round.
pub(super) fn source_of(file: &Path, stream: &StreamName) -> Arc<dyn PolicySource> {
    Arc::new(PolicyFile { path: file.to_owned(), stream: stream.clone() })
}

/// The default policy as a file to start from.
pub(super) fn print_policy() -> anyhow::Result<()> {
    print!("{}", toml::to_string(&Policy::default()).context("the policy has no TOML")?);
    Ok(())
}

/// A file for the sake of one of its streams. It is refused as a whole: who misspelt one section meant something by it.
#[derive(Debug)]
struct PolicyFile {
    path: PathBuf,
    stream: StreamName,
}

#[async_trait]
impl PolicySource for PolicyFile {
    async fn read(&self) -> Result<Policy, PolicyUnreadable> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || policies_of(Some(&path))).await;
        let policies = read
            .map_err(|error| PolicyUnreadable(error.to_string()))?
            .map_err(|error| PolicyUnreadable(text(&error)))?;
        Ok(policies.for_stream(&self.stream).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_file_changes_what_it_says_about_each_stream() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("policy.toml");
        let source = |stream: &str| source_of(&file, &stream.parse().expect("a name"));
        let (orders, clicks) = (source("orders"), source("clicks"));
        for (text, expected) in [
            ("shards_min = 2\n", (2, 2)),
            ("shards_min = 2\n[streams.orders]\nshards_min = 8\n", (8, 2)),
            ("shards_min = 3\n[streams.clicks]\nshards_min = 4\n", (3, 4)),
        ] {
            std::fs::write(&file, text).expect("written");
            let read = (orders.read().await.expect("valid"), clicks.read().await.expect("valid"));
            assert_eq!((read.0.shards_min, read.1.shards_min), expected);
        }
        std::fs::write(&file, "[streams.orders]\nshards_min = 0\n").expect("written");
        let PolicyUnreadable(problem) = clicks.read().await.expect_err("one wrong section refuses the file");
        assert!(
            problem.ends_with("policy.toml: streams.orders.shards_min = 0: give at least 1"),
            "{problem}"
        );
    }
}
