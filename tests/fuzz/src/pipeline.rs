//! Records through compiled pipelines: access log lines, CSV rows, JSON objects, with and without the stamp of `pump`.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use kcl::{HashKeyRange, Record, RecordPosition, SequenceNumber, ShardId};
use serde_json::{Map, Value};
use workers::{
    END_MARK, Envelope, Format, Pipeline, PipelineSettings, PipelineState, Preset, RecordPlace, SessionState,
    StepOutput, TimeUnit, stamped,
};

/// Lines of an access log and rows of CSV.
///
/// # Panics
/// If a record has no outcome or two, or state that went through a snapshot leads to other rows.
pub fn log_line(data: &[u8]) {
    for pipeline in [&*WEBLOG, &*CSV] {
        whole(pipeline, data);
    }
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').take(LINES_MAX).collect();
    in_order(&WEBLOG, &lines);
    if let [line] = lines.as_slice() {
        csv_survives(line);
    }
}

/// JSON objects, one per line.
///
/// # Panics
/// As [`log_line`]; or if an accepted event is written with other values than it came with.
pub fn json_event(data: &[u8]) {
    whole(&JSON, data);
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').take(LINES_MAX).collect();
    in_order(&CLICKS, &lines);
    for line in lines {
        json_survives(line);
    }
}

/// The bytes as one record: without a stamp, unless they have one, and with it.
fn whole(pipeline: &Pipeline, data: &[u8]) {
    let plain = Bytes::copy_from_slice(data);
    if !matches!(Envelope::read(&plain), Envelope::EndOfInput) {
        stepped(pipeline, &[(pipeline.partition_key(data), plain.clone())], None);
    }
    let stamp = stamped("file", 17, data);
    assert_eq!(Envelope::read(&stamp), Envelope::Line { source: "file".to_owned(), line: 17, raw: plain });
    let output = stepped(pipeline, &[(pipeline.partition_key(data), stamp)], None);
    for failed in &output.failed {
        assert_eq!((failed.raw.as_ref(), failed.line), (data, Some(17)));
        assert!(failed.reason.len() <= REASON_BYTES_MAX + data.len(), "{}", failed.reason.len());
    }
}

/// The lines as stamped records, with and without a snapshot between any two of them.
fn in_order(pipeline: &Pipeline, lines: &[&[u8]]) {
    let stamp = |(number, line): (u64, &&[u8])| (pipeline.partition_key(line), stamped("file", number, line));
    let records: Vec<_> = (1..).zip(lines).map(stamp).collect();
    let undisturbed = stepped(pipeline, &records, None);
    let restored = stepped(pipeline, &records, Some(STATE_BYTES_MAX));
    assert_eq!(restored, undisturbed, "a snapshot changes the outcome");
}

/// Takes the records through `pipeline` and ends the input; `snapshots` puts the state into bytes and back after each.
fn stepped(pipeline: &Pipeline, records: &[(String, Bytes)], snapshots: Option<usize>) -> StepOutput {
    let (mut state, mut output) = (PipelineState::default(), StepOutput::default());
    for (number, (partition_key, data)) in (0..).zip(records) {
        pipeline.step(&mut state, &PLACE, &record(number, partition_key, data.clone()), &mut output);
        if let Some(bytes_max) = snapshots {
            let bytes = state.sessions.encode().expect("a state is JSON");
            let sessions = SessionState::decode(&bytes, bytes_max).expect("what was written is read");
            assert_eq!(sessions, state.sessions);
            state.sessions = sessions;
        }
    }
    let end = record(u128::MAX, "end", Bytes::from_static(END_MARK));
    pipeline.step(&mut state, &PLACE, &end, &mut output);
    let outcomes = output.events + output.failed.len() as u64 + output.dropped;
    assert_eq!(outcomes, records.len() as u64, "each record has one outcome");
    assert_eq!((state.sessions.held_events(), state.sessions.open_sessions()), (0, 0));
    for row in &output.rows {
        assert!(row.folder.len() <= FOLDER_BYTES_MAX && !row.folder.contains(".."), "{}", row.folder);
    }
    output
}

/// A row that is accepted ends where it ends; written by a CSV writer, it is read as the same values.
fn csv_survives(row: &[u8]) {
    let read = |row: &[u8]| {
        let key = CSV.partition_key(row);
        let output = stepped(&CSV, &[(key, stamped("file", 1, row))], None);
        output.rows.first().map(|row| COLUMNS.map(|column| row.row[column].as_str().map(str::to_owned)))
    };
    let Some(values) = read(row) else { return };
    assert_eq!(read(&[row, b"\nx"].concat()), None, "a row must not swallow the next one");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(values.iter().flatten()).expect("memory does not fail");
    let written = writer.into_inner().expect("memory does not fail");
    assert_eq!(read(&written), Some(values), "{:?}", String::from_utf8_lossy(&written));
}

/// The row of an accepted event holds what any other reader finds in its bytes.
fn json_survives(line: &[u8]) {
    let output = stepped(&JSON, &[(JSON.partition_key(line), stamped("file", 1, line))], None);
    let Some(row) = output.rows.into_iter().next() else { return };
    let expected: Value = serde_json::from_slice(line).expect("an accepted event is JSON");
    let mut fields = Map::from(row.row);
    let original =
        match expected.as_object().is_some_and(|event| OWN_FIELDS.iter().any(|own| event.contains_key(*own)))
        {
            true => fields.remove("original"),
            false => None,
        };
    fields.retain(|name, _| !OWN_FIELDS.contains(&name.as_str()));
    fields.extend(original.and_then(|original| original.as_object().cloned()).unwrap_or_default());
    assert_eq!(Value::Object(fields), expected);
}

fn record(number: u128, partition_key: &str, data: Bytes) -> Record {
    Record {
        position: RecordPosition::first_of(SequenceNumber::from_parts(0, number)),
        partition_key: Arc::from(partition_key),
        data,
        arrival_epoch_millis: ARRIVAL_EPOCH_MILLIS,
    }
}

fn compiled(settings: PipelineSettings) -> Pipeline {
    let resolved = settings.resolve(|_| Ok(String::new())).expect("the settings are valid");
    Pipeline::compile(&resolved).expect("the settings compile")
}

static PLACE: LazyLock<RecordPlace> = LazyLock::new(|| RecordPlace {
    stream: "stream".to_owned(),
    shard: ShardId::new("shardId-000000000000").expect("not empty"),
    hash_range: Some(HashKeyRange::FULL),
});
static WEBLOG: LazyLock<Pipeline> = LazyLock::new(|| compiled(Preset::Weblog.settings()));
static CLICKS: LazyLock<Pipeline> = LazyLock::new(|| compiled(Preset::Clicks.settings()));
static CSV: LazyLock<Pipeline> = LazyLock::new(|| {
    let mut settings = PipelineSettings::default();
    settings.sink.bucket = "bucket".to_owned();
    settings.sink.layout = "events/{b}/date={event_time:%Y-%m-%d}".to_owned();
    settings.parse.format = Format::Csv;
    settings.parse.csv_columns = COLUMNS.map(str::to_owned).to_vec();
    settings.parse.time_field = COLUMNS[0].to_owned();
    settings.parse.time_unit = TimeUnit::Seconds;
    compiled(settings)
});
static JSON: LazyLock<Pipeline> = LazyLock::new(|| {
    let mut settings = PipelineSettings::default();
    settings.sink.bucket = "bucket".to_owned();
    settings.sink.layout = "events/{name}".to_owned();
    settings.validate.schema = Some(r#"{"properties":{"name":{"type":["string","number"]}}}"#.to_owned());
    compiled(settings)
});

const COLUMNS: [&str; 3] = ["a", "b", "c"];
const OWN_FIELDS: [&str; 8] =
    ["event_time", "event_id", "source", "line", "shard", "position", "session_id", "original"];
/// 2030: every time that an input names may lie before it.
const ARRIVAL_EPOCH_MILLIS: u64 = 1_900_000_000_000;
/// More lines make runs slower and no state deeper.
const LINES_MAX: usize = 32;
const STATE_BYTES_MAX: usize = 16 * 1024 * 1024;
const REASON_BYTES_MAX: usize = 4096;
const FOLDER_BYTES_MAX: usize = 800;
