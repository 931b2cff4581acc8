//! What is done to the processes, and when: a pure plan made from the seed.
//!
//! ```text
//!  0 s ───── 20 ───── 40 ─ 45 ─ 60 ───── 80 ─ 90 ─ …          SIGKILL each 20 s, SIGSTOP each 45 s, both of a random
//!            kill     kill stop kill     kill stop              worker; throttling after half of the run, or each 5 min
//! ```

use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

/// One blow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// SIGKILL, and a new process at once.
    Kill {
        /// Index of the worker.
        worker: usize,
        /// In the middle of a batch's commit, if one comes soon.
        is_aimed: bool,
    },
    /// SIGSTOP.
    Stop {
        /// Index of the worker.
        worker: usize,
        /// In the middle of a batch's commit, if one comes soon.
        is_aimed: bool,
    },
    /// SIGCONT.
    Continue {
        /// Index of the worker.
        worker: usize,
    },
    /// The lease table refuses a share of all calls.
    Throttle {
        /// Share of the calls, at most 1.
        share: f64,
    },
}

/// Blows by the time since the first event, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    acts: Vec<(Duration, Act)>,
    next: usize,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Blows {
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) throttles: u64,
}

impl Plan {
    /// The plan of a run of `span` with `workers` workers, whose leases last `failover`.
    pub(crate) fn new(mut random: Rng, span: Duration, workers: usize, failover: Duration) -> Self {
        let mut acts = Vec::new();
        let mut killed = Vec::new();
        for at in each(KILL_PERIOD, KILL_PERIOD, span) {
            let worker = random.usize(0..workers);
            killed.push((at, worker));
            acts.push((at, Act::Kill { worker, is_aimed: random.bool() }));
        }
        for (number, at) in each(STOP_PERIOD, STOP_PERIOD, span).enumerate() {
            // One that has just been started holds nothing that it could believe in wrongly.
            let fresh: Vec<usize> = killed
                .iter()
                .filter(|(killed_at, _)| *killed_at <= at && at - *killed_at < failover * 3)
                .map(|(_, worker)| *worker)
                .collect();
            let candidates: Vec<usize> = (0..workers).filter(|worker| !fresh.contains(worker)).collect();
            let worker = random.choice(candidates).unwrap_or(0);
            // Every other stop lasts for longer than a lease surely does; the rest may or may not.
            let shortest = if number % 2 == 0 { 1.5 } else { 0.1 };
            let failovers = shortest + random.f64() * (STOP_FAILOVERS_MAX - shortest);
            acts.push((at, Act::Stop { worker, is_aimed: random.bool() }));
            acts.push((at + failover.mul_f64(failovers), Act::Continue { worker }));
        }
        for at in each((span / 2).min(THROTTLE_PERIOD / 2), THROTTLE_PERIOD, span) {
            acts.push((at, Act::Throttle { share: 0.5 + random.f64() / 2.0 }));
        }
        acts.sort_by_key(|(at, _)| *at);
        Self { acts, next: 0 }
    }

    /// No blows at all.
    pub(crate) fn calm() -> Self {
        Self { acts: Vec::new(), next: 0 }
    }

    /// The next blow that is due `elapsed` after the start.
    pub(crate) fn due(&mut self, elapsed: Duration) -> Option<Act> {
        let (at, act) = *self.acts.get(self.next)?;
        (at <= elapsed).then(|| {
            self.next += 1;
            act
        })
    }
}

/// `first`, `first + period`, … before `span`.
fn each(first: Duration, period: Duration, span: Duration) -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(first), move |at| Some(*at + period)).take_while(move |at| *at < span)
}

const KILL_PERIOD: Duration = Duration::from_secs(20);
const STOP_PERIOD: Duration = Duration::from_secs(45);
const STOP_FAILOVERS_MAX: f64 = 3.0;
const THROTTLE_PERIOD: Duration = Duration::from_secs(300);
/// For how long the lease table throttles.
pub(crate) const THROTTLE_SPAN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    const FAILOVER: Duration = Duration::from_secs(3);

    fn plan(seed: u64, minutes: u64) -> Plan {
        Plan::new(Rng::with_seed(seed), Duration::from_secs(60 * minutes), 4, FAILOVER)
    }

    fn count(plan: &Plan, is: impl Fn(&Act) -> bool) -> usize {
        plan.acts.iter().filter(|(_, act)| is(act)).count()
    }

    #[test]
    fn a_seed_gives_the_same_plan_and_another_seed_another() {
        assert_eq!(plan(1, 30), plan(1, 30));
        assert_ne!(plan(1, 30), plan(2, 30));
    }

    #[test]
    fn blows_come_as_often_as_promised() {
        for (minutes, kills, stops, throttles) in [(3, 8, 3, 1), (30, 89, 39, 6)] {
            let plan = plan(7, minutes);
            assert_eq!(count(&plan, |act| matches!(act, Act::Kill { .. })), kills);
            assert_eq!(count(&plan, |act| matches!(act, Act::Stop { .. })), stops);
            assert_eq!(count(&plan, |act| matches!(act, Act::Continue { .. })), stops);
            assert_eq!(count(&plan, |act| matches!(act, Act::Throttle { .. })), throttles);
        }
    }

    #[test]
    fn some_stop_outlasts_a_lease_and_none_passes_three() {
        for seed in 0..100 {
            let plan = plan(seed, 3);
            let mut lengths = Vec::new();
            for (at, act) in &plan.acts {
                if let Act::Stop { worker, .. } = act {
                    let end = plan
                        .acts
                        .iter()
                        .find(|(end, act)| end > at && *act == Act::Continue { worker: *worker });
                    lengths.push(end.expect("every stop ends").0 - *at);
                }
            }
            assert!(lengths.iter().any(|length| *length > FAILOVER), "seed {seed}: {lengths:?}");
            assert!(lengths.iter().all(|length| *length <= FAILOVER * 3), "seed {seed}: {lengths:?}");
        }
    }

    #[test]
    fn blows_are_given_once_each_in_order() {
        let mut plan = plan(3, 3);
        assert_eq!(plan.due(Duration::from_secs(19)), None);
        assert!(matches!(plan.due(Duration::from_secs(21)), Some(Act::Kill { .. })));
        assert_eq!(plan.due(Duration::from_secs(21)), None);
        let rest = std::iter::from_fn(|| plan.due(Duration::MAX)).count();
        assert_eq!(rest + 1, 8 + 3 + 3 + 1);
    }
}
