//! The control plane of one stream: what it is doing, its settings, its shards.
//!
//! One change at a time. A change is accepted while the stream is active and takes effect when it is due:
//!
//! ```text
//! Creating ─due─▶ Active ─change─▶ Updating ─due: apply, publish─▶ Active ─delete─▶ Deleting ─due─▶ (gone)
//! ```
//!
//! What the data plane needs is published as a [`Snapshot`], replaced as a whole by every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kcl_core::{HashKey, ShardId};

use crate::consumers::Consumers;
use crate::quota::RollingQuota;
use crate::shard_log::LogOptions;
use crate::topology::Topology;
use crate::{EncryptionType, EpochMillis, KinesisError, Result, StreamMode, StreamStatus, StreamSummary};

/// Identity of a stream; a later stream of the same name has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(pub(crate) u64);

/// What puts and reads need to know of a stream.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) id: StreamId,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) encryption_type: EncryptionType,
    pub(crate) record_bytes_max: usize,
    pub(crate) topology: Arc<Topology>,
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created: EpochMillis,
    pub(crate) mode: StreamMode,
    pub(crate) retention_hours: u32,
    pub(crate) shard_level_metrics: BTreeSet<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) consumers: Consumers,
    /// Calls of `UpdateShardCount`.
    pub(crate) scalings: RollingQuota,
    /// Changes of the mode.
    pub(crate) mode_changes: RollingQuota,
    record_kibibytes_max: u32,
    key_id: Option<String>,
    lifecycle: Lifecycle,
    options: LogOptions,
    topology: Arc<Topology>,
    snapshot: Arc<Snapshot>,
}

/// What a stream starts with.
#[derive(Debug)]
pub(crate) struct NewStream {
    pub(crate) id: StreamId,
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) mode: StreamMode,
    pub(crate) shard_count: u32,
    pub(crate) retention_hours: u32,
    pub(crate) record_kibibytes_max: u32,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) options: LogOptions,
}

#[derive(Debug)]
enum Lifecycle {
    Creating { due: EpochMillis },
    Active,
    Updating { due: EpochMillis, change: Change },
    Deleting { due: EpochMillis },
}

/// A change that takes its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Split { upper_start: HashKey },
    Merge { upper_start: HashKey, first_parent: ShardId },
    Scale { target: u32 },
    Retention { hours: u32 },
    Mode(StreamMode),
    Encryption { key_id: Option<String> },
    RecordSize { kibibytes_max: u32 },
}

impl Stream {
    /// A stream that becomes active at `due`.
    pub(crate) fn new(new: NewStream, now: EpochMillis, due: EpochMillis) -> Self {
        let topology = Arc::new(Topology::uniform(new.shard_count, &new.options, now));
        let snapshot = Arc::new(Snapshot {
            id: new.id,
            name: new.name.clone(),
            arn: new.arn.clone(),
            encryption_type: EncryptionType::None,
            record_bytes_max: new.record_kibibytes_max as usize * KIBIBYTE,
            topology: topology.clone(),
        });
        Self {
            id: new.id,
            name: new.name,
            arn: new.arn,
            created: now,
            mode: new.mode,
            retention_hours: new.retention_hours,
            shard_level_metrics: BTreeSet::new(),
            tags: new.tags,
            consumers: Consumers::default(),
            scalings: RollingQuota::new(SCALINGS_PER_DAY_MAX, DAY),
            mode_changes: RollingQuota::new(MODE_CHANGES_PER_DAY_MAX, DAY),
            record_kibibytes_max: new.record_kibibytes_max,
            key_id: None,
            lifecycle: Lifecycle::Creating { due },
            options: new.options,
            topology,
            snapshot,
        }
    }

    /// What it is doing.
    pub(crate) const fn status(&self) -> StreamStatus {
        match self.lifecycle {
            Lifecycle::Creating { .. } => StreamStatus::Creating,
            Lifecycle::Active => StreamStatus::Active,
            Lifecycle::Updating { .. } => StreamStatus::Updating,
            Lifecycle::Deleting { .. } => StreamStatus::Deleting,
        }
    }

    /// What the data plane needs, unless the stream is still being made.
    pub(crate) fn serving(&self) -> Option<&Arc<Snapshot>> {
        match self.lifecycle {
            Lifecycle::Creating { .. } => None,
            Lifecycle::Active | Lifecycle::Updating { .. } | Lifecycle::Deleting { .. } => {
                Some(&self.snapshot)
            }
        }
    }

    /// Its shards.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The oldest moment from which records can be there.
    pub(crate) fn trim_horizon(&self, now: EpochMillis) -> EpochMillis {
        self.created.max(now.before(self.options.retention))
    }

    /// Accepts only an active stream.
    ///
    /// # Errors
    /// `ResourceInUse` in any other state.
    pub(crate) fn require_active(&self) -> Result<()> {
        match self.lifecycle {
            Lifecycle::Active => Ok(()),
            Lifecycle::Creating { .. } | Lifecycle::Updating { .. } | Lifecycle::Deleting { .. } => {
                Err(KinesisError::ResourceInUse(format!(
                    "Stream {} not ACTIVE, instead in state {}",
                    self.arn,
                    self.status()
                )))
            }
        }
    }

    /// Starts `change`, which takes effect at `due`.
    ///
    /// # Errors
    /// `ResourceInUse` unless the stream is active.
    pub(crate) fn begin(&mut self, change: Change, due: EpochMillis) -> Result<()> {
        self.require_active()?;
        self.lifecycle = Lifecycle::Updating { due, change };
        Ok(())
    }

    /// Starts the deletion, which is done at `due`.
    ///
    /// # Errors
    /// `ResourceInUse` unless the stream is active.
    pub(crate) fn begin_deletion(&mut self, due: EpochMillis) -> Result<()> {
        self.require_active()?;
        self.lifecycle = Lifecycle::Deleting { due };
        Ok(())
    }

    /// Finishes what is due. Returns whether the stream is gone.
    pub(crate) fn settle(&mut self, now: EpochMillis) -> bool {
        self.consumers.settle(now);
        match &mut self.lifecycle {
            Lifecycle::Creating { due } if *due <= now => self.lifecycle = Lifecycle::Active,
            Lifecycle::Updating { due, change } if *due <= now => {
                let (due, change) = (*due, change.clone());
                self.lifecycle = Lifecycle::Active;
                self.apply(change, due);
            }
            Lifecycle::Deleting { due } if *due <= now => {
                self.end_logs();
                return true;
            }
            Lifecycle::Active
            | Lifecycle::Creating { .. }
            | Lifecycle::Updating { .. }
            | Lifecycle::Deleting { .. } => {}
        }
        let horizon = now.before(self.options.retention);
        if self.topology.oldest_close().is_some_and(|closed| closed < horizon) {
            Arc::make_mut(&mut self.topology).forget_closed_before(horizon);
            self.publish();
        }
        false
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<EpochMillis> {
        let lifecycle = match self.lifecycle {
            Lifecycle::Active => None,
            Lifecycle::Creating { due } | Lifecycle::Updating { due, .. } | Lifecycle::Deleting { due } => {
                Some(due)
            }
        };
        let expiry = self
            .topology
            .oldest_close()
            .map(|closed| closed.after(self.options.retention).after(Duration::from_millis(1)));
        [lifecycle, expiry, self.consumers.next_due()].into_iter().flatten().min()
    }

    /// What `DescribeStreamSummary` says.
    pub(crate) fn summary(&self) -> StreamSummary {
        let open_shard_count = match self.lifecycle {
            Lifecycle::Creating { .. } => 0,
            Lifecycle::Active | Lifecycle::Updating { .. } | Lifecycle::Deleting { .. } => {
                self.topology.open().len()
            }
        };
        StreamSummary {
            stream_name: self.name.clone(),
            stream_arn: self.arn.clone(),
            status: self.status(),
            mode: self.mode,
            creation: self.created,
            retention_hours: self.retention_hours,
            shard_level_metrics: self.shard_level_metrics.clone(),
            encryption_type: self.encryption_type(),
            key_id: self.key_id.clone(),
            open_shard_count,
            consumer_count: self.consumers.len(),
            record_kibibytes_max: self.record_kibibytes_max,
        }
    }

    fn apply(&mut self, change: Change, now: EpochMillis) {
        match change {
            Change::Split { upper_start } => {
                Arc::make_mut(&mut self.topology).split_at(upper_start, &self.options, now);
            }
            Change::Merge { upper_start, first_parent } => {
                let topology = Arc::make_mut(&mut self.topology);
                topology.merge_at(upper_start, Some(&first_parent), &self.options, now);
            }
            Change::Scale { target } => {
                Arc::make_mut(&mut self.topology).scale_uniformly(target, &self.options, now);
            }
            Change::Retention { hours } => {
                self.retention_hours = hours;
                self.options.retention = HOUR * hours;
                for entry in self.topology.entries_after(None) {
                    entry.shard.log.lock().retain_for(self.options.retention, now);
                }
            }
            Change::Mode(mode) => self.mode = mode,
            Change::Encryption { key_id } => self.key_id = key_id,
            Change::RecordSize { kibibytes_max } => self.record_kibibytes_max = kibibytes_max,
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.snapshot = Arc::new(Snapshot {
            id: self.id,
            name: self.name.clone(),
            arn: self.arn.clone(),
            encryption_type: self.encryption_type(),
            record_bytes_max: self.record_kibibytes_max as usize * KIBIBYTE,
            topology: self.topology.clone(),
        });
    }

    fn end_logs(&self) {
        for entry in self.topology.entries_after(None) {
            entry.shard.log.lock().delete();
        }
    }

    const fn encryption_type(&self) -> EncryptionType {
        match self.key_id {
            Some(_) => EncryptionType::Kms,
            None => EncryptionType::None,
        }
    }
}

/// How long a stream keeps records at least.
pub(crate) const RETENTION_HOURS_MIN: u32 = 24;
/// An hour of retention.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
/// Bytes of a KiB.
pub(crate) const KIBIBYTE: usize = 1024;
const DAY: Duration = Duration::from_secs(86_400);
const SCALINGS_PER_DAY_MAX: usize = 10;
const MODE_CHANGES_PER_DAY_MAX: usize = 2;
