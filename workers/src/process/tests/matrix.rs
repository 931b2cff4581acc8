//! One disturbed run per cell: which call of the undisturbed run, and what becomes of the worker that makes it.

use super::gate::{At, Fault, Plan, Step};
use super::oracle::Calm;
use super::scenario::Scenario;
use super::world::{Actor, World, settle};

/// What becomes of the worker at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It dies, and the call never arrives or was carried out.
    Killed(Side),
    /// It dies, and its request lands later.
    KilledAndLands(Landing),
    /// It is cut off without noticing how time passes, and goes on when another worker has its shard.
    Zombie(Side, Landing),
    /// The call is carried out, and the worker is told that its outcome is not known.
    ReplyLost,
    /// The call is not carried out, and the worker is told so: throttled, or raced by another writer.
    NotDone,
    /// The same, and the worker is told that repeating does not help, which is not true.
    Refused,
}

/// Which side of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// When a held request lands, or a zombie goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// Before another worker has the shard.
    AtOnce,
    /// When the next owner is about to make its first call to the object store.
    DuringRecovery,
    /// When the next owner has committed everything.
    AtTheEnd,
}

/// Runs every cell of `scenario`: each call of the undisturbed run with each of its fates.
pub(super) async fn explore(scenario: &Scenario, fates: impl Fn(&Step) -> Vec<Fate>) -> Explored {
    let calm = Calm::of(scenario).await;
    let mut explored = Explored::default();
    for (at, step) in calm.steps.iter().enumerate() {
        for fate in fates(step) {
            disturbed(scenario, &calm, at, fate, &mut explored).await;
        }
    }
    println!("proof: ran {} cells", explored.cells);
    explored
}

/// What the cells of a matrix met, so that none of it is vacuous.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Explored {
    pub(super) cells: usize,
    /// Cells after which the whole bucket was the same.
    pub(super) identical: usize,
    /// Puts that found their own object.
    pub(super) puts_taken: usize,
}

/// Runs one cell and checks what is left.
async fn disturbed(scenario: &Scenario, calm: &Calm, at: usize, fate: Fate, explored: &mut Explored) {
    let cell = format!("{}, call {at} ({}): {fate:?}", scenario.name, calm.steps[at]);
    let world = World::new(scenario);
    let first = world.start(Some(Plan { at: At::Number(at), fault: fate.fault() })).await;
    let announced = match fate {
        Fate::ReplyLost | Fate::NotDone | Fate::Refused => {
            world.finish(&first).await;
            Vec::new()
        }
        Fate::Killed(_) => {
            cut(&cell, &world, &first).await;
            first.kill().await;
            let announced = world.announced();
            let second = world.start(None).await;
            world.finish(&second).await;
            announced
        }
        Fate::KilledAndLands(landing) => {
            cut(&cell, &world, &first).await;
            first.kill().await;
            succeed(&cell, &world, &first, landing).await
        }
        Fate::Zombie(_, landing) => {
            cut(&cell, &world, &first).await;
            first.clock.stop();
            let announced = succeed(&cell, &world, &first, landing).await;
            assert_eq!(first.halted(), None, "{cell}: a zombie is no conflict");
            first.kill().await;
            announced
        }
    };
    assert!(first.gate.has_fired(), "{cell}: did not happen");
    assert_eq!(first.gate.steps()[at], calm.steps[at], "{cell}: runs are the same up to the call");
    let is_identical = calm.check(&cell, scenario, &world, &announced);
    explored.cells += 1;
    explored.identical += usize::from(is_identical);
    explored.puts_taken += world.puts_taken();
}

/// Waits until the worker is cut off.
pub(super) async fn cut(cell: &str, world: &World, first: &Actor) {
    tokio::select! {
        biased;
        () = first.gate.cut() => {}
        () = world.finish(first) => panic!("{cell}: did not happen"),
    }
}

/// Another worker takes over and finishes, and what the first one holds is released at `landing`.
async fn succeed(
    cell: &str,
    world: &World,
    first: &Actor,
    landing: Landing,
) -> Vec<(String, crate::sink::BatchId)> {
    if landing == Landing::AtOnce {
        first.gate.release();
        settle().await;
    }
    let announced = world.announced();
    let plan = Plan { at: At::FirstObject, fault: Fault::HangBefore };
    let second = world.start((landing == Landing::DuringRecovery).then_some(plan)).await;
    tokio::select! {
        biased;
        () = second.gate.cut() => {
            first.gate.release();
            settle().await;
        }
        () = world.done() => {}
    }
    second.gate.release();
    world.done().await;
    let finished = world.objects.objects();
    first.gate.release();
    settle().await;
    assert_eq!(world.objects.objects(), finished, "{cell}: what lands late changes nothing");
    second.worker.shutdown().await;
    announced
}

impl Fate {
    fn fault(self) -> Fault {
        match self {
            Self::Killed(Side::Before) | Self::Zombie(Side::Before, _) | Self::KilledAndLands(_) => {
                Fault::HangBefore
            }
            Self::Killed(Side::After) | Self::Zombie(Side::After, _) => Fault::HangAfter,
            Self::ReplyLost => Fault::LoseReply,
            Self::NotDone => Fault::NotDone,
            Self::Refused => Fault::Refuse,
        }
    }
}
