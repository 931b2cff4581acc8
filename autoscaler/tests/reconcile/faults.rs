//! What a seed does to the world: how often each fault strikes, and for how long.

use fastrand::Rng;

/// Whose plans are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlannerKind {
    /// The shipped one, which saves calls.
    Shipped,
    /// One that spends all the calls it has.
    Spender,
}

/// Chances of one world, drawn once, so that some worlds see much of one fault and nothing of another.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    pub(crate) processes: usize,
    /// When faults end, in milliseconds.
    pub(crate) end: u64,
    /// Chance of a crash at a request or a reply.
    pub(crate) crash: f64,
    /// Chance of a crash around a change of the stream.
    pub(crate) crash_at_call: f64,
    /// Chance of a pause between the last check and the socket.
    pub(crate) brink: f64,
    pub(crate) request_lost: f64,
    pub(crate) reply_lost: f64,
    pub(crate) reply_late: f64,
    pub(crate) reply_twice: f64,
    /// Chance that a read fails, or a change is throttled.
    pub(crate) throttled: f64,
    /// Minutes until a metric shows, and the chance that a minute is missing.
    pub(crate) metrics_delay: u64,
    pub(crate) metrics_lost: f64,
    /// Mean time between pauses of a process, operators' reshards, wakes, and steps of the demand, in milliseconds.
    pub(crate) pause_every: u64,
    pub(crate) outside_every: u64,
    pub(crate) wake_every: u64,
    pub(crate) demand_every: u64,
    pub(crate) shutdown_every: u64,
    pub(crate) demand_shards_max: f64,
    pub(crate) planner: PlannerKind,
    /// Load spread evenly, or with so much of it on one tenth of the hash space.
    pub(crate) skew: f64,
}

impl Faults {
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        // One world in eight lasts for longer than the quota's window.
        let hours = if rng.u8(..8) == 0 { 25 + rng.u64(..4) } else { 1 + rng.u64(..4) };
        let mut sometimes = |share: f64, most: f64| if rng.f64() < share { rng.f64() * most } else { 0.0 };
        let (crash, crash_at_call, brink) = (sometimes(0.5, 0.002), sometimes(0.5, 0.2), sometimes(0.5, 0.2));
        let (request_lost, reply_lost) = (sometimes(0.5, 0.05), sometimes(0.5, 0.05));
        let (reply_late, reply_twice) = (sometimes(0.5, 0.05), sometimes(0.5, 0.1));
        let (throttled, metrics_lost, skew) = (sometimes(0.3, 0.3), sometimes(0.3, 0.3), sometimes(0.4, 0.8));
        let mut every = |share: f64, least: u64, most: u64| {
            if rng.f64() < share { MINUTE * (least + rng.u64(..most - least)) } else { u64::MAX }
        };
        Self {
            crash,
            crash_at_call,
            brink,
            request_lost,
            reply_lost,
            reply_late,
            reply_twice,
            throttled,
            metrics_lost,
            skew,
            pause_every: every(0.5, 10, 120),
            outside_every: every(0.4, 20, 300),
            wake_every: every(0.7, 1, 30),
            demand_every: every(1.0, 8, 90),
            shutdown_every: every(0.3, 60, 300),
            planner: if rng.bool() { PlannerKind::Shipped } else { PlannerKind::Spender },
            processes: 2 + usize::from(rng.bool()),
            end: HOUR * hours,
            metrics_delay: if rng.u8(..4) == 0 { 3 + rng.u64(..12) } else { 2 },
            demand_shards_max: [3.0, 8.0, 24.0][rng.usize(..3)],
        }
    }

    /// No more faults; the demand stays as it is.
    pub(crate) fn calm(&mut self) {
        let chances = [
            &mut self.crash,
            &mut self.crash_at_call,
            &mut self.brink,
            &mut self.request_lost,
            &mut self.reply_lost,
            &mut self.reply_late,
            &mut self.reply_twice,
            &mut self.throttled,
            &mut self.metrics_lost,
        ];
        chances.into_iter().for_each(|chance| *chance = 0.0);
        let intervals = [
            &mut self.pause_every,
            &mut self.outside_every,
            &mut self.wake_every,
            &mut self.demand_every,
            &mut self.shutdown_every,
        ];
        intervals.into_iter().for_each(|interval| *interval = u64::MAX);
        self.metrics_delay = 2;
    }
}

/// Milliseconds.
pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
