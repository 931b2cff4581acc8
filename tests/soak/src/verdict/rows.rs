//! The rows against the stream: each record once, whole, in its session, and keys in their order.

use std::collections::{BTreeMap, BTreeSet};

use kcl::RecordPosition;
use workers::Manifest;

use super::{Evidence, Violation};
use crate::event::SoakEvent;
use crate::ledger::Place;
use crate::objects::{EventRow, Rows};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Option<Violation>> {
    let written = Written::read(evidence);
    let sessions = Sessions::expected(evidence);
    let missing =
        evidence.stream.events.iter().filter(|(place, _)| !written.rows.contains_key(&name_of(place)));
    let doubled = written.rows.values().filter(|rows| rows.len() > 1);
    let mut on_stream: BTreeMap<RowPlace, &SoakEvent> = BTreeMap::new();
    on_stream.extend(evidence.stream.events.iter().map(|(place, event)| (name_of(place), event)));
    let altered = written.rows.iter().flat_map(|(place, rows)| {
        let event = on_stream.get(place).copied();
        rows.iter().filter(move |row| event != Some(&row.event)).map(|row| describe(row))
    });
    let astray = written.rows.iter().flat_map(|(place, rows)| {
        let expected = sessions.of_event.get(place);
        rows.iter().filter(move |row| expected != Some(&row.session_id)).map(move |row| {
            format!("{} is in session {}, not in {expected:?}", describe(row), row.session_id)
        })
    });
    vec![
        Violation::of(
            "every event on the stream is written",
            missing.map(|(place, event)| {
                format!("{} of {} at {}", event.attempt(), event.user_id, name_of(place).1)
            }),
        ),
        Violation::of(
            "no event is written twice",
            doubled.map(|rows| format!("{} times {}", rows.len(), describe(rows[0]))),
        ),
        Violation::of("what is written is what lies on the stream", altered),
        Violation::of("an event is written in its session", astray),
        Violation::of("each session starts once", sessions.differences(&written)),
        Violation::of("events of a key are written in their order", disorder(evidence)),
    ]
}

/// Shard and position as a row shows them.
type RowPlace = (String, String);

struct Written<'a> {
    rows: BTreeMap<RowPlace, Vec<&'a EventRow>>,
    session_starts: BTreeMap<&'a str, usize>,
}

/// What the sessions must be, from the event times alone.
struct Sessions {
    of_event: BTreeMap<RowPlace, String>,
    starts: BTreeSet<String>,
}

impl<'a> Written<'a> {
    fn read(evidence: &Evidence<'a>) -> Self {
        let mut written = Self { rows: BTreeMap::new(), session_starts: BTreeMap::new() };
        for object in evidence.bucket.objects.values() {
            match &object.rows {
                Rows::Events(rows) => {
                    for row in rows {
                        let place = (row.shard.clone(), row.position.clone());
                        written.rows.entry(place).or_default().push(row);
                    }
                }
                Rows::Sessions(rows) => {
                    for row in rows {
                        *written.session_starts.entry(&row.session_id).or_default() += 1;
                    }
                }
                Rows::Failed(_) => {}
            }
        }
        written
    }
}

impl Sessions {
    /// A pause of the gap or longer begins the next session of a key; the first one is number 0 and never reported.
    fn expected(evidence: &Evidence<'_>) -> Self {
        let gap = i64::try_from(evidence.session_gap.as_millis()).expect("a gap of days at most");
        let mut keys: BTreeMap<&str, Vec<(i64, RowPlace)>> = BTreeMap::new();
        for (place, event) in &evidence.stream.events {
            keys.entry(&event.user_id).or_default().push((event.event_timestamp, name_of(place)));
        }
        let mut sessions = Self { of_event: BTreeMap::new(), starts: BTreeSet::new() };
        for (key, mut events) in keys {
            events.sort();
            let mut number = 0;
            let mut last = None;
            for (time, place) in events {
                if last.is_some_and(|last| time - last >= gap) {
                    number += 1;
                    sessions.starts.insert(format!("{key}_{number}"));
                }
                last = Some(time);
                sessions.of_event.insert(place, format!("{key}_{number}"));
            }
        }
        sessions
    }

    fn differences(&self, written: &Written<'_>) -> Vec<String> {
        let wrong = written.session_starts.iter().filter_map(|(id, times)| {
            let is_right = *times == 1 && self.starts.contains(*id);
            (!is_right).then(|| format!("{id} starts {times} times"))
        });
        let missing = self.starts.iter().filter(|id| !written.session_starts.contains_key(id.as_str()));
        wrong.chain(missing.map(|id| format!("{id} does not start"))).collect()
    }
}

/// Events of a key that come after a later one: within an object, or in a batch before. A key lies in one shard.
fn disorder(evidence: &Evidence<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for batches in evidence.batches.values() {
        let mut before: BTreeMap<&str, u64> = BTreeMap::new();
        for batch in batches {
            let mut newest = before.clone();
            for rows in rows_of(evidence, batch) {
                let mut last: BTreeMap<&str, u64> = BTreeMap::new();
                for row in rows {
                    let (key, count) = (row.event.user_id.as_str(), row.event.soak_count);
                    let floor = last.get(key).max(before.get(key)).copied();
                    if let Some(floor) = floor.filter(|floor| count < *floor) {
                        found.push(format!("{} after count {floor}", describe(row)));
                    }
                    last.insert(key, count);
                    let newest = newest.entry(key).or_default();
                    *newest = count.max(*newest);
                }
            }
            before = newest;
        }
    }
    found
}

fn rows_of<'a>(evidence: &Evidence<'a>, batch: &Manifest) -> Vec<&'a [EventRow]> {
    let objects = batch.objects.iter().filter_map(|object| evidence.bucket.objects.get(&object.key));
    objects
        .filter_map(|object| match &object.rows {
            Rows::Events(rows) => Some(rows.as_slice()),
            Rows::Sessions(_) | Rows::Failed(_) => None,
        })
        .collect()
}

fn name_of(place: &Place) -> RowPlace {
    (place.shard.clone(), RecordPosition::first_of(place.sequence).to_string())
}

fn describe(row: &EventRow) -> String {
    format!(
        "{} of {}, count {}, {}",
        row.event.attempt(),
        row.event.user_id,
        row.event.soak_count,
        row.position
    )
}
