//! Every setting with its unit, default, where the default comes from, and what changing it costs.

use std::time::Duration;

use super::choices::{
    Boundary, Compression, Derivation, Emit, FirstEvent, Format, InitialPosition, LatePolicy, SessionIdKind,
    SessionMode, TimeUnit,
};
use super::duration_text;
use super::section::section;

section! {
    /// One pipeline: a stream is read, each event is parsed, validated, enriched and sessionized, and written to S3
    /// exactly once.
    pub struct PipelineSettings {
        /// Who reads.
        application: ApplicationSettings = ApplicationSettings::default(), table ApplicationSettings;
        /// What is read.
        stream: StreamSettings = StreamSettings::default(), table StreamSettings;
        /// How the bytes of a record become an event.
        parse: ParseSettings = ParseSettings::default(), table ParseSettings;
        /// Which events are accepted.
        validate: ValidateSettings = ValidateSettings::default(), table ValidateSettings;
        /// Fields computed from others.
        derive: DeriveSettings = DeriveSettings::default(), table DeriveSettings;
        /// Sessions by key and inactivity gap. Without this section events are written as they come, untagged.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<SessionSettings> = None, table SessionSettings;
        /// Where the result goes.
        sink: SinkSettings = SinkSettings::default(), table SinkSettings;
        /// How workers share the shards.
        lease: LeaseSettings = LeaseSettings::default(), table LeaseSettings;
        /// How records are fetched.
        fetch: FetchSettings = FetchSettings::default(), table FetchSettings;
        /// What workers tell the autoscaler. Without this section nothing is told, and nothing is counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        telemetry: Option<TelemetrySettings> = None, table TelemetrySettings;
    }
}

section! {
    /// Who reads: workers with the same application name share one lease table and one state.
    pub struct ApplicationSettings {
        /// Name of the application; also the lease table's name unless `lease.table` is set, and part of the names of
        /// state snapshots. Letters, digits, `_`, `.` and `-`, 3 to 100 of them. A new name starts anew: it knows no
        /// checkpoint of the old one.
        name: String = "leasehold".to_owned();
    }
}

section! {
    /// What is read.
    pub struct StreamSettings {
        /// Name of the Kinesis stream: letters, digits, `_`, `.` and `-`, at most 128.
        name: String = "events".to_owned();
        /// AWS region; unset, the SDK's usual sources decide (environment, profile, instance metadata).
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<String> = None;
        /// Address of every service, for a local or private endpoint; unset, AWS itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<String> = None;
        /// Where a shard without a checkpoint is opened: `trim_horizon` (default, as in the KCL: nothing retained is
        /// missed), `latest`, or a time such as `2015-05-17T10:05:00Z`. Ignored once a checkpoint exists.
        initial_position: InitialPosition = InitialPosition::TrimHorizon;
        /// Event fields that make up the partition key. `pump` sets it from them, and the sessionizer refuses records
        /// whose partition key is another, because their state would stay behind when shards split. One field: its
        /// text; several, or a text over 256 characters: 32 hexadecimal digits of their SHA-256. Must be among
        /// `session.key`, and is required with sessions. Empty: `pump` spreads records by content.
        partition_key: Vec<String> = Vec::new();
    }
}

section! {
    /// How the bytes of a record become an event.
    pub struct ParseSettings {
        /// `combined_log` (access log lines), `json` (one object per record) or `csv` (one row per record).
        format: Format = Format::Json;
        /// Field that holds the event's time. Lines of `combined_log` have it in `timestamp`.
        time_field: String = "timestamp".to_owned();
        /// `seconds`, `millis`, `micros`, `rfc3339` or `combined_log`. A time outside 1990 to 2100 in this unit goes to
        /// the failed events, with the unit that it looks like.
        time_unit: TimeUnit = TimeUnit::Millis;
        /// Field that identifies an event; ties in time are ordered by it. Unset: source and line where `pump` stamped
        /// them, else the record's position.
        #[serde(skip_serializing_if = "Option::is_none")]
        event_id_field: Option<String> = None;
        /// Names of the columns in order; required by `csv`, refused for the other formats.
        csv_columns: Vec<String> = Vec::new();
        /// One ASCII character between columns.
        csv_delimiter: char = ',';
        /// Longest event in bytes, without the stamp of `pump`; longer ones go to the failed events. 1 MiB, the
        /// default record limit of Kinesis; streams allow 10 MiB at most. Raised: more memory per held event.
        record_bytes_max: usize = 1024 * 1024;
        /// How far an event's time may lie ahead of the record's arrival, by the stream's clock; beyond it goes to the
        /// failed events. 1 day: one wrong clock would otherwise push the watermark ahead and make every other event
        /// late. Lowered: producers with fast clocks fail; raised: a wrong clock does more harm.
        #[serde(with = "duration_text")]
        ahead_max: Duration = Duration::from_secs(24 * 3600);
    }
}

section! {
    /// Which events are accepted. Others go to the failed events with stage `validate`.
    pub struct ValidateSettings {
        /// A JSON schema as text, any draft from 4 on. References outside the schema are refused. Patterns are matched
        /// in linear time, so look-around and back-references are refused as well.
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<String> = None;
        /// Path of a file with the schema, in place of `schema`, relative to the settings file. Its text becomes part
        /// of the configuration when the settings are loaded.
        #[serde(skip_serializing_if = "Option::is_none")]
        schema_path: Option<String> = None;
    }
}

section! {
    /// Fields computed from others, in this order.
    pub struct DeriveSettings {
        /// Any of `request_parts` (method, path, query, protocol), `page_view` (is_page_view, type), `referrer_host`
        /// and `status_class`. A step whose input is missing adds nothing.
        steps: Vec<Derivation> = Vec::new();
    }
}

section! {
    /// Sessions by key and inactivity gap.
    pub struct SessionSettings {
        /// Event fields that make up the key of a session. Must contain every field of `stream.partition_key`, so that
        /// all events of a key meet in one shard.
        key: Vec<String> = vec!["user_id".to_owned()];
        /// Pause that ends a session. 30 minutes, the convention since Universal Analytics. Raised: fewer, longer
        /// sessions, open for longer in state.
        #[serde(with = "duration_text")]
        gap: Duration = Duration::from_secs(30 * 60);
        /// `">"` (default): events exactly one gap apart are one session; `">="`: they are two.
        boundary: Boundary = Boundary::Over;
        /// How late an event may arrive behind the newest of its shard. 60 s. Raised: more events held in state and
        /// later output; lowered: more events are late.
        #[serde(with = "duration_text")]
        lateness: Duration = Duration::from_secs(60);
        /// After this long without records at the tip of the shard, event time advances by the time waited, so that
        /// held events and sessions are written. 60 s. Lowered: a producer that pauses for longer than `lateness`
        /// causes late events; raised: output waits longer when input stops.
        #[serde(with = "duration_text")]
        idle_after: Duration = Duration::from_secs(60);
        /// `after_watermark` (default): an event is written once no earlier one can come. `at_arrival` is not
        /// available yet.
        mode: SessionMode = SessionMode::AfterWatermark;
        /// Events behind the watermark: `side` (default) sends them to the failed events with reason `late`, `drop`
        /// only counts them. `correct` is not available yet.
        late: LatePolicy = LatePolicy::Side;
        /// `opens` (default): a key's first event opens its first session. `silent`: the first session is unnumbered
        /// and not reported as started; requires `id = "key_seq"`, which remembers keys.
        first_event: FirstEvent = FirstEvent::Opens;
        /// What is written: any of `events` (each with its session_id), `starts` (a row per session start) and
        /// `closed` (a row per closed session with its reason).
        emit: Vec<Emit> = vec![Emit::Events, Emit::Closed];
        /// `uuid5` (default): UUIDv5 of key and first event. `key_seq`: key, `_` and a running number; every key ever
        /// seen stays in state, which then grows for ever.
        id: SessionIdKind = SessionIdKind::Uuid5;
        /// Further fields of a session's first event that its rows show.
        carry: Vec<String> = Vec::new();
        /// Most bytes of state per shard: held events, open sessions and their keys. 64 MiB. Beyond it the shard stops
        /// with an error and nothing is dropped. Raised: more memory per worker, larger snapshots per batch.
        state_bytes_max: usize = 64 * 1024 * 1024;
    }
}

section! {
    /// Where the result goes: objects of JSON Lines in S3, each event in exactly one of them.
    pub struct SinkSettings {
        /// The bucket. No default.
        bucket: String = String::new();
        /// Folder of an event's object. `{event_time:%Y-%m-%d}` formats its time with %Y %m %d %H %M %S %j, `{name}` is
        /// a field's value, percent-encoded and 64 bytes at most. Clock, worker and random parts are refused: a replay
        /// must find the same names. A batch keeps 100 folders open at most, so high-cardinality fields cost objects.
        layout: String = "events/date={event_time:%Y-%m-%d}".to_owned();
        /// Folder of a session's row; `{event_time}` is the start of the session, and the fields are those of its row.
        sessions_layout: String = "sessions/date={event_time:%Y-%m-%d}".to_owned();
        /// Folder of failed events, which lie in `stage=…` below it.
        failed_prefix: String = "failed".to_owned();
        /// `gzip` (default, read everywhere), `zstd` or `none`.
        compression: Compression = Compression::Gzip;
        /// Bytes written, after compression, at which a batch closes. 64 MiB: large enough to scan well, small enough
        /// to finish within a lease. Raised: fewer objects, more to replay after a crash.
        batch_bytes_max: u64 = 64 * 1024 * 1024;
        /// Rows at which a batch closes. 1 000 000.
        batch_rows_max: u64 = 1_000_000;
        /// Age at which a batch closes. 60 s: about 1440 objects per day, shard and folder. Lowered: fresher data,
        /// more and smaller objects and two more DynamoDB writes per batch.
        #[serde(with = "duration_text")]
        batch_age_max: Duration = Duration::from_secs(60);
    }
}

section! {
    /// How workers share the shards.
    pub struct LeaseSettings {
        /// Name of the lease table; unset, the application's name, as in the KCL.
        #[serde(skip_serializing_if = "Option::is_none")]
        table: Option<String> = None;
        /// A lease that was not renewed for this long may be taken. 10 s, the KCL's `failoverTimeMillis`. Lowered:
        /// faster recovery, more renewals; raised: the reverse.
        #[serde(with = "duration_text")]
        failover: Duration = Duration::from_secs(10);
        /// What a shard may take to finish its batch at shutdown before it is cancelled and replayed elsewhere. 20 s.
        #[serde(with = "duration_text")]
        shutdown_timeout: Duration = Duration::from_secs(20);
    }
}

section! {
    /// How records are fetched.
    pub struct FetchSettings {
        /// Most records per call. 10 000, the quota of GetRecords.
        records_max: usize = 10_000;
        /// Pause between calls at the tip of a shard. 1 s; the KCL waits 1.5 s. At least 200 ms, the quota of 5 calls
        /// per second and shard, which all applications share. Lowered: fresher data; raised: fewer calls.
        #[serde(with = "duration_text")]
        poll_interval: Duration = Duration::from_secs(1);
        /// Most bytes fetched ahead by one worker, over all its shards. 64 MiB. Lowered: less memory, and shards wait
        /// for each other.
        buffer_bytes_max: usize = 64 * 1024 * 1024;
    }
}

section! {
    /// What workers tell the autoscaler: how the load of each shard lies on the hash space, its busiest seconds, its heavy
    /// keys, and how far it is behind. Kept in the DynamoDB table `<application.name>-Telemetry`, which is made if it is
    /// missing. Costs less than 1 % of a worker's CPU.
    pub struct TelemetrySettings {
        /// How often the load of each shard is told. 10 s: two rows before the autoscaler takes the first for too old.
        /// Lowered: fresher figures, more writes of 1 KiB for each shard; raised, up to 30s: the reverse.
        #[serde(with = "duration_text")]
        interval: Duration = Duration::from_secs(10);
    }
}
