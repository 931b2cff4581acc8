//! One holder and its commands.

use super::*;

#[test]
fn idle_leases_cost_no_more_than_a_renewal_per_two_thirds_of_failover() {
    let mut world = World::new(10);
    world.join("a");
    world.run_for(Millis::from_secs(1));
    let counter = |world: &World| world.table.leases()[&key(FIRST)].counter.0;
    let before = counter(&world);
    world.run_for(Millis::from_secs(100));
    assert!((14..=16).contains(&(counter(&world) - before)), "{} renewals", counter(&world) - before);
}

#[test]
fn a_checkpoint_is_written_and_takes_the_place_of_a_renewal() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(6));
    let outcome = world.order("a", &key(FIRST), Command::Checkpoint(record(5)));
    let Outcome::Done(row) = outcome else { panic!("{outcome:?}") };
    assert_eq!(row.checkpoint, record(5));
    let counter = row.counter;
    world.run_for(Millis::from_secs(6));
    assert_eq!(world.table.leases()[&key(FIRST)].counter, counter);
}

#[test]
fn children_start_when_their_parent_is_finished_and_are_held_by_its_holder() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(1));
    let child = |name: &str| ChildShard {
        shard: ShardId::new(name).expect("valid"),
        parents: [ShardId::new(FIRST).expect("valid")].into(),
        hash_range: crate::hash_key::HashKeyRange::FULL,
    };
    let finish = Command::Finish { children: vec![child("left"), child("right")], final_state: None };
    let outcome = world.order("a", &key(FIRST), finish);
    assert!(matches!(outcome, Outcome::Done(row) if row.is_finished() && row.children.len() == 2));
    world.run_for(Millis(1000));
    assert!(world.member("a").running.contains_key(&key("left")));
    assert!(world.member("a").running.contains_key(&key("right")));
}

#[test]
fn a_lost_reply_is_settled_and_the_command_takes_effect_once() {
    for was_applied in [true, false] {
        let mut world = World::new(1);
        world.join("a");
        world.run_for(Millis::from_secs(1));
        let now = world.now;
        let member = world.workers.get_mut("a").expect("joined");
        let token = member.running[&key(FIRST)];
        let before = world.table.leases()[&key(FIRST)].counter;
        member.coordinator.handle_command(
            CommandId(1),
            &key(FIRST),
            token,
            Command::Checkpoint(record(9)),
            now,
        );
        let (id, request) = member.coordinator.poll_request(now).expect("the checkpoint");
        let Request::Store(request) = request else { panic!("{request:?}") };
        if was_applied {
            world.table.execute(&request);
        }
        member.coordinator.handle_reply(id, StoreReply::Unknown, now);
        world.settle();
        if !was_applied {
            let late = world.table.execute(&request);
            assert!(matches!(late, StoreReply::Refused(_)), "a late write must be shut out");
        }
        let row = &world.table.leases()[&key(FIRST)];
        assert_eq!((row.checkpoint, row.counter), (record(9), before.next()));
        let member = world.member("a");
        assert!(matches!(member.completed.get(&CommandId(1)), Some(Outcome::Done(_))));
        assert_eq!(member.saw(|event| matches!(event, Event::AmbiguousWriteApplied { .. })), was_applied);
    }
}

#[test]
fn a_consumer_that_does_not_drain_is_stopped_in_time() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(1));
    world.member("a").drains_at_once = false;
    let now = world.now;
    world.member("a").coordinator.handle_shutdown(now);
    world.settle();
    world.run_for(Millis::from_secs(19));
    assert!(!world.member("a").is_finished);
    world.run_for(Millis::from_secs(2));
    assert!(world.member("a").is_finished);
    assert_eq!(world.table.leases()[&key(FIRST)].owner, None);
}

#[test]
fn a_needless_timeout_changes_nothing() {
    let mut world = World::new(3);
    world.join("a");
    world.run_for(Millis::from_secs(7));
    let now = world.now;
    let coordinator = &mut world.member("a").coordinator;
    assert!(coordinator.poll_timeout() > Some(now));
    let before = coordinator.clone();
    coordinator.handle_timeout(now);
    assert_eq!(*coordinator, before);
}

#[test]
fn commands_under_an_old_token_are_lost() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(1));
    let now = world.now;
    let member = world.member("a");
    let mut token = member.running[&key(FIRST)];
    token.counter = LeaseCounter(0);
    member.coordinator.handle_command(CommandId(1), &key(FIRST), token, Command::Checkpoint(record(1)), now);
    world.settle();
    assert_eq!(world.member("a").completed[&CommandId(1)], Outcome::Lost);
}
