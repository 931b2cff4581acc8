//! What the worker processes said, in one list that every measurement reads: who delivered which record when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::timeout;

use super::worker::{Fact, Used};

/// One line of a worker process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Which process.
    pub(crate) member: usize,
    /// Milliseconds since boot.
    pub(crate) at: u64,
    /// What it said.
    pub(crate) fact: Fact,
}

/// The list, which grows while it is read. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    entries: watch::Sender<Vec<Entry>>,
}

impl Journal {
    /// An empty list.
    pub(crate) fn new() -> Self {
        Self { entries: watch::Sender::new(Vec::new()) }
    }

    /// Adds what a process said.
    pub(crate) fn add(&self, entry: Entry) {
        self.entries.send_modify(|entries| entries.push(entry));
    }

    /// Reads the list as it is.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Said<'_>) -> T) -> T {
        read(&Said(&self.entries.borrow()))
    }

    /// Waits until `found` finds what it looks for.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        wait_max: Duration,
        mut found: impl FnMut(&Said<'_>) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut receiver = self.entries.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = found(&Said(&receiver.borrow_and_update())) {
                    return Ok(found);
                }
                receiver.changed().await?;
            }
        };
        timeout(wait_max, waiting).await.with_context(|| format!("after {wait_max:?} still not: {what}"))?
    }
}

/// The entries at one moment, with the questions that measurements ask.
#[derive(Debug)]
pub(crate) struct Said<'a>(&'a [Entry]);

impl<'a> Said<'a> {
    /// When the worker of `member` started.
    pub(crate) fn started(&self, member: usize) -> Option<u64> {
        let started = self.0.iter().find(|entry| entry.member == member && entry.fact == Fact::Started);
        started.map(|entry| entry.at)
    }

    /// First delivery of each shard by `member` after `since`.
    pub(crate) fn first_deliveries(&self, member: usize, since: u64) -> BTreeMap<&'a str, u64> {
        let mut firsts = BTreeMap::new();
        for (entry, shard, _) in self.deliveries() {
            if entry.member == member && entry.at > since {
                firsts.entry(shard).or_insert(entry.at);
            }
        }
        firsts
    }

    /// By whom and when each shard was delivered last.
    pub(crate) fn last_deliveries(&self) -> BTreeMap<&'a str, (usize, u64)> {
        self.deliveries().map(|(entry, shard, _)| (shard, (entry.member, entry.at))).collect()
    }

    /// Shards that `member` delivered last.
    pub(crate) fn shards_of(&self, member: usize) -> BTreeSet<String> {
        let last = self.last_deliveries().into_iter();
        last.filter(|(_, (by, _))| *by == member).map(|(shard, _)| shard.to_owned()).collect()
    }

    /// How many records were delivered, each counted once, and how many deliveries repeated an earlier one.
    pub(crate) fn distinct_and_repeated(&self) -> (usize, usize) {
        let mut distinct = BTreeSet::new();
        let total = self.deliveries().flat_map(|(.., records)| records).map(|record| distinct.insert(record));
        let total = total.count();
        (distinct.len(), total - distinct.len())
    }

    /// What `member` said last, up to `until`, that it used, and when.
    pub(crate) fn used(&self, member: usize, until: u64) -> Option<(u64, Used)> {
        let mut entries = self.0.iter().rev().filter(|entry| entry.member == member && entry.at <= until);
        entries
            .find_map(|entry| if let Fact::Used(used) = entry.fact { Some((entry.at, used)) } else { None })
    }

    fn deliveries(&self) -> impl Iterator<Item = (&'a Entry, &'a str, &'a [(u32, u64)])> {
        self.0.iter().filter_map(|entry| match &entry.fact {
            Fact::Delivered { shard, records } => Some((entry, shard.as_str(), records.as_slice())),
            Fact::Started | Fact::Used(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::counting::Writes;
    use super::*;

    fn delivered(member: usize, at: u64, shard: &str, records: &[(u32, u64)]) -> Entry {
        let fact = Fact::Delivered { shard: shard.to_owned(), records: records.to_vec() };
        Entry { member, at, fact }
    }

    fn journal(entries: impl IntoIterator<Item = Entry>) -> Journal {
        let journal = Journal::new();
        entries.into_iter().for_each(|entry| journal.add(entry));
        journal
    }

    #[test]
    fn a_hand_over_is_read_from_the_deliveries() {
        let journal = journal([
            delivered(0, 10, "shardId-0", &[(0, 1)]),
            delivered(0, 11, "shardId-1", &[(1, 1)]),
            delivered(1, 20, "shardId-1", &[(1, 1), (1, 2)]),
            delivered(1, 21, "shardId-1", &[(1, 3)]),
        ]);
        journal.read(|said| {
            assert_eq!(said.first_deliveries(1, 11), [("shardId-1", 20)].into());
            assert_eq!(said.shards_of(0), ["shardId-0".to_owned()].into());
            assert_eq!(said.distinct_and_repeated(), (4, 1));
        });
    }

    #[test]
    fn what_was_used_is_cut_at_a_time() {
        let used = |at, renewals| {
            let writes = Writes { renewals, ..Writes::default() };
            let used = Used { cpu_time: Duration::ZERO, resident_bytes: 0, writes };
            Entry { member: 0, at, fact: Fact::Used(used) }
        };
        let journal = journal([used(10, 1), used(20, 4)]);
        let found =
            |until| journal.read(|said| said.used(0, until)).map(|(at, used)| (at, used.writes.renewals));
        assert_eq!((found(9), found(19), found(20)), (None, Some((10, 1)), Some((20, 4))));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_entry_or_names_what_was_waited_for() {
        let journal = journal([]);
        let error = journal.until("it starts", Duration::from_millis(1), |said| said.started(0)).await;
        assert!(error.expect_err("nobody starts").to_string().contains("it starts"));
        let waiting = journal.until("it starts", Duration::from_secs(60), |said| said.started(0));
        let (at, ()) = tokio::join!(waiting, async {
            journal.add(Entry { member: 0, at: 7, fact: Fact::Started });
        });
        assert_eq!(at.expect("it starts"), 7);
    }
}
