//! A pipeline ready to run: settings turned into parsers, a validator, rules and layouts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jsonschema::Validator;
use kcl::{HashKey, HashKeyRange, Record, RecordPosition, ShardId};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::derive::derive;
use super::failed::{FailedEvent, Stage};
use super::output::{OutputRow, StepOutput};
use crate::event::{Envelope, EventTime, Fields, InvalidTime, parse_combined_log, parse_csv_row, parse_json};
use crate::hex::hex;
use crate::layout::LayoutTemplate;
use crate::session::{Pushed, Released, SessionEvent, SessionRules, SessionState, session_key};
use crate::settings::{
    Boundary, Emit, FirstEvent, Format, LatePolicy, Problem, ResolvedSettings, SessionIdKind,
    SessionSettings, SettingsError,
};

/// The compiled steps of one configuration.
#[derive(Debug)]
pub struct Pipeline {
    settings: ResolvedSettings,
    validator: Option<Validator>,
    layout: LayoutTemplate,
    sessions_layout: LayoutTemplate,
    sessions: Option<Sessions>,
}

#[derive(Debug)]
struct Sessions {
    key: Vec<String>,
    rules: SessionRules,
    emit: Vec<Emit>,
    late: LatePolicy,
}

/// State of one shard; with sessions, everything that waits or is open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineState {
    /// The sessionizer's state; empty without sessions.
    pub sessions: SessionState,
}

/// Where records come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Name of the stream.
    pub stream: String,
    /// The shard.
    pub shard: ShardId,
    /// The shard's part of the hash space, if the lease row names it.
    pub hash_range: Option<HashKeyRange>,
}

/// A parsed event with what identifies it.
struct Event {
    fields: Fields,
    time: EventTime,
    id: Arc<str>,
}

/// The bytes of an event with its stamp.
struct Raw {
    bytes: Bytes,
    source: Option<String>,
    line: Option<u64>,
}

impl Pipeline {
    /// Compiles settings.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if the schema is no JSON schema or refers to anything outside itself, or if a layout is
    /// none: stored settings come from a bucket, where nobody has checked them.
    pub fn compile(settings: &ResolvedSettings) -> Result<Self, SettingsError> {
        let checked = settings.settings();
        let sessions = checked.session.as_ref().map(|session| Sessions {
            key: session.key.clone(),
            rules: SessionRules {
                gap_millis: millis(session.gap),
                gap_included: session.boundary == Boundary::AtLeast,
                lateness_millis: millis(session.lateness),
                first_event_opens: session.first_event == FirstEvent::Opens,
                is_numbered: session.id == SessionIdKind::KeySeq,
                carry: session.carry.clone(),
                state_bytes_max: session.state_bytes_max,
            },
            emit: session.emit.clone(),
            late: session.late,
        });
        Ok(Self {
            validator: checked.validate.schema.as_deref().map(compiled_schema).transpose()?,
            layout: compiled_layout("sink.layout", &checked.sink.layout)?,
            sessions_layout: compiled_layout("sink.sessions_layout", &checked.sink.sessions_layout)?,
            sessions,
            settings: settings.clone(),
        })
    }

    /// The settings it was compiled from.
    #[must_use]
    pub fn settings(&self) -> &ResolvedSettings {
        &self.settings
    }

    /// Most bytes of a shard's state; of the empty one, without sessions, the default.
    #[must_use]
    pub fn state_bytes_max(&self) -> usize {
        let session = self.settings.settings().session.as_ref();
        session.map_or_else(|| SessionSettings::default().state_bytes_max, |session| session.state_bytes_max)
    }

    /// Takes one record through all steps; everything it makes final is added to `output`.
    pub fn step(
        &self,
        state: &mut PipelineState,
        place: &RecordPlace,
        record: &Record,
        output: &mut StepOutput,
    ) {
        let raw = match Envelope::read(&record.data) {
            Envelope::EndOfInput => {
                output.is_end_of_input = true;
                if let Some(sessions) = &self.sessions {
                    let released = state.sessions.end_of_input(&sessions.rules);
                    self.write_released(sessions, released, output);
                }
                return;
            }
            Envelope::Line { source, line, raw } => {
                Raw { bytes: raw, source: Some(source), line: Some(line) }
            }
            Envelope::Plain(bytes) => Raw { bytes, source: None, line: None },
        };
        let fail = |stage, reason| FailedEvent {
            stage,
            reason,
            raw: raw.bytes.clone(),
            source: raw.source.clone(),
            line: raw.line,
            stream: place.stream.clone(),
            shard: place.shard.to_string(),
            position: record.position,
        };
        let event = self.event(&raw, record).and_then(|event| self.validated(event));
        let event = match event {
            Ok(event) => event,
            Err((stage, reason)) => {
                output.failed.push(fail(stage, reason));
                return;
            }
        };
        let Some(sessions) = &self.sessions else {
            self.write_event(event.time, self.row_of(event, &raw, place, record.position), output);
            return;
        };
        let hash_key = HashKey::of_partition_key(&record.partition_key);
        let key = match self.session_key(sessions, &event, place, record, hash_key) {
            Ok(key) => key,
            Err(reason) => {
                output.failed.push(fail(Stage::Session, reason));
                return;
            }
        };
        let held = SessionEvent {
            key: key.into(),
            hash_key,
            event_time_millis: event.time.millis(),
            event_id: event.id.clone(),
            row: self.row_of(event, &raw, place, record.position),
        };
        match state.sessions.push(held, &sessions.rules) {
            Pushed::Held => {
                let released = state.sessions.release(&sessions.rules);
                self.write_released(sessions, released, output);
            }
            Pushed::Late(event) => match sessions.late {
                LatePolicy::Drop => output.dropped += 1,
                LatePolicy::Side | LatePolicy::Correct => {
                    let watermark = state.sessions.watermark().unwrap_or_default();
                    let reason = format!(
                        "late: event time {} is {} ms behind the shard's watermark",
                        event.event_time_millis,
                        watermark - event.event_time_millis
                    );
                    output.failed.push(fail(Stage::Session, reason));
                }
            },
            Pushed::Full(_) => output.is_full = true,
        }
    }

    /// Where an idle advance would put the watermark; `None` without sessions, or if it would not move.
    #[must_use]
    pub fn idle_watermark(&self, state: &PipelineState, idle: Duration) -> Option<i64> {
        let sessions = self.sessions.as_ref()?;
        let waits = state.sessions.held_events() > 0 || state.sessions.open_sessions() > 0;
        state.sessions.idle_watermark(millis(idle), &sessions.rules).filter(|_| waits)
    }

    /// Carries out a recorded idle advance.
    pub fn advance(&self, state: &mut PipelineState, watermark: i64, output: &mut StepOutput) {
        if let Some(sessions) = &self.sessions {
            state.sessions.advance(watermark);
            let released = state.sessions.release(&sessions.rules);
            self.write_released(sessions, released, output);
        }
    }

    /// The partition key under which `pump` puts a line: from the fields that the settings name, or from its bytes if
    /// they are no event.
    #[must_use]
    pub fn partition_key(&self, line: &[u8]) -> String {
        let fields = self.parsed(line).ok();
        fields.and_then(|fields| self.key_of_fields(&fields)).unwrap_or_else(|| digest_text(line))
    }

    fn event(&self, raw: &Raw, record: &Record) -> Result<Event, (Stage, String)> {
        let parse = &self.settings.settings().parse;
        let refused = |reason: String| (Stage::Parse, reason);
        if raw.bytes.len() > parse.record_bytes_max {
            let reason = format!(
                "event of {} bytes: parse.record_bytes_max allows {}",
                raw.bytes.len(),
                parse.record_bytes_max
            );
            return Err(refused(reason));
        }
        let fields = self.parsed(&raw.bytes).map_err(refused)?;
        let name = &parse.time_field;
        let value = fields.get(name).ok_or_else(|| refused(format!("field `{name}` is missing")))?;
        let unit = match parse.format {
            Format::CombinedLog => crate::settings::TimeUnit::CombinedLog,
            Format::Json | Format::Csv => parse.time_unit,
        };
        let time = EventTime::read(name, value, unit).map_err(|error| match error {
            InvalidTime::Unreadable(reason) | InvalidTime::WrongUnit(reason) => refused(reason),
        })?;
        let ahead = time.millis().saturating_sub_unsigned(record.arrival_epoch_millis);
        if ahead > millis(parse.ahead_max) {
            let reason = format!("field `{name}` = {value} lies {ahead} ms after the record's arrival");
            return Err(refused(reason));
        }
        let id = match &parse.event_id_field {
            Some(field) => match fields.get(field) {
                Some(Value::String(text)) if !text.is_empty() => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                Some(_) | None => return Err(refused(format!("field `{field}` identifies no event"))),
            },
            None => match (&raw.source, raw.line) {
                (Some(source), Some(line)) => format!("{source}:{line:012}"),
                (_, _) => record.position.to_string(),
            },
        };
        Ok(Event { fields, time, id: id.into() })
    }

    fn parsed(&self, bytes: &[u8]) -> Result<Fields, String> {
        let parse = &self.settings.settings().parse;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("invalid UTF-8 at byte {} of {}", error.valid_up_to(), bytes.len()))?;
        match parse.format {
            Format::CombinedLog => parse_combined_log(text),
            Format::Json => parse_json(text),
            Format::Csv => parse_csv_row(text, &parse.csv_columns, parse.csv_delimiter),
        }
    }

    fn validated(&self, mut event: Event) -> Result<Event, (Stage, String)> {
        if let Some(validator) = &self.validator {
            let value = Value::Object(event.fields.into());
            if let Some(error) = validator.iter_errors(&value).next() {
                let reason = format!("{error} at {:?}", error.instance_path().to_string());
                return Err((Stage::Validate, reason.chars().take(REASON_CHARS_MAX).collect()));
            }
            event.fields = match value {
                Value::Object(fields) => Fields::from(fields),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    Fields::new()
                }
            };
        }
        for step in &self.settings.settings().derive.steps {
            derive(*step, &mut event.fields);
        }
        Ok(event)
    }

    /// The key of the event's session, if the record lies where that key's state is.
    fn session_key(
        &self,
        sessions: &Sessions,
        event: &Event,
        place: &RecordPlace,
        record: &Record,
        hash_key: HashKey,
    ) -> Result<String, String> {
        if let Some(range) = place.hash_range
            && !range.contains(hash_key)
        {
            return Err(format!(
                "partition key {:?} hashes to {hash_key}, outside of the shard's range {range}: it was put with an \
                 explicit hash key",
                record.partition_key
            ));
        }
        if let Some(expected) = self.key_of_fields(&event.fields)
            && expected.as_str() != record.partition_key.as_ref()
        {
            return Err(format!(
                "partition key {:?} is not the one of stream.partition_key, {expected:?}",
                record.partition_key
            ));
        }
        let mut key = Vec::with_capacity(sessions.key.len());
        for field in &sessions.key {
            match key_text(&event.fields, field) {
                Some(text) => key.push(text),
                None => return Err(format!("field `{field}` of session.key is missing")),
            }
        }
        Ok(session_key(key.iter().map(Cow::as_ref)))
    }

    /// The partition key by the settings; `None` if they name no fields or one of them is missing.
    fn key_of_fields(&self, fields: &Fields) -> Option<String> {
        let names = &self.settings.settings().stream.partition_key;
        let parts: Vec<Cow<'_, str>> =
            names.iter().map(|name| key_text(fields, name)).collect::<Option<_>>()?;
        match parts.as_slice() {
            [] => None,
            [one] if (1..=PARTITION_KEY_CHARS_MAX).contains(&one.chars().count()) => Some(one.to_string()),
            _ => Some(digest_text(parts.join(KEY_SEPARATOR).as_bytes())),
        }
    }

    fn row_of(&self, event: Event, raw: &Raw, place: &RecordPlace, position: RecordPosition) -> Fields {
        let mut row = set_aside(event.fields);
        row.insert("event_time", Value::from(event.time.to_string()));
        row.insert("event_id", Value::from(&*event.id));
        row.insert("source", raw.source.as_deref().map_or(Value::Null, Value::from));
        row.insert("line", raw.line.map_or(Value::Null, Value::from));
        row.insert("shard", Value::from(place.shard.as_str()));
        row.insert("position", Value::from(position.to_string()));
        row
    }

    fn write_event(&self, time: EventTime, row: Fields, output: &mut StepOutput) {
        let folder = self.layout.render(time, |name| row.get(name));
        output.events += 1;
        output.rows.push(OutputRow { folder, row });
    }

    fn write_released(&self, sessions: &Sessions, released: Vec<Released>, output: &mut StepOutput) {
        for item in released {
            match item {
                Released::Event { event, session_id } => {
                    if sessions.emit.contains(&Emit::Events) {
                        let time = event_time(event.event_time_millis);
                        let mut row = event.row;
                        row.insert("session_id", Value::from(&*session_id));
                        self.write_event(time, row, output);
                    } else {
                        output.events += 1;
                    }
                }
                Released::SessionStarted { session_id, key, number, start_millis, carried } => {
                    output.sessions += 1;
                    if sessions.emit.contains(&Emit::Starts) {
                        let time = event_time(start_millis);
                        let mut row = carried;
                        row.insert("session_id", Value::from(&*session_id));
                        row.insert("session_key", Value::from(&*key));
                        row.insert("session_number", Value::from(number));
                        row.insert("session_timestamp", Value::from(start_millis));
                        row.insert("session_time", Value::from(time.sql_text()));
                        self.write_session(time, row, output);
                    }
                }
                Released::SessionClosed {
                    session_id,
                    key,
                    start_millis,
                    end_millis,
                    events,
                    reason,
                    carried,
                } => {
                    if sessions.emit.contains(&Emit::Closed) {
                        let time = event_time(start_millis);
                        let mut row = carried;
                        row.insert("session_id", Value::from(&*session_id));
                        row.insert("session_key", Value::from(&*key));
                        row.insert("start_time", Value::from(time.to_string()));
                        row.insert("end_time", Value::from(event_time(end_millis).to_string()));
                        row.insert("duration_millis", Value::from(end_millis - start_millis));
                        row.insert("events", Value::from(events));
                        row.insert("reason", Value::from(reason.as_str()));
                        self.write_session(time, row, output);
                    }
                }
            }
        }
    }

    fn write_session(&self, start: EventTime, row: Fields, output: &mut StepOutput) {
        let folder = self.sessions_layout.render(start, |name| row.get(name));
        output.rows.push(OutputRow { folder, row });
    }
}

/// The value of a field as a part of a key; null is no value.
fn key_text<'f>(fields: &'f Fields, name: &str) -> Option<Cow<'f, str>> {
    match fields.get(name)? {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(Cow::Owned(other.to_string()))
        }
    }
}

/// Fields of an event that carry a name of ours move into the object `original`, so that nothing is overwritten.
fn set_aside(mut fields: Fields) -> Fields {
    if OWN_FIELDS.iter().all(|name| fields.get(name).is_none()) {
        return fields;
    }
    let taken =
        OWN_FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), fields.remove(name)?))).collect();
    fields.insert("original", Value::Object(taken));
    fields
}

fn compiled_layout(field: &str, template: &str) -> Result<LayoutTemplate, SettingsError> {
    LayoutTemplate::parse(template).map_err(|error| SettingsError::Invalid {
        problems: vec![Problem::new(field, template, error.to_string())],
    })
}

fn compiled_schema(text: &str) -> Result<Validator, SettingsError> {
    let refused = |cause: String| SettingsError::Invalid {
        problems: vec![Problem::new("validate.schema", text, format!("the schema cannot be used: {cause}"))],
    };
    let schema: Value = serde_json::from_str(text).map_err(|error| refused(error.to_string()))?;
    jsonschema::options()
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(&schema)
        .map_err(|error| refused(error.to_string()))
}

fn event_time(millis: i64) -> EventTime {
    EventTime::from_millis(millis).expect("only checked times enter the sessionizer")
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn digest_text(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..KEY_DIGEST_BYTES])
}

/// Kinesis: a partition key has 1 to 256 characters.
const PARTITION_KEY_CHARS_MAX: usize = 256;
const KEY_DIGEST_BYTES: usize = 16;
/// Between the parts of a partition key. Two lists of parts with one text share a shard, which harms nobody.
const KEY_SEPARATOR: &str = "\u{1f}";
/// What is added to every event; `original` itself is moved as well.
const OWN_FIELDS: [&str; 8] =
    ["event_time", "event_id", "source", "line", "shard", "position", "session_id", "original"];
const REASON_CHARS_MAX: usize = 500;

#[cfg(test)]
mod tests;
