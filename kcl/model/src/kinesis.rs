//! The whole service: one method per API operation.
//!
//! Owns the locks and nothing else: one around the control plane, one around each shard's log. A data-plane call holds
//! the first only while it fetches the stream's snapshot. Lock order is account before log; no call holds two logs.

mod consumers;
mod listing;
mod reading;
mod settings;
mod shards;
mod streams;
mod writing;

use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use crate::account::Account;
use crate::metrics::StreamMetrics;
use crate::stored::StoredBytes;
use crate::stream::{Snapshot, Stream, StreamId};
use crate::{EpochMillis, KinesisError, Result, Settings, StreamRef};

/// A modelled Kinesis account. Share it with `Arc`: every method takes `&self` and the time.
#[derive(Debug)]
pub struct Kinesis {
    settings: Arc<Settings>,
    stored: Arc<StoredBytes>,
    account: RwLock<Account>,
}

impl Kinesis {
    /// An account without streams.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let stored = Arc::new(StoredBytes::new(settings.stored_bytes_max, settings.when_full));
        let account = RwLock::new(Account::new(settings.clone(), stored.clone()));
        Self { settings, stored, account }
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Data and partition keys that all streams hold, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.stored.held()
    }

    /// Finishes what is due by `now` and frees records past retention. Every other call does this for what it touches;
    /// call it now and then so that idle streams give their memory back.
    pub fn advance(&self, now: EpochMillis) {
        self.account.write().settle(now);
        for shard in self.account.read().shards() {
            shard.log.lock().expire(now);
        }
    }

    /// When the control plane has something to finish next.
    #[must_use]
    pub fn next_transition(&self) -> Option<EpochMillis> {
        self.account.read().next_due()
    }

    /// What CloudWatch would show about a stream and its shards.
    ///
    /// # Errors
    /// `ResourceNotFound` if there is no such stream.
    pub fn stream_metrics(&self, stream: StreamRef, now: EpochMillis) -> Result<StreamMetrics> {
        let account = self.settled(now);
        let entries = account.stream(&stream)?.topology().entries_after(None);
        let shards = entries.map(|entry| (entry.shard.id.clone(), entry.shard.log.lock().metrics()));
        Ok(StreamMetrics::of_shards(shards.collect()))
    }

    /// The account with everything done that is due.
    fn settled(&self, now: EpochMillis) -> RwLockReadGuard<'_, Account> {
        let account = self.account.read();
        if account.next_due().is_none_or(|due| due > now) {
            return account;
        }
        drop(account);
        self.account.write().settle(now);
        self.account.read()
    }

    /// Changes the account; what the change makes due at once is done when this returns.
    fn control<T>(&self, now: EpochMillis, change: impl FnOnce(&mut Account) -> Result<T>) -> Result<T> {
        let mut account = self.account.write();
        account.settle(now);
        let outcome = change(&mut account);
        account.settle(now);
        outcome
    }

    /// As [`Kinesis::control`] for one stream.
    fn control_stream<T>(
        &self,
        stream: &StreamRef,
        now: EpochMillis,
        change: impl FnOnce(&mut Stream) -> Result<T>,
    ) -> Result<T> {
        self.control(now, |account| change(account.stream_mut(stream)?))
    }

    fn snapshot(&self, stream: &StreamRef, now: EpochMillis) -> Result<Arc<Snapshot>> {
        self.settled(now).snapshot(stream)
    }

    fn snapshot_by_id(&self, id: StreamId, now: EpochMillis) -> Result<Arc<Snapshot>> {
        let account = self.settled(now);
        account.stream_by_id(id).and_then(Stream::serving).cloned().ok_or_else(|| {
            KinesisError::ResourceNotFound(format!(
                "The stream of this token under account {} not found.",
                self.settings.account_id
            ))
        })
    }
}
