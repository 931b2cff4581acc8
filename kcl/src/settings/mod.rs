//! Settings of a worker: data, with defaults and checks. Behaviour is given to the builder.
//!
//! Each field says what it does, its default, where that comes from, and what gets worse when it is raised or lowered.

mod text;

use std::time::Duration;

use kcl_core::{CoordinatorSettings, InitialPosition, InvalidSettings, Millis};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::aggregate::AggregatePolicy;

/// Settings of one worker.
///
/// ```
/// use std::time::Duration;
/// use kcl::{InitialPosition, WorkerSettings};
/// let settings = WorkerSettings {
///     initial_position: Some(InitialPosition::TrimHorizon),
///     failover: Duration::from_secs(5),
///     ..WorkerSettings::default()
/// };
/// assert!(settings.validate().is_ok());
/// assert!(WorkerSettings::default().validate().is_err(), "there is no default for the initial position");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Where the application starts in a shard that it has no checkpoint for: `trim_horizon`, `latest`, or
    /// `at_timestamp:<epoch milliseconds>`. Required: both ends surprise somebody.
    #[serde(with = "text::initial_position")]
    pub initial_position: Option<InitialPosition>,
    /// A lease without a write for this long may be taken by others. Default 10 s (KCL: `failoverTimeMillis`).
    /// Lower: a dead worker is replaced sooner, for one conditional write per ⅔ of it and lease. Higher: the reverse.
    #[serde(with = "text::duration")]
    pub failover: Duration,
    /// Start of the worker's id; a suffix of this process is always appended. Default: host name and process id.
    pub worker_id: Option<String>,
    /// The leader's lock expires for others after this long without a heartbeat. Default: half of `failover`, so that a
    /// dead leader is replaced before its leases expire. The KCL's 120 s leave a fleet without a leader for minutes.
    #[serde(with = "text::optional_duration")]
    pub leader_lease: Option<Duration>,
    /// What consumers may take to finish their batches when the worker shuts down. Default 20 s: below the 30 s after
    /// which most schedulers kill a process. Lower: batches are cut off and delivered again elsewhere.
    #[serde(with = "text::duration")]
    pub shutdown_timeout: Duration,
    /// Progress of one-phase processors is written this often, and when a shard ends or moves. Default 5 s: less than a
    /// renewal, which the write stands in for. Lower: fewer records again after a crash, one write each. Higher: more.
    #[serde(with = "text::duration")]
    pub checkpoint_interval: Duration,
    /// A processor is called with an empty batch after this long without records, so that it can act on time. Default
    /// 1 s. Lower: time-based batches close more exactly. Higher: fewer calls for nothing.
    #[serde(with = "text::duration")]
    pub idle_call_interval: Duration,
    /// First pause before a failed call of the processor is repeated. Default 500 ms (KCL: `taskBackoffTimeMillis`).
    #[serde(with = "text::duration")]
    pub retry_pause_min: Duration,
    /// Longest pause before a failed call of the processor is repeated. Default 30 s. Higher: a recovered dependency is
    /// noticed later. Lower: one in trouble gets more calls.
    #[serde(with = "text::duration")]
    pub retry_pause_max: Duration,
    /// How often the load of each shard is told, if the builder was given a telemetry store. Default 10 s, as a lease's
    /// failover. Lower: the autoscaler sees sooner, for one write of 1 KiB each time and shard. Higher: the reverse; at most
    /// 30 s, because rows older than a minute are not believed.
    #[serde(with = "text::duration")]
    pub telemetry_interval: Duration,
    /// How shards are read.
    pub fetch: FetchSettings,
}

/// Settings of reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FetchSettings {
    /// `GetRecords` calls per second and shard. Default 5, the quota of a shard. Lower it by the share of other
    /// consumers of the same shards; throttles lower it by themselves.
    pub calls_per_second_max: f64,
    /// Bytes per second and shard. Default 2 MB, the quota of a shard.
    pub bytes_per_second_max: u64,
    /// Kinesis records per call, 1 to 10 000. Default 10 000, the quota. Lower: smaller batches, slower catching up.
    pub records_per_call_max: usize,
    /// Pause after an answer that reached the tip of the shard. Default 200 ms, the least the quota allows.
    #[serde(with = "text::duration")]
    pub idle_pause_min: Duration,
    /// The pause doubles up to this while nothing arrives. Default 1 s, as AWS recommends. Lower: fresher, more calls.
    #[serde(with = "text::duration")]
    pub idle_pause_max: Duration,
    /// Bytes that all shards of the worker may hold fetched and not yet processed. Default 64 MiB. Lower: less memory,
    /// less read ahead. One answer may pass it by up to 10 MB.
    pub prefetch_bytes_max: usize,
    /// Answers of one shard held ready while one is processed. Default 2. Higher: steadier with an uneven processor.
    pub prefetch_answers_max: usize,
    /// What happens to records of KPL aggregates that lie outside the shard. Default `strict_kcl`.
    pub aggregates: AggregatePolicy,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            initial_position: None,
            failover: Duration::from_secs(10),
            worker_id: None,
            leader_lease: None,
            shutdown_timeout: Duration::from_secs(20),
            checkpoint_interval: Duration::from_secs(5),
            idle_call_interval: Duration::from_secs(1),
            retry_pause_min: Duration::from_millis(500),
            retry_pause_max: Duration::from_secs(30),
            telemetry_interval: Duration::from_secs(10),
            fetch: FetchSettings::default(),
        }
    }
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            calls_per_second_max: 5.0,
            bytes_per_second_max: 2_000_000,
            records_per_call_max: 10_000,
            idle_pause_min: Duration::from_millis(200),
            idle_pause_max: Duration::from_secs(1),
            prefetch_bytes_max: 64 << 20,
            prefetch_answers_max: 2,
            aggregates: AggregatePolicy::default(),
        }
    }
}

impl WorkerSettings {
    /// The defaults with an initial position.
    #[must_use]
    pub fn starting_at(initial_position: InitialPosition) -> Self {
        Self { initial_position: Some(initial_position), ..Self::default() }
    }

    /// Checks each field and that they fit together.
    ///
    /// # Errors
    /// [`InvalidSetting`] naming the field, its value and the remedy.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        self.coordinator(0)?;
        if self.worker_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > WORKER_ID_BYTES_MAX) {
            let shown = self.worker_id.as_deref().unwrap_or_default().chars().take(40).collect::<String>();
            let remedy = format!("set it to 1 to {WORKER_ID_BYTES_MAX} bytes, or leave it out");
            return Err(InvalidSetting::new("worker_id", format!("{shown:?}"), remedy));
        }
        let bounded = |field, value: Duration, min: Duration, max: Duration| {
            if value < min || value > max {
                let remedy = format!("set it between {min:?} and {max:?}");
                return Err(InvalidSetting::new(field, format!("{value:?}"), remedy));
            }
            Ok(())
        };
        let (millisecond, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        bounded("shutdown_timeout", self.shutdown_timeout, millisecond, hour)?;
        bounded("checkpoint_interval", self.checkpoint_interval, millisecond * 100, hour)?;
        bounded("idle_call_interval", self.idle_call_interval, millisecond * 50, hour)?;
        bounded("retry_pause_min", self.retry_pause_min, millisecond, self.retry_pause_max)?;
        bounded("retry_pause_max", self.retry_pause_max, self.retry_pause_min, hour)?;
        bounded("telemetry_interval", self.telemetry_interval, millisecond * 100, TELEMETRY_INTERVAL_MAX)?;
        bounded("fetch.idle_pause_min", self.fetch.idle_pause_min, millisecond, self.fetch.idle_pause_max)?;
        bounded("fetch.idle_pause_max", self.fetch.idle_pause_max, millisecond, hour)?;
        self.fetch.validate()
    }

    /// What the coordinator is told; the wall clock shows `epoch_millis_at_zero` when its clock shows zero.
    pub(crate) fn coordinator(
        &self,
        epoch_millis_at_zero: u64,
    ) -> Result<CoordinatorSettings, InvalidSetting> {
        let Some(initial_position) = self.initial_position else {
            let remedy = "set it to trim_horizon, latest or at_timestamp:<epoch milliseconds>";
            return Err(InvalidSetting::new("initial_position", "missing".to_owned(), remedy.to_owned()));
        };
        let mut settings = CoordinatorSettings::new(self.failover.into(), initial_position);
        settings.leader_lease = self.leader_lease.map_or(settings.leader_lease, Millis::from);
        settings.shutdown_timeout = self.shutdown_timeout.into();
        settings.epoch_millis_at_zero = epoch_millis_at_zero;
        settings.validate()?;
        Ok(settings)
    }
}

impl FetchSettings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        if !(self.calls_per_second_max > 0.0 && self.calls_per_second_max <= CALLS_PER_SECOND_MAX) {
            let remedy = format!("set it above 0 and to at most {CALLS_PER_SECOND_MAX}");
            let value = self.calls_per_second_max.to_string();
            return Err(InvalidSetting::new("fetch.calls_per_second_max", value, remedy));
        }
        let sizes = [
            ("fetch.bytes_per_second_max", self.bytes_per_second_max, 1, u64::MAX),
            ("fetch.records_per_call_max", self.records_per_call_max as u64, 1, 10_000),
            ("fetch.prefetch_bytes_max", self.prefetch_bytes_max as u64, 1 << 20, u64::from(u32::MAX)),
            ("fetch.prefetch_answers_max", self.prefetch_answers_max as u64, 1, 100),
        ];
        for (field, value, min, max) in sizes {
            if value < min || value > max {
                let remedy = format!("set it between {min} and {max}");
                return Err(InvalidSetting::new(field, value.to_string(), remedy));
            }
        }
        Ok(())
    }
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct InvalidSetting {
    problem: String,
}

impl InvalidSetting {
    fn new(field: &str, value: String, remedy: String) -> Self {
        Self { problem: format!("{field} = {value}: {remedy}") }
    }
}

impl From<InvalidSettings> for InvalidSetting {
    fn from(invalid: InvalidSettings) -> Self {
        Self { problem: invalid.to_string() }
    }
}

/// Leaves room for the suffix within the 1024 bytes of an index key.
const WORKER_ID_BYTES_MAX: usize = 256;
/// Two rows are told before the first of them is too old to be believed.
const TELEMETRY_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Far beyond any quota: only a slip of the pen is greater.
const CALLS_PER_SECOND_MAX: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut WorkerSettings)) -> String {
        let mut settings = WorkerSettings::starting_at(InitialPosition::Latest);
        assert_eq!(settings.validate(), Ok(()));
        change(&mut settings);
        settings.validate().expect_err("must be refused").to_string()
    }

    #[test]
    fn each_bad_value_is_refused_by_name_with_a_remedy() {
        let missing = problem(|settings| settings.initial_position = None);
        assert_eq!(
            missing,
            "initial_position = missing: set it to trim_horizon, latest or at_timestamp:<epoch milliseconds>"
        );
        assert!(
            problem(|settings| settings.failover = Duration::from_millis(5))
                .starts_with("failover = 0.005 s")
        );
        assert!(problem(|settings| settings.worker_id = Some(String::new())).starts_with("worker_id"));
        let pause = problem(|settings| settings.retry_pause_min = Duration::from_secs(31));
        assert!(pause.starts_with("retry_pause_min = 31s"), "{pause}");
        assert!(
            problem(|settings| settings.fetch.calls_per_second_max = f64::NAN).contains("calls_per_second")
        );
        let records = problem(|settings| settings.fetch.records_per_call_max = 10_001);
        assert_eq!(records, "fetch.records_per_call_max = 10001: set it between 1 and 10000");
    }
}
