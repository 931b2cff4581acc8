//! What a lease store must do: the same as the reference table, request by request, and one winner per race.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use kcl_core::{
    BatchOrdinal, Generation, HashKey, HashKeyRange, LeaderLock, Lease, LeaseKey, LeaseTable, LeaseWrite,
    LockCondition, Millis, Nonce, PendingCheckpoint, Position, RecordPosition, SequenceNumber, ShardId,
    StoreReply, StoreRequest, WorkerId, WorkerRow,
};

use crate::backoff::derive_seed;
use crate::port::LeaseStore;

/// Checks an opened store whose table holds no lease, worker or lock.
///
/// # Panics
/// At the first difference to the reference table, with the request, both replies and, in a random history, its seed.
pub async fn lease_store(store: &dyn LeaseStore) {
    let mut pair = Pair { store, reference: LeaseTable::new(), context: String::new() };
    pair.align_roster().await;
    life_of_a_lease(&mut pair).await;
    absent_rows(&mut pair).await;
    lock(&mut pair).await;
    presence(&mut pair).await;
    for seed in 0..HISTORIES {
        random_history(&mut pair, seed).await;
    }
    races(store).await;
}

/// The store and the reference, side by side.
struct Pair<'a> {
    store: &'a dyn LeaseStore,
    reference: LeaseTable,
    context: String,
}

impl Pair<'_> {
    /// Carries out `request` on both and demands the same reply.
    async fn execute(&mut self, request: StoreRequest) -> StoreReply {
        let expected = normalized(self.reference.execute(&request));
        let may_be_stale = matches!(request, StoreRequest::ReadTable | StoreRequest::ReadOwned(_));
        let mut reply = StoreReply::Unknown;
        for _ in 0..STALE_READS_MAX {
            reply = normalized(self.store.execute(request.clone()).await);
            if reply == expected || reply == StoreReply::Owned(None) || !may_be_stale {
                break;
            }
            tokio::time::sleep(STALE_READ_PAUSE).await;
        }
        if reply != StoreReply::Owned(None) {
            assert_eq!(reply, expected, "{}reply (left) to {request:#?}", self.context);
        }
        expected
    }

    async fn write(&mut self, write: LeaseWrite) -> Option<Lease> {
        let reply = self.execute(StoreRequest::UpdateLease(write)).await;
        if let StoreReply::Applied(lease) = reply {
            return Some(lease);
        }
        assert!(
            matches!(reply, StoreReply::Refused(_)),
            "{}an update was answered by {reply:?}",
            self.context
        );
        None
    }

    async fn must(&mut self, write: LeaseWrite) -> Lease {
        let text = format!("{write:?}");
        self.write(write).await.unwrap_or_else(|| panic!("{}must be applied: {text}", self.context))
    }

    async fn must_not(&mut self, write: LeaseWrite) {
        let text = format!("{write:?}");
        assert_eq!(self.write(write).await, None, "{}must be refused: {text}", self.context);
    }

    async fn read_all(&mut self) {
        self.execute(StoreRequest::ReadTable).await;
        for name in WORKERS {
            self.execute(StoreRequest::ReadOwned(worker(name))).await;
        }
    }

    /// Opening may have created the roster.
    async fn align_roster(&mut self) {
        let StoreReply::Roster(count) = self.store.execute(StoreRequest::ReadRoster).await else {
            panic!("the roster cannot be read");
        };
        for _ in 0..count {
            self.reference.execute(&StoreRequest::BumpRoster);
        }
    }
}

async fn life_of_a_lease(pair: &mut Pair<'_>) {
    "life of a lease: ".clone_into(&mut pair.context);
    let (a, b) = (worker("a"), worker("b"));
    let lease = full_lease("shardId-life", Generation(5));
    pair.execute(StoreRequest::CreateLease(Box::new(lease.clone()))).await;
    pair.execute(StoreRequest::CreateLease(Box::new(full_lease("shardId-life", Generation(6))))).await;
    pair.execute(StoreRequest::ReadLease(lease.key.clone())).await;

    let assigned = pair.must(LeaseWrite::assign(&lease, &a, Nonce(1))).await;
    pair.must_not(LeaseWrite::assign(&lease, &b, Nonce(2))).await;
    let adopt = |lease: &Lease, me: &WorkerId, nonce| {
        LeaseWrite::adopt(lease, me, Nonce(7), Millis(10_000), Generation(9), Nonce(nonce))
    };
    pair.must_not(adopt(&assigned, &b, 3)).await;
    let held = pair.must(adopt(&assigned, &a, 4)).await;
    let renewed = pair.must(LeaseWrite::renew(&held, &a, Nonce(5))).await;
    pair.must_not(LeaseWrite::renew(&held, &a, Nonce(6))).await;
    pair.must_not(LeaseWrite::renew(&renewed, &b, Nonce(7))).await;
    let moved = pair.must(LeaseWrite::checkpoint(&renewed, &a, at(10, 3), Nonce(8))).await;

    let prepared = pair.must(LeaseWrite::prepare(&moved, &a, BatchOrdinal(0), intent(11), Nonce(9))).await;
    pair.must_not(LeaseWrite::prepare(&prepared, &a, BatchOrdinal(0), intent(12), Nonce(10))).await;
    pair.must_not(LeaseWrite::checkpoint(&prepared, &a, at(12, 0), Nonce(11))).await;
    pair.must_not(LeaseWrite::hand_off(&prepared, &a, &b)).await;
    pair.must_not(LeaseWrite::commit(&prepared, &a, BatchOrdinal(1), at(11, 0), None, Nonce(12))).await;
    pair.must_not(LeaseWrite::commit(&prepared, &a, BatchOrdinal(0), at(12, 0), None, Nonce(13))).await;
    let state = Some("state/1".to_owned());
    let committed =
        pair.must(LeaseWrite::commit(&prepared, &a, BatchOrdinal(0), at(11, 0), state, Nonce(14))).await;
    pair.must_not(LeaseWrite::commit(&prepared, &a, BatchOrdinal(0), at(11, 0), None, Nonce(15))).await;

    let leaving = pair.must(LeaseWrite::hand_off(&committed, &a, &b)).await;
    pair.must_not(adopt(&leaving, &b, 16)).await;
    pair.must_not(LeaseWrite::release(&leaving, &a, Nonce(17))).await;
    let last = pair.must(LeaseWrite::checkpoint(&leaving, &a, at(13, 0), Nonce(18))).await;
    let handed = pair.must(LeaseWrite::complete_hand_off(&last, &a, Nonce(19))).await;
    pair.must_not(LeaseWrite::renew(&handed, &a, Nonce(20))).await;
    let held = pair.must(adopt(&handed, &b, 21)).await;
    let released = pair.must(LeaseWrite::release(&held, &b, Nonce(22))).await;
    let held = pair.must(LeaseWrite::assign(&released, &a, Nonce(23))).await;
    let held = pair.must(adopt(&held, &a, 24)).await;
    let children = [shard("shardId-c1"), shard("shardId-c2")].into();
    let done = pair.must(LeaseWrite::finish(&held, &a, children, Some("final/1".into()), Nonce(25))).await;
    assert!(done.is_finished() && done.owner.is_none());
    pair.read_all().await;
}

async fn absent_rows(pair: &mut Pair<'_>) {
    "absent rows: ".clone_into(&mut pair.context);
    let absent = Lease::new(key("shardId-absent"), Position::TrimHorizon, Generation(1));
    pair.execute(StoreRequest::ReadLease(absent.key.clone())).await;
    pair.must_not(LeaseWrite::assign(&absent, &worker("a"), Nonce(1))).await;
    pair.execute(StoreRequest::ReadLease(absent.key)).await;
}

async fn lock(pair: &mut Pair<'_>) {
    "leader lock: ".clone_into(&mut pair.context);
    let lock = |owner: &str, version: u128| LeaderLock {
        owner: worker(owner),
        version: Nonce(version).into(),
        lease_duration: Millis(10_000),
        is_released: false,
    };
    let write = |condition, lock| StoreRequest::WriteLock { condition, lock };
    let by =
        |owner: &str, version: u128| LockCondition::VersionAndOwner(Nonce(version).into(), worker(owner));
    pair.execute(StoreRequest::ReadLock).await;
    pair.execute(StoreRequest::DeleteLock(by("a", 1))).await;
    pair.execute(write(by("a", 1), lock("a", 2))).await;
    pair.execute(write(LockCondition::Absent, lock("a", 1))).await;
    pair.execute(write(LockCondition::Absent, lock("b", 2))).await;
    pair.execute(write(LockCondition::Released, lock("b", 2))).await;
    pair.execute(write(by("b", 1), lock("b", 2))).await;
    pair.execute(write(by("a", 1), lock("a", 3))).await;
    pair.execute(StoreRequest::ReadLock).await;
    pair.execute(write(LockCondition::Version(Nonce(1).into()), lock("b", 4))).await;
    pair.execute(write(LockCondition::Version(Nonce(3).into()), lock("b", 4))).await;
    pair.execute(write(by("b", 4), LeaderLock { is_released: true, ..lock("b", 5) })).await;
    pair.execute(write(LockCondition::Released, lock("a", 6))).await;
    pair.execute(StoreRequest::DeleteLock(by("b", 6))).await;
    pair.execute(StoreRequest::DeleteLock(by("a", 6))).await;
    pair.execute(StoreRequest::ReadLock).await;
}

async fn presence(pair: &mut Pair<'_>) {
    "presence: ".clone_into(&mut pair.context);
    for (name, beat, draining) in [("a", 1, false), ("b", 1, false), ("a", 2, true)] {
        let row = WorkerRow { worker: worker(name), beat, draining, age: Millis(0) };
        pair.execute(StoreRequest::PutWorker(row)).await;
    }
    pair.execute(StoreRequest::ReadRoster).await;
    pair.execute(StoreRequest::BumpRoster).await;
    pair.execute(StoreRequest::BumpRoster).await;
    pair.execute(StoreRequest::ReadRoster).await;
    pair.read_all().await;
    pair.execute(StoreRequest::DeleteWorker(worker("a"))).await;
    pair.execute(StoreRequest::DeleteWorker(worker("a"))).await;
    pair.execute(StoreRequest::DeleteWorker(worker("b"))).await;
    pair.read_all().await;
}

/// Writes built from rows as they are and as they were, so that about half of them are refused.
async fn random_history(pair: &mut Pair<'_>, seed: u64) {
    pair.context = format!("random history of seed {seed}: ");
    let mut draws = Draws { seed, drawn: 0 };
    let mut seen: Vec<Lease> = Vec::new();
    for name in ["shardId-r1", "shardId-r2"] {
        let lease = full_lease(&format!("{name}-{seed}"), Generation(draws.below(3)));
        pair.execute(StoreRequest::CreateLease(Box::new(lease.clone()))).await;
        seen.push(lease);
    }
    for step in 0..STEPS {
        let recent = seen.len().saturating_sub(4);
        let from = if draws.below(4) == 0 { 0 } else { recent };
        let row = seen[from + draws.below((seen.len() - from) as u64) as usize].clone();
        let (me, other) = (draws.worker(), draws.worker());
        let nonce = Nonce(u128::from(seed) << 32 | u128::from(step));
        let position = at(u128::from(draws.below(50)), draws.below(3));
        let ordinal = BatchOrdinal(draws.below(3));
        let write = match draws.below(10) {
            0 => LeaseWrite::assign(&row, &me, nonce),
            1 | 2 => LeaseWrite::adopt(&row, &me, Nonce(1), Millis(9_000), Generation(draws.below(5)), nonce),
            3 => LeaseWrite::renew(&row, &me, nonce),
            4 => LeaseWrite::checkpoint(&row, &me, position, nonce),
            5 => LeaseWrite::prepare(&row, &me, ordinal, intent(draws.below(50).into()), nonce),
            6 => {
                let position = row.pending.as_ref().map_or(position, |pending| pending.position);
                LeaseWrite::commit(&row, &me, ordinal, position, Some("state".to_owned()), nonce)
            }
            7 => LeaseWrite::hand_off(&row, &me, &other),
            8 => LeaseWrite::complete_hand_off(&row, &me, nonce),
            _ => LeaseWrite::release(&row, &me, nonce),
        };
        seen.extend(pair.write(write).await);
    }
    pair.read_all().await;
}

/// Of many writes at one counter, exactly one is applied, and the row is the winner's.
async fn races(store: &dyn LeaseStore) {
    let lease = full_lease("shardId-race", Generation(1));
    let create = || store.execute(StoreRequest::CreateLease(Box::new(lease.clone())));
    let created = join_all((0..RACERS).map(|_| create())).await;
    let winners = created.iter().filter(|reply| matches!(reply, StoreReply::Applied(_))).count();
    assert_eq!(winners, 1, "race of creates: {created:#?}");

    let mut row = lease;
    for round in 0..RACES {
        let assign = |racer: u128| {
            let write =
                LeaseWrite::assign(&row, &worker(&format!("racer-{racer}")), Nonce(round << 32 | racer));
            store.execute(StoreRequest::UpdateLease(write))
        };
        let replies = join_all((0..RACERS).map(assign)).await;
        let is_answer =
            |reply: &StoreReply| matches!(reply, StoreReply::Applied(_) | StoreReply::Refused(Some(_)));
        assert!(replies.iter().all(is_answer), "race {round}: {replies:#?}");
        let mut applied = replies.iter().filter_map(|reply| {
            if let StoreReply::Applied(lease) = reply { Some(lease.clone()) } else { None }
        });
        let winner = applied.next().unwrap_or_else(|| panic!("race {round} had no winner: {replies:#?}"));
        assert_eq!(applied.next(), None, "race {round} had two winners");
        let read = store.execute(StoreRequest::ReadLease(row.key.clone())).await;
        assert_eq!(read, StoreReply::Lease(Some(winner.clone())), "race {round}: the row read (left)");
        row = winner;
    }
}

/// A stream of numbers that depend on nothing but the seed.
struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        derive_seed(self.seed, self.drawn) % bound
    }

    fn worker(&mut self) -> WorkerId {
        worker(WORKERS[self.below(2) as usize])
    }
}

/// Order and age of items read do not matter.
fn normalized(reply: StoreReply) -> StoreReply {
    match reply {
        StoreReply::Table(mut view) => {
            view.leases.sort();
            for row in &mut view.workers {
                row.age = Millis(0);
            }
            view.workers.sort();
            StoreReply::Table(view)
        }
        StoreReply::Owned(Some(mut keys)) => {
            keys.sort();
            StoreReply::Owned(Some(keys))
        }
        other @ (StoreReply::Applied(_)
        | StoreReply::Refused(_)
        | StoreReply::Lease(_)
        | StoreReply::Owned(None)
        | StoreReply::Done
        | StoreReply::Lock(_)
        | StoreReply::LockWritten
        | StoreReply::LockRefused(_)
        | StoreReply::Roster(_)
        | StoreReply::Throttled
        | StoreReply::Unknown) => other,
    }
}

/// A new row with every attribute that a new row can have.
fn full_lease(name: &str, generation: Generation) -> Lease {
    let mut lease = Lease::new(key(name), Position::Latest, generation);
    lease.parents = BTreeSet::from([shard("shardId-p1"), shard("shardId-p2")]);
    lease.hash_range = HashKeyRange::new(HashKey(1), HashKey(u128::MAX)).ok();
    lease.own.start_epoch_millis = Some(1_700_000_000_123);
    lease
}

fn intent(sequence: u128) -> PendingCheckpoint {
    PendingCheckpoint { position: at(sequence, 0), state: vec![0, 159, 255, 10].into() }
}

fn at(sequence: u128, sub_sequence: u64) -> Position {
    Position::At(RecordPosition { sequence: SequenceNumber::from_parts(1, sequence), sub_sequence })
}

fn key(name: &str) -> LeaseKey {
    LeaseKey::new(name).expect("a short name")
}

fn shard(name: &str) -> ShardId {
    ShardId::new(name).expect("a short name")
}

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).expect("a short name")
}

const WORKERS: [&str; 2] = ["a", "b"];
const HISTORIES: u64 = 6;
const STEPS: u64 = 60;
const RACES: u128 = 10;
const RACERS: u128 = 8;
/// Index and scans may lag: five seconds in all.
const STALE_READS_MAX: usize = 50;
const STALE_READ_PAUSE: Duration = Duration::from_millis(100);
