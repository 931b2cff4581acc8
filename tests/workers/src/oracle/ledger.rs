//! What is known of one shard: what was put, what is durable, whose lease it is.

use kcl_core::{Lease, LeaseKey, ListedShard, Millis, Nonce, Position, RecordPosition};

use super::{Violation, broken};

/// A record as it was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Where it went.
    pub position: RecordPosition,
    /// Its partition key.
    pub key: u64,
    /// Its number among the records of that key, from zero.
    pub number: u64,
    /// When it arrived, in epoch milliseconds.
    pub arrival_epoch_millis: u64,
}

/// The books of one shard.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) listed: Option<ListedShard>,
    pub(super) puts: Vec<Put>,
    durable: Vec<bool>,
    pub(super) processed: Vec<bool>,
    /// The row as it was created: where the application begins.
    begin: Option<Begin>,
    /// The process that adopted the lease, until it is given away.
    pub(super) holder: Option<u64>,
    pub(super) changed_at: Millis,
    pub(super) hand_off_since: Option<Millis>,
    /// Whether the reply of the holder's last write was lost.
    pub(super) is_ambiguous: bool,
    /// The holder that wrote the pending intent.
    pub(super) prepared_at: Option<Option<Nonce>>,
    /// The process whose processor ended the shard.
    pub(super) ended_by: Option<u64>,
    /// The process that wrote the shard's end.
    pub(super) finished_by: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Begin {
    /// With the oldest record.
    Oldest,
    /// With the first that arrived at or after this epoch millisecond.
    Epoch(u64),
}

impl Ledger {
    pub(super) fn put(&mut self, put: Put) {
        self.puts.push(put);
        self.durable.push(false);
        self.processed.push(false);
    }

    /// The row is created.
    pub(super) fn begins(&mut self, row: &Lease) {
        self.begin = Some(match row.own.start_epoch_millis {
            Some(epoch_millis) => Begin::Epoch(epoch_millis),
            None => Begin::Oldest,
        });
    }

    /// Index of the first record after `checkpoint`.
    pub(super) fn index_after(&self, checkpoint: Position) -> usize {
        match (checkpoint, self.begin) {
            (Position::At(_) | Position::ShardEnd, _) => {
                self.puts.partition_point(|put| Position::At(put.position) <= checkpoint)
            }
            (Position::Latest | Position::AtTimestamp, Some(Begin::Epoch(epoch_millis))) => {
                self.puts.partition_point(|put| put.arrival_epoch_millis < epoch_millis)
            }
            (Position::TrimHorizon | Position::Latest | Position::AtTimestamp, _) => 0,
        }
    }

    pub(super) fn mark_durable(&mut self, from: usize, to: usize) {
        self.durable[from..to].fill(true);
    }

    /// S4: every record that a checkpoint passes is durable.
    pub(super) fn durable_between(&self, before: Position, after: Position) -> Result<(), Violation> {
        let (from, to) = (self.index_after(before), self.index_after(after));
        match (from..to).find(|index| !self.durable[*index]) {
            Some(index) => {
                let put = self.puts[index];
                let detail = format!(
                    "a checkpoint moved from {before} to {after} past {}:{} at {}, which is not durable",
                    put.key, put.number, put.position
                );
                broken("S4", detail)
            }
            None => Ok(()),
        }
    }

    /// The object of a committed batch holds its range, each record once.
    pub(super) fn batch_is(
        &mut self,
        after: Position,
        last: Position,
        object: &[RecordPosition],
    ) -> Result<(), Violation> {
        let (from, to) = (self.index_after(after), self.index_after(last));
        let range: Vec<RecordPosition> = self.puts[from..to].iter().map(|put| put.position).collect();
        if range != object {
            let detail = format!(
                "the batch from {after} to {last} has {} records, its object {}",
                range.len(),
                object.len()
            );
            return broken("exactly once", detail);
        }
        self.mark_durable(from, to);
        Ok(())
    }

    /// Whether more records of the same aggregate follow `checkpoint`.
    pub(super) fn is_within_aggregate(&self, checkpoint: Position) -> bool {
        let next = self.puts.get(self.index_after(checkpoint));
        matches!(
            (checkpoint, next),
            (Position::At(at), Some(next)) if next.position.sequence == at.sequence
        )
    }

    /// What is left to do, if something is.
    pub(super) fn backlog(&self, key: &LeaseKey, row: Option<&Lease>) -> Option<String> {
        let is_open = self.listed.as_ref().is_some_and(|listed| listed.is_open);
        let Some(row) = row else {
            let is_needed = is_open || !self.puts.is_empty() && self.begin.is_some();
            return is_needed.then(|| format!("{key} has no row"));
        };
        if !is_open && !row.is_finished() {
            return Some(format!("{key} is closed and its checkpoint is {}", row.checkpoint));
        }
        let index = self.index_after(row.checkpoint);
        let left = self.puts.len() - index;
        (left > 0).then(|| format!("{key} has {left} records after its checkpoint {}", row.checkpoint))
    }
}
