//! Joining, leaving, dying, and who takes over when.

use super::*;
use crate::row::{LeaseChange, LeaseWrite, Resolution};

#[test]
fn a_first_worker_creates_the_rows_and_holds_them_all_without_waiting() {
    let mut world = World::new(4);
    world.join("a");
    world.run_for(Millis(10));
    assert_eq!(world.loads(), [4]);
}

#[test]
fn a_second_worker_of_forty_shards_has_half_within_five_seconds() {
    let mut world = World::new(40);
    world.join("a");
    world.run_for(Millis::from_secs(30));
    world.join("b");
    world.run_for(Millis::from_secs(5));
    assert_eq!(world.loads(), [20, 20]);
    world.member("a").events.clear();
    world.run_for(Millis::from_secs(600));
    assert!(
        !world.member("a").saw(|event| matches!(event, Event::HandOffStarted { .. })),
        "moves at steady state"
    );
}

#[test]
fn a_dead_workers_leases_are_served_again_within_failover_and_a_second() {
    for dead in ["a", "b"] {
        let mut world = World::new(6);
        world.join("a");
        world.join("b");
        world.run_for(Millis::from_secs(60));
        assert_eq!(world.loads(), [3, 3]);
        world.workers.remove(dead);
        world.run_for(FAILOVER + Millis(1000));
        assert_eq!(world.loads(), [6], "after the death of {dead}");
    }
}

#[test]
fn a_cut_off_holder_stops_before_anybody_else_starts() {
    let mut world = World::new(2);
    world.join("a");
    world.join("b");
    world.run_for(Millis::from_secs(60));
    world.member("b").is_cut_off = true;
    for _ in 0..300 {
        world.run_for(Millis(50));
        assert_eq!(world.doubly_held(), [], "at {}", world.now);
    }
    assert_eq!(world.member("a").running.len(), 2);
}

#[test]
fn a_graceful_stop_gives_the_leases_to_others_at_once_and_leaves_nothing_behind() {
    for stopping in ["a", "b"] {
        let mut world = World::new(6);
        world.join("a");
        world.join("b");
        world.run_for(Millis::from_secs(60));
        let now = world.now;
        world.member(stopping).coordinator.handle_shutdown(now);
        world.settle();
        world.run_for(Millis::from_secs(2));
        assert!(world.member(stopping).is_finished);
        assert_eq!(world.member(stopping).coordinator.poll_timeout(), None);
        assert_eq!(world.loads().into_iter().sum::<usize>(), 6, "after the stop of {stopping}");
        let workers: Vec<_> = world.table_view().workers.into_iter().map(|row| row.worker).collect();
        assert!(
            workers.len() == 1 && workers[0].as_str() != stopping,
            "{workers:?} after {stopping} has left"
        );
        let StoreReply::Lock(lock) = world.table.execute(&StoreRequest::ReadLock) else { panic!("a lock") };
        assert_ne!(lock.expect("the other leads").owner.as_str(), stopping);
    }
}

#[test]
fn a_twin_with_the_same_id_takes_nothing_from_a_living_holder() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(5));
    world.join_with("twin", "a", FAILOVER);
    for _ in 0..60 {
        world.run_for(Millis::from_secs(1));
        assert_eq!(world.loads(), [1, 0]);
    }
}

#[test]
fn a_holder_that_renews_by_checkpoints_notices_a_hand_off() {
    let mut world = World::new(6);
    world.join("a");
    world.join("b");
    world.run_for(Millis::from_secs(60));
    assert_eq!(world.loads(), [3, 3]);
    world.join("c");
    for number in 1..=50 {
        for name in ["a", "b"] {
            let running: Vec<LeaseKey> = world.member(name).running.keys().cloned().collect();
            for key in running {
                if world.member(name).running.contains_key(&key) {
                    world.order(name, &key, Command::Checkpoint(record(number)));
                }
            }
        }
        world.run_for(Millis(100));
    }
    assert_eq!(world.loads(), [2, 2, 2]);
    assert!(!world.member("a").saw(|event| matches!(event, Event::HandOffForced { .. })));
}

#[test]
fn a_join_is_planned_at_once_however_seldom_the_leader_scans() {
    let mut settings = CoordinatorSettings::new(FAILOVER * 10, InitialPosition::TrimHorizon);
    settings.plan_interval = FAILOVER * 10;
    let mut world = World::new(6);
    world.join_as("a", "a", settings.clone());
    world.run_for(Millis::from_secs(90));
    assert_eq!(world.loads(), [6]);
    world.join_as("b", "b", settings);
    world.run_for(Millis::from_secs(5));
    assert_eq!(world.loads(), [3, 3]);
}

#[test]
fn without_the_index_leases_are_found_by_scans() {
    let mut world = World::new(10);
    for name in ["a", "b", "c", "d", "e"] {
        world.join(name);
    }
    world.run_for(Millis::from_secs(60));
    assert_eq!(world.loads(), [2, 2, 2, 2, 2]);
    for member in world.workers.values_mut() {
        member.answers =
            |request| matches!(request, StoreRequest::ReadOwned(_)).then_some(StoreReply::Owned(None));
    }
    world.run_for(FAILOVER);
    world.workers.remove("b");
    world.workers.remove("c");
    world.run_for(FAILOVER + Millis::from_secs(4));
    assert_eq!(world.loads().into_iter().sum::<usize>(), 10, "{:?}", world.loads());
}

#[test]
fn plans_that_wait_to_be_sent_are_dropped_when_the_lock_runs_out() {
    let mut world = World::new(12);
    world.join("a");
    world.run_for(Millis::from_secs(30));
    world.member("a").drains_at_once = false;
    world.join("b");
    let StoreReply::Table(view) = world.table.execute(&StoreRequest::ReadTable) else { panic!("a table") };
    let now = world.now;
    let leader = &mut world.member("a").coordinator;
    leader.handle_timeout(now + leader.settings().plan_interval * 2);
    let now = now + leader.settings().plan_interval * 2;
    let mut scan = None;
    while let Some((id, request)) = leader.poll_request(now) {
        if request == Request::Store(StoreRequest::ReadTable) {
            scan = Some(id);
        }
    }
    leader.handle_reply(scan.expect("the leader scans"), StoreReply::Table(view), now);
    let late = now + leader.settings().leader_lease;
    let is_plan = |request: &Request| {
        matches!(request, Request::Store(StoreRequest::UpdateLease(write))
            if write.changes.iter().any(|change| matches!(change, LeaseChange::CheckpointOwner(Some(_)))))
    };
    let mut planned = 0;
    let mut at_once = leader.clone();
    while let Some((_, request)) = at_once.poll_request(now) {
        planned += usize::from(is_plan(&request));
    }
    assert!(planned > 0, "the scan shows a worker without leases");
    while let Some((_, request)) = leader.poll_request(late) {
        assert!(!is_plan(&request), "sent when the lock had run out: {request:?}");
    }
}

#[test]
fn beside_a_leader_that_makes_no_progress_workers_take_what_nobody_serves() {
    let mut world = World::new(6);
    for name in ["a", "b", "c"] {
        world.join(name);
    }
    world.run_for(Millis::from_secs(60));
    assert_eq!(world.loads(), [2, 2, 2]);
    let now = world.now;
    let leader = world.workers.iter().find(|(_, member)| member.coordinator.is_leader(now));
    let leader = leader.map(|(name, _)| name.clone()).expect("somebody leads");
    world.member(&leader).answers =
        |request| matches!(request, StoreRequest::ReadTable).then_some(StoreReply::Throttled);
    let victim = ["a", "b", "c"].into_iter().find(|name| *name != leader).expect("another");
    world.workers.remove(victim);
    let settings = CoordinatorSettings::new(FAILOVER, InitialPosition::TrimHorizon);
    world.run_for(FAILOVER * 3 + settings.plan_interval * 4);
    let now = world.now;
    assert!(world.member(&leader).coordinator.is_leader(now), "the lock must not have moved");
    assert_eq!(world.loads().into_iter().sum::<usize>(), 6);
}

#[test]
fn a_holder_that_another_library_robs_stops_within_one_renewal_interval() {
    let settings = CoordinatorSettings::new(FAILOVER, InitialPosition::TrimHorizon);
    for phase in (0..10_000).step_by(1000).map(Millis) {
        let mut world = World::new(1);
        world.join("a");
        world.run_for(Millis::from_secs(60) + phase);
        let thief = Some(WorkerId::new("java").expect("valid"));
        let changes = vec![LeaseChange::RaiseCounter, LeaseChange::Owner(thief)];
        let theft = LeaseWrite { key: key(FIRST), conditions: Vec::new(), changes };
        world.table.execute(&StoreRequest::UpdateLease(theft));
        world.run_for(settings.renewal_interval());
        assert_eq!(world.loads(), [0], "phase {phase}");
    }
}

#[test]
fn a_holder_that_does_not_drain_gives_up_before_it_is_forced() {
    let mut world = World::new(6);
    world.join("a");
    world.join("b");
    world.run_for(Millis::from_secs(60));
    for name in ["a", "b"] {
        world.member(name).drains_at_once = false;
    }
    world.join("c");
    for _ in 0..1000 {
        world.run_for(Millis(50));
        assert_eq!(world.doubly_held(), [], "at {}", world.now);
    }
    assert_eq!(world.loads(), [2, 2, 2]);
}

#[test]
fn takers_wait_for_the_failover_time_that_the_holder_published() {
    let slow = FAILOVER * 3;
    let mut world = World::new(2);
    world.join_with("slow", "slow", slow);
    world.run_for(Millis::from_secs(60));
    world.join("quick");
    world.run_for(Millis::from_secs(60));
    assert_eq!(world.loads(), [1, 1]);
    world.member("slow").is_cut_off = true;
    for _ in 0..600 {
        world.run_for(Millis(100));
        assert_eq!(world.doubly_held(), [], "at {}", world.now);
    }
    assert_eq!(world.member("quick").running.len(), 2);
}

#[test]
fn an_operators_decision_takes_the_lease_from_its_holder_who_adopts_anew() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(1));
    let reason = "unreplayable: its range aged out";
    world.order("a", &key(FIRST), Command::Halt(reason.to_owned()));
    let halted = world.table.leases()[&key(FIRST)].clone();
    assert_eq!(halted.own.halt.as_deref(), Some(reason));
    let token = world.member("a").running[&key(FIRST)];
    let write = LeaseWrite::resolve(&halted, Some(Resolution::RecordGap), Nonce(1));
    assert!(matches!(world.table.execute(&StoreRequest::UpdateLease(write)), StoreReply::Applied(_)));
    world.run_for(FAILOVER);
    assert!(world.member("a").running[&key(FIRST)] > token, "a new tenure has begun");
    let row = &world.table.leases()[&key(FIRST)];
    assert_eq!((&row.own.halt, row.own.resolution), (&None, Some(Resolution::RecordGap)));
}

/// The two writes may overtake each other on their way.
#[test]
fn a_worker_deletes_its_row_only_after_the_answer_to_its_last_beat() {
    let settings = CoordinatorSettings::new(FAILOVER, InitialPosition::TrimHorizon);
    let mut coordinator = Coordinator::new(settings, WorkerId::new("a").expect("valid"), 1, Millis(1));
    coordinator.handle_shutdown(Millis(2));
    let is_deletion = |request: &Request| matches!(request, Request::Store(StoreRequest::DeleteWorker(_)));
    let mut table = LeaseTable::new();
    let mut unanswered = Vec::new();
    while let Some((id, request)) = coordinator.poll_request(Millis(2)) {
        assert!(!is_deletion(&request), "the row is still being written");
        unanswered.push((id, request));
    }
    for (id, request) in unanswered {
        if let Request::Store(request) = request {
            coordinator.handle_reply(id, table.execute(&request), Millis(3));
        }
    }
    let next = std::iter::from_fn(|| coordinator.poll_request(Millis(3)));
    assert!(next.map(|(_, request)| request).any(|request| is_deletion(&request)));
}
