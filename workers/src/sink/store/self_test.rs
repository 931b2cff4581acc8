//! Start-up check that a store keeps its word about conditional writes.
//!
//! Some stores accept `If-None-Match` and ignore it, or check it without a lock. Exactly-once delivery rests on it, so a
//! store that lets two writers win is refused before anything else is written.

use futures_util::future::join_all;
use thiserror::Error;
use uuid::Uuid;

use super::{NewObject, ObjectMetadata, ObjectStore, PutOutcome, StoreError};

/// Why a store cannot carry exactly-once delivery.
#[derive(Debug, Error)]
pub enum SelfTestError {
    /// The check could not be carried out.
    #[error("conditional writes could not be checked")]
    Unavailable(#[from] StoreError),
    /// More or fewer than one of several concurrent writers of one key was told that it had won.
    #[error(
        "{winners} of {writers} concurrent conditional writers of {key} won, not one; \
         use a store with atomic If-None-Match on {operation}, or give up exactly-once delivery"
    )]
    NotOneWinner {
        /// The key written.
        key: String,
        /// How many wrote.
        writers: usize,
        /// How many were told that they had won.
        winners: usize,
        /// The call that failed the check.
        operation: &'static str,
    },
    /// The object does not carry the metadata of its writer.
    #[error("object {key} does not carry the metadata of its writer; use a store that keeps user metadata")]
    MetadataLost {
        /// The key written.
        key: String,
    },
}

/// Lets several writers race for a key that nobody used before, once with whole puts and once with multipart uploads.
///
/// # Errors
/// [`SelfTestError`] if not exactly one wins each race, if metadata gets lost, or if the store does not answer.
pub async fn check_conditional_writes(store: &dyn ObjectStore) -> Result<(), SelfTestError> {
    for upload in [Upload::Whole, Upload::Parts] {
        let key = format!("{PREFIX}{}", Uuid::new_v4());
        let verdict = race(store, &key, upload).await;
        if let Err(error) = store.delete(&key).await {
            tracing::debug!(%key, %error, "object of the self-test stays behind");
        }
        verdict?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Upload {
    Whole,
    Parts,
}

async fn race(store: &dyn ObjectStore, key: &str, upload: Upload) -> Result<(), SelfTestError> {
    let writers: Vec<NewObject> = (0..WRITERS).map(object_of).collect();
    let puts = writers.iter().map(|object| async move {
        match upload {
            Upload::Whole => store.put_new(key, object).await,
            Upload::Parts => store.put_new_in_parts(key, object).await,
        }
    });
    let mut winners = Vec::new();
    for (writer, outcome) in writers.iter().zip(join_all(puts).await) {
        match outcome? {
            PutOutcome::Created => winners.push(writer),
            PutOutcome::Exists(_) => {}
        }
    }
    let [winner] = winners[..] else {
        let operation = match upload {
            Upload::Whole => "PutObject",
            Upload::Parts => "CompleteMultipartUpload",
        };
        let winners = winners.len();
        return Err(SelfTestError::NotOneWinner {
            key: key.to_owned(),
            writers: WRITERS,
            winners,
            operation,
        });
    };
    if store.head(key).await?.as_ref() != Some(&winner.metadata) {
        return Err(SelfTestError::MetadataLost { key: key.to_owned() });
    }
    Ok(())
}

fn object_of(writer: usize) -> NewObject {
    let metadata = ObjectMetadata::from([("lh-writer".to_owned(), writer.to_string())]);
    NewObject { body: writer.to_string().into(), content_type: "text/plain", metadata }
}

const PREFIX: &str = "_selftest/";

/// Enough to show a store that checks and writes in two steps; few enough to start at once.
const WRITERS: usize = 8;

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::super::{ListPage, MemoryStore, StoreFault, StoredObject};
    use super::*;

    /// Which promise the store breaks.
    #[derive(Debug)]
    enum Lie {
        PutIgnoresTheCondition,
        CompletionIgnoresTheCondition,
        MetadataIsDropped,
    }

    #[derive(Debug)]
    struct LyingStore(MemoryStore, Lie);

    impl LyingStore {
        async fn put(&self, key: &str, object: &NewObject, lies: bool) -> Result<PutOutcome, StoreError> {
            let mut object = object.clone();
            if matches!(self.1, Lie::MetadataIsDropped) {
                object.metadata.clear();
            }
            if lies {
                let NewObject { body, metadata, .. } = object;
                self.0.replace(key, Some(StoredObject { body, metadata }));
                return Ok(PutOutcome::Created);
            }
            self.0.put_new(key, &object).await
        }
    }

    #[async_trait]
    impl ObjectStore for LyingStore {
        async fn put_new(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
            self.put(key, object, matches!(self.1, Lie::PutIgnoresTheCondition)).await
        }

        async fn put_new_in_parts(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
            self.put(key, object, matches!(self.1, Lie::CompletionIgnoresTheCondition)).await
        }

        async fn get(&self, key: &str) -> Result<Option<StoredObject>, StoreError> {
            self.0.get(key).await
        }

        async fn head(&self, key: &str) -> Result<Option<ObjectMetadata>, StoreError> {
            self.0.head(key).await
        }

        async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
            self.0.list(prefix, after).await
        }

        async fn delete(&self, key: &str) -> Result<(), StoreError> {
            self.0.delete(key).await
        }
    }

    #[tokio::test]
    async fn a_store_that_lets_two_win_is_refused() {
        for (lie, expected) in [
            (Lie::PutIgnoresTheCondition, "PutObject"),
            (Lie::CompletionIgnoresTheCondition, "CompleteMultipartUpload"),
        ] {
            let store = LyingStore(MemoryStore::new(), lie);
            let refused = check_conditional_writes(&store).await;
            assert!(
                matches!(&refused, Err(SelfTestError::NotOneWinner { operation, winners: WRITERS, .. }) if *operation == expected),
                "{refused:?}"
            );
            assert!(store.0.objects().is_empty(), "the self-test clears up");
        }
    }

    #[tokio::test]
    async fn a_store_without_metadata_is_refused() {
        let store = LyingStore(MemoryStore::new(), Lie::MetadataIsDropped);
        assert!(matches!(check_conditional_writes(&store).await, Err(SelfTestError::MetadataLost { .. })));
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_not_called_a_liar() {
        let store = MemoryStore::new();
        store.set_faults(|_| Some(StoreFault::NotDone));
        assert!(matches!(check_conditional_writes(&store).await, Err(SelfTestError::Unavailable(_))));
    }
}
