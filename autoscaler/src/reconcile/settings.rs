//! Settings of a controller: plain data, checked before it is used.

use std::num::NonZeroU32;
use std::time::Duration;

use kcl_core::Millis;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ShardLimits;

/// How one stream is looked at and acted on.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReconcileSettings {
    /// Another controller takes over when the row has stood still for this long. Default 60 s. A beat is written every
    /// third of it, about 130,000 writes or $0.08 a month for each stream; longer costs less and leaves the stream alone
    /// for longer when a controller dies.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub lease: Duration,
    /// Bound on how much faster or slower one clock may run than another, in parts per million. Default 1000, as for the
    /// leases of workers.
    pub clock_rate_bound_ppm: u32,
    /// How late a timer may fire on a loaded machine. Default 200 ms, as for the leases of workers.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub scheduling_slack: Duration,
    /// Time after which a call or a read is given up. Default 10 s. Longer delays the answer to an outage; an outcome that is
    /// not known by then counts as used.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub call_timeout: Duration,
    /// Shortest time between two looks that alarms may cause. Default 5 s: a storm of alarms is one look.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub look_gap: Duration,
    /// Time between looks while a reshard runs. Default 10 s, which is what the next step of a series may lose.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub look_in_flight: Duration,
    /// Time between looks when something is near its bound. Default 60 s, the resolution of the metrics.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub look_busy: Duration,
    /// Time between looks at a calm stream. Default 5 minutes; each look reads 6 metrics and more with shard metrics, at
    /// $0.01 per 1000.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub look_calm: Duration,
    /// Utilisation up to which a stream is calm. Default 0.4, half of where the policy grows.
    pub calm_below: f64,
    /// Utilisation from which it is busy. Default 0.72. Between the two the time between looks falls evenly.
    pub busy_above: f64,
    /// Age at which a decision is no longer carried out. Default 30 s, a few slow calls.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub decision_age_max: Duration,
    /// An operation may take this many times as long as estimated before it is given up. Default 4.
    pub patience: u32,
    /// Time after an operation until its effect is judged. Default 6 minutes: metrics are two minutes late, and three of them
    /// are compared.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub verify_after: Duration,
    /// What one shard takes and gives; the policy's.
    pub limits: ShardLimits,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            clock_rate_bound_ppm: 1_000,
            scheduling_slack: Duration::from_millis(200),
            call_timeout: Duration::from_secs(10),
            look_gap: Duration::from_secs(5),
            look_in_flight: Duration::from_secs(10),
            look_busy: Duration::from_secs(60),
            look_calm: Duration::from_secs(5 * 60),
            calm_below: 0.4,
            busy_above: 0.72,
            decision_age_max: Duration::from_secs(30),
            patience: 4,
            verify_after: Duration::from_secs(6 * 60),
            limits: ShardLimits::default(),
        }
    }
}

impl ReconcileSettings {
    /// Checks the fields and how they go together.
    ///
    /// # Errors
    /// [`InvalidReconcileSetting`] for the first field that cannot be: its name, its value and what it may be.
    pub fn validate(&self) -> Result<(), InvalidReconcileSetting> {
        let problem = |field, value: String, remedy| Err(InvalidReconcileSetting { field, value, remedy });
        let millis = |value: Duration| format!("{} ms", value.as_millis());
        let spans = [
            ("call_timeout", self.call_timeout),
            ("look_gap", self.look_gap),
            ("look_in_flight", self.look_in_flight),
            ("decision_age_max", self.decision_age_max),
            ("verify_after", self.verify_after),
        ];
        for (field, value) in spans {
            if value.is_zero() || value > SPAN_MAX {
                return problem(field, millis(value), "give a time above 0 and up to 1h");
            }
        }
        if self.tenure() < Millis::from(self.call_timeout * 2) {
            return problem(
                "lease",
                millis(self.lease),
                "give more than two call timeouts and the margin for clocks",
            );
        }
        if self.lease > SPAN_MAX {
            return problem("lease", millis(self.lease), "give at most 1h");
        }
        if self.look_busy < self.look_gap {
            return problem("look_busy", millis(self.look_busy), "give at least look_gap");
        }
        if self.look_calm < self.look_busy || self.look_calm > SPAN_MAX {
            return problem("look_calm", millis(self.look_calm), "give at least look_busy and at most 1h");
        }
        if !(self.calm_below > 0.0 && self.calm_below < self.busy_above && self.busy_above <= 1.0) {
            return problem(
                "calm_below",
                self.calm_below.to_string(),
                "give a utilisation above 0 and below busy_above, which is at most 1",
            );
        }
        if self.patience < 2 {
            return problem("patience", self.patience.to_string(), "give at least 2: estimates are averages");
        }
        Ok(())
    }

    /// The same settings for a wall clock that runs `scale` times as fast as the machine's, as that of the local services
    /// may: pauses between looks are as long by that clock as they were, leases and timeouts as long by the machine's.
    #[must_use]
    pub fn paced(self, scale: NonZeroU32) -> Self {
        let paced = |pause: Duration| (pause / scale.get()).max(LOOK_GAP_MIN);
        Self {
            look_gap: paced(self.look_gap),
            look_in_flight: paced(self.look_in_flight),
            look_busy: paced(self.look_busy),
            look_calm: paced(self.look_calm),
            ..self
        }
    }

    /// How long the row is held after the send time of a write: the lease, less what two clocks may differ by and a timer may
    /// be late.
    #[must_use]
    pub fn tenure(&self) -> Millis {
        let lease = Millis::from(self.lease);
        let drift =
            Millis(lease.0.saturating_mul(u64::from(self.clock_rate_bound_ppm) * 2).div_ceil(1_000_000));
        lease.since(drift + Millis::from(self.scheduling_slack))
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} = {value}: {remedy}")]
pub struct InvalidReconcileSetting {
    /// The field's name.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub remedy: &'static str,
}

/// A look takes a few calls; more of them would follow each other without a pause.
const LOOK_GAP_MIN: Duration = Duration::from_millis(100);
/// Longer waits than an hour hide that nothing happens.
const SPAN_MAX: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_holds_for_less_than_others_wait() {
        let settings = ReconcileSettings::default();
        assert_eq!(settings.validate(), Ok(()));
        assert_eq!(settings.tenure(), Millis(60_000 - 120 - 200));
    }

    #[test]
    fn looks_keep_up_with_a_faster_clock_and_leases_do_not() {
        let settings = ReconcileSettings::default().paced(NonZeroU32::new(60).expect("not zero"));
        assert_eq!(settings.validate(), Ok(()));
        assert_eq!((settings.look_busy.as_millis(), settings.look_gap.as_millis()), (1_000, 100));
        assert_eq!(settings.lease, ReconcileSettings::default().lease);
    }

    #[test]
    fn each_problem_names_its_field() {
        let refused = |change: fn(&mut ReconcileSettings)| {
            let mut settings = ReconcileSettings::default();
            change(&mut settings);
            settings.validate().expect_err("refused").field
        };
        assert_eq!(refused(|settings| settings.call_timeout = Duration::ZERO), "call_timeout");
        assert_eq!(refused(|settings| settings.lease = Duration::from_secs(20)), "lease");
        assert_eq!(refused(|settings| settings.lease = Duration::from_secs(3_601)), "lease");
        assert_eq!(refused(|settings| settings.look_busy = Duration::from_secs(1)), "look_busy");
        assert_eq!(refused(|settings| settings.look_calm = Duration::from_secs(1)), "look_calm");
        assert_eq!(refused(|settings| settings.calm_below = f64::NAN), "calm_below");
        assert_eq!(refused(|settings| settings.patience = 1), "patience");
    }
}
