//! How long one plan takes at the largest size that the autoscaler is made for.

use std::time::{Duration, Instant};

use crate::situations::{kind, situations};

/// The quickest of some runs is what the work takes; the others met the rest of the machine.
#[test]
fn every_branch_plans_a_thousand_shards_of_4096_parts_in_milliseconds() {
    let mut slowest = (Duration::ZERO, "");
    for situation in situations() {
        let quickest = (0..RUNS).map(|_| {
            let begun = Instant::now();
            let plan = situation.plan();
            let took = begun.elapsed();
            assert_eq!(kind(&plan), situation.answer, "{}: {:?}", situation.name, plan.decision);
            took
        });
        let quickest = quickest.min().expect("there are runs");
        println!("{:?} {} → {}", quickest, situation.name, situation.answer);
        slowest = slowest.max((quickest, situation.name));
    }
    assert!(slowest.0 <= PLAN_MAX, "{slowest:?}");
}

const RUNS: usize = 5;
const PLAN_MAX: Duration = Duration::from_millis(50);
