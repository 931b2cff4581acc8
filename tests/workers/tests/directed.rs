//! Single situations on paused time, each with its bound; the figures are virtual seconds.

use std::sync::Arc;
use std::time::Duration;

use kcl::{InitialPosition, WorkerSettings};
use kcl_core::{LeaseChange, LeaseKey, LeaseWrite, Millis, StoreReply, StoreRequest, WorkerId};
use leasehold_worker_sim::{Fleet, Lab, Menu, Situation, Style, on_paused_time};
use tokio::time::{advance, sleep};

const FAILOVER: Duration = Duration::from_secs(10);

/// A fleet without faults.
struct Bed {
    lab: Arc<Lab>,
    fleet: Fleet,
    settings: WorkerSettings,
    put: u64,
}

impl Bed {
    async fn new(shards: u32, menu: Menu) -> Self {
        let lab = Lab::new(shards, menu, None);
        lab.look_at_stream().await;
        let mut settings = WorkerSettings::starting_at(InitialPosition::TrimHorizon);
        settings.failover = FAILOVER;
        Self { fleet: Fleet::new(Arc::clone(&lab), 7, Style::Durable), lab, settings, put: 0 }
    }

    fn join(&mut self) -> usize {
        self.fleet.start(self.settings.clone(), 0)
    }

    /// One record of each of so many partition keys.
    fn put(&mut self, keys: u64) {
        for key in 0..keys {
            self.lab.put(key, self.put..self.put + 1);
        }
        self.put += 1;
    }

    fn loads(&self) -> Vec<usize> {
        self.fleet.members().iter().map(|member| member.beliefs().len()).collect()
    }

    /// Waits until `is_so`, and says how long it took.
    #[track_caller]
    fn until<'a>(
        &'a mut self,
        what: &'a str,
        is_so: impl Fn(&mut Self) -> bool + 'a,
    ) -> impl Future<Output = Millis> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let began = self.lab.now();
            loop {
                self.fleet.check_beliefs();
                if let Some(violation) = self.lab.oracle().violation() {
                    panic!("{caller}: {violation}");
                }
                if is_so(self) {
                    let took = self.lab.now().since(began);
                    println!("{what}: {took}");
                    return took;
                }
                let waited = self.lab.now().since(began);
                assert!(
                    waited < Millis(120_000),
                    "{caller}: after {waited} still not: {what}; {:?}",
                    self.loads()
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn all_taken(&mut self) -> Millis {
        self.until("every record is taken", |bed| bed.lab.oracle().untaken() == 0).await
    }

    fn count(&self, situation: Situation) -> u64 {
        self.lab.oracle().counters.of(situation)
    }

    fn row(&self, index: usize) -> kcl_core::Lease {
        self.lab.rows().leases[index].clone()
    }
}

#[test]
fn a_second_worker_has_half_of_forty_shards_within_five_seconds() {
    on_paused_time(async {
        let mut bed = Bed::new(40, Menu::none()).await;
        bed.join();
        bed.until("the first has all", |bed| bed.loads() == [40]).await;
        bed.put(200);
        bed.all_taken().await;
        sleep(Duration::from_secs(30)).await;
        bed.join();
        let took = bed.until("20 and 20", |bed| bed.loads() == [20, 20]).await;
        assert!(took <= Millis(5_000), "it took {took}");
        assert_eq!(bed.count(Situation::HandedOff), 20, "the fewest moves");
        assert_eq!(bed.count(Situation::TakenOver), 0);
        bed.put(200);
        bed.all_taken().await;
        assert_eq!(bed.count(Situation::DeliveredAgain), 0);
    });
}

#[test]
fn a_worker_that_leaves_is_replaced_within_a_second_and_leaves_no_trace() {
    on_paused_time(async {
        let mut bed = Bed::new(8, Menu::none()).await;
        bed.join();
        bed.until("the first leads", |bed| bed.fleet.leader() == Some(0)).await;
        bed.join();
        bed.until("4 and 4", |bed| bed.loads() == [4, 4]).await;
        sleep(Duration::from_secs(20)).await;
        bed.put(64);
        bed.all_taken().await;
        let leaver = bed.fleet.members()[0].process.worker();
        bed.fleet.ask_to_leave(0);
        bed.put(64);
        let took = bed.all_taken().await;
        assert!(took <= Millis(1_000), "it took {took}");
        assert_eq!(bed.count(Situation::DeliveredAgain), 0, "nothing comes twice after an orderly stop");
        bed.until("the other has all", |bed| bed.loads().contains(&8)).await;
        sleep(Duration::from_secs(1)).await;
        bed.fleet.sweep().await;
        assert_eq!(bed.count(Situation::Left), 1);
        let rows = bed.lab.rows();
        assert!(rows.workers.iter().all(|row| row.worker != leaver), "{:?}", rows.workers);
        let lock = bed.lab.table().tamper(|table| table.execute(&StoreRequest::ReadLock));
        let StoreReply::Lock(lock) = lock else { panic!("{lock:?}") };
        assert!(lock.is_none_or(|lock| lock.owner != leaver), "the lock is released");
    });
}

/// `PROTOCOL.md` §1.8: the lock's version moves, but nobody is given what is orphaned.
#[test]
fn workers_help_themselves_when_the_leader_lives_and_is_stuck() {
    on_paused_time(async {
        let mut bed = Bed::new(6, Menu::none()).await;
        bed.join();
        bed.until("the first leads", |bed| bed.fleet.leader() == Some(0)).await;
        bed.join();
        bed.join();
        bed.until("2 each", |bed| bed.loads() == [2, 2, 2]).await;
        bed.lab.blind(&bed.fleet.members()[0].process);
        bed.fleet.crash(2).await;
        bed.put(60);
        let took = bed.until("the dead worker's leases are taken", |bed| bed.loads() == [2, 4]).await;
        assert_eq!(bed.fleet.leader(), Some(0), "the leader still leads");
        let bound = Millis::from(FAILOVER) * 2 + Millis(6_000);
        assert!(took <= bound, "it took {took}");
        bed.all_taken().await;
        assert_eq!(bed.count(Situation::TakenOver), 2);
    });
}

/// `PROTOCOL.md` §1.9: a foreign leader forces a hand-off while the holder delivers.
#[test]
fn a_holder_robbed_by_a_foreign_leader_stops_within_a_renewal_interval_and_writes_nothing() {
    on_paused_time(async {
        let mut bed = Bed::new(1, Menu::none()).await;
        bed.join();
        bed.until("it holds the shard", |bed| bed.loads() == [1]).await;
        let renewals = bed.row(0).counter;
        bed.until("a renewal", |bed| bed.row(0).counter > renewals).await;
        let java = WorkerId::new("java").expect("valid");
        let force = |bed: &Bed| {
            let row = bed.row(0);
            let changes = vec![
                LeaseChange::RaiseCounter,
                LeaseChange::Owner(Some(java.clone())),
                LeaseChange::CheckpointOwner(None),
            ];
            let write = LeaseWrite { key: row.key, conditions: Vec::new(), changes };
            bed.lab.table().tamper(|table| table.execute(&StoreRequest::UpdateLease(write)))
        };
        let StoreReply::Applied(forced) = force(&bed) else { panic!("the write has no condition") };
        let took = bed.until("the holder has stopped", |bed| bed.loads() == [0]).await;
        let renewal_interval = Millis(Millis::from(FAILOVER).0 * 2 / 3);
        assert!(took <= renewal_interval + Millis(100), "it took {took}");
        assert_eq!(bed.row(0).counter, forced.counter, "no write of the robbed holder is accepted");
    });
}

#[test]
fn a_stuck_processor_is_cut_off_before_its_hand_off_would_be_forced() {
    on_paused_time(async {
        let mut bed = Bed::new(4, Menu::none().with(Situation::ProcessStuck, 1000)).await;
        bed.join();
        bed.until("the first has all", |bed| bed.loads() == [4]).await;
        bed.put(64);
        sleep(Duration::from_secs(25)).await;
        bed.join();
        let took = bed.until("2 and 2", |bed| bed.loads() == [2, 2]).await;
        assert!(took <= Millis(32_000), "it took {took}");
        assert_eq!((bed.count(Situation::HandedOff), bed.count(Situation::TakenOver)), (2, 0));
    });
}

#[test]
fn a_fleet_suspended_for_an_hour_drops_its_leases_and_is_whole_again_within_a_failover_time() {
    on_paused_time(async {
        let mut bed = Bed::new(4, Menu::none()).await;
        bed.join();
        bed.join();
        bed.until("2 and 2", |bed| bed.loads() == [2, 2]).await;
        bed.put(64);
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(bed.loads(), [0, 0], "no belief outlives its deadline");
        let took = bed.until("all served", |bed| bed.loads().iter().sum::<usize>() == 4).await;
        assert!(took <= Millis::from(FAILOVER) + Millis(2_000), "it took {took}");
        bed.all_taken().await;
    });
}

/// The deadline passes and the reply comes in one moment; the shard's task must not wait for more.
#[test]
fn a_shard_that_was_finished_before_a_suspend_is_not_kept_after_it() {
    on_paused_time(async {
        let mut bed = Bed::new(1, Menu::none()).await;
        bed.join();
        bed.until("it holds the shard", |bed| bed.loads() == [1]).await;
        let parent = bed.row(0).key.shard();
        assert!(bed.lab.split(&parent));
        bed.lab.look_at_stream().await;
        while !bed.row(0).is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        advance(Duration::from_secs(60)).await;
        bed.put(32);
        bed.all_taken().await;
        let shards = bed.fleet.members()[0].handle.health().shards;
        assert!(shards.iter().all(|shard| shard.shard != parent), "{shards:?}");
    });
}

#[test]
fn a_first_scan_that_hides_the_leases_would_skip_records() {
    on_paused_time(async {
        let mut bed = Bed::new(1, Menu::none()).await;
        bed.settings.initial_position = Some(InitialPosition::Latest);
        bed.join();
        bed.until("it holds the shard", |bed| bed.loads() == [1]).await;
        let parent = bed.row(0).key.shard();
        bed.fleet.crash(0).await;
        assert!(bed.lab.split(&parent));
        bed.lab.look_at_stream().await;
        bed.put(32);
        bed.lab.hide_leases(true);
        bed.join();
        sleep(Duration::from_secs(15)).await;
        let oracle = bed.lab.oracle();
        let violation = oracle.violation().expect("children begin at LATEST beside their parent");
        assert_eq!(violation.property, "latest", "{violation}");
        assert!(violation.detail.contains(LeaseKey::from(&parent).as_str()), "{violation}");
    });
}
