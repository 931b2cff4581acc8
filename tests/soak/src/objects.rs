//! Every object of the bucket, listed, read and taken apart.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use workers::ObjectStore;

use crate::event::SoakEvent;

/// What lies in the bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketContents {
    /// Every key.
    pub(crate) keys: BTreeSet<String>,
    /// Objects with rows, by key.
    pub(crate) objects: BTreeMap<String, RowObject>,
}

/// An object with rows.
#[derive(Clone, Debug)]
pub(crate) struct RowObject {
    pub(crate) rows: Rows,
    /// SHA-256 of the rows' bytes, in hexadecimal digits.
    pub(crate) digest: String,
}

/// Rows by what the folder says they are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rows {
    Events(Vec<EventRow>),
    Sessions(Vec<SessionRow>),
    /// Nothing that the producer makes may fail: shown as they are.
    Failed(Vec<String>),
}

/// An event as it was written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct EventRow {
    pub(crate) shard: String,
    /// `sequence number/sub-sequence number`.
    pub(crate) position: String,
    pub(crate) session_id: String,
    #[serde(flatten)]
    pub(crate) event: SoakEvent,
}

/// The start of a session.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct SessionRow {
    pub(crate) session_id: String,
}

impl Rows {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Events(rows) => rows.len(),
            Self::Sessions(rows) => rows.len(),
            Self::Failed(rows) => rows.len(),
        }
    }
}

impl BucketContents {
    /// Reads everything.
    pub(crate) async fn read(store: &dyn ObjectStore) -> anyhow::Result<Self> {
        let mut keys = BTreeSet::new();
        loop {
            let page = store.list("", keys.last().map(String::as_str)).await?;
            keys.extend(page.objects.into_iter().map(|object| object.key));
            if !page.has_more {
                break;
            }
        }
        let wanted: Vec<String> = keys.iter().filter(|key| kind_of(key).is_some()).cloned().collect();
        let objects = stream::iter(wanted)
            .map(|key| async move {
                let found = store.get(&key).await?.with_context(|| format!("{key} vanished"))?;
                let object =
                    RowObject::read(&key, &found.body).with_context(|| format!("{key} is damaged"))?;
                anyhow::Ok((key, object))
            })
            .buffer_unordered(READS_MAX)
            .try_collect()
            .await?;
        Ok(Self { keys, objects })
    }
}

impl RowObject {
    fn read(key: &str, body: &[u8]) -> anyhow::Result<Self> {
        let mut text = String::new();
        MultiGzDecoder::new(body).read_to_string(&mut text)?;
        let digest = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let rows = match kind_of(key).context("no folder of rows")? {
            Kind::Events => Rows::Events(parsed(&text)?),
            Kind::Sessions => Rows::Sessions(parsed(&text)?),
            Kind::Failed => Rows::Failed(text.lines().map(str::to_owned).collect()),
        };
        Ok(Self { rows, digest })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Events,
    Sessions,
    Failed,
}

fn kind_of(key: &str) -> Option<Kind> {
    match key.split_once('/')?.0 {
        "events" => Some(Kind::Events),
        "sessions" => Some(Kind::Sessions),
        "failed" => Some(Kind::Failed),
        _ => None,
    }
}

fn parsed<T: for<'row> Deserialize<'row>>(text: &str) -> serde_json::Result<Vec<T>> {
    text.lines().map(serde_json::from_str).collect()
}

/// Requests in flight while objects are read.
const READS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;

    use super::*;

    fn object(key: &str, text: &str) -> anyhow::Result<RowObject> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes())?;
        RowObject::read(key, &encoder.finish()?)
    }

    const EVENT: &str = r#"{"user_id":"key-001","event_timestamp":5,"event_name":"search","soak_event":7,"soak_attempt":1,"soak_count":2,"shard":"shardId-0","position":"9/0","session_id":"key-001_0","event_time":"x"}"#;

    #[test]
    fn rows_are_read_by_their_folder_and_the_digest_is_of_their_bytes() {
        let events = object("events/event_name=search/a.jsonl.gz", &format!("{EVENT}\n")).expect("readable");
        let Rows::Events(rows) = &events.rows else { panic!("{events:?}") };
        assert_eq!(rows[0].event.attempt().to_string(), "event 7 attempt 1");
        assert_eq!((rows[0].position.as_str(), rows[0].session_id.as_str()), ("9/0", "key-001_0"));
        let failed = object("failed/stage=parse/a.jsonl.gz", "").expect("readable");
        assert_eq!((failed.rows.len(), &failed.digest[..8]), (0, "e3b0c442"));
    }

    #[test]
    fn a_row_without_its_identity_is_damage() {
        assert!(object("events/a.jsonl.gz", r#"{"user_id":"key-001"}"#).is_err());
        assert!(RowObject::read("events/a.jsonl.gz", b"no gzip").is_err());
    }
}
