//! The verifier: pure, from what lies on the stream, in the table and in the bucket to what is wrong with it.
//!
//! ```text
//! ledger ──▶ put       the stream holds what was acknowledged, nothing that was refused, and what is unknown at most once
//! stream ─┬▶ commits   rows reach the end with nothing pending; batches follow each other; the bucket holds their objects
//! table ──┤            and no others
//! bucket ─┴▶ rows      each record of the stream is one row, whole, in its shard and session; keys keep their order
//! ```

mod commits;
mod put;
mod rows;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use kcl::Lease;
use serde::Serialize;
use workers::Manifest;

use crate::ledger::Ledger;
use crate::objects::BucketContents;
use crate::stream::StreamContents;

/// Everything that a run left behind.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) stream_name: &'a str,
    pub(crate) session_gap: Duration,
    pub(crate) ledger: &'a Ledger,
    pub(crate) stream: &'a StreamContents,
    pub(crate) leases: &'a [Lease],
    pub(crate) batches: &'a BTreeMap<String, Vec<Manifest>>,
    pub(crate) bucket: &'a BucketContents,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    /// What was promised.
    pub(crate) promise: &'static str,
    /// How often it was broken.
    pub(crate) times: usize,
    /// The first of what broke it.
    pub(crate) examples: Vec<String>,
}

impl Violation {
    /// A promise broken once for each of `examples`; `None` if there are none.
    pub(crate) fn of<T: Display>(
        promise: &'static str,
        examples: impl IntoIterator<Item = T>,
    ) -> Option<Self> {
        let mut examples = examples.into_iter().map(|example| example.to_string());
        let shown: Vec<String> = examples.by_ref().take(EXAMPLES_MAX).collect();
        let times = shown.len() + examples.count();
        (times > 0).then_some(Self { promise, times, examples: shown })
    }
}

impl Evidence<'_> {
    /// Every promise that does not hold.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let checks = put::check(self).into_iter().chain(commits::check(self)).chain(rows::check(self));
        checks.flatten().collect()
    }
}

const EXAMPLES_MAX: usize = 20;

#[cfg(test)]
mod tests;
