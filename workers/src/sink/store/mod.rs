//! The seam to an object store: objects that are created once and never overwritten.
//!
//! Owns the port and the errors that its users act on; adapters live beside it. No method overwrites: whoever wins the
//! race for a name keeps it, and everybody else is told what lies there.
//!
//! ```text
//! put_new ─┬─▶ Created            nothing lay under the key; now this body does
//!          ├─▶ Exists(metadata)   something lies there: compare, then decide
//!          └─▶ StoreError         repeat: the condition makes a repeated put harmless
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

mod conformance;
mod memory;
mod s3;
mod self_test;

pub use conformance::check_object_store;
pub use memory::{MemoryStore, StoreCall, StoreFault, StoreOperation};
pub use s3::S3Store;
pub use self_test::{SelfTestError, check_conditional_writes};

/// A flat store of immutable objects.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Stores `object` in one call unless something lies under `key`.
    ///
    /// # Errors
    /// [`StoreError`]; the call may be repeated, after [`StoreError::Unknown`] too.
    async fn put_new(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError>;

    /// The same as a multipart upload, whose completion carries the condition.
    ///
    /// # Errors
    /// [`StoreError`]; the call may be repeated, after [`StoreError::Unknown`] too.
    async fn put_new_in_parts(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError>;

    /// The whole object, or `None` if nothing lies under `key`.
    ///
    /// # Errors
    /// [`StoreError`]; the call may be repeated.
    async fn get(&self, key: &str) -> Result<Option<StoredObject>, StoreError>;

    /// The metadata of the object, or `None` if nothing lies under `key`.
    ///
    /// # Errors
    /// [`StoreError`]; the call may be repeated.
    async fn head(&self, key: &str) -> Result<Option<ObjectMetadata>, StoreError>;

    /// One page of the objects whose keys start with `prefix` and come after `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`StoreError`]; the call may be repeated.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError>;

    /// Removes the object, present or not.
    ///
    /// # Errors
    /// [`StoreError`]; the call may be repeated.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}

/// What a writer says about an object, readable without its body. Keys and values are ASCII.
pub type ObjectMetadata = BTreeMap<String, String>;

/// An object to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// The bytes.
    pub body: Bytes,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Metadata stored with the body.
    pub metadata: ObjectMetadata,
}

/// An object as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// The bytes.
    pub body: Bytes,
    /// Metadata stored with the body.
    pub metadata: ObjectMetadata,
}

/// How a conditional put ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object was stored.
    Created,
    /// Something lies under the key, with this metadata; nothing was stored.
    Exists(ObjectMetadata),
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The objects, in the order of their keys.
    pub objects: Vec<ListedObject>,
    /// Whether another page follows the last key.
    pub has_more: bool,
}

/// An object as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Size of its body.
    pub bytes: u64,
}

/// Why a call to an object store failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Surely without effect, and likely to pass: throttled, not connected, or another writer was at the same key.
    #[error("{operation} of object {key} was not done")]
    NotDone {
        /// What was asked.
        operation: StoreOperation,
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// May or may not have had its effect, or may still have it: timeout, connection lost, server error.
    #[error("outcome of {operation} of object {key} is not known")]
    Unknown {
        /// What was asked.
        operation: StoreOperation,
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Does not pass by itself: no such bucket, no permission, or a call that the store does not know.
    #[error("{operation} of object {key} is refused; check bucket, region and permissions")]
    Refused {
        /// What was asked.
        operation: StoreOperation,
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NotDone { .. } | Self::Unknown { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}
