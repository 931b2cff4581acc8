//! An object store in memory, with faults on demand.
//!
//! Clones share the objects. A fault hook sees every call before it is carried out, so a test decides by call what goes
//! wrong: nothing here is random.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::{
    ListPage, ListedObject, NewObject, ObjectMetadata, ObjectStore, PutOutcome, StoreError, StoredObject,
};

/// An object store in memory.
#[derive(Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, StoredObject>>>,
    hook: Arc<Mutex<Option<FaultHook>>>,
}

/// A call as a fault hook sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCall<'a> {
    /// What is asked.
    pub operation: StoreOperation,
    /// The key, or the prefix of a listing.
    pub key: &'a str,
}

/// The calls of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreOperation {
    /// [`ObjectStore::put_new`].
    Put,
    /// [`ObjectStore::put_new_in_parts`].
    PutInParts,
    /// [`ObjectStore::get`].
    Get,
    /// [`ObjectStore::head`].
    Head,
    /// [`ObjectStore::list`].
    List,
    /// [`ObjectStore::delete`].
    Delete,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// Not carried out, and the caller is told so.
    NotDone,
    /// Not carried out, and no repetition would help.
    Refused,
    /// Carried out, but the caller gets [`StoreError::Unknown`].
    LostReply,
    /// Not carried out, and never answered: the caller is about to die.
    HangBefore,
    /// Carried out, and never answered: the caller is about to die.
    HangAfter,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks `hook` before every call from here on.
    pub fn set_faults(&self, hook: impl FnMut(&StoreCall<'_>) -> Option<StoreFault> + Send + 'static) {
        *self.hook.lock() = Some(Box::new(hook));
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        *self.hook.lock() = None;
    }

    /// Every object, by key.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, StoredObject> {
        self.objects.lock().clone()
    }

    /// Puts `object` under `key`, or removes what lies there: what a foreign writer without conditions would do.
    pub fn replace(&self, key: &str, object: Option<StoredObject>) {
        let mut objects = self.objects.lock();
        match object {
            Some(object) => objects.insert(key.to_owned(), object),
            None => objects.remove(key),
        };
    }

    async fn call<T>(
        &self,
        operation: StoreOperation,
        key: &str,
        effect: impl FnOnce(&mut BTreeMap<String, StoredObject>) -> T + Send,
    ) -> Result<T, StoreError> {
        let fault = self.hook.lock().as_mut().and_then(|hook| hook(&StoreCall { operation, key }));
        let key = key.to_owned();
        let Some(fault) = fault else { return Ok(effect(&mut self.objects.lock())) };
        match fault {
            StoreFault::NotDone => Err(StoreError::NotDone { operation, key, source: INJECTED.into() }),
            StoreFault::Refused => Err(StoreError::Refused { operation, key, source: INJECTED.into() }),
            StoreFault::LostReply => {
                effect(&mut self.objects.lock());
                Err(StoreError::Unknown { operation, key, source: INJECTED.into() })
            }
            StoreFault::HangBefore => pending().await,
            StoreFault::HangAfter => {
                effect(&mut self.objects.lock());
                pending().await
            }
        }
    }

    async fn create(
        &self,
        operation: StoreOperation,
        key: &str,
        object: &NewObject,
    ) -> Result<PutOutcome, StoreError> {
        self.call(operation, key, |objects| match objects.get(key) {
            Some(present) => PutOutcome::Exists(present.metadata.clone()),
            None => {
                let NewObject { body, metadata, .. } = object.clone();
                objects.insert(key.to_owned(), StoredObject { body, metadata });
                PutOutcome::Created
            }
        })
        .await
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put_new(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
        self.create(StoreOperation::Put, key, object).await
    }

    async fn put_new_in_parts(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
        self.create(StoreOperation::PutInParts, key, object).await
    }

    async fn get(&self, key: &str) -> Result<Option<StoredObject>, StoreError> {
        self.call(StoreOperation::Get, key, |objects| objects.get(key).cloned()).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMetadata>, StoreError> {
        self.call(StoreOperation::Head, key, |objects| objects.get(key).map(|object| object.metadata.clone()))
            .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
        self.call(StoreOperation::List, prefix, |objects| {
            let start = match after {
                Some(key) if key >= prefix => Bound::Excluded(key),
                Some(_) | None => Bound::Included(prefix),
            };
            let mut matching = objects
                .range::<str, _>((start, Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .map(|(key, object)| ListedObject { key: key.clone(), bytes: object.body.len() as u64 });
            let page = matching.by_ref().take(PAGE_OBJECTS_MAX).collect();
            ListPage { objects: page, has_more: matching.next().is_some() }
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.call(StoreOperation::Delete, key, |objects| {
            objects.remove(key);
        })
        .await
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryStore")
            .field("objects", &self.objects.lock().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Put => "put",
            Self::PutInParts => "multipart put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "listing",
            Self::Delete => "delete",
        })
    }
}

type FaultHook = Box<dyn FnMut(&StoreCall<'_>) -> Option<StoreFault> + Send>;

const INJECTED: &str = "injected fault";

/// S3 answers with at most 1000; few enough here that tests of a few objects see a second page.
const PAGE_OBJECTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::{check_conditional_writes, check_object_store};
    use super::*;

    #[tokio::test]
    async fn it_passes_the_conformance_suite_and_the_self_test() {
        let store = MemoryStore::new();
        check_object_store(&store, "suite/").await;
        check_conditional_writes(&store).await.expect("one winner");
    }

    #[tokio::test]
    async fn a_lost_reply_leaves_the_object_and_a_repeat_finds_it() {
        let store = MemoryStore::new();
        let mut lost = false;
        store.set_faults(move |_| (!std::mem::replace(&mut lost, true)).then_some(StoreFault::LostReply));
        let object =
            NewObject { body: "x".into(), content_type: "text/plain", metadata: ObjectMetadata::new() };
        assert!(matches!(store.put_new("k", &object).await, Err(StoreError::Unknown { .. })));
        assert_eq!(store.put_new("k", &object).await.expect("answered"), PutOutcome::Exists(object.metadata));
    }
}
