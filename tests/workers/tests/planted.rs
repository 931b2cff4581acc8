//! Bugs planted into the ports: each is caught, by the property that names it and by none that it does not touch.

use leasehold_worker_sim::{PortBug, run};

/// Runs seeds until the first of `expected` catches `bug`; nothing but `expected` may be broken on the way.
#[track_caller]
fn assert_caught(bug: PortBug, expected: &[&str]) {
    for seed in 0..SEEDS_MAX {
        let Some(violation) = run(seed, Some(bug)).violation else { continue };
        println!("{bug:?}, seed {seed}: {violation}");
        assert!(expected.contains(&violation.property), "{bug:?}, seed {seed}: {violation}");
        if violation.property == expected[0] {
            return;
        }
    }
    panic!("{bug:?} was not caught by {} in {SEEDS_MAX} seeds", expected[0]);
}

#[test]
fn a_store_that_ignores_the_counter_is_caught() {
    assert_caught(PortBug::CounterIgnored, &["S1", "S2", "S6", "expiry", "nonce"]);
}

#[test]
fn a_store_that_forgets_renewals_is_caught() {
    assert_caught(PortBug::RenewalForgotten, &["S1", "token"]);
}

#[test]
fn a_store_that_shows_unfinished_parents_as_finished_is_caught() {
    assert_caught(PortBug::ParentShownFinished, &["S3", "liveness"]);
}

#[test]
fn a_store_that_hides_a_row_is_caught() {
    assert_caught(PortBug::RowHidden, &["liveness"]);
}

#[test]
fn a_store_that_keeps_rows_of_workers_who_left_is_caught() {
    assert_caught(PortBug::DeletionForgotten, &["shutdown"]);
}

#[test]
fn a_stream_that_leaves_out_records_is_caught() {
    assert_caught(PortBug::RecordSkipped, &["S5", "exactly once"]);
}

#[test]
fn a_stream_that_ends_open_shards_is_caught() {
    assert_caught(PortBug::EarlyEnd, &["S4"]);
}

#[test]
fn a_clock_that_does_not_count_suspended_time_is_caught() {
    assert_caught(PortBug::ClockStopsWhenFrozen, &["S1"]);
}

/// As many as an ordinary test runs.
const SEEDS_MAX: u64 = 64;
