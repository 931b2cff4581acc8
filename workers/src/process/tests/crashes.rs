//! A worker dies before or after each of its calls, and another one goes on; requests of the dead may land later.

use super::gate::Step;
use super::matrix::{Fate, Landing, Side, explore};
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
