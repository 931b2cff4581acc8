//! What must be true after every action, checked from the outside: from the table's rows, the stream, and what each
//! coordinator believes, never from the conditions that the coordinators put on their own writes.
//!
//! `S1` to `S6` are the safety properties of a lease; the other names are those of the rules that they rest on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kcl_core::{
    FencingToken, Lease, LeaseChange, LeaseCondition, LeaseKey, LeaseTable, LeaseWrite, Millis, Nonce,
    Position, WorkerId,
};

use crate::counters::{Counters, Situation};
use crate::stream::{SimStream, number_of};

/// A broken property, with what broke it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Violation {
    /// Name of the property: `S1` to `S6`, `intent`, `token`, `nonce`, `one write`, `plan`, `trace`, `contract`,
    /// `outcome` or `liveness`.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "property {} violated: {}", self.property, self.detail)
    }
}

/// One incarnation of a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Author {
    pub(crate) slot: usize,
    pub(crate) worker: WorkerId,
    pub(crate) holder: Nonce,
}

/// Watches one world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Oracle {
    /// What came up so far.
    pub counters: Counters,
    /// The incarnation that adopted last.
    holders: BTreeMap<LeaseKey, Nonce>,
    /// The incarnation whose intent is pending.
    preparers: BTreeMap<LeaseKey, Nonce>,
    tokens: BTreeSet<(LeaseKey, FencingToken)>,
    newest_tokens: BTreeMap<LeaseKey, FencingToken>,
    /// Records of each shard that some consumer has processed, counted from the start without a hole.
    processed: BTreeMap<LeaseKey, u64>,
    nonces: BTreeSet<Nonce>,
    /// Rows that existed at some time.
    created: BTreeSet<LeaseKey>,
    /// Holders from whom a lease was taken by force while they may believe in it: no longer than this deadline.
    forced: BTreeMap<(LeaseKey, Nonce), Millis>,
}

impl Oracle {
    /// S1: at most one incarnation believes that it holds a lease, each by its own clock; but for a holder from whom it
    /// was taken by force, who cannot extend the deadline it had.
    pub(crate) fn beliefs(
        &self,
        beliefs: impl Iterator<Item = (Author, LeaseKey, Millis)>,
    ) -> Result<(), Violation> {
        let mut believers: BTreeMap<LeaseKey, Author> = BTreeMap::new();
        for (author, key, deadline) in beliefs {
            if self.forced.get(&(key.clone(), author.holder)).is_some_and(|at| deadline <= *at) {
                continue;
            }
            if let Some(other) = believers.insert(key.clone(), author.clone()) {
                let detail =
                    format!("{} and {} both believe that they hold {key}", other.worker, author.worker);
                return violated("S1", detail);
            }
        }
        Ok(())
    }

    /// A consumer of `key` has processed record `number` and all before it.
    pub(crate) fn processed(&mut self, key: &LeaseKey, number: u64) {
        let processed = self.processed.entry(key.clone()).or_default();
        *processed = (*processed).max(number);
    }

    /// A row was created.
    pub(crate) fn created(&mut self, key: &LeaseKey) {
        self.created.insert(key.clone());
    }

    /// A row is deleted by hand: the shard begins anew.
    pub(crate) fn row_deleted(&mut self, key: &LeaseKey) {
        self.newest_tokens.remove(key);
        self.preparers.remove(key);
    }

    /// An operator drops the pending intent.
    pub(crate) fn intent_dropped(&mut self, key: &LeaseKey) {
        self.preparers.remove(key);
    }

    /// Somebody who believes to hold `key` until `deadline` is about to lose it by force.
    pub(crate) fn taken_by_force(&mut self, key: &LeaseKey, holder: Nonce, deadline: Millis) {
        self.forced.entry((key.clone(), holder)).or_insert(deadline);
    }

    /// An accepted write that turned `before` into `after`.
    pub(crate) fn accepted(
        &mut self,
        author: &Author,
        write: &LeaseWrite,
        before: &Lease,
        after: &Lease,
        stream: &SimStream,
    ) -> Result<(), Violation> {
        let key = &before.key;
        if let Some(nonce) = write.nonce()
            && !self.nonces.insert(nonce)
        {
            return violated("nonce", format!("{} was written to {key} a second time", nonce.0));
        }
        if after.checkpoint < before.checkpoint {
            let detail =
                format!("checkpoint of {key} moved from {} back to {}", before.checkpoint, after.checkpoint);
            return violated("S2", detail);
        }
        let is_of_holder = is_of_holder(write);
        let is_progress = after.checkpoint != before.checkpoint || after.pending != before.pending;
        if (is_of_holder || is_progress) && before.actual_owner() != Some(&author.worker) {
            let detail = format!("{} wrote to {key}, owned by {:?}", author.worker, before.actual_owner());
            return violated("S2", detail);
        }
        if (is_of_holder || is_progress) && before.own.holder != Some(author.holder) {
            return violated("S6", format!("{} wrote to {key} after its tenure had ended", author.worker));
        }
        self.intent(author, before, after)?;
        self.progress(before, after, stream)?;
        self.ownership(author, write, before, after)
    }

    /// A write was refused: counts it if its author had lost the lease.
    pub(crate) fn refused(&mut self, author: &Author, current: Option<&Lease>) {
        if current.is_some_and(|lease| lease.own.holder != Some(author.holder)) {
            self.counters.note(Situation::StaleWriteRefused);
        }
    }

    /// A consumer is started for `lease`. One of a holder that was robbed and has not heard of it may start late, under a token
    /// that is no longer the newest: none of its writes is accepted.
    pub(crate) fn started(
        &mut self,
        author: &Author,
        lease: &Lease,
        token: FencingToken,
        table: &LeaseTable,
        stream: &SimStream,
    ) -> Result<(), Violation> {
        let key = &lease.key;
        if lease.checkpoint == Position::TrimHorizon && !lease.parents.is_empty() {
            for parent in &lease.parents {
                let row = table.leases().get(&LeaseKey::from(parent));
                let is_gone = stream.present().all(|shard| shard.listed.shard != *parent);
                if !is_gone && !row.is_some_and(Lease::is_finished) {
                    let detail =
                        format!("{} started {key} before its parent {parent} is finished", author.worker);
                    return violated("S3", detail);
                }
            }
            self.counters.note(Situation::ChildStarted);
        }
        let row = table.leases().get(key).filter(|row| {
            row.own.holder == Some(author.holder) && row.actual_owner() == Some(&author.worker)
        });
        if row.is_some_and(|row| row.checkpoint != lease.checkpoint) {
            let detail =
                format!("{} started {key} at {}, not at its checkpoint", author.worker, lease.checkpoint);
            return violated("S5", detail);
        }
        if lease.own.state.as_ref().is_some_and(|pointer| *pointer != state_pointer(lease.checkpoint)) {
            let detail = format!("{key} at {} started with state {:?}", lease.checkpoint, lease.own.state);
            return violated("S5", detail);
        }
        let is_robbed = self.forced.contains_key(&(key.clone(), author.holder));
        if is_robbed && self.newest_tokens.get(key).is_some_and(|newest| *newest > token) {
            return Ok(());
        }
        let is_new = self.tokens.insert((key.clone(), token));
        let newest = self.newest_tokens.insert(key.clone(), token);
        if !is_new || newest.is_some_and(|newest| newest >= token) {
            return violated("token", format!("{token} of {key} is not greater than {newest:?}"));
        }
        Ok(())
    }

    /// Only the intent's own commit ends it or moves the position meanwhile, and each commit counts one batch.
    fn intent(&mut self, author: &Author, before: &Lease, after: &Lease) -> Result<(), Violation> {
        let key = &before.key;
        let has_moved = after.checkpoint != before.checkpoint;
        let is_next_batch = after.own.batch == before.own.batch.next();
        let Some(pending) = &before.pending else {
            if after.pending.is_some() {
                self.preparers.insert(key.clone(), author.holder);
            } else if is_next_batch && before.own_attributes_hold() {
                return violated("intent", format!("a batch of {key} was counted that nobody prepared"));
            }
            return Ok(());
        };
        let is_commit = after.pending.is_none() && after.checkpoint == pending.position && is_next_batch;
        if is_commit {
            if self.preparers.remove(key).is_some_and(|preparer| preparer != author.holder) {
                self.counters.note(Situation::InheritedIntentCommitted);
            }
            return Ok(());
        }
        if has_moved || after.pending != before.pending || after.own.batch != before.own.batch {
            return violated(
                "intent",
                format!("a pending intent of {key} ended by something else than its commit"),
            );
        }
        if before.checkpoint_owner.is_none() && after.checkpoint_owner.is_some() {
            return violated("intent", format!("{key} was moved for balance with a pending intent"));
        }
        Ok(())
    }

    /// S4, and the order of a shard's end.
    fn progress(&mut self, before: &Lease, after: &Lease, stream: &SimStream) -> Result<(), Violation> {
        if after.checkpoint == before.checkpoint {
            return Ok(());
        }
        let key = &before.key;
        let processed = self.processed.get(key).copied().unwrap_or(0);
        self.counters.note(Situation::Checkpoint);
        if let Some(number) = number_of(after.checkpoint) {
            if number > processed {
                let detail = format!("{key} is at record {number}, and only {processed} were processed");
                return violated("S4", detail);
            }
            return Ok(());
        }
        self.counters.note(Situation::ShardFinished);
        let Some(shard) = stream.shard(key) else { return Ok(()) };
        if shard.listed.is_open || processed < shard.records {
            let detail = format!("{key} was finished after {processed} of {} records", shard.records);
            return violated("S4", detail);
        }
        for child in stream.children_of(&shard.listed.shard) {
            if !self.created.contains(&LeaseKey::from(&child.shard)) {
                return violated(
                    "S3",
                    format!("{key} was finished before its child {} had a row", child.shard),
                );
            }
        }
        Ok(())
    }

    fn ownership(
        &mut self,
        author: &Author,
        write: &LeaseWrite,
        before: &Lease,
        after: &Lease,
    ) -> Result<(), Violation> {
        let key = &before.key;
        if write.changes.contains(&LeaseChange::Holder(Some(author.holder))) {
            self.forced.remove(&(key.clone(), author.holder));
            let earlier = self.holders.insert(key.clone(), author.holder);
            if earlier.is_some_and(|earlier| earlier != author.holder) {
                self.counters.note(Situation::Taken);
            }
            if !before.own_attributes_hold() {
                self.counters.note(Situation::ForeignCheckpoint);
                if after.own.state.is_some() || after.own.generation <= before.own.generation {
                    let detail =
                        format!("{key} was adopted with attributes of another checkpoint than its own");
                    return violated("token", detail);
                }
            }
        } else if before.checkpoint_owner.is_some() && after.checkpoint_owner.is_none() {
            if is_of_holder(write) {
                self.counters.note(Situation::HandedOff);
            } else {
                self.counters.note(Situation::HandOffForced);
            }
            self.holders.remove(key);
        }
        Ok(())
    }
}

/// The state pointer that the simulated consumers commit with a position.
pub(crate) fn state_pointer(position: Position) -> String {
    format!("state at {position}")
}

/// Whether only a holder makes such a write.
pub(crate) fn is_of_holder(write: &LeaseWrite) -> bool {
    write.conditions.iter().any(|condition| matches!(condition, LeaseCondition::HeldBy(_)))
}

pub(crate) fn violated<T>(property: &'static str, detail: String) -> Result<T, Violation> {
    Err(Violation { property, detail })
}
