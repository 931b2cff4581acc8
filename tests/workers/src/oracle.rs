//! What must be true at any moment, checked from the outside: from the rows as they are written, the records as they
//! were put, and what processors are given, never from what workers say of themselves.
//!
//! `S1` to `S6` are the safety properties of a lease; the other names are those of the rules that they rest on. This
//! module watches the rows; `oracle::delivery` watches the records.

mod delivery;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kcl_core::{
    Generation, HashKey, Lease, LeaseChange, LeaseKey, LeaseTable, LeaseWrite, ListedShard, Millis, Nonce,
    Position, ShardId, StoreReply, StoreRequest,
};

pub use delivery::{Place, RunId};
pub use ledger::Put;

use crate::lab::is_of_holder;
use crate::process::Process;
use crate::situation::{Counters, Situation};
use delivery::Run;
use ledger::Ledger;

/// A broken property, with what broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the property: `S1` to `S6`, `order`, `exactly once`, `intent`, `token`, `nonce`, `expiry`, `latest`,
    /// `shutdown` or `liveness`.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "property {} violated: {}", self.property, self.detail)
    }
}

/// Watches one run.
#[derive(Debug, Default)]
pub struct Oracle {
    /// What came up so far.
    pub counters: Counters,
    now: Millis,
    trace: Vec<String>,
    violation: Option<Violation>,
    ledgers: BTreeMap<LeaseKey, Ledger>,
    runs: BTreeMap<RunId, Run>,
    nonces: BTreeSet<Nonce>,
    /// Whether the application does not begin with the oldest records.
    begins_late: bool,
    /// Of each partition key, the greatest number delivered.
    numbers: BTreeMap<u64, u64>,
    /// Objects of two-phase batches, by their names.
    objects: BTreeMap<(LeaseKey, Generation, u64), Vec<kcl_core::RecordPosition>>,
}

impl Oracle {
    /// Sets the true time.
    pub(crate) fn turn_to(&mut self, now: Millis) {
        self.now = now;
    }

    /// Writes a line of the trace.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.push(format!("{} {}", self.now, line()));
    }

    /// Everything that happened, in order.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// The first broken property.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Notes a broken property; the first one counts.
    pub fn violated(&mut self, property: &'static str, detail: String) {
        self.judge(broken(property, detail));
    }

    /// Takes in the stream's shards.
    pub(crate) fn saw_stream(&mut self, listing: Vec<ListedShard>) {
        for shard in listing {
            let key = LeaseKey::from(&shard.shard);
            self.ledgers.entry(key).or_default().listed = Some(shard);
        }
    }

    /// A record was put.
    pub(crate) fn put(&mut self, shard: &ShardId, put: Put) {
        self.ledgers.entry(LeaseKey::from(shard)).or_default().put(put);
    }

    /// First and last hash key of a shard that is open.
    #[must_use]
    pub fn open_range(&self, shard: &ShardId) -> Option<(HashKey, HashKey)> {
        let listed = self.ledgers.get(&LeaseKey::from(shard))?.listed.as_ref()?;
        listed.is_open.then(|| (listed.hash_range.start(), listed.hash_range.end()))
    }

    /// Open shards in the order of their hash ranges.
    #[must_use]
    pub fn open_shards(&self) -> Vec<ShardId> {
        let listed = self.ledgers.values().filter_map(|ledger| ledger.listed.as_ref());
        let mut open: Vec<&ListedShard> = listed.filter(|shard| shard.is_open).collect();
        open.sort_by_key(|shard| shard.hash_range.start());
        open.into_iter().map(|shard| shard.shard.clone()).collect()
    }

    /// Whether the shard of `key` was split or merged.
    pub(crate) fn has_children(&self, key: &LeaseKey) -> bool {
        !self.children(key).is_empty()
    }

    /// The reply of an applied write does not reach its author.
    pub(crate) fn reply_lost(&mut self, reply: &StoreReply) {
        if let StoreReply::Applied(row) = reply
            && let Some(ledger) = self.ledgers.get_mut(&row.key)
            && ledger.holder.is_some()
        {
            ledger.is_ambiguous = true;
        }
    }

    /// The store answered `request` of `author`; the row was `before`.
    pub(crate) fn answered(
        &mut self,
        author: &Process,
        request: &StoreRequest,
        before: Option<&Lease>,
        reply: &StoreReply,
        table: &LeaseTable,
    ) {
        let result = match (request, reply) {
            (StoreRequest::CreateLease(_), StoreReply::Applied(row)) => self.created(author, row, table),
            (StoreRequest::UpdateLease(write), StoreReply::Applied(after)) => {
                let before = before.expect("a missing row refuses every update");
                self.accepted(author, write, before, after, table)
            }
            (StoreRequest::UpdateLease(write), StoreReply::Refused(_)) => {
                self.refused(author, write);
                Ok(())
            }
            _ => Ok(()),
        };
        self.judge(result);
    }

    /// Whether `process` may work on `key` at this moment: its adoption was the last, or it has ended the shard.
    ///
    /// Stricter than S1 demands: a holder that lives stops its consumer before its hand-off would be
    /// forced.
    pub(crate) fn may_work(&self, key: &LeaseKey, process: u64) -> bool {
        let Some(ledger) = self.ledgers.get(key) else { return false };
        ledger.holder == Some(process) || ledger.finished_by == Some(process)
    }

    /// S1: of those who believe that they hold a lease, each may; `beliefs` are those of one process.
    pub(crate) fn believes(&mut self, process: u64, beliefs: impl Iterator<Item = LeaseKey>) {
        for key in beliefs {
            if !self.may_work(&key, process) {
                let detail = format!("process {process} believes that it holds {key}, and does not");
                self.violated("S1", detail);
            }
        }
    }

    /// Records put that no processor has taken yet.
    #[must_use]
    pub fn untaken(&self) -> usize {
        let flags = self.ledgers.values().flat_map(|ledger| &ledger.processed);
        flags.filter(|is_processed| !**is_processed).count()
    }

    /// The lease rows that are missing or not at the end of what was put; `None` if there are none.
    pub(crate) fn backlog(&self, table: &LeaseTable) -> Option<String> {
        self.ledgers.iter().find_map(|(key, ledger)| ledger.backlog(key, table.leases().get(key)))
    }

    fn created(&mut self, author: &Process, row: &Lease, table: &LeaseTable) -> Result<(), Violation> {
        let key = &row.key;
        self.say(|| format!("process {} creates {key} at {}", author.number(), row.checkpoint));
        let ancestor = self.ancestors(key).into_iter().find(|ancestor| table.leases().contains_key(ancestor));
        self.begins_late |= row.own.start_epoch_millis.is_some();
        let is_initial_only = row.checkpoint != Position::TrimHorizon;
        let ledger = self.ledgers.entry(key.clone()).or_default();
        ledger.begins(row);
        ledger.changed_at = self.now;
        match ancestor {
            Some(ancestor) if is_initial_only => {
                let detail = format!("{key} begins at {}, though {ancestor} has a row", row.checkpoint);
                broken("latest", detail)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An accepted write that turned `before` into `after`.
    fn accepted(
        &mut self,
        author: &Process,
        write: &LeaseWrite,
        before: &Lease,
        after: &Lease,
        table: &LeaseTable,
    ) -> Result<(), Violation> {
        let (key, process) = (&before.key, author.number());
        self.say(|| format!("process {process} {}", described(before, after)));
        if let Some(nonce) = write.nonce()
            && !self.nonces.insert(nonce)
        {
            return broken("nonce", format!("{} was written to {key} a second time", nonce.0));
        }
        if after.checkpoint < before.checkpoint {
            let detail = format!("{key} moved from {} back to {}", before.checkpoint, after.checkpoint);
            return broken("S2", detail);
        }
        let is_progress = after.checkpoint != before.checkpoint || after.pending != before.pending;
        if is_of_holder(write) || is_progress {
            self.is_by_holder(author, before)?;
        }
        self.intent(key, before, after)?;
        if is_progress {
            self.progress(process, before, after, table)?;
        }
        self.ownership(author, write, before, after)
    }

    fn is_by_holder(&mut self, author: &Process, before: &Lease) -> Result<(), Violation> {
        let key = &before.key;
        if before.actual_owner() != Some(&author.worker()) {
            let detail = format!("{} wrote to {key}, owned by {:?}", author.worker(), before.actual_owner());
            return broken("S2", detail);
        }
        let ledger = self.ledgers.entry(key.clone()).or_default();
        if ledger.holder != Some(author.number()) {
            let detail = format!("process {} wrote to {key} after its tenure had ended", author.number());
            return broken("S6", detail);
        }
        if std::mem::take(&mut ledger.is_ambiguous) {
            self.counters.note(Situation::AmbiguousWriteApplied);
        }
        Ok(())
    }

    /// Only the intent's own commit ends it or moves the position meanwhile; its object holds exactly its range.
    fn intent(&mut self, key: &LeaseKey, before: &Lease, after: &Lease) -> Result<(), Violation> {
        let Some(pending) = &before.pending else {
            if after.pending.is_some() {
                self.ledgers.entry(key.clone()).or_default().prepared_at = Some(before.own.holder);
            }
            return Ok(());
        };
        let is_next_batch = after.own.batch == before.own.batch.next();
        if after.pending.is_none() && after.checkpoint == pending.position && is_next_batch {
            let name = (key.clone(), before.own.generation, before.own.batch.0);
            let object = self.objects.get(&name).cloned().unwrap_or_default();
            let ledger = self.ledgers.entry(key.clone()).or_default();
            let is_own = ledger.prepared_at.take() == Some(before.own.holder);
            let situation =
                if is_own { Situation::IntentCommitted } else { Situation::InheritedIntentCommitted };
            self.counters.note(situation);
            return ledger.batch_is(before.checkpoint, pending.position, &object);
        }
        if after.checkpoint != before.checkpoint || after.pending != before.pending {
            let detail = format!("a pending intent of {key} ended by something else than its commit");
            return broken("intent", detail);
        }
        if before.checkpoint_owner.is_none() && after.checkpoint_owner.is_some() {
            return broken("intent", format!("{key} was moved for balance with a pending intent"));
        }
        Ok(())
    }

    /// S4, and the order of a shard's end.
    fn progress(
        &mut self,
        process: u64,
        before: &Lease,
        after: &Lease,
        table: &LeaseTable,
    ) -> Result<(), Violation> {
        if after.checkpoint == before.checkpoint {
            return Ok(());
        }
        let key = &before.key;
        self.counters.note(Situation::Checkpoint);
        let children: Vec<LeaseKey> = self.children(key);
        let ledger = self.ledgers.entry(key.clone()).or_default();
        ledger.durable_between(before.checkpoint, after.checkpoint)?;
        if ledger.is_within_aggregate(after.checkpoint) {
            self.counters.note(Situation::CheckpointWithinAggregate);
        }
        if after.checkpoint != Position::ShardEnd {
            return Ok(());
        }
        self.counters.note(Situation::ShardFinished);
        if ledger.listed.as_ref().is_some_and(|listed| listed.is_open) {
            return broken("S4", format!("{key} was finished while it is open"));
        }
        if ledger.ended_by != Some(process) {
            return broken("S4", format!("{key} was finished, but its processor had not ended it"));
        }
        ledger.finished_by = Some(process);
        match children.into_iter().find(|child| !table.leases().contains_key(child)) {
            Some(child) => broken("S3", format!("{key} was finished before its child {child} had a row")),
            None => Ok(()),
        }
    }

    /// Who may take what from whom.
    fn ownership(
        &mut self,
        author: &Process,
        write: &LeaseWrite,
        before: &Lease,
        after: &Lease,
    ) -> Result<(), Violation> {
        let now = self.now;
        let (key, process) = (&before.key, author.number());
        let ledger = self.ledgers.entry(key.clone()).or_default();
        let wait = Millis(before.own.failover.unwrap_or_default().0 * (1000 - SKEW_PER_MILLE) / 1000);
        let stood_still = now.since(ledger.changed_at) >= wait;
        let is_held = ledger.holder.is_some_and(|holder| holder != process);
        let is_adoption = write.changes.iter().any(|change| matches!(change, LeaseChange::Holder(Some(_))));
        let is_given_away = write.changes.contains(&LeaseChange::Holder(None));
        if is_adoption || is_given_away {
            let is_taken = is_held && !is_of_holder(write);
            let hand_off_since = ledger.hand_off_since.filter(|_| before.checkpoint_owner.is_some());
            let is_forced = hand_off_since.is_some_and(|since| now.since(since) >= HAND_OFF_PATIENCE);
            if is_taken && !stood_still && !is_forced {
                let detail = format!("{key} was taken by {process} while its holder kept it alive");
                return broken("expiry", detail);
            }
            if is_taken {
                self.counters.note(Situation::TakenOver);
            }
            if is_of_holder(write) && before.checkpoint_owner.is_some() && after.owner.is_some() {
                self.counters.note(Situation::HandedOff);
            }
            ledger.holder = is_adoption.then_some(process);
            ledger.is_ambiguous = false;
        }
        ledger.hand_off_since = after.checkpoint_owner.as_ref().map(|_| ledger.hand_off_since.unwrap_or(now));
        if (before.counter, before.own.nonce) != (after.counter, after.own.nonce) {
            ledger.changed_at = now;
        }
        Ok(())
    }

    fn refused(&mut self, author: &Process, write: &LeaseWrite) {
        let holder = self.ledgers.get(&write.key).and_then(|ledger| ledger.holder);
        if is_of_holder(write) && holder != Some(author.number()) {
            self.counters.note(Situation::StaleWriteRefused);
        }
    }

    fn children(&self, key: &LeaseKey) -> Vec<LeaseKey> {
        let shard = key.shard();
        let is_child =
            |ledger: &Ledger| ledger.listed.as_ref().is_some_and(|listed| listed.parents.contains(&shard));
        self.ledgers.iter().filter(|(_, ledger)| is_child(ledger)).map(|(key, _)| key.clone()).collect()
    }

    fn ancestors(&self, key: &LeaseKey) -> BTreeSet<LeaseKey> {
        let mut found = BTreeSet::new();
        let mut open = vec![key.clone()];
        while let Some(key) = open.pop() {
            let listed = self.ledgers.get(&key).and_then(|ledger| ledger.listed.as_ref());
            for parent in listed.into_iter().flat_map(|listed| &listed.parents) {
                let parent = LeaseKey::from(parent);
                if found.insert(parent.clone()) {
                    open.push(parent);
                }
            }
        }
        found
    }

    fn judge(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.say(|| violation.to_string());
            self.violation.get_or_insert(violation);
        }
    }
}

fn broken(property: &'static str, detail: String) -> Result<(), Violation> {
    Err(Violation { property, detail })
}

/// What a write did to a row, in a few words.
fn described(before: &Lease, after: &Lease) -> String {
    let owners = |row: &Lease| (row.owner.clone(), row.checkpoint_owner.clone());
    let mut text = format!("writes {} to counter {}", after.key, after.counter.0);
    if owners(before) != owners(after) {
        let name = |worker: &Option<kcl_core::WorkerId>| {
            worker.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string)
        };
        text += &format!(", owner {}", name(&after.owner));
        if after.checkpoint_owner.is_some() {
            text += &format!(" after {}", name(&after.checkpoint_owner));
        }
    }
    if before.own.holder != after.own.holder && after.own.holder.is_some() {
        text += ", adopted";
    }
    if before.pending.is_none() && after.pending.is_some() {
        text += ", prepared";
    }
    if before.checkpoint != after.checkpoint {
        text += &format!(", checkpoint {}", after.checkpoint);
    }
    text
}

/// Two clocks, each off by up to one per mille, and rounding.
const SKEW_PER_MILLE: u64 = 3;
/// KCL: a hand-off is forced after 30 s and the failover time, of which the observer sees at least this. Its holder may be
/// dead, and a late write of it may have kept the row from expiring.
const HAND_OFF_PATIENCE: Millis = Millis(30_000);
