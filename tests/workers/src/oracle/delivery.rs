//! What processors are given: when, in which order, and what they make of it.

use std::fmt;

use kcl::Record;
use kcl_core::{
    BatchOrdinal, FencingToken, Generation, Lease, LeaseKey, LeaseTable, Position, RecordPosition, ShardId,
};

use super::{Oracle, Violation, broken};
use crate::situation::Situation;

/// One tenure of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The process.
    pub process: u64,
    /// The shard.
    pub shard: ShardId,
    /// Token of the tenure.
    pub token: FencingToken,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "process {} at {} under {}", self.process, self.shard, self.token)
    }
}

/// Names one processor from its first call to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(usize);

/// One processor.
#[derive(Debug)]
pub(super) struct Run {
    place: Place,
    /// Index of the first record that it is to get, once it is ready.
    start: Option<usize>,
    next: usize,
    /// Length of the batch that failed and must come again.
    repeat: Option<usize>,
    in_hand: usize,
}

impl Oracle {
    /// A processor is called for the first time.
    pub(crate) fn begin(&mut self, place: &Place, lease: &Lease, table: &LeaseTable) -> RunId {
        self.say(|| format!("{place} begins after {}", lease.checkpoint));
        let result = self
            .parents_are_finished(place, lease, table)
            .and_then(|()| self.token_is_newest(place))
            .and_then(|()| self.begins_as_the_row_stands(place, lease, table));
        self.judge(result);
        let id = RunId(self.runs.len());
        let run = Run { place: place.clone(), start: None, next: 0, repeat: None, in_hand: 0 };
        self.runs.insert(id, run);
        id
    }

    /// A processor is ready to take what comes after `checkpoint`.
    pub(crate) fn ready(&mut self, id: RunId, checkpoint: Position) {
        let run = self.runs.get_mut(&id).expect("it has begun");
        let ledger = self.ledgers.entry(LeaseKey::from(&run.place.shard)).or_default();
        let start = ledger.index_after(checkpoint);
        (run.start, run.next) = (Some(start), start);
    }

    /// S1: a processor is running at this moment.
    pub(crate) fn active(&mut self, place: &Place) {
        if !self.may_work(&LeaseKey::from(&place.shard), place.process) {
            self.violated("S1", format!("{place} works, and the lease is no longer its own"));
        }
    }

    /// A processor is given records.
    pub(crate) fn delivered(&mut self, id: RunId, records: &[Record]) {
        let result = self.is_next(id, records).and_then(|()| self.numbers_go_on(id, records));
        self.judge(result);
    }

    /// A processor is through with the batch it was given.
    pub(crate) fn processed(&mut self, id: RunId, is_ok: bool) {
        let run = self.runs.get_mut(&id).expect("it has begun");
        if is_ok {
            let ledger = self.ledgers.entry(LeaseKey::from(&run.place.shard)).or_default();
            let end = run.next + run.in_hand;
            let is_again = ledger.processed[run.next..end].iter().any(|processed| *processed);
            ledger.processed[run.next..end].fill(true);
            (run.next, run.repeat) = (end, None);
            if is_again {
                self.counters.note(Situation::DeliveredAgain);
            }
        } else {
            run.repeat = Some(run.in_hand);
        }
    }

    /// A processor says that everything up to `last` is durable.
    pub(crate) fn durable(&mut self, id: RunId, last: RecordPosition) {
        let run = self.runs.get(&id).expect("it has begun");
        let ledger = self.ledgers.entry(LeaseKey::from(&run.place.shard)).or_default();
        let (start, end) = (run.start.unwrap_or(0), ledger.index_after(last.into()));
        ledger.mark_durable(start.min(end), end);
    }

    /// A processor has ended its shard.
    pub(crate) fn shard_ended(&mut self, id: RunId) {
        let run = self.runs.get(&id).expect("it has begun");
        let ledger = self.ledgers.entry(LeaseKey::from(&run.place.shard)).or_default();
        ledger.ended_by = Some(run.place.process);
    }

    /// An object of a batch is put: whoever puts it, and however often, it is the same.
    pub(crate) fn put_object(
        &mut self,
        place: &Place,
        generation: Generation,
        ordinal: BatchOrdinal,
        object: Vec<RecordPosition>,
    ) {
        let name = (LeaseKey::from(&place.shard), generation, ordinal.0);
        let present = self.objects.entry(name).or_insert_with(|| object.clone());
        if *present != object {
            let detail = format!(
                "{place} puts batch {} of generation {} with {} records, the object has {}",
                ordinal.0,
                generation.0,
                object.len(),
                present.len()
            );
            self.violated("exactly once", detail);
        }
    }

    /// S3.
    fn parents_are_finished(
        &mut self,
        place: &Place,
        lease: &Lease,
        table: &LeaseTable,
    ) -> Result<(), Violation> {
        for parent in &lease.parents {
            let row = table.leases().get(&LeaseKey::from(parent));
            let must_be_there = lease.checkpoint == Position::TrimHorizon;
            let is_fine = row.map_or(!must_be_there, Lease::is_finished);
            if !is_fine {
                return broken("S3", format!("{place} starts before its parent {parent} is finished"));
            }
        }
        if lease.checkpoint == Position::TrimHorizon && !lease.parents.is_empty() {
            self.counters.note(Situation::ChildStarted);
        }
        Ok(())
    }

    fn token_is_newest(&mut self, place: &Place) -> Result<(), Violation> {
        let earlier = self.runs.values().rev().find(|run| run.place.shard == place.shard);
        let Some(earlier) = earlier.map(|run| run.place.clone()) else { return Ok(()) };
        if earlier == *place {
            self.counters.note(Situation::ProcessorReplaced);
            return Ok(());
        }
        if earlier.token >= place.token {
            return broken("token", format!("{place} begins after {earlier}"));
        }
        Ok(())
    }

    /// S5: a processor does not begin from an old copy of the row.
    fn begins_as_the_row_stands(
        &self,
        place: &Place,
        lease: &Lease,
        table: &LeaseTable,
    ) -> Result<(), Violation> {
        let key = LeaseKey::from(&place.shard);
        let row = table.leases().get(&key).filter(|_| self.may_work(&key, place.process));
        match row {
            Some(row) if (row.checkpoint, &row.pending) != (lease.checkpoint, &lease.pending) => {
                let detail =
                    format!("{place} begins after {}, the row is at {}", lease.checkpoint, row.checkpoint);
                broken("S5", detail)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// S5: no gap, no record twice, and a batch that failed comes again as it was.
    fn is_next(&mut self, id: RunId, records: &[Record]) -> Result<(), Violation> {
        let run = self.runs.get_mut(&id).expect("it has begun");
        let ledger = self.ledgers.entry(LeaseKey::from(&run.place.shard)).or_default();
        let place = run.place.clone();
        let expected = ledger.puts.get(run.next..).unwrap_or_default();
        for (index, record) in records.iter().enumerate() {
            let is_expected = expected.get(index).is_some_and(|put| {
                put.position == record.position && record.data == format!("{}:{}", put.key, put.number)
            });
            if !is_expected {
                let expected = expected.get(index).map(|put| put.position);
                let detail = format!("{place} gets {} where {expected:?} comes next", record.position);
                return broken("S5", detail);
            }
        }
        if run.repeat.is_some_and(|length| length != records.len()) {
            let detail = format!("{place} gets {} records in place of the batch that failed", records.len());
            return broken("S5", detail);
        }
        run.in_hand = records.len();
        let from = run.next;
        self.say(|| format!("{place} gets {} records from number {from}", records.len()));
        Ok(())
    }

    /// The records of one partition key come in the order in which they were put, across splits and merges.
    fn numbers_go_on(&mut self, id: RunId, records: &[Record]) -> Result<(), Violation> {
        let run = self.runs.get(&id).expect("it has begun");
        let ledger = self.ledgers.entry(LeaseKey::from(&run.place.shard)).or_default();
        for put in &ledger.puts[run.next..run.next + records.len()] {
            let next = self.numbers.get(&put.key).map_or(0, |number| number + 1);
            if put.number > next && !self.begins_late {
                let detail = format!("{} delivers {}:{} before {next}", run.place, put.key, put.number);
                return broken("order", detail);
            }
            if put.number >= next {
                self.numbers.insert(put.key, put.number);
            }
        }
        Ok(())
    }
}
