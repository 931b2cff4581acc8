//! How long one plan takes at the largest size that the autoscaler is made for.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::situations::{kind, situations};

/// Measured is the time that the thread spends, and of some runs the quickest: the others met the rest of the machine in the
/// caches.
#[test]
fn every_branch_plans_a_thousand_shards_of_4096_parts_in_milliseconds() {
    let mut slowest = (Duration::ZERO, "");
    for situation in situations() {
        let quickest = (0..RUNS).map(|_| {
            let begun = cpu_time();
            let plan = situation.plan();
            let took = cpu_time() - begun;
            assert_eq!(kind(&plan), situation.answer, "{}: {:?}", situation.name, plan.decision);
            took
        });
        let quickest = quickest.min().expect("there are runs");
        println!("{:?} {} → {}", quickest, situation.name, situation.answer);
        slowest = slowest.max((quickest, situation.name));
    }
    assert!(slowest.0 <= PLAN_MAX, "{slowest:?}");
}

/// What this thread has used.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}

const RUNS: usize = 5;
const PLAN_MAX: Duration = Duration::from_millis(50);
