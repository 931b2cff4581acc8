//! Holders cut off at every moment of a renewal, with every delay of their last reply: the edges that random schedules
//! seldom meet to the millisecond.

use kcl_core::Millis;
use leasehold_sim::{Fault, Violation, World, WorldSettings};

const FAILOVER: Millis = Millis(3000);

/// A fleet of two that has balanced two shards, and the slot that does not lead or the one that does.
fn cut_off(
    slot: usize,
    clock_skew_ppm: i64,
    since_renewal: Millis,
    delay: Millis,
) -> Result<bool, Violation> {
    let failovers = vec![FAILOVER];
    let mut world =
        World::new(WorldSettings { workers: 2, shards: 2, failovers, clock_skew_ppm, fault: Fault::None });
    while world.now < FAILOVER * 4 {
        world.settle()?;
        world.advance(Millis(250))?;
    }
    world.settle()?;
    assert_eq!(world.holders().len(), 2, "the fleet must be balanced before the cut");
    world.advance(since_renewal)?;
    world.cut_off(slot, delay, FAILOVER * 2)?;
    let other = 1 - slot;
    Ok(world.holders().iter().filter(|(holder, _)| *holder == other).count() == 2)
}

#[test]
fn a_holder_cut_off_at_any_moment_stops_before_anybody_else_starts() {
    let mut runs = 0;
    for slot in [0, 1] {
        for clock_skew_ppm in [-1000, 0, 1000] {
            for since_renewal in (0..2000).step_by(100).map(Millis) {
                for delay in [0, 1, 500, 1500, 2500].map(Millis) {
                    let was_taken = cut_off(slot, clock_skew_ppm, since_renewal, delay);
                    let cut = format!("slot {slot} {since_renewal} after a renewal, replies after {delay}");
                    assert!(was_taken.unwrap_or_else(|violation| panic!("{violation}: {cut}")), "{cut}");
                    runs += 1;
                }
            }
        }
    }
    println!("proof: ran {runs} cuts");
}
