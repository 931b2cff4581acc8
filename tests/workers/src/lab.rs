//! What the processes of a run share: the lease table, the stream, the menu of faults, and the oracle that sees it all.
//!
//! ```text
//! worker ─▶ ProcessStore  ─▶ faults ─▶ Lab::carry_out ─▶ table ─▶ Oracle
//!        ─▶ ProcessStream ─▶ faults ─▶ stream
//!        ─▶ Recording processor ───────────────────────────────▶ Oracle
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use kcl::{AggregateBuilder, Clock, MemoryLeaseStore, MemoryStream, StreamControl, TokioClock};
use kcl_core::{
    HashKey, LeaseChange, LeaseCondition, LeaseKey, LeaseTable, LeaseWrite, Millis, Position, RecordPosition,
    ShardFilter, ShardId, StoreReply, StoreRequest, TableView,
};
use kinesis_model::{MergeShardsRequest, SplitShardRequest, StreamRef};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::draws::Draws;
use crate::menu::Menu;
use crate::oracle::{Oracle, Put};
use crate::process::{EPOCH_MILLIS_AT_ZERO, Process};
use crate::situation::Situation;

/// One world of a run.
#[derive(Debug)]
pub struct Lab {
    zero: Instant,
    clock: TokioClock,
    table: MemoryLeaseStore,
    stream: MemoryStream,
    bug: Option<PortBug>,
    menu: Mutex<Menu>,
    views: Mutex<Views>,
    oracle: Mutex<Oracle>,
}

/// A bug planted into a port, to show that the oracle sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortBug {
    /// The store does not compare the counter.
    CounterIgnored,
    /// The store answers renewals that it has not carried out.
    RenewalForgotten,
    /// The store shows parents as finished that are not.
    ParentShownFinished,
    /// The store does not show the last row to scans and the index.
    RowHidden,
    /// The store answers deletions of workers' rows that it has not carried out.
    DeletionForgotten,
    /// The stream leaves out a record.
    RecordSkipped,
    /// The stream ends an open shard.
    EarlyEnd,
    /// The clock of a process does not count the time for which it was suspended.
    ClockStopsWhenFrozen,
}

/// What reads that may be stale show.
#[derive(Debug, Default)]
struct Views {
    stale: Option<LeaseTable>,
    lacks_index: bool,
    hides_leases: bool,
    blind: BTreeSet<u64>,
}

impl Lab {
    /// A stream of `shards` shards and an empty table.
    #[must_use]
    pub fn new(shards: u32, menu: Menu, bug: Option<PortBug>) -> Arc<Self> {
        let clock = TokioClock::starting_at(EPOCH_MILLIS_AT_ZERO);
        Arc::new(Self {
            zero: Instant::now(),
            clock,
            table: MemoryLeaseStore::new(),
            stream: MemoryStream::create(STREAM, shards, Arc::new(clock)),
            bug,
            menu: Mutex::new(menu),
            views: Mutex::default(),
            oracle: Mutex::default(),
        })
    }

    /// True time since the run began.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// When the run began.
    #[must_use]
    pub const fn zero(&self) -> Instant {
        self.zero
    }

    /// The bug planted, if there is one.
    #[must_use]
    pub const fn bug(&self) -> Option<PortBug> {
        self.bug
    }

    /// The stream, without faults.
    #[must_use]
    pub const fn stream(&self) -> &MemoryStream {
        &self.stream
    }

    /// The lease table, without faults.
    #[must_use]
    pub const fn table(&self) -> &MemoryLeaseStore {
        &self.table
    }

    /// Every row, the present ones.
    #[must_use]
    pub fn rows(&self) -> TableView {
        let reply = self.table.tamper(|table| table.execute(&StoreRequest::ReadTable));
        let StoreReply::Table(view) = reply else { unreachable!("a scan answers a table, not {reply:?}") };
        view
    }

    /// The oracle.
    pub fn oracle(&self) -> MutexGuard<'_, Oracle> {
        let mut oracle = self.oracle.lock();
        oracle.turn_to(self.now());
        oracle
    }

    /// The oracle, with the table at the same moment.
    pub fn watched<R>(&self, watch: impl FnOnce(&mut Oracle, &LeaseTable) -> R) -> R {
        self.table.tamper(|table| watch(&mut self.oracle(), table))
    }

    /// Notes that something happened.
    pub fn note(&self, situation: Situation) {
        self.oracle().counters.note(situation);
    }

    /// Writes a line of the trace.
    pub fn say(&self, line: impl FnOnce() -> String) {
        self.oracle().say(line);
    }

    /// Whether `fault` strikes; counts it if so.
    pub fn strikes(&self, fault: Situation, draws: &mut Draws) -> bool {
        let strikes = self.menu.lock().strikes(fault, draws);
        if strikes {
            self.note(fault);
        }
        strikes
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&self) {
        *self.menu.lock() = Menu::none();
        *self.views.lock() = Views::default();
    }

    /// From here on scans and the index show the table as it is at this moment, or the truth again. A store does not
    /// show a table without leases that has some, so an empty one is never kept.
    pub fn toggle_stale_reads(&self) {
        let mut views = self.views.lock();
        views.stale = match views.stale {
            Some(_) => None,
            None => Some(self.table.table()).filter(|table| !table.leases().is_empty()),
        };
    }

    /// The index stops answering, or answers again.
    pub fn toggle_index(&self) {
        let mut views = self.views.lock();
        views.lacks_index = !views.lacks_index;
    }

    /// Scans show no lease, however many there are, or the truth again. No adapter may do so; see
    /// [`StoreRequest::ReadTable`].
    pub fn hide_leases(&self, hides_leases: bool) {
        self.views.lock().hides_leases = hides_leases;
    }

    /// From here on no scan of `process` is answered; everything else is.
    pub fn blind(&self, process: &Process) {
        self.views.lock().blind.insert(process.number());
    }

    /// Carries out a request of `author` on the table, before the eyes of the oracle.
    pub fn carry_out(&self, author: &Process, request: &StoreRequest) -> StoreReply {
        if let Some(reply) = self.stale_reply(author, request) {
            return reply;
        }
        if self.is_forgotten(request) {
            return self.table.table().execute(request);
        }
        let request = self.through_bug(request);
        let mut reply = self.table.tamper(|table| {
            let before = written_key(&request).and_then(|key| table.leases().get(key).cloned());
            let reply = table.execute(&request);
            self.oracle().answered(author, &request, before.as_ref(), &reply, table);
            reply
        });
        self.distort(&mut reply);
        reply
    }

    /// Puts one record, or an aggregate of several.
    pub fn put(&self, key: u64, numbers: std::ops::Range<u64>) {
        let partition_key = format!("key-{key}");
        let text = |number: u64| format!("{key}:{number}");
        let is_aggregate = numbers.end - numbers.start > 1;
        let (shard, first) = if is_aggregate {
            let mut aggregate = AggregateBuilder::new();
            for number in numbers.clone() {
                aggregate.push(&partition_key, None, text(number).as_bytes());
            }
            self.stream.put(&partition_key, aggregate.finish())
        } else {
            self.stream.put(&partition_key, text(numbers.start))
        };
        let arrival_epoch_millis = self.clock.epoch_millis();
        let mut oracle = self.oracle();
        for (sub_sequence, number) in (0..).zip(numbers) {
            let position = RecordPosition { sequence: first.sequence, sub_sequence };
            oracle.put(&shard, Put { position, key, number, arrival_epoch_millis });
        }
    }

    /// Splits an open shard in the middle; false if it is closed or its range is a single key.
    pub fn split(&self, shard: &ShardId) -> bool {
        let Some((start, end)) = self.oracle().open_range(shard) else { return false };
        let request = SplitShardRequest {
            stream: StreamRef::name(STREAM),
            shard_to_split: shard.clone(),
            new_starting_hash_key: HashKey(start.0 + (end.0 - start.0) / 2 + 1),
        };
        let now = kinesis_model::EpochMillis(self.clock.epoch_millis());
        self.stream.kinesis().split_shard(request, now).is_ok()
    }

    /// Merges two open shards that lie side by side; false if they do not.
    pub fn merge(&self, shard: &ShardId, adjacent: &ShardId) -> bool {
        let request = MergeShardsRequest {
            stream: StreamRef::name(STREAM),
            shard_to_merge: shard.clone(),
            adjacent_shard_to_merge: adjacent.clone(),
        };
        let now = kinesis_model::EpochMillis(self.clock.epoch_millis());
        self.stream.kinesis().merge_shards(request, now).is_ok()
    }

    /// Shows the stream's shards to the oracle.
    ///
    /// # Panics
    /// If the model refuses to list them.
    pub async fn look_at_stream(&self) {
        let listing = self.stream.list_shards(ShardFilter::All).await.expect("the model lists its shards");
        self.oracle().saw_stream(listing);
    }

    fn stale_reply(&self, author: &Process, request: &StoreRequest) -> Option<StoreReply> {
        let mut views = self.views.lock();
        match request {
            StoreRequest::ReadOwned(_) if views.lacks_index => {
                self.note(Situation::IndexMissing);
                Some(StoreReply::Owned(None))
            }
            StoreRequest::ReadTable if views.blind.contains(&author.number()) => Some(StoreReply::Unknown),
            StoreRequest::ReadTable if views.hides_leases => Some(StoreReply::Table(TableView::default())),
            StoreRequest::ReadTable | StoreRequest::ReadOwned(_) => {
                let reply = views.stale.as_mut().map(|table| table.execute(request))?;
                self.note(Situation::StaleRead);
                Some(reply)
            }
            StoreRequest::CreateLease(_)
            | StoreRequest::UpdateLease(_)
            | StoreRequest::ReadLease(_)
            | StoreRequest::PutWorker(_)
            | StoreRequest::DeleteWorker(_)
            | StoreRequest::ReadLock
            | StoreRequest::WriteLock { .. }
            | StoreRequest::DeleteLock(_)
            | StoreRequest::ReadRoster
            | StoreRequest::BumpRoster => None,
        }
    }

    /// Whether the planted bug makes the store answer `request` without carrying it out.
    fn is_forgotten(&self, request: &StoreRequest) -> bool {
        match (self.bug, request) {
            (Some(PortBug::RenewalForgotten), StoreRequest::UpdateLease(write)) => is_renewal(write),
            (Some(PortBug::DeletionForgotten), StoreRequest::DeleteWorker(_)) => true,
            _ => false,
        }
    }

    /// The request as a store with the planted bug understands it.
    fn through_bug(&self, request: &StoreRequest) -> StoreRequest {
        let mut request = request.clone();
        if self.bug == Some(PortBug::CounterIgnored)
            && let StoreRequest::UpdateLease(write) = &mut request
        {
            write.conditions.retain(|condition| !matches!(condition, LeaseCondition::CounterIs(_)));
        }
        request
    }

    /// The reply as a store with the planted bug gives it.
    fn distort(&self, reply: &mut StoreReply) {
        match (self.bug, reply) {
            (Some(PortBug::ParentShownFinished), StoreReply::Lease(Some(row)))
                if self.oracle().has_children(&row.key) =>
            {
                row.checkpoint = Position::ShardEnd;
            }
            (Some(PortBug::RowHidden), StoreReply::Table(view)) => {
                view.leases.pop();
            }
            (Some(PortBug::RowHidden), StoreReply::Owned(keys)) => *keys = None,
            _ => {}
        }
    }
}

/// The lease row that a request writes.
fn written_key(request: &StoreRequest) -> Option<&LeaseKey> {
    match request {
        StoreRequest::CreateLease(lease) => Some(&lease.key),
        StoreRequest::UpdateLease(write) => Some(&write.key),
        StoreRequest::ReadLease(_)
        | StoreRequest::ReadTable
        | StoreRequest::ReadOwned(_)
        | StoreRequest::PutWorker(_)
        | StoreRequest::DeleteWorker(_)
        | StoreRequest::ReadLock
        | StoreRequest::WriteLock { .. }
        | StoreRequest::DeleteLock(_)
        | StoreRequest::ReadRoster
        | StoreRequest::BumpRoster => None,
    }
}

fn is_renewal(write: &LeaseWrite) -> bool {
    let renewal = |change: &LeaseChange| matches!(change, LeaseChange::RaiseCounter | LeaseChange::Nonce(_));
    write.changes.iter().all(renewal)
}

/// Whether only a holder makes such a write.
pub(crate) fn is_of_holder(write: &LeaseWrite) -> bool {
    write.conditions.iter().any(|condition| matches!(condition, LeaseCondition::HeldBy(_)))
}

const STREAM: &str = "numbers";
