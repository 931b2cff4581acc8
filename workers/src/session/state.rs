//! The state of one shard: events that wait for the watermark, and the open session of each key.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kcl::HashKey;
use serde_json::Value;

use super::rules::SessionRules;
use crate::event::Fields;

/// An event on its way through the sessionizer.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionEvent {
    /// The session key.
    pub key: Arc<str>,
    /// Where the record's partition key falls; state is split by it when the shard splits.
    pub hash_key: HashKey,
    /// Event time in epoch milliseconds.
    pub event_time_millis: i64,
    /// Orders events of the same time.
    pub event_id: Arc<str>,
    /// The event itself.
    pub row: Fields,
}

/// What became of a pushed event.
#[derive(Clone, Debug, PartialEq)]
pub enum Pushed {
    /// It waits for the watermark.
    Held,
    /// The watermark has passed it; given back.
    Late(SessionEvent),
    /// The state is full; given back. The shard must stop, for nothing may be dropped.
    Full(SessionEvent),
}

/// Something that is final.
#[derive(Clone, Debug, PartialEq)]
pub enum Released {
    /// An event, with the session it belongs to.
    Event {
        /// The event.
        event: SessionEvent,
        /// Its session.
        session_id: Arc<str>,
    },
    /// A session began.
    SessionStarted {
        /// Its name.
        session_id: Arc<str>,
        /// Its key.
        key: Arc<str>,
        /// Number of the session among those of its key, where they are numbered.
        number: u64,
        /// Time of its first event in epoch milliseconds.
        start_millis: i64,
        /// Carried fields of its first event.
        carried: Fields,
    },
    /// A session ended.
    SessionClosed {
        /// Its name.
        session_id: Arc<str>,
        /// Its key.
        key: Arc<str>,
        /// Time of its first event in epoch milliseconds.
        start_millis: i64,
        /// Time of its last event in epoch milliseconds.
        end_millis: i64,
        /// Its events.
        events: u64,
        /// Why it ended.
        reason: CloseReason,
        /// Carried fields of its first event.
        carried: Fields,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The gap passed.
    Timeout,
    /// The input ended.
    EndOfInput,
}

impl CloseReason {
    /// The value of the `reason` field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::EndOfInput => "end_of_input",
        }
    }
}

/// Held events and open sessions of one shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionState {
    pub(super) event_time_max: Option<i64>,
    pub(super) watermark: Option<i64>,
    pub(super) events_pushed: u64,
    pub(super) held: BTreeMap<HeldOrder, SessionEvent>,
    pub(super) keys: BTreeMap<(HashKey, Arc<str>), KeyState>,
    /// Open sessions by the time of their last event.
    by_last: BTreeSet<(i64, HashKey, Arc<str>)>,
    bytes: usize,
}

/// Event time, event id, and order of arrival among equals.
pub(super) type HeldOrder = (i64, Arc<str>, u64);

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KeyState {
    /// Sessions numbered so far.
    pub(super) number: u64,
    pub(super) open: Option<OpenSession>,
}

/// A session that may still grow.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpenSession {
    pub(super) session_id: Arc<str>,
    pub(super) start_millis: i64,
    pub(super) last_millis: i64,
    pub(super) events: u64,
    pub(super) carried: Fields,
}

impl SessionState {
    /// State of a shard that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Events before this epoch millisecond are late.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        self.watermark
    }

    /// Bytes of held events, keys and open sessions, with a fixed allowance for each entry.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events that wait for the watermark.
    #[must_use]
    pub fn held_events(&self) -> usize {
        self.held.len()
    }

    /// Sessions that may still grow.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.by_last.len()
    }

    /// Takes in an event and moves the watermark. Call [`release`](Self::release) after each, so that what is released
    /// depends on the order of records alone.
    pub fn push(&mut self, event: SessionEvent, rules: &SessionRules) -> Pushed {
        let time = event.event_time_millis;
        if self.watermark.is_some_and(|watermark| time < watermark) {
            return Pushed::Late(event);
        }
        let cost = event_bytes(&event);
        if self.bytes + cost > rules.state_bytes_max {
            return Pushed::Full(event);
        }
        self.bytes += cost;
        self.events_pushed += 1;
        self.held.insert((time, event.event_id.clone(), self.events_pushed), event);
        let newest = self.event_time_max.map_or(time, |newest| newest.max(time));
        self.event_time_max = Some(newest);
        self.advance(newest.saturating_sub(rules.lateness_millis));
        Pushed::Held
    }

    /// Where the watermark would be after `idle_millis` without records; `None` before the first event, or if it would not move.
    #[must_use]
    pub fn idle_watermark(&self, idle_millis: i64, rules: &SessionRules) -> Option<i64> {
        let advanced = self.event_time_max?.saturating_add(idle_millis).saturating_sub(rules.lateness_millis);
        (self.watermark < Some(advanced)).then_some(advanced)
    }

    /// Moves the watermark to `watermark`, never back.
    pub fn advance(&mut self, watermark: i64) {
        self.watermark = self.watermark.max(Some(watermark));
    }

    /// Everything that the watermark has passed, in order of (event time, event id), and the sessions it ended.
    pub fn release(&mut self, rules: &SessionRules) -> Vec<Released> {
        let mut released = Vec::new();
        let Some(watermark) = self.watermark else { return released };
        while self.held.first_key_value().is_some_and(|((time, ..), _)| *time < watermark) {
            self.release_first(rules, &mut released);
        }
        while self.by_last.first().is_some_and(|(last, ..)| rules.is_break(*last, watermark)) {
            let Some((_, hash_key, key)) = self.by_last.first().cloned() else { break };
            self.close(hash_key, &key, CloseReason::Timeout, rules, &mut released);
        }
        released
    }

    /// Releases every event and ends every session; later events up to the newest one seen are late.
    pub fn end_of_input(&mut self, rules: &SessionRules) -> Vec<Released> {
        if let Some(newest) = self.event_time_max {
            self.advance(newest.saturating_add(1));
        }
        let mut released = self.release(rules);
        while let Some((_, hash_key, key)) = self.by_last.first().cloned() {
            self.close(hash_key, &key, CloseReason::EndOfInput, rules, &mut released);
        }
        released
    }

    /// Rebuilds what is derived, after the stored parts were filled in.
    pub(super) fn index(&mut self) {
        let open = |((hash_key, key), state): (&(HashKey, Arc<str>), &KeyState)| {
            state.open.as_ref().map(|open| (open.last_millis, *hash_key, key.clone()))
        };
        self.by_last = self.keys.iter().filter_map(open).collect();
        let held: usize = self.held.values().map(event_bytes).sum();
        self.bytes = held + self.keys.iter().map(|((_, key), state)| key_bytes(key, state)).sum::<usize>();
    }

    fn release_first(&mut self, rules: &SessionRules, released: &mut Vec<Released>) {
        let Some((_, event)) = self.held.pop_first() else { return };
        self.bytes -= event_bytes(&event);
        let time = event.event_time_millis;
        let place = (event.hash_key, event.key.clone());
        let open = self.keys.get_mut(&place).and_then(|state| state.open.as_mut());
        let session_id = match open {
            Some(open) if !rules.is_break(open.last_millis, time) => {
                let mut by_last = (open.last_millis, place.0, place.1);
                self.by_last.remove(&by_last);
                by_last.0 = time;
                self.by_last.insert(by_last);
                open.last_millis = time;
                open.events += 1;
                open.session_id.clone()
            }
            Some(_) => {
                self.close(event.hash_key, &event.key, CloseReason::Timeout, rules, released);
                self.open(&event, rules, released)
            }
            None => self.open(&event, rules, released),
        };
        released.push(Released::Event { event, session_id });
    }

    /// Opens a session for `event`, whose key has none open; gives its name.
    fn open(&mut self, event: &SessionEvent, rules: &SessionRules, released: &mut Vec<Released>) -> Arc<str> {
        let time = event.event_time_millis;
        let (state, is_new_key) = match self.keys.entry((event.hash_key, event.key.clone())) {
            Entry::Occupied(entry) => (entry.into_mut(), false),
            Entry::Vacant(entry) => (entry.insert(KeyState::default()), true),
        };
        let is_silent = is_new_key && !rules.first_event_opens;
        self.bytes -= if is_new_key { 0 } else { key_bytes(&event.key, state) };
        state.number += u64::from(!is_silent);
        let open = opened(event, state.number, rules);
        let session_id = open.session_id.clone();
        if !is_silent {
            released.push(Released::SessionStarted {
                session_id: session_id.clone(),
                key: event.key.clone(),
                number: state.number,
                start_millis: time,
                carried: open.carried.clone(),
            });
        }
        state.open = Some(open);
        self.bytes += key_bytes(&event.key, state);
        self.by_last.insert((time, event.hash_key, event.key.clone()));
        session_id
    }

    fn close(
        &mut self,
        hash_key: HashKey,
        key: &Arc<str>,
        reason: CloseReason,
        rules: &SessionRules,
        released: &mut Vec<Released>,
    ) {
        let place = (hash_key, key.clone());
        let Some(state) = self.keys.get_mut(&place) else { return };
        self.bytes -= key_bytes(key, state);
        if let Some(open) = state.open.take() {
            self.by_last.remove(&(open.last_millis, hash_key, key.clone()));
            released.push(Released::SessionClosed {
                session_id: open.session_id,
                key: key.clone(),
                start_millis: open.start_millis,
                end_millis: open.last_millis,
                events: open.events,
                reason,
                carried: open.carried,
            });
        }
        if rules.is_numbered {
            self.bytes += key_bytes(key, state);
        } else {
            self.keys.remove(&place);
        }
    }
}

fn opened(event: &SessionEvent, number: u64, rules: &SessionRules) -> OpenSession {
    let carried = rules.carry.iter().filter_map(|field| Some((field.clone(), event.row.get(field)?.clone())));
    OpenSession {
        session_id: rules.session_id(&event.key, &event.event_id, number).into(),
        start_millis: event.event_time_millis,
        last_millis: event.event_time_millis,
        events: 1,
        carried: carried.collect(),
    }
}

fn event_bytes(event: &SessionEvent) -> usize {
    ENTRY_BYTES + event.key.len() + 2 * event.event_id.len() + fields_bytes(event.row.iter())
}

fn key_bytes(key: &str, state: &KeyState) -> usize {
    let open = state
        .open
        .as_ref()
        .map_or(0, |open| open.session_id.len() + fields_bytes(open.carried.iter()) + ENTRY_BYTES);
    ENTRY_BYTES + 3 * key.len() + open
}

fn fields_bytes<'f>(fields: impl Iterator<Item = (&'f str, &'f Value)>) -> usize {
    fields.map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    VALUE_BYTES
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(value_bytes).sum(),
            Value::Object(map) => map.iter().map(|(name, value)| name.len() + value_bytes(value)).sum(),
        }
}

/// Nodes and pointers of an ordered map entry.
const ENTRY_BYTES: usize = 96;
/// A JSON value with its name's header.
const VALUE_BYTES: usize = 56;

#[cfg(test)]
mod tests;
