//! Fleets of workers under faults drawn from seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use leasehold_worker_sim::{Counters, PortBug, Report, run};

/// Runs to make; `LEASEHOLD_SEEDS` overrides the number, `LEASEHOLD_SEED` chooses one run and shows its trace.
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The reports of seeds `first..first + count`, made on every core; the order is that of the seeds.
fn reports(first: u64, count: u64, bug: Option<PortBug>) -> Vec<Report> {
    let next = AtomicU64::new(first);
    let reports = Mutex::new(Vec::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let mut report = run(seed, bug);
                    if report.violation.is_none() && count > 1 {
                        report.trace.clear();
                    }
                    reports.lock().expect("no panic").push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("no panic");
    reports.sort_by_key(|report| report.seed);
    reports
}

fn assert_fine(report: &Report) {
    if let Some(violation) = &report.violation {
        let trace = &report.trace[report.trace.len().saturating_sub(TRACE_LINES)..];
        panic!(
            "{}\nseed {}: {violation}\nreplay: LEASEHOLD_SEED={} cargo test -p leasehold-worker-sim --test seeds every -- --nocapture",
            trace.join("\n"),
            report.seed,
            report.seed
        );
    }
}

#[test]
fn every_property_holds_for_every_seed_and_every_situation_came_up() {
    if let Some(seed) = from_environment("LEASEHOLD_SEED") {
        let report = run(seed, None);
        println!("{}", report.trace.join("\n"));
        assert_fine(&report);
        return;
    }
    let count = from_environment("LEASEHOLD_SEEDS").unwrap_or(SEEDS);
    let mut counters = Counters::default();
    let reports = reports(0, count, None);
    for report in &reports {
        counters.add(&report.counters);
        if let Some(violation) = &report.violation {
            println!("seed {}: {violation}", report.seed);
        }
    }
    for report in &reports {
        assert_fine(report);
    }
    println!("{counters:?}");
    println!("proof: ran {count} seeds");
    if count >= SEEDS {
        assert_eq!(counters.missing(), [], "situations that no seed reached; {counters:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3, 5, 8] {
        let (first, second) = (run(seed, None), run(seed, None));
        let differs = first.trace.iter().zip(&second.trace).position(|(first, second)| first != second);
        if let Some(line) = differs {
            panic!("seed {seed}, line {line}: {} and {}", first.trace[line], second.trace[line]);
        }
        assert_eq!(first, second);
    }
}

/// Of a failed run, the last lines shown.
const TRACE_LINES: usize = 150;
/// Runs of an ordinary test.
const SEEDS: u64 = 64;
