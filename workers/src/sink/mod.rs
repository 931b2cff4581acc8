//! Objects written exactly once: the store they lie in, their names, and what is said about them before and after.
//!
//! Owns the port to the object store and the formats of the exactly-once protocol. It never decides when a batch closes
//! and never touches a lease; the processor does both.

mod batch;
mod intent;
mod manifest;
mod name;
mod position_text;
mod range;
mod store;

pub(crate) use crate::hex::hex;
pub(crate) use batch::BatchLimits;
pub use batch::{Batch, ClosedBatch, ClosedObject};
pub use intent::{Advance, Intent, InvalidIntent};
pub use manifest::{Manifest, ManifestObject, ManifestSummary, ObjectKind, Totals};
pub use name::{BatchId, InvalidBatchId};
pub(crate) use name::{ShardNames, config_key};
pub use range::RangeFacts;
pub use store::{
    ListPage, ListedObject, MemoryStore, NewObject, ObjectMetadata, ObjectStore, PutOutcome, S3Store,
    SelfTestError, StoreCall, StoreError, StoreFault, StoreOperation, StoredObject, check_conditional_writes,
    check_object_store,
};
