//! A worker is cut off at one of its calls and does not notice how time passes; another one replays; then the first one's
//! call lands, or is answered, and it goes on.

use super::gate::Step;
use super::matrix::{Fate, Landing, Side, explore};
use super::scenario::Scenario;

fn returns(_: &Step) -> Vec<Fate> {
    let sides = [Side::Before, Side::After].into_iter();
    sides
        .flat_map(|side| {
            [Landing::DuringRecovery, Landing::AtTheEnd].map(|landing| Fate::Zombie(side, landing))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_zombie_of_plain_batches_changes_nothing() {
    let explored = explore(&Scenario::PLAIN, returns).await;
    assert!(explored.identical > 100 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_of_sessions_changes_nothing() {
    let explored = explore(&Scenario::SESSIONS, returns).await;
    assert!(explored.identical > 100 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_in_a_multipart_upload_changes_nothing() {
    let explored = explore(&Scenario::MULTIPART, returns).await;
    assert!(explored.identical > 300 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_of_batches_by_age_keeps_announced_ones_and_every_event() {
    let explored = explore(&Scenario::AGED, returns).await;
    assert!(explored.cells > 120 && explored.puts_taken > 0, "{explored:?}");
}
