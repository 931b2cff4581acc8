//! Bytes choose what happens next, so that a shrinker or a fuzzer can search for the schedule that breaks a property.

use kcl_core::Millis;

use crate::oracle::{Counters, Violation};
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
    /// One reply is lost.
    LoseReply(u8),
    /// One request times out for its author, and may land later.
    TimeOut(u8),
    /// A worker stands still.
    Stall(u8, Millis),
    /// A worker is killed.
    Crash(u8),
    /// A worker is started where none runs.
    Restart(u8),
    /// A worker is asked to stop.
    ShutDown(u8),
    /// A consumer reports progress.
    Checkpoint(u8, u8),
    /// Everything on its way arrives.
    Settle,
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
        Some(match kind % 32 {
            0..=6 => Action::Advance(Millis(u64::from(operand) * 8 + 1)),
            7 => Action::Advance(Millis(u64::from(operand) * 100 + 1)),
            8..=11 => Action::Apply(operand),
            12..=15 => Action::Deliver(operand),
            16 => Action::LoseReply(operand),
            17 => Action::TimeOut(operand),
            18 => Action::Stall(operand, Millis(u64::from(operand) * 200)),
            19 => Action::Crash(operand),
            20..=21 => Action::Restart(operand),
            22 => Action::ShutDown(operand),
            23..=25 => Action::Checkpoint(operand, operand >> 3),
            26.. => Action::Settle,
        })
    }
}

/// Runs a schedule in a new world, then stops the faults and demands that all is well again.
///
/// # Errors
/// The property that broke, with the world's log.
pub fn run(
    settings: WorldSettings,
    bytes: &[u8],
) -> Result<(Counters, Vec<String>), (Violation, Vec<String>)> {
    let workers = settings.workers;
    let mut world = World::new(settings);
    let slot = |operand: u8| usize::from(operand) % workers;
    for action in Schedule::new(bytes) {
        let result = match action {
            Action::Advance(span) => world.advance(span),
            Action::Apply(pick) => world.apply(pick),
            Action::Deliver(pick) => world.deliver(pick),
            Action::LoseReply(pick) => world.lose_reply(pick),
            Action::TimeOut(pick) => world.time_out_request(pick),
            Action::Stall(operand, span) => {
                world.stall(slot(operand), span);
                Ok(())
            }
            Action::Crash(operand) => {
                world.crash(slot(operand));
                Ok(())
            }
            Action::Restart(operand) => {
                world.restart(slot(operand));
                Ok(())
            }
            Action::ShutDown(operand) => {
                world.shut_down(slot(operand));
                Ok(())
            }
            Action::Checkpoint(operand, pick) => world.checkpoint(slot(operand), pick),
            Action::Settle => world.settle(),
        };
        if let Err(violation) = result {
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
