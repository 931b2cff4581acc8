//! What telemetry costs for each record, in answers of the sizes that a reader gets.
//!
//! ```text
//! 10,000 records  catching up: the greatest answer that Kinesis gives
//!    200          at the tip of a shard that is full, five answers a second
//!      5          at the tip of a quiet one
//! ```
//!
//! Measured is the time that the thread spends on it, so that a busy machine costs only what it takes from the caches.
//!
//! Beside it stands what a worker spends whose processor does nothing, by `just figures`: 0.97 µs for each record of 300 B
//! that it reads at full speed, and 334 µs for each call that fetches next to nothing (1,000 idle leases with reading, less
//! those without). On the same machine this took
//!
//! ```text
//! 10,000 records    57 µs, 5.7 ns a record   0.6 % of what the worker spends on them
//!    200           3.6 µs                    0.7 % of a call and its records
//!      5           1.1 µs                    0.3 %
//! a row           1.03 µs, each ten seconds
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kcl::{HashKeyRange, Record, RecordPosition, SequenceNumber, ShardTelemetry, StreamDigest};
use nix::time::{ClockId, clock_gettime};

/// A shard far enough into its life that its counters are full, and an answer to observe again and again.
struct Reader {
    telemetry: ShardTelemetry,
    records: Vec<Record>,
    epoch_millis: u64,
}

impl Reader {
    fn new(records_per_answer: u64) -> Self {
        let mut reader = Self {
            telemetry: ShardTelemetry::new(HashKeyRange::FULL, 7),
            records: (0..records_per_answer).map(record).collect(),
            epoch_millis: EPOCH_MILLIS,
        };
        for _ in 0..RECORDS_BEFORE.div_ceil(records_per_answer) {
            reader.turn_to_next();
            reader.observe();
        }
        reader
    }

    /// Makes the next answer of the last one: a record each millisecond.
    fn turn_to_next(&mut self) {
        let answer = self.records.len() as u64;
        self.epoch_millis += answer;
        for record in &mut self.records {
            record.arrival_epoch_millis += answer;
            let sequence = SequenceNumber::from_parts(0, record.arrival_epoch_millis.into());
            record.position = RecordPosition::first_of(sequence);
        }
    }

    fn observe(&mut self) {
        self.telemetry.observe(black_box(&self.records), Duration::ZERO, self.epoch_millis);
    }
}

/// 300 bytes with the key of one of 10,000 users.
fn record(number: u64) -> Record {
    let key = format!("user-{:08x}", number.wrapping_mul(0x9e37_79b9) % 10_000);
    Record {
        position: RecordPosition::first_of(SequenceNumber::from_parts(0, number.into())),
        data: Bytes::from(vec![0; 300 - key.len()]),
        partition_key: Arc::from(key),
        arrival_epoch_millis: EPOCH_MILLIS + number,
    }
}

fn observing(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("telemetry/observe");
    for records in [5, 200, 10_000] {
        group.throughput(Throughput::Elements(records));
        let mut reader = Reader::new(records);
        group.bench_function(records.to_string(), |bencher| {
            bencher.iter_custom(|answers| {
                let mut spent = Duration::ZERO;
                for _ in 0..answers {
                    reader.turn_to_next();
                    let started = cpu_time();
                    reader.observe();
                    spent += cpu_time() - started;
                }
                spent
            });
        });
    }
    group.finish();
}

fn telling(criterion: &mut Criterion<CpuTime>) {
    let reader = Reader::new(200);
    criterion.bench_function("telemetry/row", |bencher| {
        bencher.iter(|| reader.telemetry.row(StreamDigest(1), reader.epoch_millis).encode());
    });
}

struct CpuTime {
    wall: WallTime,
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        cpu_time()
    }

    fn end(&self, started: Duration) -> Duration {
        cpu_time() - started
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

/// What this thread has used.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}

fn on_cpu_time() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime { wall: WallTime })
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

const EPOCH_MILLIS: u64 = 1_767_225_600_000;
/// Enough for every counter to be taken.
const RECORDS_BEFORE: u64 = 20_000;

criterion_group! {
    name = benches;
    config = on_cpu_time();
    targets = observing, telling
}
criterion_main!(benches);
