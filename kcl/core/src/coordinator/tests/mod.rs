//! A small fleet without faults, or with one fault at a chosen place: what each rule gives in seconds and rows.

mod fleet;
mod holding;

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
    /// Replies that it gets in place of the table's.
    answers: fn(&StoreRequest) -> Option<StoreReply>,
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
        self.join_with(name, name, FAILOVER);
    }

    /// A process known here as `name` joins as `worker`.
    fn join_with(&mut self, name: &str, worker: &str, failover: Millis) {
        self.join_as(name, worker, CoordinatorSettings::new(failover, InitialPosition::TrimHorizon));
    }

    fn join_as(&mut self, name: &str, worker: &str, settings: CoordinatorSettings) {
        let id = WorkerId::new(worker).expect("valid");
        let seed = self.workers.len() as u64 + 1;
        let member = Member {
            coordinator: Coordinator::new(settings, id, seed, self.now),
            is_cut_off: false,
            answers: |_| None,
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

    /// Leases that two live processes believe to hold at this moment.
    fn doubly_held(&self) -> Vec<LeaseKey> {
        let held = |member: &Member| -> Vec<LeaseKey> {
            member.coordinator.held_leases(self.now).map(|(lease, _)| lease.key.clone()).collect()
        };
        let mut all: Vec<LeaseKey> = self.workers.values().flat_map(held).collect();
        all.sort();
        all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect()
    }

    fn table_view(&mut self) -> crate::row::TableView {
        let StoreReply::Table(view) = self.table.execute(&StoreRequest::ReadTable) else {
            panic!("a scan answers a table")
        };
        view
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
                Request::Store(request) => {
                    let reply = (self.answers)(&request).unwrap_or_else(|| table.execute(&request));
                    self.coordinator.handle_reply(id, reply, now);
                }
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
