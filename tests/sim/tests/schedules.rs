//! Coordinators under schedules chosen by bytes: every fault of the menu, alone and together.

use std::cell::RefCell;

use kcl_core::Millis;
use leasehold_sim::{Counters, Fault, Violation, WorldSettings, run};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

fn settings() -> WorldSettings {
    WorldSettings {
        workers: 3,
        shards: 3,
        failovers: vec![Millis(3000)],
        clock_skew_ppm: 1000,
        fault: Fault::None,
    }
}

fn schedules() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1600)
}

/// Schedules to try; `LEASEHOLD_SCHEDULES` overrides the number, `LEASEHOLD_SEED` the seed of a long run.
fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Whether a failing schedule is made short, for people to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shrinking {
    On,
    Off,
}

/// Runs `cases` schedules from a fixed seed; the first violation, shrunk, or what came up.
fn explore(
    settings: &WorldSettings,
    cases: u32,
    seed: u64,
    shrinking: Shrinking,
) -> Result<Counters, (Violation, Vec<u8>, Vec<String>)> {
    let mut config =
        Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    if shrinking == Shrinking::Off {
        config.max_shrink_iters = 0;
    }
    let totals = RefCell::new(Counters::default());
    let outcome = TestRunner::new(config).run(&schedules(), |bytes| {
        let (counters, _) = run(settings.clone(), &bytes)
            .map_err(|(violation, _)| TestCaseError::fail(violation.to_string()))?;
        totals.borrow_mut().add(&counters);
        Ok(())
    });
    match outcome {
        Ok(()) => Ok(totals.into_inner()),
        Err(TestError::Fail(_, bytes)) => {
            let (violation, log) =
                run(settings.clone(), &bytes).expect_err("the shrunk schedule still fails");
            Err((violation, bytes, log))
        }
        Err(error @ TestError::Abort(_)) => panic!("{error}"),
    }
}

#[test]
fn every_property_holds_under_any_schedule_and_every_situation_came_up() {
    let cases = u32::try_from(from_environment("LEASEHOLD_SCHEDULES", 1500)).expect("fits");
    let counters = explore(&settings(), cases, from_environment("LEASEHOLD_SEED", 1), Shrinking::On)
        .unwrap_or_else(|(violation, bytes, log)| {
            panic!("{}\n{violation}\nschedule: {bytes:?}", log.join("\n"))
        });
    assert_eq!(counters.missing(), [], "situations that no schedule reached; {counters:?}");
    println!("proof: ran {cases} schedules");
}

#[test]
fn a_store_that_ignores_the_counter_is_caught() {
    let broken = WorldSettings { fault: Fault::CounterIgnored, ..settings() };
    let (violation, bytes, _) =
        explore(&broken, 2000, 2, Shrinking::Off).expect_err("the planted fault must be caught");
    let expected = ["S1", "S2", "S6", "token", "intent"];
    assert!(expected.contains(&violation.property), "{violation} after {} bytes", bytes.len());
}

#[test]
fn clocks_beyond_the_stated_bound_are_caught() {
    let broken = WorldSettings { clock_skew_ppm: 400_000, ..settings() };
    let (violation, ..) =
        explore(&broken, 2000, 3, Shrinking::Off).expect_err("the margin must not cover every clock");
    assert_eq!(violation.property, "S1");
}

#[test]
fn a_clock_that_does_not_count_suspended_time_is_caught() {
    let broken = WorldSettings { fault: Fault::ClockStopsInStall, ..settings() };
    let (violation, ..) =
        explore(&broken, 2000, 5, Shrinking::Off).expect_err("a stalled holder must notice its deadline");
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
