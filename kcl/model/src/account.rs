//! All streams of an account.
//!
//! Owns names, identities and the account's limits. What a single stream does is the stream's own business.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::operation_time::Operation;
use crate::shard_log::LogOptions;
use crate::stored::StoredBytes;
use crate::stream::{HOUR, KIBIBYTE, NewStream, Snapshot, Stream, StreamId};
use crate::topology::Shard;
use crate::validate;
use crate::{
    AccountLimits, CreateStreamRequest, EpochMillis, KinesisError, Limits, Result, Settings, StreamMode,
    StreamRef, StreamStatus,
};

/// The streams, by name and by identity.
#[derive(Debug)]
pub(crate) struct Account {
    settings: Arc<Settings>,
    stored: Arc<StoredBytes>,
    streams: BTreeMap<String, Stream>,
    names: BTreeMap<StreamId, String>,
    next_id: u64,
    next_due: Option<EpochMillis>,
}

impl Account {
    /// No streams.
    pub(crate) const fn new(settings: Arc<Settings>, stored: Arc<StoredBytes>) -> Self {
        Self {
            settings,
            stored,
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            next_id: 1,
            next_due: None,
        }
    }

    /// The stream that a request names.
    ///
    /// # Errors
    /// `ResourceNotFound` if there is none, `InvalidArgument` if the request names none or two.
    pub(crate) fn stream(&self, stream: &StreamRef) -> Result<&Stream> {
        let name = self.name_of(stream)?;
        Ok(self.streams.get(name).expect("only existing names are resolved"))
    }

    /// As [`Account::stream`], to be changed.
    ///
    /// # Errors
    /// As [`Account::stream`].
    pub(crate) fn stream_mut(&mut self, stream: &StreamRef) -> Result<&mut Stream> {
        let name = self.name_of(stream)?.to_owned();
        Ok(self.streams.get_mut(&name).expect("only existing names are resolved"))
    }

    /// The stream with this identity.
    pub(crate) fn stream_by_id(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(self.names.get(&id)?)
    }

    /// The streams after `name`, in order.
    pub(crate) fn streams_after(&self, name: &str) -> impl Iterator<Item = &Stream> {
        let after = (std::ops::Bound::Excluded(name), std::ops::Bound::Unbounded);
        self.streams.range::<str, _>(after).map(|(_, stream)| stream)
    }

    /// What the data plane needs of the stream that a request names.
    ///
    /// # Errors
    /// As [`Account::stream`]; a stream that is being made counts as not found.
    pub(crate) fn snapshot(&self, stream: &StreamRef) -> Result<Arc<Snapshot>> {
        let stream = self.stream(stream)?;
        stream.serving().cloned().ok_or_else(|| self.not_found(&stream.name))
    }

    /// All listed shards of all streams.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &Arc<Shard>> {
        let entries = self.streams.values().flat_map(|stream| stream.topology().entries_after(None));
        entries.map(|entry| &entry.shard)
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// `Validation`, `InvalidArgument`, `ResourceInUse` or `LimitExceeded`, as AWS documents.
    pub(crate) fn create(&mut self, request: CreateStreamRequest, now: EpochMillis) -> Result<()> {
        let CreateStreamRequest { stream_name: name, shard_count, mode, tags, record_kibibytes_max } =
            request;
        validate::name("streamName", &name)?;
        validate::tags(&tags)?;
        let mode = mode.unwrap_or(StreamMode::Provisioned);
        let shard_count = match (mode, shard_count) {
            (StreamMode::Provisioned, Some(count)) => count,
            (StreamMode::Provisioned, None) => {
                return Err(KinesisError::Validation(
                    "ShardCount is required for a stream in PROVISIONED mode".to_owned(),
                ));
            }
            (StreamMode::OnDemand, None) => ON_DEMAND_SHARDS,
            (StreamMode::OnDemand, Some(_)) => {
                return Err(KinesisError::Validation(
                    "ShardCount must not be set for a stream in ON_DEMAND mode".to_owned(),
                ));
            }
        };
        validate::at_least_one("shardCount", shard_count)?;
        if let Some(kibibytes) = record_kibibytes_max {
            validate::record_kibibytes(kibibytes)?;
        }
        if self.streams.contains_key(&name) {
            return Err(KinesisError::ResourceInUse(format!(
                "Stream {name} under account {} already exists.",
                self.settings.account_id
            )));
        }
        self.require_creation_quota()?;
        self.require_shards(shard_count as usize)?;

        let id = StreamId(self.next_id);
        self.next_id += 1;
        let arn = format!("{}{name}", self.stream_arn_prefix());
        let options =
            LogOptions::new(&self.settings, HOUR * self.settings.retention_hours, self.stored.clone());
        let kibibytes_default = (self.settings.record_bytes_max / KIBIBYTE) as u32;
        let new = NewStream {
            id,
            name: name.clone(),
            arn,
            mode,
            shard_count,
            retention_hours: self.settings.retention_hours,
            record_kibibytes_max: record_kibibytes_max.unwrap_or(kibibytes_default),
            tags,
            options,
        };
        let due = now.after(Operation::CreateStream.duration(&self.settings));
        self.names.insert(id, name.clone());
        self.streams.insert(name, Stream::new(new, now, due));
        Ok(())
    }

    /// Accepts `more` open shards.
    ///
    /// # Errors
    /// `LimitExceeded` if the account would have too many.
    pub(crate) fn require_shards(&self, more: usize) -> Result<()> {
        let (open, max) = (self.limits().open_shard_count, self.settings.open_shards_max);
        if open + more > max {
            return Err(KinesisError::LimitExceeded(format!(
                "This request would exceed the shard limit for the account {} in {}. Current shard count for the \
                 account: {open}. Limit: {max}. Number of additional shards that would have resulted from this \
                 request: {more}.",
                self.settings.account_id, self.settings.region
            )));
        }
        Ok(())
    }

    /// What `DescribeLimits` says.
    pub(crate) fn limits(&self) -> AccountLimits {
        let (on_demand, provisioned): (Vec<_>, Vec<_>) =
            self.streams.values().partition(|stream| stream.mode == StreamMode::OnDemand);
        AccountLimits {
            shard_limit: self.settings.open_shards_max,
            open_shard_count: provisioned.iter().map(|stream| stream.topology().open().len()).sum(),
            on_demand_stream_count: on_demand.len(),
            on_demand_stream_count_limit: ON_DEMAND_STREAMS_MAX,
        }
    }

    /// Finishes what is due in all streams.
    pub(crate) fn settle(&mut self, now: EpochMillis) {
        let names = &mut self.names;
        self.streams.retain(|_, stream| {
            let is_gone = stream.settle(now);
            if is_gone {
                names.remove(&stream.id);
            }
            !is_gone
        });
        self.next_due = self.streams.values().filter_map(Stream::next_due).min();
    }

    /// When something is due next, as of the last [`Account::settle`].
    pub(crate) const fn next_due(&self) -> Option<EpochMillis> {
        self.next_due
    }

    fn name_of(&self, stream: &StreamRef) -> Result<&str> {
        let from_arn = match &stream.arn {
            Some(arn) => Some(
                arn.strip_prefix(&self.stream_arn_prefix())
                    .ok_or_else(|| KinesisError::ResourceNotFound(format!("Stream {arn} not found.")))?,
            ),
            None => None,
        };
        let name = match (stream.name.as_deref(), from_arn) {
            (Some(name), Some(other)) if name != other => {
                return Err(KinesisError::InvalidArgument(format!(
                    "StreamName {name} and StreamARN name different streams; give one of them."
                )));
            }
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => {
                return Err(KinesisError::InvalidArgument(
                    "Either a StreamName or a StreamARN must be provided.".to_owned(),
                ));
            }
        };
        let (name, _) = self.streams.get_key_value(name).ok_or_else(|| self.not_found(name))?;
        Ok(name)
    }

    fn not_found(&self, name: &str) -> KinesisError {
        KinesisError::ResourceNotFound(format!(
            "Stream {name} under account {} not found.",
            self.settings.account_id
        ))
    }

    fn stream_arn_prefix(&self) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/", self.settings.region, self.settings.account_id)
    }

    fn require_creation_quota(&self) -> Result<()> {
        let creating =
            self.streams.values().filter(|stream| stream.status() == StreamStatus::Creating).count();
        match self.settings.limits {
            Limits::Aws if creating >= CREATING_STREAMS_MAX => Err(KinesisError::LimitExceeded(format!(
                "{creating} streams are being created, which is the limit; wait until one is ACTIVE."
            ))),
            Limits::Aws | Limits::Off => Ok(()),
        }
    }
}

/// Shards of a new on-demand stream.
const ON_DEMAND_SHARDS: u32 = 4;
const ON_DEMAND_STREAMS_MAX: usize = 50;
const CREATING_STREAMS_MAX: usize = 5;
