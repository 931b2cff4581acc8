//! Nothing comes any more, and sessions end by idle advances: batches without records are announced and committed as any
//! other, whatever happens around their calls.

use super::gate::{Step, StepKind};
use super::matrix::{Fate, Landing, Side, explore};
use super::oracle::Calm;
use super::scenario::Scenario;
use crate::sink::Manifest;

#[tokio::test(start_paused = true)]
async fn sessions_end_in_a_batch_without_records() {
    let calm = Calm::of(&Scenario::IDLE).await;
    let manifests = calm.objects.iter().filter(|(key, _)| key.starts_with("_manifest/"));
    let empty: Vec<Manifest> = manifests
        .map(|(_, object)| serde_json::from_slice::<Manifest>(&object.body).expect("a manifest"))
        .filter(|manifest| manifest.after == manifest.last)
        .collect();
    assert!(!empty.is_empty(), "a batch without records among {:?}", calm.steps);
    for manifest in &empty {
        assert_eq!(manifest.totals.records, 0, "{manifest:?}");
    }
    assert!(empty.iter().any(|manifest| manifest.totals.rows > 0), "one of them writes sessions");
}

#[tokio::test(start_paused = true)]
async fn a_crash_around_any_call_of_an_idle_shard_keeps_announced_batches_and_every_row() {
    let explored =
        explore(&Scenario::IDLE, |_| vec![Fate::Killed(Side::Before), Fate::Killed(Side::After)]).await;
    assert!(explored.cells > 60 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_zombie_of_an_idle_shard_changes_nothing() {
    let returns =
        |side| [Landing::DuringRecovery, Landing::AtTheEnd].map(|landing| Fate::Zombie(side, landing));
    let fates = |step: &Step| match step.kind {
        StepKind::Stream => Vec::new(),
        StepKind::Row | StepKind::ObjectWrite | StepKind::ObjectRead => {
            [Side::Before, Side::After].into_iter().flat_map(returns).collect()
        }
    };
    let explored = explore(&Scenario::IDLE, fates).await;
    assert!(explored.cells > 120 && explored.puts_taken > 0, "{explored:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_or_a_refusal_of_any_call_of_an_idle_shard_keeps_every_row() {
    let explored = explore(&Scenario::IDLE, |_| vec![Fate::ReplyLost, Fate::NotDone]).await;
    assert!(explored.cells > 60 && explored.puts_taken > 0, "{explored:?}");
}
