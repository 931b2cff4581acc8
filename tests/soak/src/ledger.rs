//! The producer's memory: every event, every attempt to put it, and what came of each.
//!
//! ```text
//! issue ─▶ attempt ─┬─▶ Acknowledged(place)   must be on the stream there, and written exactly once
//!                   ├─▶ Refused               must not be on the stream
//!                   └─▶ Unknown               may be on the stream: written exactly once if it is, never if it is not
//! ```

use kcl_core::SequenceNumber;

use crate::event::{AttemptId, SoakEvent};

/// A place on the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) shard: String,
    pub(crate) sequence: SequenceNumber,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The stream said where the record lies.
    Acknowledged(Place),
    /// The stream said that it did not take the record.
    Refused,
    /// No answer came.
    Unknown,
}

/// Everything that was ever put.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    events: Vec<Issued>,
    counts: Vec<u64>,
    newest_millis: i64,
}

#[derive(Debug)]
struct Issued {
    key: u16,
    count: u64,
    time_millis: i64,
    attempts: Vec<Outcome>,
}

impl Ledger {
    /// Makes the next event of `key`; its number. Its time is `now_millis`, or later if an event has that time already.
    pub(crate) fn issue(&mut self, key: u16, now_millis: i64) -> u64 {
        let index = usize::from(key);
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        let count = self.counts[index];
        self.counts[index] += 1;
        self.newest_millis = now_millis.max(self.newest_millis + 1);
        self.events.push(Issued { key, count, time_millis: self.newest_millis, attempts: Vec::new() });
        self.events.len() as u64 - 1
    }

    /// Begins the next attempt to put `event`, unknown until it is settled.
    pub(crate) fn attempt(&mut self, event: u64) -> SoakEvent {
        let issued = self.issued_mut(event);
        issued.attempts.push(Outcome::Unknown);
        SoakEvent {
            user_id: key_name(issued.key),
            event_timestamp: issued.time_millis,
            event_name: NAMES[usize::from(issued.count.is_multiple_of(3))].to_owned(),
            soak_event: event,
            soak_attempt: u32::try_from(issued.attempts.len() - 1).expect("attempts are bounded"),
            soak_count: issued.count,
        }
    }

    /// Says what came of the last attempt to put `event`.
    pub(crate) fn settle(&mut self, event: u64, outcome: Outcome) {
        *self.issued_mut(event).attempts.last_mut().expect("an attempt was begun") = outcome;
    }

    /// What came of an attempt; `None` if it was never made.
    pub(crate) fn outcome(&self, id: AttemptId) -> Option<&Outcome> {
        let issued = self.events.get(usize::try_from(id.event).ok()?)?;
        issued.attempts.get(usize::try_from(id.attempt).ok()?)
    }

    /// Every attempt with its outcome, in order.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = (AttemptId, &Outcome)> {
        (0_u64..).zip(&self.events).flat_map(|(event, issued)| {
            (0_u32..)
                .zip(&issued.attempts)
                .map(move |(attempt, outcome)| (AttemptId { event, attempt }, outcome))
        })
    }

    /// Events made.
    pub(crate) fn events(&self) -> u64 {
        self.events.len() as u64
    }

    fn issued_mut(&mut self, event: u64) -> &mut Issued {
        let index = usize::try_from(event).expect("events are counted in memory");
        &mut self.events[index]
    }
}

fn key_name(key: u16) -> String {
    format!("key-{key:03}")
}

/// Two folders, so that a batch has more than one object.
const NAMES: [&str; 2] = ["search", "checkout"];

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sequence: u128) -> Place {
        Place { shard: "shardId-0".to_owned(), sequence: SequenceNumber::from_parts(0, sequence) }
    }

    #[test]
    fn counts_run_per_key_and_times_never_repeat() {
        let mut ledger = Ledger::default();
        let made = [(2, 100), (5, 100), (2, 90)].map(|(key, now)| ledger.issue(key, now));
        assert_eq!(made, [0, 1, 2]);
        let events = made.map(|event| ledger.attempt(event));
        assert_eq!(events.each_ref().map(|event| event.soak_count), [0, 0, 1]);
        assert_eq!(events.each_ref().map(|event| event.event_timestamp), [100, 101, 102]);
        assert_eq!(events[1].user_id, "key-005");
    }

    #[test]
    fn an_attempt_is_unknown_until_it_is_settled_and_each_is_kept() {
        let mut ledger = Ledger::default();
        let event = ledger.issue(0, 1);
        let first = ledger.attempt(event).attempt();
        let second = ledger.attempt(event).attempt();
        ledger.settle(event, Outcome::Acknowledged(place(7)));
        assert_eq!(ledger.outcome(first), Some(&Outcome::Unknown));
        assert_eq!(ledger.outcome(second), Some(&Outcome::Acknowledged(place(7))));
        assert_eq!(ledger.outcome(AttemptId { event, attempt: 2 }), None);
        assert_eq!(ledger.attempts().map(|(id, _)| id).collect::<Vec<_>>(), [first, second]);
    }
}
