//! Settings of a stream: retention, mode, encryption, record size, shard metrics, tags.

use std::collections::{BTreeMap, BTreeSet};

use super::Kinesis;
use crate::api::*;
use crate::operation_time::Operation;
use crate::stream::{Change, RETENTION_HOURS_MIN, Stream};
use crate::validate;
use crate::{EpochMillis, KinesisError, Limits, Result};

impl Kinesis {
    /// `IncreaseStreamRetentionPeriod`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`; `InvalidArgument` if it is no increase, or more than a year.
    pub fn increase_stream_retention_period(
        &self,
        stream: StreamRef,
        retention_hours: u32,
        now: EpochMillis,
    ) -> Result<()> {
        self.change_retention(&stream, retention_hours, now, |stream| {
            if retention_hours < stream.retention_hours {
                return Err(KinesisError::InvalidArgument(format!(
                    "Requested retention period ({retention_hours} hours) for stream {} can not be shorter than \
                     existing retention period ({} hours). Use DecreaseRetentionPeriod API.",
                    stream.name, stream.retention_hours
                )));
            }
            Ok(())
        })
    }

    /// `DecreaseStreamRetentionPeriod`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`; `InvalidArgument` if it is no decrease, or less than a day.
    pub fn decrease_stream_retention_period(
        &self,
        stream: StreamRef,
        retention_hours: u32,
        now: EpochMillis,
    ) -> Result<()> {
        self.change_retention(&stream, retention_hours, now, |stream| {
            if retention_hours > stream.retention_hours {
                return Err(KinesisError::InvalidArgument(format!(
                    "Requested retention period ({retention_hours} hours) for stream {} can not be longer than \
                     existing retention period ({} hours). Use IncreaseRetentionPeriod API.",
                    stream.name, stream.retention_hours
                )));
            }
            Ok(())
        })
    }

    /// `UpdateStreamMode`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`; `LimitExceeded` at the third change in 24 hours, where limits hold.
    pub fn update_stream_mode(&self, stream_arn: String, mode: StreamMode, now: EpochMillis) -> Result<()> {
        let (due, limits) = (self.due(Operation::ChangeSetting, now), self.settings.limits);
        self.control_stream(&StreamRef::arn(stream_arn), now, |stream| {
            stream.require_active()?;
            let is_free = stream.mode_changes.has_room(now);
            match limits {
                Limits::Aws if !is_free => Err(KinesisError::LimitExceeded(format!(
                    "Stream {} changed its mode twice within 24 hours, which is the limit.",
                    stream.name
                ))),
                Limits::Aws | Limits::Off => {
                    stream.mode_changes.count(now);
                    stream.begin(Change::Mode(mode), due)
                }
            }
        })
    }

    /// `UpdateMaxRecordSize`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`; `Validation` outside 1024 to 10 240 KiB.
    pub fn update_max_record_size(
        &self,
        stream: StreamRef,
        record_kibibytes_max: u32,
        now: EpochMillis,
    ) -> Result<()> {
        validate::record_kibibytes(record_kibibytes_max)?;
        self.change_setting(&stream, Change::RecordSize { kibibytes_max: record_kibibytes_max }, now)
    }

    /// `StartStreamEncryption`: shows in descriptions and answers; nothing is encrypted.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`.
    pub fn start_stream_encryption(&self, stream: StreamRef, key_id: String, now: EpochMillis) -> Result<()> {
        self.change_setting(&stream, Change::Encryption { key_id: Some(key_id) }, now)
    }

    /// `StopStreamEncryption`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`.
    pub fn stop_stream_encryption(&self, stream: StreamRef, now: EpochMillis) -> Result<()> {
        self.change_setting(&stream, Change::Encryption { key_id: None }, now)
    }

    /// `EnableEnhancedMonitoring`: shows in descriptions; [`Kinesis::stream_metrics`] has all shards either way.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`; `Validation` for an unknown metric.
    pub fn enable_enhanced_monitoring(
        &self,
        stream: StreamRef,
        metrics: BTreeSet<String>,
        now: EpochMillis,
    ) -> Result<EnhancedMonitoringResponse> {
        self.change_monitoring(&stream, metrics, now, |current, named| {
            current.union(named).cloned().collect()
        })
    }

    /// `DisableEnhancedMonitoring`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `ResourceInUse`; `Validation` for an unknown metric.
    pub fn disable_enhanced_monitoring(
        &self,
        stream: StreamRef,
        metrics: BTreeSet<String>,
        now: EpochMillis,
    ) -> Result<EnhancedMonitoringResponse> {
        self.change_monitoring(&stream, metrics, now, |current, named| {
            current.difference(named).cloned().collect()
        })
    }

    /// `AddTagsToStream`.
    ///
    /// # Errors
    /// `ResourceNotFound`; `InvalidArgument` if the stream would have more than 50 tags; `Validation`.
    pub fn add_tags_to_stream(
        &self,
        stream: StreamRef,
        tags: BTreeMap<String, String>,
        now: EpochMillis,
    ) -> Result<()> {
        self.control_stream(&stream, now, |stream| {
            let mut all = stream.tags.clone();
            all.extend(tags);
            validate::tags(&all)?;
            stream.tags = all;
            Ok(())
        })
    }

    /// `RemoveTagsFromStream`.
    ///
    /// # Errors
    /// `ResourceNotFound`.
    pub fn remove_tags_from_stream(
        &self,
        stream: StreamRef,
        keys: Vec<String>,
        now: EpochMillis,
    ) -> Result<()> {
        self.control_stream(&stream, now, |stream| {
            stream.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
    }

    fn change_setting(&self, stream: &StreamRef, change: Change, now: EpochMillis) -> Result<()> {
        let due = self.due(Operation::ChangeSetting, now);
        self.control_stream(stream, now, |stream| stream.begin(change, due))
    }

    fn change_retention(
        &self,
        stream: &StreamRef,
        hours: u32,
        now: EpochMillis,
        check: impl FnOnce(&Stream) -> Result<()>,
    ) -> Result<()> {
        if hours < RETENTION_HOURS_MIN {
            return Err(KinesisError::InvalidArgument(format!(
                "Minimum allowed retention period is {RETENTION_HOURS_MIN} hours. Requested retention period \
                 ({hours} hours) is too short."
            )));
        }
        if hours > RETENTION_HOURS_MAX {
            return Err(KinesisError::InvalidArgument(format!(
                "Maximum allowed retention period is {RETENTION_HOURS_MAX} hours. Requested retention period \
                 ({hours} hours) is too long."
            )));
        }
        let due = self.due(Operation::ChangeSetting, now);
        self.control_stream(stream, now, |stream| {
            check(stream)?;
            stream.begin(Change::Retention { hours }, due)
        })
    }

    fn change_monitoring(
        &self,
        stream: &StreamRef,
        metrics: BTreeSet<String>,
        now: EpochMillis,
        combine: impl FnOnce(&BTreeSet<String>, &BTreeSet<String>) -> BTreeSet<String>,
    ) -> Result<EnhancedMonitoringResponse> {
        let named = shard_level_metrics(metrics)?;
        self.control_stream(stream, now, |stream| {
            stream.require_active()?;
            let current = stream.shard_level_metrics.clone();
            let desired = combine(&current, &named);
            stream.shard_level_metrics.clone_from(&desired);
            Ok(EnhancedMonitoringResponse {
                stream_name: stream.name.clone(),
                stream_arn: stream.arn.clone(),
                current,
                desired,
            })
        })
    }
}

fn shard_level_metrics(metrics: BTreeSet<String>) -> Result<BTreeSet<String>> {
    if metrics.contains("ALL") {
        return Ok(SHARD_LEVEL_METRICS.map(str::to_owned).into());
    }
    match metrics.iter().find(|metric| !SHARD_LEVEL_METRICS.contains(&metric.as_str())) {
        Some(unknown) => Err(KinesisError::constraint(
            "shardLevelMetrics",
            unknown,
            &format!("Member must satisfy enum value set: [{}, ALL]", SHARD_LEVEL_METRICS.join(", ")),
        )),
        None => Ok(metrics),
    }
}

const SHARD_LEVEL_METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
];
/// A year.
const RETENTION_HOURS_MAX: u32 = 8_760;
