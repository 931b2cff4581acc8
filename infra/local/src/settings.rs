//! What the local services may be told: plain data, checked once before anything starts.
//!
//! Owns defaults and their bounds. Opens nothing.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use kinesis_model::{ControlPlane, Limits, WhenFull};

use crate::LocalError;

/// Settings of [`Services`](crate::Services).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSettings {
    /// Folder of the object store: an object lies at `<data_dir>/s3/<bucket>/<key>`. Made if missing.
    pub data_dir: PathBuf,
    /// TCP port on 127.0.0.1; 0 (the default) takes any free one.
    pub port: u16,
    /// Whether Kinesis throttles like AWS. Default [`Limits::Off`]: a laptop run should not wait for quotas.
    pub limits: Limits,
    /// How long control-plane calls of Kinesis take. Default [`ControlPlane::Instant`].
    pub control_plane: ControlPlane,
    /// How many seconds of the services' [`Clock`](crate::Clock) pass in a second, default 1; 60 shows an hour in a
    /// minute. The control plane, quotas, retention, metrics and alarms go by that clock. A shard still grants its bytes,
    /// records and calls per second of those who use it, and each record stands for `time_scale` records in the metrics,
    /// so that rates are what they are at AWS.
    pub time_scale: NonZeroU32,
    /// How many records each record that is put or read stands for, default 1. At 5 a shard is full at 200 records a second,
    /// and the metrics show 1000: a surge that a small machine can make and consume.
    pub record_weight: NonZeroU32,
    /// How late a minute of a stream's metrics appears in CloudWatch, on the services' clock; default one minute, as
    /// operators report of AWS. What clients put is there at once.
    pub metrics_delay: Duration,
    /// Queue that gets every alarm's change of state in the shape of EventBridge, as a rule there would send it. Default
    /// none. The queue may be created later; until then the events are dropped.
    pub alarm_events_queue: Option<String>,
    /// Payload bytes that all Kinesis streams together may hold, default 1 GiB. Higher needs that much memory;
    /// lower makes [`when_full`](Self::when_full) decide earlier.
    pub kinesis_bytes_max: u64,
    /// What happens to a write that would pass [`kinesis_bytes_max`](Self::kinesis_bytes_max). Default
    /// [`WhenFull::Refuse`], because trimming loses records that nobody may have read.
    pub when_full: WhenFull,
    /// How long a shard iterator lives, default five minutes as in AWS. Tests of expiry set it to seconds.
    pub iterator_ttl: Duration,
    /// How long one SubscribeToShard lasts before the server ends it, default five minutes as in AWS.
    pub subscription_duration: Duration,
    /// Where streams and records are kept. Default [`Storage::Memory`].
    pub kinesis_storage: Storage,
    /// Where tables are kept. Default [`Storage::Memory`].
    pub dynamodb_storage: Storage,
    /// How often items past their time to live are deleted, default 5 s. AWS takes days; tests want seconds.
    pub ttl_sweep_interval: Duration,
}

/// Where a service keeps its state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Storage {
    /// Gone when the services stop.
    #[default]
    Memory,
    /// In this file, which survives a kill of the process; its folder is made if missing.
    File(PathBuf),
}

impl LocalSettings {
    /// The defaults, with objects below `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: 0,
            limits: Limits::default(),
            control_plane: ControlPlane::default(),
            time_scale: NonZeroU32::MIN,
            record_weight: NonZeroU32::MIN,
            metrics_delay: Duration::from_secs(60),
            alarm_events_queue: None,
            kinesis_bytes_max: KINESIS_BYTES_DEFAULT,
            when_full: WhenFull::Refuse,
            iterator_ttl: FIVE_MINUTES,
            subscription_duration: FIVE_MINUTES,
            kinesis_storage: Storage::default(),
            dynamodb_storage: Storage::default(),
            ttl_sweep_interval: Duration::from_secs(5),
        }
    }

    /// Refuses values with which the services could not work.
    ///
    /// # Errors
    /// [`LocalError::Setting`] naming the field, its value and the remedy.
    pub fn validate(&self) -> Result<(), LocalError> {
        let refuse = |field, value: String, remedy| Err(LocalError::Setting { field, value, remedy });
        if self.kinesis_bytes_max < KINESIS_BYTES_MIN {
            let value = self.kinesis_bytes_max.to_string();
            return refuse("kinesis_bytes_max", value, "set it to 16777216 (16 MiB) or more");
        }
        if self.time_scale > TIME_SCALE_MAX {
            return refuse("time_scale", self.time_scale.to_string(), "set it to 1000 or less");
        }
        if self.record_weight > RECORD_WEIGHT_MAX {
            return refuse("record_weight", self.record_weight.to_string(), "set it to 100 or less");
        }
        for (field, span) in [
            ("iterator_ttl", self.iterator_ttl),
            ("subscription_duration", self.subscription_duration),
            ("ttl_sweep_interval", self.ttl_sweep_interval),
        ] {
            if span < SPAN_MIN {
                return refuse(field, format!("{span:?}"), "set it to 100 ms or more");
            }
        }
        Ok(())
    }
}

const KINESIS_BYTES_DEFAULT: u64 = 1 << 30;
/// One PutRecords of 10 MiB must fit, with room for what came before it.
const KINESIS_BYTES_MIN: u64 = 16 << 20;
/// A minute of the clock then lasts 60 ms, about what a round of alarms over a laptop's port needs.
const TIME_SCALE_MAX: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
/// A shard then still takes ten records a second; fewer make no steady traffic.
const RECORD_WEIGHT_MAX: NonZeroU32 = NonZeroU32::new(100).expect("not zero");
const FIVE_MINUTES: Duration = Duration::from_secs(300);
/// Below this a client cannot finish one call before the span ends.
const SPAN_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert!(LocalSettings::new("data").validate().is_ok());
    }

    #[test]
    fn a_refusal_names_field_value_and_remedy() {
        let settings = LocalSettings { iterator_ttl: Duration::ZERO, ..LocalSettings::new("data") };
        let text = settings.validate().expect_err("zero is too short").to_string();
        assert_eq!(text, "setting iterator_ttl = 0ns: set it to 100 ms or more");
    }
}
