//! [`ObjectStore`] over S3, or anything that speaks its protocol with `If-None-Match: *`.
//!
//! ```text
//! put_new            PutObject If-None-Match ─┬─ 412 ─▶ HeadObject ─▶ Exists
//!                                             └─ 409 ─▶ the same put again
//! put_new_in_parts   Create ▶ UploadPart × n ▶ Complete If-None-Match ─┬─ 412 ─▶ Abort, HeadObject ─▶ Exists
//!                       ▲                                              │
//!                       └────────────────────────────────── 409, Abort ┘
//! ```
//!
//! Every key lies below one prefix of one bucket. Throttles and broken connections are retried by the SDK first; a put
//! that it repeats after a lost reply meets its own object, which the caller recognises by its metadata.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::{
    ListPage, ListedObject, NewObject, ObjectMetadata, ObjectStore, PutOutcome, StoreError, StoreOperation,
    StoredObject,
};

/// Objects of one bucket below one prefix.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    bucket: String,
    prefix: String,
}

impl S3Store {
    /// Objects of `bucket` whose keys begin with `prefix`, which is empty or ends with `/`.
    #[must_use]
    pub fn new(client: Client, bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into(), prefix: prefix.into() }
    }

    /// A client for `endpoint`, or for AWS without one. Custom endpoints get the bucket in the path: few of them have a
    /// host name per bucket.
    #[must_use]
    pub fn client(config: &aws_config::SdkConfig, endpoint: Option<&str>) -> Client {
        let builder = aws_sdk_s3::config::Builder::from(config);
        Client::from_conf(match endpoint {
            Some(url) => builder.endpoint_url(url).force_path_style(true).build(),
            None => builder.build(),
        })
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What lies under a key that a conditional write found taken.
    async fn taken(&self, operation: StoreOperation, key: &str) -> Result<PutOutcome, StoreError> {
        match self.head(key).await? {
            Some(metadata) => Ok(PutOutcome::Exists(metadata)),
            None => Err(StoreError::NotDone { operation, key: key.to_owned(), source: VANISHED.into() }),
        }
    }

    /// One multipart upload from its creation; `None` if another write raced its completion.
    async fn upload(&self, key: &str, object: &NewObject) -> Result<Option<PutOutcome>, StoreError> {
        let failed = |error| classify(StoreOperation::PutInParts, key, error);
        let created = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full_key(key))
            .content_type(object.content_type)
            .set_metadata(Some(object.metadata.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| failed(Failure::of(error)))?;
        let upload_id = created.upload_id.unwrap_or_default();
        let completed = match self.upload_parts(key, &upload_id, &object.body).await {
            Ok(parts) => self.complete(key, &upload_id, parts).await,
            Err(failure) => Err(failure),
        };
        let Err(failure) = completed else { return Ok(Some(PutOutcome::Created)) };
        // An upload whose completion got no answer may still be completed by it; aborting is harmless either way.
        self.abort(key, &upload_id).await;
        match failure.status {
            Some(STATUS_TAKEN) => self.taken(StoreOperation::PutInParts, key).await.map(Some),
            Some(STATUS_RACED) => Ok(None),
            _ => Err(failed(failure)),
        }
    }

    async fn upload_parts(
        &self,
        key: &str,
        upload_id: &str,
        body: &Bytes,
    ) -> Result<Vec<CompletedPart>, Failure> {
        let mut parts = Vec::new();
        let mut rest = body.clone();
        loop {
            let part = rest.split_to(rest.len().min(PART_BYTES));
            let number = i32::try_from(parts.len() + 1).expect("at most 10,000 parts");
            let uploaded = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(self.full_key(key))
                .upload_id(upload_id)
                .part_number(number)
                .body(ByteStream::from(part))
                .send()
                .await
                .map_err(Failure::of)?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(uploaded.e_tag).build());
            if rest.is_empty() {
                return Ok(parts);
            }
        }
    }

    async fn complete(&self, key: &str, upload_id: &str, parts: Vec<CompletedPart>) -> Result<(), Failure> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(self.full_key(key))
            .upload_id(upload_id)
            .multipart_upload(parts)
            .if_none_match(ANYTHING);
        request.send().await.map(drop).map_err(Failure::of)
    }

    async fn abort(&self, key: &str, upload_id: &str) {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(self.full_key(key));
        if let Err(error) = request.upload_id(upload_id).send().await {
            tracing::debug!(%key, error = %Failure::of(error), "multipart upload is left to the lifecycle rule");
        }
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_new(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
        for _ in 0..RACES_MAX {
            let request = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(self.full_key(key))
                .content_type(object.content_type)
                .set_metadata(Some(object.metadata.clone().into_iter().collect()))
                .if_none_match(ANYTHING)
                .body(ByteStream::from(object.body.clone()));
            let Err(error) = request.send().await else { return Ok(PutOutcome::Created) };
            let failure = Failure::of(error);
            match failure.status {
                Some(STATUS_TAKEN) => return self.taken(StoreOperation::Put, key).await,
                Some(STATUS_RACED) => {}
                _ => return Err(classify(StoreOperation::Put, key, failure)),
            }
        }
        Err(raced(StoreOperation::Put, key))
    }

    async fn put_new_in_parts(&self, key: &str, object: &NewObject) -> Result<PutOutcome, StoreError> {
        for _ in 0..RACES_MAX {
            if let Some(outcome) = self.upload(key, object).await? {
                return Ok(outcome);
            }
        }
        Err(raced(StoreOperation::PutInParts, key))
    }

    async fn get(&self, key: &str) -> Result<Option<StoredObject>, StoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.full_key(key));
        let answer = match request.send().await.map_err(Failure::of) {
            Ok(answer) => answer,
            Err(failure) if failure.is_no_such_key() => return Ok(None),
            Err(failure) => return Err(classify(StoreOperation::Get, key, failure)),
        };
        let metadata = answer.metadata.unwrap_or_default().into_iter().collect();
        let body = answer.body.collect().await.map_err(|error| StoreError::NotDone {
            operation: StoreOperation::Get,
            key: key.to_owned(),
            source: error.into(),
        })?;
        Ok(Some(StoredObject { body: body.into_bytes(), metadata }))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMetadata>, StoreError> {
        let request = self.client.head_object().bucket(&self.bucket).key(self.full_key(key));
        match request.send().await.map_err(Failure::of) {
            Ok(answer) => Ok(Some(answer.metadata.unwrap_or_default().into_iter().collect())),
            Err(failure) if failure.is_no_such_key() => Ok(None),
            Err(failure) => Err(classify(StoreOperation::Head, key, failure)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<ListPage, StoreError> {
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.full_key(prefix))
            .set_start_after(after.map(|key| self.full_key(key)))
            .send()
            .await
            .map_err(|error| classify(StoreOperation::List, prefix, Failure::of(error)))?;
        let listed = answer.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let key = object.key?.strip_prefix(&self.prefix)?.to_owned();
            Some(ListedObject { key, bytes: object.size.and_then(|size| size.try_into().ok()).unwrap_or(0) })
        });
        Ok(ListPage { objects: listed.collect(), has_more: answer.is_truncated.unwrap_or(false) })
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(self.full_key(key));
        match request.send().await.map_err(Failure::of) {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_no_such_key() => Ok(()),
            Err(failure) => Err(classify(StoreOperation::Delete, key, failure)),
        }
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// What is left of an SDK error once its operation's type is gone.
#[derive(Debug)]
struct Failure {
    status: Option<u16>,
    code: Option<String>,
    was_sent: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    fn of<E>(error: SdkError<E>) -> Self
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let was_sent = !matches!(&error, SdkError::ConstructionFailure(_));
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.as_service_error().and_then(|error| error.code()).map(str::to_owned);
        Self { status, code, was_sent, source: Box::new(error) }
    }

    /// A 404 that speaks of the key; the answer to HEAD has no body, and therefore no code of its own.
    fn is_no_such_key(&self) -> bool {
        self.status == Some(404) && self.code.as_deref() != Some("NoSuchBucket")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&aws_sdk_s3::error::DisplayErrorContext(self.source.as_ref()), formatter)
    }
}

fn classify(operation: StoreOperation, key: &str, failure: Failure) -> StoreError {
    let key = key.to_owned();
    let source = failure.source;
    match failure.status {
        Some(408 | 500 | 502 | 504) => StoreError::Unknown { operation, key, source },
        Some(429 | 503 | STATUS_RACED) => StoreError::NotDone { operation, key, source },
        // The upload was completed or aborted by somebody else meanwhile; the next attempt begins a new one.
        Some(404) if failure.code.as_deref() == Some("NoSuchUpload") => {
            StoreError::NotDone { operation, key, source }
        }
        Some(_) => StoreError::Refused { operation, key, source },
        None if failure.was_sent => StoreError::Unknown { operation, key, source },
        None => StoreError::Refused { operation, key, source },
    }
}

fn raced(operation: StoreOperation, key: &str) -> StoreError {
    let source = format!("{RACES_MAX} attempts met a concurrent write").into();
    StoreError::NotDone { operation, key: key.to_owned(), source }
}

const ANYTHING: &str = "*";

/// Precondition failed: something lies under the key.
const STATUS_TAKEN: u16 = 412;

/// `ConditionalRequestConflict`: a concurrent operation raced this one, and neither outcome is certain.
const STATUS_RACED: u16 = 409;

const VANISHED: &str = "the object that blocked it is gone";

/// A race has few participants and each round has a winner; the caller repeats with a pause anyway.
const RACES_MAX: usize = 5;

/// At least 5 MiB, which S3 asks of every part but the last; 10,000 parts of this size are 80 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: Option<u16>, code: Option<&str>, was_sent: bool) -> Failure {
        Failure { status, code: code.map(str::to_owned), was_sent, source: "test".into() }
    }

    #[test]
    fn failures_are_told_apart_by_what_the_caller_can_do() {
        let kind = |status, code, was_sent| match classify(
            StoreOperation::Put,
            "k",
            failure(status, code, was_sent),
        ) {
            StoreError::NotDone { .. } => "not done",
            StoreError::Unknown { .. } => "unknown",
            StoreError::Refused { .. } => "refused",
        };
        assert_eq!(kind(None, None, true), "unknown");
        assert_eq!(kind(Some(500), None, true), "unknown");
        assert_eq!(kind(Some(503), Some("SlowDown"), true), "not done");
        assert_eq!(kind(Some(404), Some("NoSuchUpload"), true), "not done");
        assert_eq!(kind(Some(404), Some("NoSuchBucket"), true), "refused");
        assert_eq!(kind(Some(403), Some("AccessDenied"), true), "refused");
        assert_eq!(kind(None, None, false), "refused");
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        assert!(failure(Some(404), None, true).is_no_such_key());
        assert!(failure(Some(404), Some("NoSuchKey"), true).is_no_such_key());
        assert!(!failure(Some(404), Some("NoSuchBucket"), true).is_no_such_key());
    }
}
