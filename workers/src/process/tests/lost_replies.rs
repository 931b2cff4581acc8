//! The reply of a call is lost, or the call is refused for now: throttled, 409. The same worker goes on.

use super::gate::Step;
use super::matrix::{Fate, explore};
use super::oracle::Calm;
use super::scenario::Scenario;

fn failures(_: &Step) -> Vec<Fate> {
    vec![Fate::ReplyLost, Fate::NotDone, Fate::Refused]
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_or_a_refusal_of_any_call_changes_nothing() {
    for scenario in [Scenario::PLAIN, Scenario::SESSIONS, Scenario::MULTIPART] {
        let explored = explore(&scenario, failures).await;
        assert!(explored.identical > 50 && explored.puts_taken > 0, "{}: {explored:?}", scenario.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_or_a_refusal_of_any_call_of_batches_by_age_keeps_every_event() {
    let explored = explore(&Scenario::AGED, failures).await;
    assert!(explored.cells > 60 && explored.puts_taken > 0, "{explored:?}");
}

/// The matrix is made of the calls that a worker makes; these are the steps of a batch that must be among them.
#[tokio::test(start_paused = true)]
async fn the_calls_of_a_run_are_the_steps_of_its_batches() {
    let whole = ["put events/", "put failed/", "put sessions/", "put state/", "put _manifest/"];
    let parts = ["begin parts of events/", "part 2 of sessions/", "complete state/", "complete _manifest/"];
    for (scenario, steps) in [(Scenario::SESSIONS, &whole[..]), (Scenario::MULTIPART, &parts[..])] {
        let calm = Calm::of(&scenario).await;
        let others = ["create row", "adopt", "iterator", "fetch", "prepare", "commit", "release"];
        for step in steps.iter().chain(&others) {
            let is_there = calm.steps.iter().any(|call| call.name.starts_with(step));
            assert!(is_there, "{}: {step} is not among {:?}", scenario.name, calm.steps);
        }
        let count = |name| calm.steps.iter().filter(|call| call.name == name).count();
        assert!(count("prepare") >= 3, "several batches: {:?}", calm.steps);
        assert_eq!(count("prepare"), count("commit"), "{:?}", calm.steps);
    }
}
