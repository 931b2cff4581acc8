//! The processes of a run: started, killed, stopped, frozen.

use std::sync::Arc;
use std::time::Duration;

use kcl::{Error, Worker, WorkerEnd, WorkerHandle, WorkerSettings};
use kcl_core::{LeaseKey, Millis, ShardId};
use tokio::task::JoinHandle;

use crate::draws::Draws;
use crate::lab::Lab;
use crate::process::Process;
use crate::processor::{Recorder, Style};
use crate::situation::Situation;
use crate::source::ProcessStream;
use crate::store::ProcessStore;

/// Every live process.
#[derive(Debug)]
pub struct Fleet {
    lab: Arc<Lab>,
    seed: u64,
    style: Style,
    members: Vec<Member>,
    made: u64,
}

/// One live process and its worker.
#[derive(Debug)]
pub struct Member {
    /// The process.
    pub process: Arc<Process>,
    /// The handle of its worker.
    pub handle: WorkerHandle,
    task: JoinHandle<Result<WorkerEnd, Error>>,
    is_leaving: bool,
}

impl Member {
    /// The shards whose leases the worker believes to hold.
    #[must_use]
    pub fn beliefs(&self) -> Vec<ShardId> {
        let health = self.handle.health();
        let held = health.shards.into_iter().filter(|shard| !shard.lease_remaining.is_zero());
        held.map(|shard| shard.shard).collect()
    }

    /// Whether the worker was asked to leave.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.is_leaving
    }
}

impl Fleet {
    /// A fleet without members.
    #[must_use]
    pub fn new(lab: Arc<Lab>, seed: u64, style: Style) -> Self {
        Self { lab, seed, style, members: Vec::new(), made: 0 }
    }

    /// Every live process.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Members that were not asked to leave.
    #[must_use]
    pub fn staying(&self) -> Vec<&Member> {
        self.members.iter().filter(|member| !member.is_leaving).collect()
    }

    /// Starts a process with `settings`, its clock `rate_ppm` too fast; its index among the members.
    ///
    /// # Panics
    /// If the settings are not valid.
    pub fn start(&mut self, settings: WorkerSettings, rate_ppm: i64) -> usize {
        let number = self.made;
        self.made += 1;
        let lab = &self.lab;
        let process = Arc::new(Process::new(number, lab.zero(), rate_ppm, lab.bug()));
        let draws = |part| Draws::of(self.seed, part, number);
        let failover = settings.failover;
        let call_timeout = (failover / 3).min(CALL_TIMEOUT_MAX);
        let store = ProcessStore::new(Arc::clone(lab), Arc::clone(&process), draws("store"), call_timeout);
        let stream = ProcessStream::new(Arc::clone(lab), Arc::clone(&process), draws("stream"));
        let recorder =
            Recorder::new(Arc::clone(lab), Arc::clone(&process), self.style, failover, draws("processors"));
        let worker = Worker::builder("numbers", stream)
            .with_lease_store(store)
            .with_clock(process.clock())
            .with_seed(draws("worker").seed())
            .with_settings(settings)
            .build(recorder)
            .expect("the settings of a run are valid");
        lab.say(|| format!("process {number} starts as {}", worker.id()));
        process.runs(worker.id().clone());
        let handle = worker.handle();
        let task = tokio::spawn(worker.run());
        self.members.push(Member { process, handle, task, is_leaving: false });
        self.members.len() - 1
    }

    /// Kills a process: nothing of it runs on, but what it has sent arrives.
    pub async fn crash(&mut self, index: usize) {
        let member = self.members.remove(index);
        let is_leader = member.handle.health().is_leader;
        self.lab.note(if is_leader { Situation::LeaderCrashed } else { Situation::Crashed });
        self.lab.say(|| format!("process {} is killed", member.process.number()));
        member.task.abort();
        // An aborted task has nothing to say.
        let _ = member.task.await;
    }

    /// Stops a worker at once by its handle.
    pub fn stop_hard(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.handle.abort();
        member.is_leaving = true;
        self.lab.note(Situation::HardStopped);
        self.lab.say(|| format!("process {} is stopped", member.process.number()));
    }

    /// Asks a worker to leave.
    pub fn ask_to_leave(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.is_leaving = true;
        let handle = member.handle.clone();
        tokio::spawn(async move { handle.shutdown().await });
        self.lab.note(Situation::AskedToLeave);
        self.lab.say(|| format!("process {} is asked to leave", member.process.number()));
    }

    /// Freezes a process.
    pub fn freeze(&mut self, index: usize, span: Duration) {
        let process = &self.members[index].process;
        process.freeze(span);
        self.lab.note(Situation::Frozen);
        self.lab.say(|| format!("process {} stands still for {}", process.number(), Millis::from(span)));
    }

    /// Slows the way of a process to the store.
    pub fn slow_down(&mut self, index: usize, span: Duration, each_way_max: Duration) {
        let process = &self.members[index].process;
        process.slow_down(span, each_way_max);
        self.lab.note(Situation::LinkSlow);
        self.lab
            .say(|| format!("the link of process {} is slow for {}", process.number(), Millis::from(span)));
    }

    /// Buries the processes that have ended.
    pub async fn sweep(&mut self) {
        for index in (0..self.members.len()).rev() {
            if self.members[index].task.is_finished() {
                let member = self.members.remove(index);
                let ended = member.task.await;
                self.lab.say(|| format!("process {} ended: {ended:?}", member.process.number()));
                match ended {
                    Ok(Ok(WorkerEnd::Graceful)) => self.lab.note(Situation::Left),
                    Ok(Ok(WorkerEnd::Aborted) | Err(_)) => {}
                    Err(error) => {
                        self.lab.oracle().violated("shutdown", format!("a worker ended by {error}"))
                    }
                }
            }
        }
    }

    /// Shows the oracle what each worker that is awake believes.
    pub fn check_beliefs(&self) {
        for member in &self.members {
            if member.process.frozen_until().is_none() {
                let beliefs = member.beliefs();
                let keys = beliefs.iter().map(LeaseKey::from);
                self.lab.oracle().believes(member.process.number(), keys);
            }
        }
    }

    /// Index of the member that leads.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.members.iter().position(|member| member.handle.health().is_leader)
    }

    /// Index of the member that hands a lease over, or that is to get it.
    #[must_use]
    pub fn end_of_hand_off(&self, is_giver: bool) -> Option<usize> {
        let rows = self.lab.rows();
        let moving = rows.leases.iter().find(|lease| lease.checkpoint_owner.is_some())?;
        let victim = if is_giver { moving.checkpoint_owner.clone() } else { moving.owner.clone() };
        self.members.iter().position(|member| Some(member.process.worker()) == victim)
    }
}

/// The same bound as that of the adapter for DynamoDB.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(5);
