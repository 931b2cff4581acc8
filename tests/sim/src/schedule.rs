//! Bytes choose what happens next, so that a shrinker or a fuzzer can search for the schedule that breaks a property.

use kcl_core::Millis;

use crate::counters::Counters;
use crate::oracle::Violation;
use crate::world::{World, WorldSettings};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time passes.
    Advance(Millis),
    /// One request reaches the store.
    Apply(u8),
    /// One reply reaches its worker.
    Deliver(u8),
    /// Everything on its way arrives.
    Settle,
    /// A consumer works: slot, consumer, what.
    Work(u8, u8, Work),
    /// Producers put records into a shard.
    Put(u8),
    /// A worker is started where none runs.
    Restart(u8),
    /// A worker is asked to stop.
    ShutDown(u8),
    /// A shard is split or two are merged.
    Reshard(u8),
    /// Something goes wrong.
    Fault(Mishap, u8),
}

/// A piece of work of one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Processes so many records.
    Consume(u64),
    /// Checkpoints in one phase.
    Checkpoint,
    /// Writes an intent.
    Prepare,
    /// Commits the intent.
    Commit,
    /// Ends the shard.
    Finish,
    /// Stops after it was asked to.
    Drained,
    /// Whatever comes next.
    Next,
}

/// What goes wrong; the operand chooses where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// A reply is lost.
    LostReply,
    /// A request times out for its author, and may land later.
    LateRequest,
    /// A reply comes twice.
    DuplicateReply,
    /// A request is carried out twice.
    AppliedTwice,
    /// A call is throttled.
    Throttle,
    /// A worker stands still.
    Stall,
    /// A worker is killed.
    Crash,
    /// The leader is killed.
    LeaderCrash,
    /// An end of a hand-off is killed.
    HandOffCut,
    /// A second process runs under one worker id.
    Twin,
    /// Scans and the index show the past, or the present again.
    StaleReads,
    /// The index does not answer, or answers again.
    MissingIndex,
    /// Retention passes a finished shard.
    CleanUp,
    /// A row is deleted by hand.
    DeletedRow,
    /// A worker of the Java library has a lease for a while.
    ForeignTenure,
    /// An operator decides about a shard.
    OperatorDecision,
}

/// Actions read from bytes, two bytes an action.
#[derive(Clone, Debug)]
pub struct Schedule<'a> {
    bytes: &'a [u8],
}

impl<'a> Schedule<'a> {
    /// A schedule of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        let (&[kind, operand], rest) = self.bytes.split_first_chunk::<2>()?;
        self.bytes = rest;
        let work = |work| Action::Work(operand, operand >> 3, work);
        let fault = |mishap| Action::Fault(mishap, operand);
        Some(match kind % 81 {
            0..=13 => Action::Advance(Millis(u64::from(operand) * 8 + 1)),
            14..=15 => Action::Advance(Millis(u64::from(operand) * 100 + 1)),
            16..=21 => Action::Apply(operand),
            22..=27 => Action::Deliver(operand),
            28..=43 => Action::Settle,
            44..=46 => work(Work::Consume(u64::from(operand >> 6) + 1)),
            47..=48 => work(Work::Checkpoint),
            49..=50 => work(Work::Prepare),
            51..=52 => work(Work::Commit),
            53 => work(Work::Finish),
            54..=56 => work(Work::Next),
            57 => work(Work::Drained),
            58..=59 => Action::Put(operand),
            60..=62 => Action::Restart(operand),
            63 => Action::ShutDown(operand),
            64 => Action::Reshard(operand),
            65 => fault(Mishap::LostReply),
            66 => fault(Mishap::LateRequest),
            67 => fault(Mishap::DuplicateReply),
            68 => fault(Mishap::AppliedTwice),
            69 => fault(Mishap::Throttle),
            70 => fault(Mishap::Stall),
            71 => fault(Mishap::Crash),
            72 => fault(Mishap::LeaderCrash),
            73 => fault(Mishap::HandOffCut),
            74 => fault(Mishap::Twin),
            75 => fault(Mishap::StaleReads),
            76 => fault(Mishap::MissingIndex),
            77 => fault(Mishap::CleanUp),
            78 => fault(Mishap::DeletedRow),
            79 => fault(Mishap::ForeignTenure),
            80.. => fault(Mishap::OperatorDecision),
        })
    }
}

/// Runs a schedule in a new world, then stops the faults and demands that all is well again.
///
/// The first byte draws the settings: each of its bits doubles the failover time of one slot.
///
/// # Errors
/// The property that broke, with the world's log.
pub fn run(
    mut settings: WorldSettings,
    bytes: &[u8],
) -> Result<(Counters, Vec<String>), (Violation, Vec<String>)> {
    let (draw, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let base = settings.failovers.clone();
    let doubled = |slot: usize| base[slot % base.len()] * (1 + u64::from((draw >> (slot % 8)) & 1));
    settings.failovers = (0..settings.workers).map(doubled).collect();
    let mut world = World::new(settings);
    for action in Schedule::new(bytes) {
        if let Err(violation) = world.take(action) {
            return Err((violation, world.log().to_vec()));
        }
    }
    let recovered = world.recover();
    let log = world.log().to_vec();
    match recovered {
        Ok(()) => Ok((world.oracle.counters, log)),
        Err(violation) => Err((violation, log)),
    }
}

impl World {
    /// Lets `action` happen.
    ///
    /// # Errors
    /// The property that broke.
    pub fn take(&mut self, action: Action) -> Result<(), Violation> {
        let workers = self.slots.len();
        let slot = |operand: u8| usize::from(operand) % workers;
        match action {
            Action::Advance(span) => return self.advance(span),
            Action::Apply(pick) => return self.apply(pick),
            Action::Deliver(pick) => return self.deliver(pick),
            Action::Settle => return self.settle(),
            Action::Work(operand, pick, work) => return self.work(slot(operand), pick, work),
            Action::Put(operand) => self.stream.put(operand, u64::from(operand >> 5) + 1),
            Action::Restart(operand) => self.restart(slot(operand)),
            Action::ShutDown(operand) => return self.shut_down(slot(operand)),
            Action::Reshard(pick) => self.reshard(pick),
            Action::Fault(mishap, operand) => return self.suffer(mishap, operand, slot(operand)),
        }
        Ok(())
    }

    fn suffer(&mut self, mishap: Mishap, operand: u8, slot: usize) -> Result<(), Violation> {
        match mishap {
            Mishap::LostReply => return self.lose_reply(operand),
            Mishap::LateRequest => return self.time_out_request(operand),
            Mishap::DuplicateReply => return self.duplicate_reply(operand),
            Mishap::AppliedTwice => return self.apply_twice(operand),
            Mishap::Throttle => return self.throttle(operand),
            Mishap::Stall => {
                let longest = self.coordinator_settings(slot).failover * 10;
                self.stall(slot, Millis(longest.0 * u64::from(operand) / 255));
            }
            Mishap::Crash => self.crash(slot),
            Mishap::LeaderCrash => self.crash_leader(),
            Mishap::HandOffCut => self.cut_hand_off(operand),
            Mishap::Twin => self.start_twin(slot),
            Mishap::StaleReads => self.toggle_stale_reads(),
            Mishap::MissingIndex => self.toggle_index(),
            Mishap::CleanUp => self.clean_up(operand),
            Mishap::DeletedRow => self.delete_row(operand),
            Mishap::ForeignTenure => self.foreign_tenure(operand),
            Mishap::OperatorDecision => self.decide(operand),
        }
        Ok(())
    }
}
