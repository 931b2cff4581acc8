//! The seam to the stream: put some records, list the open shards.

use std::fmt::Debug;

use async_trait::async_trait;
use thiserror::Error;

use super::entry::Entry;

/// A stream that takes records.
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// Puts `entries` in one call. The answer has one element per entry, in their order: `None` if it was taken.
    ///
    /// # Errors
    /// [`PutError`] if the call failed as a whole; its entries may have been taken all the same.
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Option<EntryError>>, PutError>;

    /// The shards that take records, for the end marks.
    ///
    /// # Errors
    /// [`PutError`] if they cannot be listed.
    async fn open_shards(&self) -> Result<Vec<OpenShard>, PutError>;
}

/// Why one entry of a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryError {
    /// Whether the shard's limits are used up; anything else is a fault of the service. Both pass with time.
    pub is_throttle: bool,
    /// Code and text of the service.
    pub reason: String,
}

/// A shard that takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenShard {
    /// Its id.
    pub shard: String,
    /// The lowest hash key of its range, in decimal.
    pub starting_hash_key: String,
}

/// Why a call failed as a whole.
#[derive(Debug, Error)]
pub enum PutError {
    /// Network, timeout, throttle or fault of the service: worth repeating.
    #[error("stream {stream} does not answer as it should")]
    Passing {
        /// The stream.
        stream: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Missing stream, missing rights or a malformed call: repeating does not help.
    #[error("stream {stream} refuses the call: {reason}")]
    Lasting {
        /// The stream.
        stream: String,
        /// What the service said, and what to do.
        reason: String,
    },
}
