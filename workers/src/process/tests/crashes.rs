//! A worker dies before or after each of its calls, and another one goes on; requests of the dead may land later.

use super::changes::{pending_at, within_second_batch};
use super::gate::{At, Fault, Plan, Step};
use super::matrix::{Fate, Landing, Side, cut, explore};
use super::oracle::Calm;
use super::scenario::Scenario;

fn deaths(_: &Step) -> Vec<Fate> {
    vec![Fate::Killed(Side::Before), Fate::Killed(Side::After)]
}

fn late_landings(step: &Step) -> Vec<Fate> {
    let landings = [Landing::AtOnce, Landing::DuringRecovery, Landing::AtTheEnd];
    let is_write = step.kind.is_write();
    landings.into_iter().filter(|_| is_write).map(Fate::KilledAndLands).collect()
}

#[tokio::test(start_paused = true)]
async fn a_crash_around_any_call_changes_nothing_of_plain_batches() {
    let explored = explore(&Scenario::PLAIN, deaths).await;
    assert!(explored.cells > 50 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_around_any_call_changes_nothing_of_sessions() {
    let explored = explore(&Scenario::SESSIONS, deaths).await;
    assert!(explored.cells > 50 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_around_any_step_of_a_multipart_upload_changes_nothing() {
    let explored = explore(&Scenario::MULTIPART, deaths).await;
    assert!(explored.cells > 150 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_around_any_call_of_batches_by_age_keeps_announced_ones_and_every_event() {
    let explored = explore(&Scenario::AGED, deaths).await;
    assert!(explored.cells > 50 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_dead_worker_may_land_whenever_they_want() {
    for scenario in [Scenario::PLAIN, Scenario::SESSIONS] {
        let explored = explore(&scenario, late_landings).await;
        assert!(explored.cells > 60 && explored.puts_taken > 0, "{}: {explored:?}", scenario.name);
    }
}

/// A dead worker's batch is pending, and the one that replays it dies as well, around any of its calls.
#[tokio::test(start_paused = true)]
async fn a_crash_around_any_call_of_a_recovery_changes_nothing() {
    let scenario = Scenario::SESSIONS;
    let calm = Calm::of(&scenario).await;
    let within = within_second_batch(&calm);
    let (first_cuts, mut cells) = ([within[0], within[within.len() - 1]], 0);
    for first_cut in first_cuts {
        let world = pending_at(&scenario, first_cut).await;
        let second = world.start(None).await;
        world.finish(&second).await;
        for (at, step) in second.gate.steps().iter().enumerate() {
            for fault in [Fault::HangBefore, Fault::HangAfter] {
                let cell =
                    format!("replay after call {first_cut}, killed again at call {at} ({step}): {fault:?}");
                let world = pending_at(&scenario, first_cut).await;
                let second = world.start(Some(Plan { at: At::Number(at), fault })).await;
                cut(&cell, &world, &second).await;
                second.kill().await;
                assert_eq!(&second.gate.steps()[at], step, "{cell}: recoveries are the same up to the call");
                let announced = world.announced();
                let third = world.start(None).await;
                world.finish(&third).await;
                assert!(
                    calm.check(&cell, &scenario, &world, &announced),
                    "{cell}: the whole bucket is the same"
                );
                cells += 1;
            }
        }
    }
    assert!(cells > 60, "{cells} cells");
}
