use std::sync::Arc;

use kcl::SequenceNumber;

use super::*;
use crate::event::{END_MARK, stamped};
use crate::preset::Preset;
use crate::settings::PipelineSettings;

const LINE: &str =
    r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /page HTTP/1.1" 200 100 "http://a.org/x" "agent""#;

fn place() -> RecordPlace {
    RecordPlace {
        stream: "events".to_owned(),
        shard: ShardId::new("shardId-0").expect("valid"),
        hash_range: Some(HashKeyRange::FULL),
    }
}

fn compiled(change: impl FnOnce(&mut PipelineSettings)) -> Pipeline {
    let mut settings = Preset::Weblog.settings();
    change(&mut settings);
    let resolved = settings.resolve(|_| Ok(String::new())).expect("valid");
    Pipeline::compile(&resolved).expect("compiles")
}

fn json() -> Pipeline {
    compiled(|settings| {
        *settings = PipelineSettings::default();
        settings.sink.bucket = "bucket".to_owned();
    })
}

fn record(number: u128, partition_key: &str, data: Bytes) -> Record {
    Record {
        position: RecordPosition::first_of(SequenceNumber::from_parts(0, number)),
        partition_key: Arc::from(partition_key),
        data,
        arrival_epoch_millis: 1_800_000_000_000,
    }
}

fn stepped(pipeline: &Pipeline, lines: &[&[u8]]) -> StepOutput {
    let (mut state, mut output) = (PipelineState::default(), StepOutput::default());
    for (index, line) in lines.iter().enumerate() {
        let data = stamped("file", index as u64 + 1, line);
        let record = record(index as u128, &pipeline.partition_key(line), data);
        pipeline.step(&mut state, &place(), &record, &mut output);
    }
    pipeline.step(&mut state, &place(), &record(999, "x", Bytes::from_static(END_MARK)), &mut output);
    output
}

fn only_failure(output: &StepOutput) -> (Stage, &str) {
    assert_eq!((output.events, output.failed.len()), (0, 1), "{:?}", output.failed);
    (output.failed[0].stage, &output.failed[0].reason)
}

#[test]
fn a_line_becomes_an_event_and_a_session() {
    let output = stepped(&compiled(|_| {}), &[LINE.as_bytes()]);
    assert_eq!((output.events, output.sessions, output.failed.len()), (1, 1, 0));
    assert!(output.is_end_of_input);
    let event = &output.rows[0];
    assert!(event.folder.contains("2015-05-17"), "{}", event.folder);
    assert_eq!((&event.row["source"], &event.row["line"]), (&Value::from("file"), &Value::from(1)));
    assert_eq!(output.rows[1].row["reason"], "end_of_input");
    assert_eq!(output.rows[1].row["session_id"], event.row["session_id"]);
}

#[test]
fn bad_input_goes_to_the_failed_events_with_its_bytes_and_a_reason() {
    let weblog = compiled(|_| {});
    let cut = &LINE.as_bytes()[..LINE.len() - 1];
    let output = stepped(&weblog, &[cut]);
    assert_eq!(only_failure(&output), (Stage::Parse, "the user agent does not end with a quote"));
    assert_eq!(output.failed[0].raw, cut);

    let output = stepped(&weblog, &[b"1.2.3.4 \xff"]);
    assert_eq!(only_failure(&output), (Stage::Parse, "invalid UTF-8 at byte 8 of 9"));
    assert_eq!(output.failed[0].row()["raw_base64"], "MS4yLjMuNCD/");

    let output = stepped(&json(), &[br#"{"timestamp":1431857103000,"a":1,"a":2}"#]);
    assert!(only_failure(&output).1.starts_with("field `a` occurs twice"));

    let output = stepped(&json(), &[br#"{"timestamp":1431857103}"#]);
    let (stage, reason) = only_failure(&output);
    assert_eq!(stage, Stage::Parse);
    assert!(reason.contains("`timestamp`") && reason.contains("seconds"), "{reason}");

    let output = stepped(&json(), &[br#"{"other":1}"#]);
    assert_eq!(only_failure(&output), (Stage::Parse, "field `timestamp` is missing"));

    let output = stepped(&json(), &[br#"{"timestamp":4000000000000}"#]);
    assert!(only_failure(&output).1.contains("after the record's arrival"));

    let tight = compiled(|settings| settings.parse.record_bytes_max = 10);
    assert!(only_failure(&stepped(&tight, &[LINE.as_bytes()])).1.contains("record_bytes_max allows 10"));
}

#[test]
fn an_event_that_the_schema_refuses_fails_at_that_stage() {
    let pipeline = compiled(|settings| {
        settings.validate.schema = Some(r#"{"properties":{"status":{"maximum":199}}}"#.to_owned());
    });
    let output = stepped(&pipeline, &[LINE.as_bytes()]);
    let (stage, reason) = only_failure(&output);
    assert_eq!(stage, Stage::Validate);
    assert!(reason.contains("200") && reason.contains("/status"), "{reason}");
}

#[test]
fn a_schema_that_cannot_be_used_is_refused() {
    for schema in ["{", r#"{"type":"nothing"}"#, r#"{"$ref":"http://example.com/schema"}"#] {
        let mut settings = Preset::Weblog.settings();
        settings.validate.schema = Some(schema.to_owned());
        let resolved = settings.resolve(|_| Ok(String::new())).expect("valid");
        let error = Pipeline::compile(&resolved).expect_err("refused").to_string();
        assert!(error.contains("validate.schema"), "{error}");
    }
}

#[test]
fn a_stored_configuration_with_a_bad_layout_is_refused_by_its_field() {
    let text = compiled(|_| {}).settings().canonical_json();
    for (field, layout) in [("sink.layout", "events/type={type}/"), ("sink.sessions_layout", "sessions/")] {
        let damaged = text.replace(layout, "{now:%Y}/");
        assert_ne!(damaged, text);
        let stored = ResolvedSettings::from_canonical_json(&damaged).expect("reads");
        let error = Pipeline::compile(&stored).expect_err("must be refused").to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_record_that_lies_where_its_key_does_not_belong_is_refused_before_state_is_touched() {
    let pipeline = compiled(|_| {});
    let mut state = PipelineState::default();
    let mut output = StepOutput::default();
    let data = stamped("file", 1, LINE.as_bytes());
    pipeline.step(&mut state, &place(), &record(1, "another", data.clone()), &mut output);
    assert!(output.failed[0].reason.contains("is not the one of stream.partition_key"));

    let key = pipeline.partition_key(LINE.as_bytes());
    let range = HashKeyRange::new(HashKey(0), HashKey(1)).expect("ascending");
    let elsewhere = RecordPlace { hash_range: Some(range), ..place() };
    pipeline.step(&mut state, &elsewhere, &record(2, &key, data), &mut output);
    assert!(output.failed[1].reason.contains("outside of the shard's range"));
    assert_eq!(state, PipelineState::default());
}

#[test]
fn a_late_event_is_set_aside_and_a_full_state_stops() {
    let pipeline = compiled(|_| {});
    let early = LINE.replace("10:05:03", "09:00:00");
    let output = stepped(&pipeline, &[LINE.as_bytes(), early.as_bytes()]);
    assert_eq!((output.events, output.failed.len()), (1, 1));
    assert!(output.failed[0].reason.starts_with("late: "), "{}", output.failed[0].reason);

    let tight = compiled(|settings| {
        settings.session.as_mut().expect("weblog has sessions").state_bytes_max = 65_536;
    });
    let many: Vec<Vec<u8>> =
        (0..500).map(|index| LINE.replace("1.2.3.4", &format!("1.2.3.{index}")).into_bytes()).collect();
    let lines: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    assert!(stepped(&tight, &lines).is_full);
}

#[test]
fn hostile_layout_values_stay_in_their_folder() {
    let pipeline = compiled(|settings| {
        *settings = PipelineSettings::default();
        settings.sink.bucket = "bucket".to_owned();
        settings.sink.layout = "by/{name}".to_owned();
    });
    for hostile in ["../../etc", "/", "", "..", &"x".repeat(4096)] {
        let line = serde_json::json!({"timestamp": 1_431_857_103_000_u64, "name": hostile}).to_string();
        let output = stepped(&pipeline, &[line.as_bytes()]);
        let folder = &output.rows[0].folder;
        let value = folder.strip_prefix("by/").expect("in its folder");
        assert!(!value.contains('/') && value != ".." && !value.is_empty() && value.len() <= 64, "{folder}");
    }
}

#[test]
fn fields_of_an_event_that_carry_our_names_are_kept_aside() {
    let line = br#"{"timestamp":1431857103000,"line":"mine","original":1,"name":"a"}"#;
    let output = stepped(&json(), &[line]);
    let row = &output.rows[0].row;
    assert_eq!((&row["line"], &row["name"]), (&Value::from(1), &Value::from("a")));
    assert_eq!(row["original"], serde_json::json!({"line": "mine", "original": 1}));
}
