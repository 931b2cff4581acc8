//! Settings of a coordinator, each with its unit, its default and where that comes from.

use thiserror::Error;

use crate::time::Millis;

/// Where an application starts in a stream it has no checkpoint for. There is no default: both ends surprise somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InitialPosition {
    /// The oldest record still retained.
    TrimHorizon,
    /// Records that arrive after the application first started, whoever owns the shard by then.
    Latest,
    /// Records that arrived at or after this epoch millisecond.
    AtTimestamp(u64),
}

/// Settings of one worker's coordinator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinatorSettings {
    /// A lease without a write for this long may be taken by others. KCL: `failoverTimeMillis`, 10 s.
    /// Lower: faster take-over, more renewals (one per ⅔ of it and lease). Higher: the reverse.
    pub failover: Millis,
    /// Bound on how much faster or slower one clock may run than another, in parts per million; 1000 (0.1 %), ten times
    /// what crystal oscillators drift.
    pub clock_rate_bound_ppm: u64,
    /// How late a timer may fire on a loaded machine; part of the margin before the deadline. 200 ms.
    pub scheduling_slack: Millis,
    /// The leader's lock expires for others when its version stands still for this long. Half of `failover` by default,
    /// so that a dead leader is replaced before the leases it held expire; the Java KCL uses 120 s, which leaves a fleet
    /// without a leader for minutes.
    pub leader_lease: Millis,
    /// How often the index is asked for leases assigned to this worker. 1 s.
    pub discovery_interval: Millis,
    /// How often the leader reads the roster, and others the lock. 250 ms: a read unit each.
    pub roster_interval: Millis,
    /// Shortest time between two scans of the leader; it grows by 1 s per 2000 rows. 1 s.
    pub plan_interval: Millis,
    /// A hand-off that is not completed after this long is forced. KCL: 30 s + failover.
    pub hand_off_timeout: Millis,
    /// What a consumer may take to finish its batch when the worker shuts down. 20 s.
    pub shutdown_timeout: Millis,
    /// The leader compares the stream's shards with the lease rows this often. KCL: 120 s.
    pub shard_audit_interval: Millis,
    /// Where to start without a checkpoint.
    pub initial_position: InitialPosition,
    /// The wall clock, in epoch milliseconds, at time zero of the coordinator's clock.
    pub epoch_millis_at_zero: u64,
}

impl CoordinatorSettings {
    /// The defaults for `failover` and an initial position.
    #[must_use]
    pub fn new(failover: Millis, initial_position: InitialPosition) -> Self {
        Self {
            failover,
            clock_rate_bound_ppm: 1000,
            scheduling_slack: Millis(200),
            leader_lease: Millis(failover.0 / 2).max(FAILOVER_MIN),
            discovery_interval: Millis(1000),
            roster_interval: Millis(250),
            plan_interval: Millis(1000),
            hand_off_timeout: Millis(30_000) + failover,
            shutdown_timeout: Millis(20_000),
            shard_audit_interval: Millis(120_000),
            initial_position,
            epoch_millis_at_zero: 0,
        }
    }

    /// Time before `failover` at which a holder stops: both clocks may be off by the bound, in opposite directions, and
    /// its timer may be late.
    #[must_use]
    pub fn margin(&self) -> Millis {
        Millis((self.failover.0 * self.clock_rate_bound_ppm * 2).div_ceil(1_000_000)) + self.scheduling_slack
    }

    /// How long a lease is held after the send time of a write: `failover − margin`.
    #[must_use]
    pub fn tenure(&self) -> Millis {
        self.failover - self.margin()
    }

    /// When a write is due after the last one: two thirds of `failover`, which leaves time to settle one lost reply.
    #[must_use]
    pub fn renewal_interval(&self) -> Millis {
        Millis(self.failover.0 * 2 / 3)
    }

    /// How long the leader's lock is held after the send time of a write.
    #[must_use]
    pub fn leader_tenure(&self) -> Millis {
        self.leader_lease - self.margin()
    }

    /// How often a worker's row is written once it is known to the fleet: a third of `failover`.
    #[must_use]
    pub fn beat_interval(&self) -> Millis {
        Millis(self.failover.0 / 3)
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// [`InvalidSettings`] naming the field, its value and the remedy.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let problem = |field, value: Millis, remedy: String| Err(InvalidSettings { field, value, remedy });
        if self.failover < FAILOVER_MIN || self.failover > FAILOVER_MAX {
            return problem(
                "failover",
                self.failover,
                format!("set it between {FAILOVER_MIN} and {FAILOVER_MAX}"),
            );
        }
        if self.renewal_interval() + self.margin() * 2 > self.failover {
            let remedy = "raise failover or lower clock_rate_bound_ppm and scheduling_slack, so that a renewal can be \
                          repeated before the deadline";
            return problem("scheduling_slack", self.scheduling_slack, remedy.to_owned());
        }
        if self.leader_lease < FAILOVER_MIN || self.leader_lease > LEADER_LEASE_MAX {
            let remedy = format!("set it between {FAILOVER_MIN} and {LEADER_LEASE_MAX}");
            return problem("leader_lease", self.leader_lease, remedy);
        }
        for (field, value) in [
            ("discovery_interval", self.discovery_interval),
            ("roster_interval", self.roster_interval),
            ("plan_interval", self.plan_interval),
        ] {
            if value < INTERVAL_MIN || value > self.failover {
                let remedy = format!("set it between {INTERVAL_MIN} and failover ({})", self.failover);
                return problem(field, value, remedy);
            }
        }
        Ok(())
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} = {value}: {remedy}")]
pub struct InvalidSettings {
    field: &'static str,
    value: Millis,
    remedy: String,
}

/// Below a second, ordinary DynamoDB latency and scheduling would cost leases.
const FAILOVER_MIN: Millis = Millis(1000);
const FAILOVER_MAX: Millis = Millis(600_000);
/// The Java default is 120 s; ten minutes is more than any fleet should be without a leader.
const LEADER_LEASE_MAX: Millis = Millis(600_000);
const INTERVAL_MIN: Millis = Millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_for_every_usual_failover() {
        for seconds in [2, 3, 10, 30, 120] {
            let settings = CoordinatorSettings::new(Millis::from_secs(seconds), InitialPosition::TrimHorizon);
            assert_eq!(settings.validate(), Ok(()), "failover of {seconds} s");
            assert!(settings.renewal_interval() < settings.tenure());
        }
    }

    #[test]
    fn a_slack_that_leaves_no_time_for_a_second_try_is_refused_by_name() {
        let mut settings = CoordinatorSettings::new(Millis::from_secs(3), InitialPosition::Latest);
        settings.scheduling_slack = Millis(900);
        let error = settings.validate().expect_err("must be refused").to_string();
        assert!(error.starts_with("scheduling_slack = 0.900 s: raise failover"), "{error}");
    }
}
