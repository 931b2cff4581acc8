//! Finds what is wrong in settings that could be read: values out of range, and fields that contradict each other.

use std::time::Duration;

use super::choices::{Emit, FirstEvent, Format, LatePolicy, SessionIdKind, SessionMode};
use super::problem::Problem;
use super::sections::{PipelineSettings, SessionSettings, SinkSettings};
use crate::layout::LayoutTemplate;

impl PipelineSettings {
    /// Every problem of these settings; none means that the pipeline can be compiled.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_names(&mut problems);
        self.check_parse(&mut problems);
        if self.validate.schema.is_some()
            && let Some(path) = &self.validate.schema_path
        {
            problems.push(Problem::new(
                "validate.schema_path",
                path,
                "set it or `validate.schema`, not both",
            ));
        }
        if let Some(session) = &self.session {
            self.check_session(session, &mut problems);
        }
        check_sink(&self.sink, &mut problems);
        self.check_pace(&mut problems);
        problems
    }

    fn check_names(&self, problems: &mut Vec<Problem>) {
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let name = &self.application.name;
        if !is_plain(name) || !(3..=100).contains(&name.len()) {
            let remedy = "use 3 to 100 letters, digits, `_`, `.` or `-`, as DynamoDB table names allow";
            problems.push(Problem::new("application.name", name, remedy));
        }
        let stream = &self.stream.name;
        if !is_plain(stream) || !(1..=128).contains(&stream.len()) {
            let remedy = "use 1 to 128 letters, digits, `_`, `.` or `-`, as Kinesis stream names allow";
            problems.push(Problem::new("stream.name", stream, remedy));
        }
        if let Some(endpoint) = &self.stream.endpoint
            && !endpoint.starts_with("http://")
            && !endpoint.starts_with("https://")
        {
            problems.push(Problem::new("stream.endpoint", endpoint, "begin it with http:// or https://"));
        }
    }

    fn check_parse(&self, problems: &mut Vec<Problem>) {
        let parse = &self.parse;
        let columns = parse.csv_columns.join(", ");
        match parse.format {
            Format::Csv if parse.csv_columns.is_empty() => {
                problems.push(Problem::new(
                    "parse.csv_columns",
                    "[]",
                    "name the columns in order, for format = \"csv\"",
                ));
            }
            Format::CombinedLog | Format::Json if !parse.csv_columns.is_empty() => {
                problems.push(Problem::new(
                    "parse.csv_columns",
                    columns,
                    "remove it, or set format = \"csv\"",
                ));
            }
            Format::CombinedLog | Format::Json | Format::Csv => {}
        }
        if !parse.csv_delimiter.is_ascii() || "\"\r\n".contains(parse.csv_delimiter) {
            problems.push(Problem::new(
                "parse.csv_delimiter",
                format!("{:?}", parse.csv_delimiter),
                "use one ASCII character that is neither quote nor line break",
            ));
        }
        if !(1..=RECORD_BYTES_MAX).contains(&parse.record_bytes_max) {
            let remedy = "use 1 to 10485760, the largest record that Kinesis can be set to take";
            problems.push(Problem::new("parse.record_bytes_max", parse.record_bytes_max, remedy));
        }
    }

    fn check_session(&self, session: &SessionSettings, problems: &mut Vec<Problem>) {
        let key = format!("{:?}", session.key);
        if session.key.is_empty() {
            problems.push(Problem::new(
                "session.key",
                &key,
                "name the fields whose values make up the key of a session",
            ));
        }
        if self.stream.partition_key.is_empty() {
            let remedy = "name fields of session.key, or events of one session could lie in different shards";
            problems.push(Problem::new("stream.partition_key", "[]", remedy));
        }
        for field in &self.stream.partition_key {
            if !session.key.contains(field) {
                let remedy = format!(
                    "add `{field}` of stream.partition_key, or events of one session could lie in different shards"
                );
                problems.push(Problem::new("session.key", &key, remedy));
            }
        }
        if session.gap.is_zero() || session.gap > GAP_MAX {
            problems.push(Problem::new(
                "session.gap",
                format!("{:?}", session.gap),
                "use more than zero and at most 30 days",
            ));
        }
        if session.mode == SessionMode::AtArrival {
            let remedy = "use \"after_watermark\"; tagging at arrival is not available yet";
            problems.push(Problem::new("session.mode", "at_arrival", remedy));
        }
        if session.late == LatePolicy::Correct {
            let remedy = "use \"side\" or \"drop\"; corrections are not available yet";
            problems.push(Problem::new("session.late", "correct", remedy));
        }
        if session.first_event == FirstEvent::Silent && session.id != SessionIdKind::KeySeq {
            let remedy = "set session.id = \"key_seq\", which remembers the keys it has seen, or first_event = \"opens\"";
            problems.push(Problem::new("session.first_event", "silent", remedy));
        }
        if session.emit.is_empty() {
            problems.push(Problem::new(
                "session.emit",
                "[]",
                "name at least one of \"events\", \"starts\" and \"closed\"",
            ));
        }
        if session.emit.contains(&Emit::Starts) && session.emit.contains(&Emit::Closed) {
            let remedy = "name \"starts\" or \"closed\", not both: they share the sessions layout";
            problems.push(Problem::new("session.emit", "starts and closed", remedy));
        }
        if session.state_bytes_max < STATE_BYTES_MIN {
            problems.push(Problem::new(
                "session.state_bytes_max",
                session.state_bytes_max,
                "use at least 65536",
            ));
        }
    }

    fn check_pace(&self, problems: &mut Vec<Problem>) {
        if let Some(telemetry) = &self.telemetry
            && !(Duration::from_millis(100)..=Duration::from_secs(30)).contains(&telemetry.interval)
        {
            let interval = format!("{:?}", telemetry.interval);
            problems.push(Problem::new("telemetry.interval", interval, "use 100ms to 30s"));
        }
        let failover = self.lease.failover;
        if !(Duration::from_secs(2)..=Duration::from_secs(600)).contains(&failover) {
            problems.push(Problem::new("lease.failover", format!("{failover:?}"), "use 2s to 10m"));
        }
        if !(1..=10_000).contains(&self.fetch.records_max) {
            problems.push(Problem::new(
                "fetch.records_max",
                self.fetch.records_max,
                "use 1 to 10000, the quota of GetRecords",
            ));
        }
        if self.fetch.poll_interval < Duration::from_millis(200) {
            let remedy = "use 200ms or more: Kinesis allows 5 calls per second and shard";
            problems.push(Problem::new(
                "fetch.poll_interval",
                format!("{:?}", self.fetch.poll_interval),
                remedy,
            ));
        }
        if self.fetch.buffer_bytes_max < BUFFER_BYTES_MIN {
            let remedy = "use at least 10485760, one answer of GetRecords";
            problems.push(Problem::new("fetch.buffer_bytes_max", self.fetch.buffer_bytes_max, remedy));
        }
    }
}

fn check_sink(sink: &SinkSettings, problems: &mut Vec<Problem>) {
    let bucket = &sink.bucket;
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.');
    if !is_bucket {
        let remedy = "name the bucket: 3 to 63 lower-case letters, digits, `-` or `.`";
        problems.push(Problem::new("sink.bucket", format!("{bucket:?}"), remedy));
    }
    for (field, template) in [("sink.layout", &sink.layout), ("sink.sessions_layout", &sink.sessions_layout)]
    {
        if let Err(error) = LayoutTemplate::parse(template) {
            problems.push(Problem::new(field, template, error.to_string()));
        }
    }
    let prefix_is_plain =
        LayoutTemplate::parse(&sink.failed_prefix).is_ok_and(|layout| layout.fields().next().is_none());
    if !prefix_is_plain || sink.failed_prefix.contains('{') {
        problems.push(Problem::new(
            "sink.failed_prefix",
            &sink.failed_prefix,
            "use a plain folder such as `failed`",
        ));
    }
    if sink.batch_bytes_max == 0 || sink.batch_bytes_max > BATCH_BYTES_MAX {
        problems.push(Problem::new("sink.batch_bytes_max", sink.batch_bytes_max, "use 1 to 1073741824"));
    }
    if sink.batch_rows_max == 0 {
        problems.push(Problem::new("sink.batch_rows_max", sink.batch_rows_max, "use 1 or more"));
    }
    if sink.batch_age_max < Duration::from_millis(100) {
        problems.push(Problem::new(
            "sink.batch_age_max",
            format!("{:?}", sink.batch_age_max),
            "use 100ms or more",
        ));
    }
}

const RECORD_BYTES_MAX: usize = 10 * 1024 * 1024;
const BUFFER_BYTES_MIN: usize = 10 * 1024 * 1024;
const STATE_BYTES_MIN: usize = 64 * 1024;
const GAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// A batch is held in memory, compressed, until its intent is written.
const BATCH_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TelemetrySettings;

    fn problems(change: impl FnOnce(&mut PipelineSettings)) -> Vec<String> {
        let mut settings = PipelineSettings::default();
        settings.sink.bucket = "bucket".to_owned();
        settings.session = Some(SessionSettings::default());
        settings.stream.partition_key = vec!["user_id".to_owned()];
        assert_eq!(settings.validate(), [], "the base is valid");
        change(&mut settings);
        settings.validate().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn each_fault_is_named_by_its_field() {
        assert_eq!(problems(|s| s.application.name = "a b".to_owned()), ["application.name"]);
        assert_eq!(problems(|s| s.stream.name = String::new()), ["stream.name"]);
        assert_eq!(problems(|s| s.stream.endpoint = Some("localhost".to_owned())), ["stream.endpoint"]);
        assert_eq!(problems(|s| s.stream.partition_key = vec!["other".to_owned()]), ["session.key"]);
        assert_eq!(problems(|s| s.stream.partition_key.clear()), ["stream.partition_key"]);
        assert_eq!(problems(|s| s.parse.format = Format::Csv), ["parse.csv_columns"]);
        assert_eq!(problems(|s| s.parse.csv_delimiter = '"'), ["parse.csv_delimiter"]);
        assert_eq!(problems(|s| s.sink.bucket = "A".to_owned()), ["sink.bucket"]);
        assert_eq!(problems(|s| s.sink.layout = "{now}/../{uuid}".to_owned()), ["sink.layout"]);
        assert_eq!(problems(|s| s.sink.batch_rows_max = 0), ["sink.batch_rows_max"]);
        assert_eq!(problems(|s| s.lease.failover = Duration::from_millis(10)), ["lease.failover"]);
        assert_eq!(problems(|s| s.fetch.poll_interval = Duration::ZERO), ["fetch.poll_interval"]);
        let slow = TelemetrySettings { interval: Duration::from_secs(31) };
        assert_eq!(problems(|s| s.telemetry = Some(slow.clone())), ["telemetry.interval"]);
    }

    #[test]
    fn what_is_not_available_yet_is_refused_and_said() {
        let with =
            |change: fn(&mut SessionSettings)| problems(move |s| change(s.session.as_mut().expect("set")));
        assert_eq!(with(|s| s.mode = SessionMode::AtArrival), ["session.mode"]);
        assert_eq!(with(|s| s.late = LatePolicy::Correct), ["session.late"]);
        assert_eq!(with(|s| s.first_event = FirstEvent::Silent), ["session.first_event"]);
    }
}
