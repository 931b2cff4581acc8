//! The planner under situations drawn at random: whatever it is shown, it stays within every bound.
//!
//! A step draws readings, lags, faults of the signal and sometimes a policy, plans, checks the plan, and carries it out on
//! the layout, so that layouts grow as skewed and as half finished as they do in production.
//! `LEASEHOLD_PLANNER_STEPS` sets the number of steps on up to 32 shards (default 20,000).

mod check;
mod situations;
mod speed;
mod world;

use std::time::{Duration, Instant};

use world::World;

#[test]
fn no_plan_breaks_a_bound_on_up_to_32_shards() {
    let steps: u64 = match std::env::var("LEASEHOLD_PLANNER_STEPS") {
        Ok(text) => text.parse().expect("LEASEHOLD_PLANNER_STEPS is a number of steps"),
        Err(_) => 20_000,
    };
    let mut seen = check::Seen::default();
    for seed in 0..steps.div_ceil(STEPS_OF_A_WORLD) {
        let mut world = World::new(seed, 32);
        for step in 0..STEPS_OF_A_WORLD {
            world.step(&mut seen).unwrap_or_else(|broken| panic!("seed {seed}, step {step}: {broken}"));
        }
    }
    println!("{seen:?}");
    seen.assert_not_vacuous();
}

#[test]
fn no_plan_breaks_a_bound_on_1000_shards_and_each_takes_milliseconds() {
    let mut seen = check::Seen::default();
    let mut slowest = Duration::ZERO;
    for seed in 0..10 {
        let mut world = World::new(seed, 1_000);
        for step in 0..100 {
            let begun = Instant::now();
            world.step(&mut seen).unwrap_or_else(|broken| panic!("seed {seed}, step {step}: {broken}"));
            slowest = slowest.max(begun.elapsed());
        }
    }
    println!("slowest step {slowest:?}; {seen:?}");
}

const STEPS_OF_A_WORLD: u64 = 500;
