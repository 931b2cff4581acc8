use super::*;
use crate::id::ShardId;
use crate::position::Position;
use crate::row::LeaseTable;
use crate::sequence::SequenceNumber;

const FAILOVER: Millis = Millis(10_000);

/// Coordinators over one table; calls are answered at once unless a worker is cut off.
struct World {
    now: Millis,
    table: LeaseTable,
    shards: Vec<ListedShard>,
    workers: BTreeMap<String, Member>,
}

struct Member {
    coordinator: Coordinator,
    is_cut_off: bool,
    running: BTreeMap<LeaseKey, FencingToken>,
    completed: BTreeMap<CommandId, Outcome>,
    events: Vec<Event>,
    is_finished: bool,
    commands: u64,
    drains_at_once: bool,
}

impl World {
    fn new(shards: usize) -> Self {
        let shards = (0..shards).map(|index| listed(&format!("shardId-{index:012}"), &[])).collect();
        Self { now: Millis(1), table: LeaseTable::new(), shards, workers: BTreeMap::new() }
    }

    fn join(&mut self, name: &str) {
        let settings = CoordinatorSettings::new(FAILOVER, InitialPosition::TrimHorizon);
        let id = WorkerId::new(name).expect("valid");
        let seed = self.workers.len() as u64 + 1;
        let member = Member {
            coordinator: Coordinator::new(settings, id, seed, self.now),
            is_cut_off: false,
            running: BTreeMap::new(),
            completed: BTreeMap::new(),
            events: Vec::new(),
            is_finished: false,
            commands: 0,
            drains_at_once: true,
        };
        self.workers.insert(name.to_owned(), member);
        self.settle();
    }

    fn member(&mut self, name: &str) -> &mut Member {
        self.workers.get_mut(name).expect("joined")
    }

    /// Lets everybody exchange messages until all is quiet.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut is_quiet = true;
            for member in self.workers.values_mut().filter(|member| !member.is_cut_off) {
                is_quiet &= !member.step(&mut self.table, &self.shards, self.now);
            }
            if is_quiet {
                return;
            }
        }
        panic!("the workers never rest at {}", self.now);
    }

    fn run_for(&mut self, span: Millis) {
        let end = self.now + span;
        while self.now < end {
            let wakes = self.workers.values().filter(|member| !member.is_cut_off);
            let next = wakes.filter_map(|member| member.coordinator.poll_timeout()).min().unwrap_or(end);
            self.now = next.max(self.now + Millis(1)).min(end);
            for member in self.workers.values_mut() {
                member.coordinator.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    fn loads(&self) -> Vec<usize> {
        self.workers.values().map(|member| member.running.len()).collect()
    }

    fn order(&mut self, name: &str, key: &LeaseKey, command: Command) -> Outcome {
        let now = self.now;
        let member = self.member(name);
        let token = member.running[key];
        member.commands += 1;
        let id = CommandId(member.commands);
        member.coordinator.handle_command(id, key, token, command, now);
        self.settle();
        self.member(name).completed.remove(&id).expect("completed")
    }
}

impl Member {
    fn step(&mut self, table: &mut LeaseTable, shards: &[ListedShard], now: Millis) -> bool {
        let mut did_something = false;
        while let Some((id, request)) = self.coordinator.poll_request(now) {
            did_something = true;
            match request {
                Request::Store(request) => self.coordinator.handle_reply(id, table.execute(&request), now),
                Request::ListShards(_) => self.coordinator.handle_shards(id, Some(shards.to_vec()), now),
            }
        }
        while let Some(signal) = self.coordinator.poll_signal() {
            did_something = true;
            match signal {
                Signal::Start { lease, token, .. } => {
                    assert_eq!(self.running.insert(lease.key.clone(), token), None, "started twice");
                }
                Signal::Drain { key, .. } => {
                    if self.drains_at_once {
                        let token = self.running[&key];
                        self.coordinator.handle_command(
                            CommandId(u64::MAX),
                            &key,
                            token,
                            Command::Drained,
                            now,
                        );
                        self.running.remove(&key);
                    }
                }
                Signal::Stop { key } => {
                    self.running.remove(&key);
                }
                Signal::Completed { command, outcome } => {
                    self.completed.insert(command, outcome);
                }
                Signal::Extend { .. } => {}
                Signal::Finished => self.is_finished = true,
            }
        }
        while let Some(event) = self.coordinator.poll_event() {
            did_something = true;
            self.events.push(event);
        }
        did_something
    }

    fn saw(&self, is_meant: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(is_meant)
    }
}

fn listed(name: &str, parents: &[&str]) -> ListedShard {
    let id = |name: &str| ShardId::new(name).expect("valid");
    ListedShard {
        shard: id(name),
        parents: parents.iter().map(|parent| id(parent)).collect(),
        hash_range: crate::hash_key::HashKeyRange::FULL,
        starting_sequence: SequenceNumber::from_parts(0, 1),
        is_open: true,
    }
}

fn key(name: &str) -> LeaseKey {
    LeaseKey::new(name).expect("valid")
}

fn record(low: u128) -> Position {
    Position::record(SequenceNumber::from_parts(0, low))
}

const FIRST: &str = "shardId-000000000000";

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
        let now = world.now;
        let holders: Vec<_> = world
            .workers
            .values()
            .flat_map(|member| {
                member.coordinator.held_leases(now).map(|(lease, _)| lease.key.clone()).collect::<Vec<_>>()
            })
            .collect();
        let distinct: std::collections::BTreeSet<_> = holders.iter().collect();
        assert_eq!(holders.len(), distinct.len(), "two workers hold one lease at {now}");
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
        let request = StoreRequest::ReadTable;
        let StoreReply::Table(view) = world.table.execute(&request) else { panic!("a scan answers a table") };
        assert_eq!(view.workers.len(), 1);
    }
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
fn a_twin_with_the_same_id_takes_nothing_from_a_living_holder() {
    let mut world = World::new(1);
    world.join("a");
    world.run_for(Millis::from_secs(5));
    let settings = CoordinatorSettings::new(FAILOVER, InitialPosition::TrimHorizon);
    let twin = Coordinator::new(settings, WorkerId::new("a").expect("valid"), 99, world.now);
    let member = Member {
        coordinator: twin,
        is_cut_off: false,
        running: BTreeMap::new(),
        completed: BTreeMap::new(),
        events: Vec::new(),
        is_finished: false,
        commands: 0,
        drains_at_once: true,
    };
    world.workers.insert("twin".to_owned(), member);
    for _ in 0..60 {
        world.run_for(Millis::from_secs(1));
        assert_eq!(world.loads(), [1, 0]);
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
