//! A fleet of 500 workers on 10,000 leases in simulated time: one real coordinator that leads, its table, and others that
//! do at once what their rows say.
//!
//! ```text
//! Coordinator ── requests ──▶ LeaseTable ◀── beats, renewals, hand-offs of the others, each simulated second
//!      ▲────────── replies ───────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kcl_core::{
    Command, CommandId, Coordinator, CoordinatorSettings, FencingToken, Generation, HashKeyRange,
    InitialPosition, Lease, LeaseChange, LeaseKey, LeaseTable, LeaseWrite, ListedShard, Millis, Nonce,
    Position, Request, RequestId, SequenceNumber, ShardId, Signal, StoreReply, StoreRequest, WorkerId,
    WorkerRow,
};

/// What one simulated run showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    /// The slowest answer of the leader to a scan: observing it, planning, and handing out what it wants to write.
    pub(crate) slowest_scan: Duration,
    /// Moves while nothing happened.
    pub(crate) steady_moves: usize,
    /// Moves after a worker joined.
    pub(crate) join: Moves,
    /// Moves after a worker died.
    pub(crate) death: Moves,
}

/// Moves made, and how few would have done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moves {
    pub(crate) made: usize,
    pub(crate) fewest: usize,
}

impl Moves {
    /// Moves made per move needed.
    pub(crate) fn ratio(self) -> f64 {
        self.made as f64 / self.fewest as f64
    }
}

/// Ten quiet minutes, a join, a death.
pub(crate) fn planned(seed: u64) -> Planned {
    let mut fleet = SimulatedFleet::new(seed);
    fleet.run_for(WARM_UP);
    fleet.moves = 0;
    fleet.run_for(STEADY);
    let steady_moves = std::mem::take(&mut fleet.moves);

    fleet.join("joining");
    fleet.run_for(REACTION);
    let join = Moves { made: std::mem::take(&mut fleet.moves), fewest: LEASES / (WORKERS + 1) };

    let orphaned = fleet.kill_one();
    fleet.run_for(REACTION);
    let death = Moves { made: fleet.moves, fewest: orphaned };
    fleet.assert_even();
    Planned { slowest_scan: fleet.slowest_scan, steady_moves, join, death }
}

struct SimulatedFleet {
    now: Millis,
    table: LeaseTable,
    listing: Vec<ListedShard>,
    leader: Coordinator,
    leading: BTreeMap<LeaseKey, FencingToken>,
    others: BTreeSet<WorkerId>,
    nonces: u128,
    moves: usize,
    slowest_scan: Duration,
}

impl SimulatedFleet {
    fn new(seed: u64) -> Self {
        let settings = CoordinatorSettings::new(Millis::from_secs(10), InitialPosition::TrimHorizon);
        let me = worker("worker-000");
        let mut fleet = Self {
            now: Millis(1),
            table: LeaseTable::new(),
            listing: (0..LEASES).map(listed).collect(),
            leader: Coordinator::new(settings, me.clone(), seed, Millis(1)),
            leading: BTreeMap::new(),
            others: (1..WORKERS).map(|index| worker(&format!("worker-{index:03}"))).collect(),
            nonces: 0,
            moves: 0,
            slowest_scan: Duration::ZERO,
        };
        let owners: Vec<WorkerId> = std::iter::once(me).chain(fleet.others.iter().cloned()).collect();
        for (shard, owner) in fleet.listing.iter().zip(owners.iter().cycle()) {
            let mut lease = Lease::new(LeaseKey::from(&shard.shard), Position::TrimHorizon, Generation(1));
            lease.owner = Some(owner.clone());
            lease.hash_range = Some(shard.hash_range);
            fleet.table.execute(&StoreRequest::CreateLease(Box::new(lease)));
        }
        fleet
    }

    fn run_for(&mut self, span: Millis) {
        let end = self.now + span;
        while self.now < end {
            self.others_live();
            let tick = self.now + Millis::from_secs(1);
            while self.now < tick {
                self.leader.handle_timeout(self.now);
                self.settle();
                let wake_at = self.leader.poll_timeout().unwrap_or(tick);
                self.now = wake_at.max(self.now + Millis(1)).min(tick);
            }
        }
    }

    /// A worker that the table has not seen yet.
    fn join(&mut self, name: &str) {
        self.others.insert(worker(name));
        self.others_live();
        self.table.execute(&StoreRequest::BumpRoster);
    }

    /// Kills a worker other than the leader; how many leases it had.
    fn kill_one(&mut self) -> usize {
        let dead = self.others.pop_first().expect("there are others");
        self.owned(&dead)
    }

    fn assert_even(&self) {
        let loads: Vec<usize> = self.others.iter().map(|other| self.owned(other)).collect();
        let (least, most) = (loads.iter().min(), loads.iter().max());
        let spread = most.zip(least).map(|(most, least)| most - least);
        assert!(spread <= Some(1), "loads are {least:?} to {most:?}");
    }

    fn owned(&self, worker: &WorkerId) -> usize {
        self.table.leases().values().filter(|lease| lease.owner.as_ref() == Some(worker)).count()
    }

    /// One second in the life of the others: beats, and a share of the renewals.
    fn others_live(&mut self) {
        let second = self.now.0 / 1000;
        if second.is_multiple_of(BEAT_SECONDS) {
            for other in &self.others {
                let row =
                    WorkerRow { worker: other.clone(), beat: second + 1, draining: false, age: Millis(0) };
                self.table.execute(&StoreRequest::PutWorker(row));
            }
        }
        let due: Vec<Lease> = self
            .table
            .leases()
            .values()
            .enumerate()
            .filter(|(index, _)| *index as u64 % RENEWAL_SECONDS == second % RENEWAL_SECONDS)
            .filter(|(_, lease)| lease.owner.as_ref().is_some_and(|owner| self.others.contains(owner)))
            .map(|(_, lease)| lease.clone())
            .collect();
        for lease in due {
            let owner = lease.owner.clone().expect("filtered by owner");
            let nonce = self.nonce();
            self.update(LeaseWrite::renew(&lease, &owner, nonce));
        }
    }

    /// Lets the leader exchange messages with the table until it rests.
    fn settle(&mut self) {
        while let Some((id, request)) = self.leader.poll_request(self.now) {
            self.answer(id, request);
            while let Some(signal) = self.leader.poll_signal() {
                self.obey(signal);
            }
            while self.leader.poll_event().is_some() {}
        }
    }

    fn answer(&mut self, id: RequestId, request: Request) {
        let request = match request {
            Request::Store(request) => request,
            Request::ListShards(_) => {
                self.leader.handle_shards(id, Some(self.listing.clone()), self.now);
                return;
            }
        };
        let reply = self.table.execute(&request);
        if matches!(reply, StoreReply::Table(_)) {
            let began = Instant::now();
            self.leader.handle_reply(id, reply, self.now);
            self.slowest_scan = self.slowest_scan.max(began.elapsed());
            return;
        }
        if let (StoreRequest::UpdateLease(write), StoreReply::Applied(row)) = (&request, &reply) {
            self.others_obey(write, row);
        }
        self.leader.handle_reply(id, reply, self.now);
    }

    fn obey(&mut self, signal: Signal) {
        match signal {
            Signal::Start { lease, token, .. } => {
                self.leading.insert(lease.key, token);
            }
            Signal::Drain { key, .. } => {
                let token = self.leading.remove(&key).expect("a lease that drains was started");
                self.leader.handle_command(CommandId(0), &key, token, Command::Drained, self.now);
            }
            Signal::Extend { .. } | Signal::Stop { .. } | Signal::Completed { .. } | Signal::Finished => {}
        }
    }

    /// Counts a write that moves a lease, and lets the workers concerned act on it.
    fn others_obey(&mut self, write: &LeaseWrite, row: &Lease) {
        let moves = write.changes.iter().any(|change| matches!(change, LeaseChange::Owner(Some(_))));
        if !moves {
            return;
        }
        self.moves += 1;
        let from = row.checkpoint_owner.clone();
        if let Some(from) = from.filter(|from| self.others.contains(from)) {
            let nonce = self.nonce();
            self.update(LeaseWrite::complete_hand_off(row, &from, nonce));
        }
    }

    fn update(&mut self, write: LeaseWrite) {
        let reply = self.table.execute(&StoreRequest::UpdateLease(write));
        assert!(matches!(reply, StoreReply::Applied(_)), "{reply:?}");
    }

    fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        Nonce(self.nonces)
    }
}

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).expect("a name is a valid id")
}

fn listed(index: usize) -> ListedShard {
    ListedShard {
        shard: ShardId::new(format!("shardId-{index:012}")).expect("a name is a valid id"),
        parents: BTreeSet::new(),
        hash_range: HashKeyRange::FULL,
        starting_sequence: SequenceNumber::from_parts(0, 1),
        is_open: true,
    }
}

const LEASES: usize = 10_000;
const WORKERS: usize = 500;
/// Long enough for the leader to be elected, to know everybody, and to hold its own leases.
const WARM_UP: Millis = Millis::from_secs(60);
const STEADY: Millis = Millis::from_secs(600);
/// Long enough to notice a join or a death, and to act on it.
const REACTION: Millis = Millis::from_secs(60);
/// A third of the failover time, in whole seconds.
const BEAT_SECONDS: u64 = 3;
/// Two thirds of the failover time, in whole seconds.
const RENEWAL_SECONDS: u64 = 6;
