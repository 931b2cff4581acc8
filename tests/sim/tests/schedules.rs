//! Coordinators under schedules chosen by bytes: crashes, stalls, lost and late replies, shutdowns.

use kcl_core::Millis;
use leasehold_sim::{Counters, Fault, Violation, WorldSettings, run};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};

fn settings() -> WorldSettings {
    WorldSettings { workers: 3, shards: 4, failover: Millis(3000), clock_skew_ppm: 1000, fault: Fault::None }
}

fn schedules() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1200)
}

/// Runs `cases` schedules from a fixed seed; the first violation, shrunk, or what came up.
fn explore(
    settings: &WorldSettings,
    cases: u32,
    seed: u64,
) -> Result<Counters, (Violation, Vec<u8>, Vec<String>)> {
    let config =
        Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let totals = std::cell::Cell::new(Counters::default());
    let outcome = TestRunner::new(config).run(&schedules(), |bytes| {
        let (counters, _) = run(settings.clone(), &bytes)
            .map_err(|(violation, _)| TestCaseError::fail(violation.to_string()))?;
        totals.set(totals.get().plus(counters));
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(totals.get()),
        Err(proptest::test_runner::TestError::Fail(_, bytes)) => {
            let (violation, log) =
                run(settings.clone(), &bytes).expect_err("the shrunk schedule still fails");
            Err((violation, bytes, log))
        }
        Err(error @ proptest::test_runner::TestError::Abort(_)) => panic!("{error}"),
    }
}

#[test]
fn every_property_holds_under_any_schedule_and_the_interesting_cases_came_up() {
    let counters = explore(&settings(), 400, 1).unwrap_or_else(|(violation, bytes, log)| {
        panic!("{violation}\nschedule: {bytes:?}\n{}", log.join("\n"))
    });
    let named = [
        ("taken", counters.taken),
        ("handed off", counters.handed_off),
        ("stale writes refused", counters.stale_writes_refused),
        ("ambiguous writes applied", counters.ambiguous_writes_applied),
        ("losers awoken", counters.losers_awoken),
        ("checkpoints", counters.checkpoints),
    ];
    for (name, count) in named {
        assert!(count > 0, "no schedule reached: {name}");
    }
}

#[test]
fn a_store_that_ignores_the_counter_is_caught() {
    let broken = WorldSettings { fault: Fault::CounterIgnored, ..settings() };
    let (violation, bytes, _) = explore(&broken, 2000, 2).expect_err("the planted fault must be caught");
    assert!(["S1", "S2", "S6"].contains(&violation.property), "{violation} after {} bytes", bytes.len());
}

#[test]
fn clocks_beyond_the_stated_bound_are_caught() {
    let broken = WorldSettings { clock_skew_ppm: 400_000, ..settings() };
    let (violation, ..) = explore(&broken, 2000, 3).expect_err("the margin must not cover every clock");
    assert_eq!(violation.property, "S1");
}

#[test]
fn the_same_schedule_gives_the_same_log() {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(4), ..Config::default() });
    for _ in 0..20 {
        let bytes = schedules().new_tree(&mut runner).expect("a schedule").current();
        let first = run(settings(), &bytes).expect("holds").1;
        assert_eq!(first, run(settings(), &bytes).expect("holds").1);
    }
}
