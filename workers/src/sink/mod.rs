//! Objects written exactly once: the store they lie in, their names, and what is said about them before and after.
//!
//! Owns the port to the object store and the formats of the exactly-once protocol. It never decides when a batch closes
//! and never touches a lease; the processor does both.

mod store;

pub use store::{
    ListPage, ListedObject, MemoryStore, NewObject, ObjectMetadata, ObjectStore, PutOutcome, S3Store,
    SelfTestError, StoreCall, StoreError, StoreFault, StoreOperation, StoredObject, check_conditional_writes,
    check_object_store,
};
