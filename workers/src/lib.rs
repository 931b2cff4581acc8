//! Stream workers on the Leasehold KCL.

mod session;
mod sink;

pub use session::{
    CloseReason, Pushed, Released, SessionEvent, SessionRules, SessionState, SnapshotError, session_uuid,
};
pub use sink::{
    ListPage, ListedObject, MemoryStore, NewObject, ObjectMetadata, ObjectStore, PutOutcome, S3Store,
    SelfTestError, StoreCall, StoreError, StoreFault, StoreOperation, StoredObject, check_conditional_writes,
    check_object_store,
};
