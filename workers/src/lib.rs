//! Stream workers on the Leasehold KCL.

mod sink;

pub use sink::{
    ListPage, ListedObject, MemoryStore, NewObject, ObjectMetadata, ObjectStore, PutOutcome, S3Store,
    SelfTestError, StoreCall, StoreError, StoreFault, StoreOperation, StoredObject, check_conditional_writes,
    check_object_store,
};
