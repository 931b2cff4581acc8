//! Every order in which the writes of lease rows can be applied, answered, lost and delayed, within bounds.
//!
//! Two workers and one shard, from the moment the first one holds the lease; everything but writes of lease rows happens
//! at once. Each tick the stream gets a record, consumers take a step, and a third of the failover time passes.

use kcl_core::Millis;
use leasehold_sim::{Fault, Violation, World, WorldSettings};
use stateright::{Checker, Model, Property};

/// What the search may do.
#[derive(Clone, Debug)]
struct Bounds {
    ticks: u8,
    /// How many things go wrong, at most.
    mishaps: u8,
    fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Moment {
    world: World,
    ticks: u8,
    mishaps: u8,
    violation: Option<Violation>,
    first_holder: Option<usize>,
    /// Another worker than at first has held the lease.
    has_moved: bool,
    /// A write has landed after its author gave up on it.
    has_landed_late: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Tick,
    Apply(u64),
    Deliver(u64),
    Lose(u64),
    TimeOut(u64),
    Crash(usize),
    Stall(usize),
    ShutDown(usize),
}

impl Moment {
    fn first(bounds: &Bounds) -> Self {
        let settings = WorldSettings {
            workers: 2,
            shards: 1,
            failovers: vec![FAILOVER],
            clock_skew_ppm: 1000,
            fault: bounds.fault,
        };
        let mut world = World::new(settings).forgetful();
        let mut warm_up = || {
            while world.holders().is_empty() || world.now < FAILOVER {
                world.settle()?;
                world.advance(Millis(250))?;
            }
            world.settle()
        };
        let violation = warm_up().err();
        Self {
            first_holder: world.holders().first().map(|(slot, _)| *slot),
            world,
            ticks: bounds.ticks,
            mishaps: bounds.mishaps,
            violation,
            has_moved: false,
            has_landed_late: false,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), Violation> {
        let world = &mut self.world;
        match step {
            Step::Tick => {
                self.ticks -= 1;
                world.put(0);
                world.advance(TICK)?;
                world.work_all()?;
            }
            Step::Apply(number) => {
                self.has_landed_late |= world.is_given_up(*number);
                world.apply_number(*number)?;
            }
            Step::Deliver(number) => world.deliver_number(*number)?,
            Step::Lose(number) => world.lose_number(*number)?,
            Step::TimeOut(number) => world.time_out_number(*number)?,
            Step::Crash(slot) => world.crash(*slot),
            Step::Stall(slot) => world.stall(*slot, FAILOVER + TICK),
            Step::ShutDown(slot) => world.shut_down(*slot)?,
        }
        if let Step::Lose(_) | Step::TimeOut(_) | Step::Crash(_) | Step::Stall(_) | Step::ShutDown(_) = step {
            self.mishaps -= 1;
        }
        self.world.settle_all_but_writes()?;
        self.has_moved |= self.world.holders().iter().any(|(slot, _)| Some(*slot) != self.first_holder);
        Ok(())
    }
}

impl Model for Bounds {
    type State = Moment;
    type Action = Step;

    fn init_states(&self) -> Vec<Moment> {
        vec![Moment::first(self)]
    }

    fn actions(&self, moment: &Moment, steps: &mut Vec<Step>) {
        if moment.violation.is_some() {
            return;
        }
        let (writes, replies) = (moment.world.lease_writes(), moment.world.lease_replies());
        steps.extend(writes.iter().copied().map(Step::Apply));
        steps.extend(replies.iter().copied().map(Step::Deliver));
        if moment.ticks > 0 {
            steps.push(Step::Tick);
        }
        if moment.mishaps > 0 {
            steps.extend(replies.into_iter().map(Step::Lose));
            steps.extend(
                writes.into_iter().filter(|number| !moment.world.is_given_up(*number)).map(Step::TimeOut),
            );
            for slot in moment.world.running() {
                steps.extend([Step::Crash(slot), Step::Stall(slot), Step::ShutDown(slot)]);
            }
        }
    }

    fn next_state(&self, moment: &Moment, step: Step) -> Option<Moment> {
        let mut next = moment.clone();
        next.violation = next.take(&step).err();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no property is violated", |_, moment: &Moment| moment.violation.is_none()),
            Property::sometimes("the lease moves", |_, moment: &Moment| moment.has_moved),
            Property::sometimes("a write lands late", |_, moment: &Moment| moment.has_landed_late),
        ]
    }
}

fn search(bounds: Bounds) -> (usize, Option<Violation>) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let checker = bounds.checker().threads(threads).spawn_bfs().join();
    let violation = checker.discovery("no property is violated").and_then(|path| {
        println!("the shortest way there: {:?}", path.clone().into_actions());
        path.last_state().violation.clone()
    });
    if violation.is_none() {
        for situation in ["the lease moves", "a write lands late"] {
            assert!(checker.discovery(situation).is_some(), "no order of events reached: {situation}");
        }
    }
    (checker.unique_state_count(), violation)
}

#[test]
fn no_order_of_writes_breaks_a_property() {
    let ticks =
        std::env::var("LEASEHOLD_TICKS").map_or(TICKS, |text| text.parse().expect("a number of ticks"));
    let (states, violation) = search(Bounds { ticks, mishaps: 2, fault: Fault::None });
    assert_eq!(violation, None);
    assert!(states > 10_000, "only {states} states: the search is bound too tightly");
    println!("proof: ran {states} states within {ticks} ticks");
}

#[test]
fn a_store_that_ignores_the_counter_is_caught() {
    let (_, violation) = search(Bounds { ticks: 6, mishaps: 2, fault: Fault::CounterIgnored });
    violation.expect("the planted fault must be caught");
}

const FAILOVER: Millis = Millis(3000);
const TICK: Millis = Millis(1000);
/// Enough for a lease to expire under a stalled worker and be taken; each one more multiplies the states by about ten, and
/// `LEASEHOLD_TICKS` chooses another number.
const TICKS: u8 = 3;
