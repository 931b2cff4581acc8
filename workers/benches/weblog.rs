//! The `weblog` preset on one core: bytes of records in, bytes of a zstd-3 object out, and what each step takes of it.
//!
//! Each stage is the product's own path up to one more step, so that a step costs what its stage takes beyond the one
//! before it:
//!
//! ```text
//! unwrap ─▶ parse ─▶ derive ─▶ session ─▶ encode (canonical JSON, SHA-256) ─▶ zstd = the whole pipeline
//! ```
//!
//! Input is the sample generator's log, stamped as `pump` does. Measured is the time that the processor spends on it, not
//! the wall clock's: whatever else runs on the machine costs only what it takes from the caches.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput};
use kcl::{
    BatchOrdinal, Generation, HashKeyRange, Position, Record, RecordPosition, SequenceNumber, ShardId,
};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
use workers::{
    Batch, BatchId, Compression, Envelope, Pipeline, PipelineSettings, PipelineState, Preset, RecordPlace,
    StepOutput, WebLog, stamped,
};

fn main() {
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("weblog");
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime { wall: WallTime })
        .output_directory(&output)
        .without_plots()
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(MEASUREMENT)
        .configure_from_args();
    let input = Input::new();
    let mut group = criterion.benchmark_group(GROUP);
    group.throughput(Throughput::Bytes(input.bytes));
    for (name, run) in STAGES {
        group.bench_function(name, |bencher| bencher.iter(|| run(&input)));
    }
    group.finish();
    criterion.final_summary();
    report(&input, &output);
}

/// The table: each step's part of the whole, and the rate of the whole beside its bar.
fn report(input: &Input, output: &Path) {
    let medians: Option<Vec<f64>> = STAGES.iter().map(|(name, _)| median_nanos(output, name)).collect();
    // Without medians nothing was measured: a filter, `--list` or `--test` was given.
    let Some(medians) = medians else { return };
    let whole = medians[STAGES.len() - 1];
    let records = input.records.len() as f64;
    println!("\n{:<10} {:>12} {:>8}", "step", "ns/record", "share");
    let mut before = 0.0;
    for ((name, _), median) in STAGES.iter().zip(&medians) {
        let step = median - before;
        println!("{name:<10} {:>12.0} {:>7.1}%", step / records, 100.0 * step / whole);
        before = *median;
    }
    let rate = input.bytes as f64 / 1e6 / (whole / 1e9);
    let verdict = if rate >= BAR_MEGABYTES_PER_SECOND { "pass" } else { "FAIL" };
    println!(
        "\nweblog, record bytes to zstd-3 object bytes, one core: {rate:.1} MB/s, bar {BAR_MEGABYTES_PER_SECOND:.0}: \
         {verdict} ({records} records of {:.0} bytes)",
        input.bytes as f64 / records
    );
}

fn median_nanos(output: &Path, stage: &str) -> Option<f64> {
    let path: PathBuf =
        [output, Path::new(GROUP), Path::new(stage), Path::new("new/estimates.json")].iter().collect();
    let estimates: Value = serde_json::from_slice(&std::fs::read(path).ok()?).expect("criterion writes JSON");
    estimates["median"]["point_estimate"].as_f64()
}

/// Records as a shard delivers them, and the pipeline up to each step.
struct Input {
    records: Vec<Record>,
    bytes: u64,
    place: RecordPlace,
    parse: Pipeline,
    derive: Pipeline,
    whole: Pipeline,
}

impl Input {
    fn new() -> Self {
        let settings = || Preset::Weblog.settings();
        let unsessioned = || PipelineSettings { session: None, ..settings() };
        let mut underived = unsessioned();
        underived.derive.steps.clear();
        let whole = compiled(settings());
        let records: Vec<Record> =
            (1..).zip(WebLog::new(1).take(RECORDS)).map(|(line, raw)| record(&whole, line, &raw)).collect();
        Self {
            bytes: records.iter().map(|record| record.data.len() as u64).sum(),
            records,
            place: RecordPlace {
                stream: "weblog".to_owned(),
                shard: ShardId::new("shardId-000000000000").expect("not empty"),
                hash_range: Some(HashKeyRange::FULL),
            },
            parse: compiled(underived),
            derive: compiled(unsessioned()),
            whole,
        }
    }

    /// Every record through `pipeline`, its rows dropped.
    fn steps(&self, pipeline: &Pipeline) {
        let mut state = PipelineState::default();
        for record in &self.records {
            let mut output = StepOutput::default();
            pipeline.step(&mut state, &self.place, record, &mut output);
            black_box(&output);
        }
    }

    /// Every record into one batch, which is closed.
    fn objects(&self, compression: Compression) {
        let mut state = PipelineState::default();
        let mut batch = Batch::new(Position::TrimHorizon, compression);
        for record in &self.records {
            batch.absorb(&self.whole, &mut state, &self.place, record);
        }
        let id = BatchId { generation: Generation(1), ordinal: BatchOrdinal(0) };
        black_box(batch.close(id, "config"));
    }
}

fn compiled(settings: PipelineSettings) -> Pipeline {
    let resolved = settings.resolve(|_| Ok(String::new())).expect("the preset is valid");
    Pipeline::compile(&resolved).expect("the preset compiles")
}

fn record(pipeline: &Pipeline, line: u64, raw: &Bytes) -> Record {
    Record {
        position: RecordPosition::first_of(SequenceNumber::from_parts(1 << 57, u128::from(line))),
        partition_key: Arc::from(pipeline.partition_key(raw)),
        data: stamped("access.log", line, raw),
        arrival_epoch_millis: ARRIVAL_EPOCH_MILLIS,
    }
}

/// Processor time of this process, which has one busy thread.
struct CpuTime {
    wall: WallTime,
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every Linux has this clock").into()
    }

    fn end(&self, started: Duration) -> Duration {
        self.start() - started
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.wall.formatter()
    }
}

type Stage = (&'static str, fn(&Input));

const GROUP: &str = "weblog";
const STAGES: [Stage; 6] = [
    ("unwrap", |input| {
        for record in &input.records {
            black_box(Envelope::read(&record.data));
        }
    }),
    ("parse", |input| input.steps(&input.parse)),
    ("derive", |input| input.steps(&input.derive)),
    ("session", |input| input.steps(&input.whole)),
    ("encode", |input| input.objects(Compression::None)),
    ("zstd", |input| input.objects(Compression::Zstd)),
];
const BAR_MEGABYTES_PER_SECOND: f64 = 120.0;
/// Some ten batches' worth for the caches, and a second of log per visitor.
const RECORDS: usize = 50_000;
const SAMPLES: usize = 10;
const MEASUREMENT: Duration = Duration::from_secs(4);
/// After every time in the log.
const ARRIVAL_EPOCH_MILLIS: u64 = 1_900_000_000_000;
