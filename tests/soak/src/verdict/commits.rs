//! The table against the manifests, and the manifests against the bucket.

use std::collections::BTreeSet;

use kcl::{Lease, Position, SequenceNumber};
use workers::{Manifest, ObjectKind};

use super::{Evidence, Violation};
use crate::committed::manifest_key;
use crate::objects::Rows;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Option<Violation>> {
    let batches = || evidence.batches.values().flatten();
    let objects = || batches().flat_map(|batch| &batch.objects);
    let damaged = objects().filter(|object| {
        evidence.bucket.objects.get(&object.key).is_none_or(|found| {
            found.digest != object.logical_digest || found.rows.len() as u64 != object.rows
        })
    });
    let failed = evidence.bucket.objects.iter().filter_map(|(key, object)| match &object.rows {
        Rows::Failed(rows) => Some(format!("{key}: {}", rows.first().map_or("", String::as_str))),
        Rows::Events(_) | Rows::Sessions(_) => None,
    });
    let failed_kind = objects().filter(|object| object.kind == ObjectKind::Failed);
    let expected = expected_keys(evidence);
    let present: BTreeSet<&str> =
        evidence.bucket.keys.iter().map(String::as_str).filter(|key| !is_aside(key)).collect();
    let wanted: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    vec![
        Violation::of("every shard is committed to its end, with nothing pending", unfinished(evidence)),
        Violation::of("the batches of a shard follow each other without a gap", gaps(evidence)),
        Violation::of(
            "a committed batch has its objects, manifest and snapshot",
            wanted.difference(&present),
        ),
        Violation::of("no object lies there that no committed batch names", present.difference(&wanted)),
        Violation::of("an object holds the rows that its manifest says", damaged.map(|object| &object.key)),
        Violation::of("no event fails", failed.chain(failed_kind.map(|object| object.key.clone()))),
    ]
}

/// The configuration, which is put by its hash, and what the start-up test of a killed worker left.
fn is_aside(key: &str) -> bool {
    key.starts_with("_config/") || key.starts_with("_selftest/")
}

fn expected_keys(evidence: &Evidence<'_>) -> BTreeSet<String> {
    let of_batch = |batch: &Manifest| {
        let id = batch.batch;
        let manifest = manifest_key(evidence.stream_name, &batch.shard, id.generation, id.ordinal.0);
        let objects = batch.objects.iter().map(|object| object.key.clone());
        objects.chain([manifest, batch.snapshot.clone()]).collect::<Vec<_>>()
    };
    evidence.batches.values().flatten().flat_map(of_batch).collect()
}

fn unfinished(evidence: &Evidence<'_>) -> Vec<String> {
    let describe = |(shard, end): (&String, &SequenceNumber)| {
        let end = Position::record(*end);
        let Some(row) = evidence.leases.iter().find(|row| row.key.as_str() == shard) else {
            return Some(format!("{shard} has no row"));
        };
        let is_done = row.checkpoint == end && row.pending.is_none();
        let pending = if row.pending.is_some() { ", with a batch pending" } else { "" };
        (!is_done).then(|| format!("{shard} is at {}{pending}; its end is {end}", row.checkpoint))
    };
    evidence.stream.ends.iter().filter_map(describe).collect()
}

/// Each batch begins where the one before ended, and the last ends where the row says.
fn gaps(evidence: &Evidence<'_>) -> Vec<String> {
    let mut gaps = Vec::new();
    for row in evidence.leases {
        let shard = row.key.as_str();
        let batches = evidence.batches.get(shard).map_or([].as_slice(), Vec::as_slice);
        let mut expected = (Position::TrimHorizon, 0);
        for batch in batches {
            let id = batch.batch;
            if !is_of(batch, row) || (batch.after, id.ordinal.0) != expected {
                gaps.push(format!("{shard} {id} begins after {}, not after {}", batch.after, expected.0));
            }
            gaps.extend(batch.gap.as_ref().map(|gap| format!("{shard} {id} wrote nothing: {gap}")));
            expected = (batch.last, id.ordinal.0 + 1);
        }
        if expected != (row.checkpoint, row.own.batch.0) {
            let (last, next) = expected;
            gaps.push(format!(
                "{shard} ends at {last} before batch {next}, the row is at {}",
                row.checkpoint
            ));
        }
    }
    gaps
}

fn is_of(batch: &Manifest, row: &Lease) -> bool {
    batch.shard == row.key.as_str() && batch.batch.generation == row.own.generation
}
