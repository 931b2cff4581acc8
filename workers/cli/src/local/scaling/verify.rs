//! Whether what was put is what was written: every event in exactly one object, and each key in its order.
//!
//! ```text
//!  shards, parents first ─▶ their manifests in order ─▶ objects in order ─▶ rows in order ─▶ Ledger
//!  everything below the layouts' folders ─▶ objects that no manifest names
//! ```
//!
//! Reads what lies in the bucket, and knows of the producer only which key each line was put under. Lines are numbered in the
//! order in which they were put, so that a key's order is that of its lines. Two orders are checked: that of the stream, by
//! the sequence numbers in the rows, and that in which the rows were written, by batches and by rows of one object. Rows of
//! one batch that lie in different folders have no order among each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read as _;

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use flate2::read::MultiGzDecoder;
use kcl_core::{HashKey, HashKeyRange, SequenceNumber};
use serde::{Deserialize, Serialize};
use workers::{Manifest, ObjectStore};

/// What was found. All but the first three are faults and should be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verification {
    /// Lines that were put.
    pub(crate) lines: u64,
    /// Keys that they were put under.
    pub(crate) keys: u64,
    /// Keys whose rows come from several shards: for these a reshard could have broken the order.
    pub(crate) keys_over_several_shards: u64,
    /// Lines that no object holds.
    pub(crate) lost: u64,
    /// Rows beyond the first of a line.
    pub(crate) doubled: u64,
    /// Rows that no line was put for.
    pub(crate) unknown: u64,
    /// Objects that no manifest names, or that two name.
    pub(crate) stray_objects: u64,
    /// Rows of another shard than the manifest's, or whose key does not lie in the shard.
    pub(crate) misplaced: u64,
    /// Rows whose sequence number is not above that of the key's line before.
    pub(crate) out_of_stream_order: u64,
    /// Rows that were written after a later line of their key.
    pub(crate) out_of_written_order: u64,
}

impl Verification {
    /// Whether nothing was lost or doubled, and every key kept its order.
    pub(crate) const fn holds(&self) -> bool {
        self.lost == 0
            && self.doubled == 0
            && self.unknown == 0
            && self.stray_objects == 0
            && self.misplaced == 0
            && self.out_of_stream_order == 0
            && self.out_of_written_order == 0
    }
}

/// Reads every object of `stream` in the store; `keys` are those of the lines, the first line's first.
pub(crate) async fn verify(
    store: &dyn ObjectStore,
    kinesis: &Client,
    stream: &str,
    keys: &[HashKey],
) -> anyhow::Result<Verification> {
    let ranges = ranges(kinesis, stream).await?;
    let mut manifests: BTreeMap<String, Vec<Manifest>> = BTreeMap::new();
    for key in listed(store, MANIFESTS).await? {
        let manifest: Manifest = serde_json::from_slice(&body(store, &key).await?)
            .with_context(|| format!("manifest {key} cannot be read"))?;
        if manifest.stream == stream {
            manifests.entry(manifest.shard.clone()).or_default().push(manifest);
        }
    }
    let mut ledger = Ledger::new(keys);
    let (mut named, mut stray_objects) = (BTreeSet::new(), 0);
    // Ids count upwards, and a child's is above its parents', which `ranges` has made sure of.
    for (shard, mut batches) in manifests {
        let range = *ranges.get(&shard).with_context(|| format!("shard {shard} is not of {stream}"))?;
        batches.sort_by_key(|manifest| manifest.batch);
        for manifest in batches {
            for object in manifest.objects {
                let mut text = String::new();
                MultiGzDecoder::new(&*body(store, &object.key).await?)
                    .read_to_string(&mut text)
                    .with_context(|| format!("object {} is no gzip of text", object.key))?;
                for line in text.lines() {
                    let row = serde_json::from_str(line)
                        .with_context(|| format!("object {} has a row that cannot be read", object.key))?;
                    ledger.take(&shard, range, &row);
                }
                ledger.end_object();
                stray_objects += u64::from(!named.insert(object.key));
            }
            ledger.end_batch();
        }
    }
    for key in listed(store, "").await? {
        let is_own = OWN_FOLDERS.iter().any(|folder| key.starts_with(folder));
        stray_objects += u64::from(!is_own && !named.contains(&key));
    }
    Ok(Verification { stray_objects, ..ledger.verdict() })
}

/// What every row tells.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    line: u64,
    shard: String,
    position: String,
}

/// The lines met so far.
struct Ledger<'a> {
    keys: &'a [HashKey],
    lines: Vec<Met>,
    by_key: HashMap<HashKey, KeyOrder>,
    /// Keys of the present object and batch, whose orders are to be closed.
    in_object: BTreeSet<HashKey>,
    in_batch: BTreeSet<HashKey>,
    found: Verification,
}

#[derive(Clone, Copy, Default)]
struct Met {
    rows: u64,
    sequence: Option<SequenceNumber>,
}

/// The greatest lines of a key: in the present object, in the present batch, in all batches before.
#[derive(Default)]
struct KeyOrder {
    object: u64,
    batch: u64,
    before: u64,
    shard: Option<String>,
    is_over_several: bool,
}

impl<'a> Ledger<'a> {
    fn new(keys: &'a [HashKey]) -> Self {
        Self {
            keys,
            lines: vec![Met::default(); keys.len()],
            by_key: HashMap::new(),
            in_object: BTreeSet::new(),
            in_batch: BTreeSet::new(),
            found: Verification::default(),
        }
    }

    fn take(&mut self, shard: &str, range: HashKeyRange, row: &Row) {
        let place = usize::try_from(row.line).ok().and_then(|line| line.checked_sub(1));
        let Some((met, &key)) =
            place.and_then(|place| Some((self.lines.get_mut(place)?, self.keys.get(place)?)))
        else {
            self.found.unknown += 1;
            return;
        };
        met.rows += 1;
        met.sequence = row.position.split('/').next().and_then(|sequence| sequence.parse().ok());
        self.found.misplaced += u64::from(row.shard != shard || !range.contains(key));
        let order = self.by_key.entry(key).or_default();
        self.found.out_of_written_order += u64::from(row.line <= order.object.max(order.before));
        order.object = order.object.max(row.line);
        order.is_over_several |= order.shard.as_deref().is_some_and(|before| before != shard);
        if order.shard.as_deref() != Some(shard) {
            order.shard = Some(shard.to_owned());
        }
        self.in_object.insert(key);
    }

    fn end_object(&mut self) {
        for key in std::mem::take(&mut self.in_object) {
            let order = self.by_key.get_mut(&key).expect("the key was met");
            order.batch = order.batch.max(std::mem::take(&mut order.object));
            self.in_batch.insert(key);
        }
    }

    fn end_batch(&mut self) {
        for key in std::mem::take(&mut self.in_batch) {
            let order = self.by_key.get_mut(&key).expect("the key was met");
            order.before = order.before.max(std::mem::take(&mut order.batch));
        }
    }

    fn verdict(self) -> Verification {
        let mut last: HashMap<HashKey, SequenceNumber> = HashMap::new();
        let mut found = Verification { lines: self.keys.len() as u64, ..self.found };
        for (met, &key) in self.lines.iter().zip(self.keys) {
            found.lost += u64::from(met.rows == 0);
            found.doubled += met.rows.saturating_sub(1);
            let Some(sequence) = met.sequence else {
                // A row without a position has no order that could be kept.
                found.out_of_stream_order += u64::from(met.rows > 0);
                continue;
            };
            let before = last.insert(key, sequence);
            found.out_of_stream_order += u64::from(before.is_some_and(|before| before >= sequence));
        }
        found.keys = self.keys.iter().collect::<HashSet<_>>().len() as u64;
        found.keys_over_several_shards =
            self.by_key.values().filter(|order| order.is_over_several).count() as u64;
        found
    }
}

/// The hash range of every shard that the stream ever had.
async fn ranges(kinesis: &Client, stream: &str) -> anyhow::Result<BTreeMap<String, HashKeyRange>> {
    let mut ranges = BTreeMap::new();
    let mut next_token = None;
    loop {
        let name = next_token.is_none().then(|| stream.to_owned());
        let page = kinesis.list_shards().set_stream_name(name).set_next_token(next_token).send().await?;
        for shard in page.shards() {
            let id = shard.shard_id();
            let parents = [shard.parent_shard_id(), shard.adjacent_parent_shard_id()];
            anyhow::ensure!(
                parents.into_iter().flatten().all(|parent| parent < id),
                "shard {id} has an id below a parent's: its order cannot be told"
            );
            let range = shard.hash_key_range().with_context(|| format!("shard {id} has no range"))?;
            let (start, end) =
                (HashKey::parse(range.starting_hash_key())?, HashKey::parse(range.ending_hash_key())?);
            ranges.insert(id.to_owned(), HashKeyRange::new(start, end)?);
        }
        next_token = page.next_token().map(str::to_owned);
        if next_token.is_none() {
            return Ok(ranges);
        }
    }
}

/// The keys of all objects below `prefix`.
async fn listed(store: &dyn ObjectStore, prefix: &str) -> anyhow::Result<Vec<String>> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = store.list(prefix, keys.last().map(String::as_str)).await?;
        let is_last = !page.has_more || page.objects.is_empty();
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if is_last {
            return Ok(keys);
        }
    }
}

async fn body(store: &dyn ObjectStore, key: &str) -> anyhow::Result<Vec<u8>> {
    let object = store.get(key).await?.with_context(|| format!("object {key} is gone"))?;
    Ok(object.body.to_vec())
}

const MANIFESTS: &str = "_manifest/";
/// What workers keep beside the rows.
const OWN_FOLDERS: [&str; 3] = [MANIFESTS, "_config/", "state/"];

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: HashKey = HashKey(1);
    const HIGH: HashKey = HashKey(u128::MAX);

    fn row(line: u64, shard: &str, sequence: u64) -> Row {
        Row { line, shard: shard.to_owned(), position: format!("{sequence}/0") }
    }

    /// Rows of one object, by line and sequence number.
    type Rows<'a> = &'a [(u64, u64)];
    /// Objects of one batch of one shard.
    type Batch<'a> = &'a [Rows<'a>];

    /// What shards of such batches lead to.
    fn found(keys: &[HashKey], shards: &[&[Batch<'_>]]) -> Verification {
        let mut ledger = Ledger::new(keys);
        for (number, batches) in shards.iter().enumerate() {
            let shard = format!("shardId-{number}");
            for objects in *batches {
                for rows in *objects {
                    for &(line, sequence) in *rows {
                        ledger.take(&shard, HashKeyRange::FULL, &row(line, &shard, sequence));
                    }
                    ledger.end_object();
                }
                ledger.end_batch();
            }
        }
        ledger.verdict()
    }

    #[test]
    fn a_key_that_goes_on_in_a_child_keeps_its_order() {
        let keys = [LOW, HIGH, LOW, LOW];
        // Rows of one batch in two folders have no order among each other.
        let sound = found(&keys, &[&[&[&[(3, 30)], &[(1, 10), (2, 20)]]], &[&[&[(4, 40)]]]]);
        let expected =
            Verification { lines: 4, keys: 2, keys_over_several_shards: 1, ..Verification::default() };
        assert_eq!(sound, expected);
        assert!(sound.holds());
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let keys = [LOW, LOW, LOW];
        let fault = |shards: &[&[Batch<'_>]]| {
            let found = found(&keys, shards);
            assert!(!found.holds(), "{found:?}");
            found
        };
        assert_eq!(fault(&[&[&[&[(1, 1), (2, 2)]]]]).lost, 1);
        assert_eq!(fault(&[&[&[&[(1, 1), (2, 2), (3, 3)]], &[&[(3, 3)]]]]).doubled, 1);
        assert_eq!(fault(&[&[&[&[(1, 1), (2, 2), (3, 3), (4, 4), (0, 0)]]]]).unknown, 2);
        assert_eq!(fault(&[&[&[&[(2, 2), (1, 1), (3, 3)]]]]).out_of_written_order, 1);
        assert_eq!(fault(&[&[&[&[(2, 2)]], &[&[(1, 1)], &[(3, 3)]]]]).out_of_written_order, 1);
        assert_eq!(fault(&[&[&[&[(3, 3)]]], &[&[&[(1, 1), (2, 2)]]]]).out_of_written_order, 2);
        assert_eq!(fault(&[&[&[&[(1, 2), (2, 1), (3, 3)]]]]).out_of_stream_order, 1);
    }

    #[test]
    fn a_row_belongs_to_its_shard_and_its_key_to_the_range() {
        let upper = HashKeyRange::new(HashKey(1 << 127), HashKey(u128::MAX)).expect("a range");
        let keys = [HIGH, LOW, HIGH];
        let mut ledger = Ledger::new(&keys);
        ledger.take("a", upper, &row(1, "a", 1));
        ledger.take("a", upper, &row(2, "a", 2));
        ledger.take("a", upper, &row(3, "b", 3));
        assert_eq!(ledger.found.misplaced, 2);
    }
}
