//! The operations of S3 over the store: from the fields of a request to calls of [`Store`], and back.
//!
//! Decides nothing about files. Every call of the store runs on the blocking pool.

use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::attributes::{Checksums, Entry, time, timestamp};
use super::convert::{attributes_of, output_of, promise_of};
use super::failure::{failed, interrupted};
use super::listing::{self, After, Page, Query};
use super::receive::receive;
use super::store::{Condition, Staged, Store};
use super::uploads::WantedPart;

/// The S3 API of one store.
#[derive(Debug)]
pub(super) struct Api {
    store: Arc<Store>,
}

impl Api {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Runs `work` on the blocking pool, to its end even if the request is dropped.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        spawn_blocking(move || work(&store)).await.map_err(interrupted)?
    }

    /// One page of a bucket, each key with its entry.
    async fn page(&self, bucket: String, query: Query) -> S3Result<(Page, Vec<Object>)> {
        self.run(move |store| {
            let page = listing::list(&store.bucket(&bucket)?, &query).map_err(failed)?;
            let mut objects = Vec::with_capacity(page.keys.len());
            for key in &page.keys {
                match store.read(&bucket, key) {
                    Ok((_, entry)) => objects.push(object(key, &entry)?),
                    Err(error) if *error.code() == s3s::S3ErrorCode::NoSuchKey => {}
                    Err(error) => return Err(error),
                }
            }
            Ok((page, objects))
        })
        .await
    }
}

#[async_trait::async_trait]
impl S3 for Api {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        let location = Some(format!("/{bucket}"));
        self.run(move |store| store.create_bucket(&bucket)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.run(move |store| store.delete_bucket(&request.input.bucket, listing::is_empty)).await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.run(move |store| store.bucket(&request.input.bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.run(move |store| store.bucket(&request.input.bucket)).await?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(
        &self,
        _request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.run(|store| store.buckets().map_err(failed)).await?;
        let buckets = buckets.into_iter().map(|(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(Timestamp::from(created)),
            ..Bucket::default()
        });
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() }))
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let promise = promise_of!(request);
        let mut input = request.input;
        let attributes = attributes_of!(input);
        let condition =
            Condition { if_match: input.if_match.take(), if_none_match: input.if_none_match.take() };
        let (bucket, key) = (input.bucket, input.key);
        let (early, named) = (condition.clone(), (bucket.clone(), key.clone()));
        self.run(move |store| store.check(&named.0, &named.1, &early)).await?;
        let staged = receive(&self.store, input.body.take(), promise).await?;
        let entry =
            self.run(move |store| store.commit(&bucket, &key, staged, attributes, &condition)).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(entry.etag()),
            checksum_crc32: entry.checksums.crc32,
            checksum_crc32c: entry.checksums.crc32c,
            checksum_crc64nvme: entry.checksums.crc64nvme,
            checksum_sha1: entry.checksums.sha1,
            checksum_sha256: entry.checksums.sha256,
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (bucket, key, range) = (input.bucket, input.key, input.range);
        let freshness = Freshness {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let (file, entry, wanted) = self
            .run(move |store| {
                let (mut file, entry) = store.read(&bucket, &key)?;
                freshness.check(&entry)?;
                let wanted = range.map_or(Ok(0..entry.bytes), |range| range.check(entry.bytes))?;
                file.seek(SeekFrom::Start(wanted.start)).map_err(failed)?;
                Ok((file, entry, wanted))
            })
            .await?;
        let content_range =
            range.map(|_| format!("bytes {}-{}/{}", wanted.start, wanted.end.saturating_sub(1), entry.bytes));
        let length = wanted.end - wanted.start;
        let reader = tokio::fs::File::from_std(file).take(length);
        let body = StreamingBlob::wrap(ReaderStream::with_capacity(reader, READ_BYTES));
        let whole = content_range.is_none() && input.checksum_mode.is_some();
        let checksums = if whole { entry.checksums.clone() } else { Checksums::default() };
        Ok(S3Response::new(output_of!(GetObjectOutput, entry, checksums, {
            body: Some(body),
            content_length: Some(signed(length)?),
            content_range: content_range,
        })))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let freshness = Freshness {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let entry = self
            .run(move |store| {
                let (_, entry) = store.read(&input.bucket, &input.key)?;
                freshness.check(&entry)?;
                Ok(entry)
            })
            .await?;
        let asked = input.checksum_mode.is_some();
        let checksums = if asked { entry.checksums.clone() } else { Checksums::default() };
        Ok(S3Response::new(output_of!(HeadObjectOutput, entry, checksums, {
            content_length: Some(signed(entry.bytes)?),
        })))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.run(move |store| store.delete(&request.input.bucket, &request.input.key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        let quiet = delete.quiet.unwrap_or_default();
        let (deleted, errors) = self
            .run(move |store| {
                store.bucket(&bucket)?;
                let (mut deleted, mut errors) = (Vec::new(), Vec::new());
                for object in delete.objects {
                    match store.delete(&bucket, &object.key) {
                        Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
                        Err(error) => errors.push(Error {
                            code: Some(error.code().as_str().to_owned()),
                            message: error.message().map(str::to_owned),
                            key: Some(object.key),
                            ..Default::default()
                        }),
                    }
                }
                Ok((deleted, errors))
            })
            .await?;
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let mut input = request.input;
        let CopySource::Bucket { bucket: source_bucket, key: source_key, .. } = input.copy_source.clone()
        else {
            return Err(s3_error!(NotImplemented, "only objects of a bucket can be copied here"));
        };
        let replaces = input
            .metadata_directive
            .as_ref()
            .is_some_and(|wanted| wanted.as_str() == MetadataDirective::REPLACE);
        let replacement = replaces.then(|| attributes_of!(input));
        let freshness = Freshness {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let (bucket, key) = (input.bucket, input.key);
        let entry = self
            .run(move |store| {
                let (mut source, found) = store.read(&source_bucket, &source_key)?;
                freshness.check(&found).map_err(|_| s3_error!(PreconditionFailed))?;
                let mut file = store.temporary().map_err(failed)?;
                let bytes = io::copy(&mut source, file.file_mut()).map_err(failed)?;
                let staged = Staged { file, bytes, etag: found.etag, checksums: found.checksums };
                let attributes = replacement.unwrap_or(found.attributes);
                store.commit(&bucket, &key, staged, attributes, &Condition::default())
            })
            .await?;
        let result = CopyObjectResult {
            e_tag: Some(entry.etag()),
            last_modified: Some(entry.modified()),
            ..CopyObjectResult::default()
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.marker.clone().map(|marker| match &input.delimiter {
            // The marker of the next page may be a common prefix, which ends with the delimiter.
            Some(delimiter) if marker.ends_with(delimiter.as_str()) && marker.len() > prefix.len() => {
                After::CommonPrefix(marker)
            }
            Some(_) | None => After::Key(marker),
        });
        let items_max = page_size(input.max_keys)?;
        let query = Query { prefix, delimiter: input.delimiter.clone(), after, items_max };
        let (page, objects) = self.page(input.bucket.clone(), query).await?;
        let next_marker = page.next.map(|next| match next {
            After::Key(text) | After::CommonPrefix(text) => text,
        });
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: input.prefix,
            marker: input.marker,
            max_keys: Some(shown_count(items_max)?),
            is_truncated: Some(next_marker.is_some()),
            contents: Some(objects),
            common_prefixes: Some(common_prefixes(page.common_prefixes)),
            delimiter: input.delimiter,
            next_marker,
            ..ListObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let after = match &input.continuation_token {
            Some(token) => {
                let invalid =
                    || s3_error!(InvalidArgument, "the continuation token is not one of this store");
                Some(After::from_token(token).ok_or_else(invalid)?)
            }
            None => input.start_after.clone().map(After::Key),
        };
        let items_max = page_size(input.max_keys)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let query = Query { prefix, delimiter: input.delimiter.clone(), after, items_max };
        let (page, objects) = self.page(input.bucket.clone(), query).await?;
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            max_keys: Some(shown_count(items_max)?),
            key_count: Some(shown_count(objects.len() + page.common_prefixes.len())?),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| next.to_token()),
            contents: Some(objects),
            common_prefixes: Some(common_prefixes(page.common_prefixes)),
            delimiter: input.delimiter,
            start_after: input.start_after,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut input = request.input;
        let attributes = attributes_of!(input);
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let id = self.run(move |store| store.begin_upload(&bucket, &key, attributes)).await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let promise = promise_of!(request);
        let UploadPartInput { bucket, key, upload_id, part_number, body, .. } = request.input;
        let staged = receive(&self.store, body, promise).await?;
        let (etag, checksums) = (staged.etag.clone(), staged.checksums.clone());
        self.run(move |store| store.put_part((&bucket, &key, &upload_id), part_number, staged)).await?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
            ..UploadPartOutput::default()
        }))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let marker = input.part_number_marker.unwrap_or_default();
        let parts_max = page_size(input.max_parts)?;
        let mut parts = self.run(move |store| store.parts(&bucket, &key, &id)).await?;
        parts.retain(|part| part.number > marker);
        let is_truncated = parts.len() > parts_max;
        parts.truncate(parts_max);
        let next_part_number_marker = parts.last().map(|part| part.number).filter(|_| is_truncated);
        let parts: S3Result<Vec<_>> = parts.into_iter().map(part).collect();
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(shown_count(parts_max)?),
            part_number_marker: input.part_number_marker,
            is_truncated: Some(is_truncated),
            next_part_number_marker,
            parts: Some(parts?),
            ..ListPartsOutput::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let (bucket, prefix) = (input.bucket.clone(), input.prefix.clone().unwrap_or_default());
        let uploads = self.run(move |store| store.list_uploads(&bucket, &prefix)).await?;
        let marker = (input.key_marker.clone().unwrap_or_default(), input.upload_id_marker.clone());
        let uploads_max = page_size(input.max_uploads)?;
        let mut rest = uploads.into_iter().filter(|(upload, id)| match &marker.1 {
            Some(last) => (&upload.key, id) > (&marker.0, last),
            None => upload.key > marker.0,
        });
        let page: Vec<_> = rest.by_ref().take(uploads_max).collect();
        let is_truncated = rest.next().is_some();
        let last = page.last().filter(|_| is_truncated);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(shown_count(uploads_max)?),
            is_truncated: Some(is_truncated),
            next_key_marker: last.map(|(upload, _)| upload.key.clone()),
            next_upload_id_marker: last.map(|(_, id)| id.clone()),
            uploads: Some(page.into_iter().map(|(upload, id)| multipart_upload(upload, id)).collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let condition = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let wanted: S3Result<Vec<_>> = parts.into_iter().map(wanted_part).collect();
        let wanted = wanted?;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
        let entry =
            self.run(move |store| store.complete_upload((&bucket, &key, &id), &wanted, &condition)).await?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(entry.etag()),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        self.run(move |store| store.abort_upload(&bucket, &key, &upload_id)).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// The conditions of a read. An entity tag takes precedence over a time, as RFC 9110 says.
struct Freshness {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Freshness {
    fn check(&self, entry: &Entry) -> S3Result<()> {
        let (etag, modified) = (entry.etag(), whole_seconds(entry));
        let unchanged = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => condition.as_etag().is_none_or(|wanted| wanted.strong_cmp(&etag)),
            (None, Some(since)) => modified <= *since,
            (None, None) => true,
        };
        if !unchanged {
            return Err(s3_error!(PreconditionFailed));
        }
        let changed = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => condition.as_etag().is_some_and(|known| !known.weak_cmp(&etag)),
            (None, Some(since)) => modified > *since,
            (None, None) => true,
        };
        if changed { Ok(()) } else { Err(s3_error!(NotModified)) }
    }
}

/// The precision of HTTP dates.
fn whole_seconds(entry: &Entry) -> Timestamp {
    Timestamp::from(time(entry.modified_nanos / NANOS_PER_SECOND * NANOS_PER_SECOND))
}

fn object(key: &str, entry: &Entry) -> S3Result<Object> {
    Ok(Object {
        key: Some(key.to_owned()),
        e_tag: Some(entry.etag()),
        last_modified: Some(entry.modified()),
        size: Some(signed(entry.bytes)?),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    })
}

fn common_prefixes(prefixes: Vec<String>) -> Vec<CommonPrefix> {
    prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect()
}

fn part(part: super::uploads::UploadedPart) -> S3Result<Part> {
    Ok(Part {
        part_number: Some(part.number),
        e_tag: Some(ETag::Strong(part.etag)),
        size: Some(signed(part.bytes)?),
        last_modified: Some(timestamp(part.modified_nanos)),
        ..Part::default()
    })
}

fn multipart_upload(upload: super::uploads::Upload, id: String) -> MultipartUpload {
    MultipartUpload {
        key: Some(upload.key),
        upload_id: Some(id),
        initiated: Some(timestamp(upload.started_nanos)),
        ..MultipartUpload::default()
    }
}

fn wanted_part(part: CompletedPart) -> S3Result<WantedPart> {
    let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML, "a part has no PartNumber"))?;
    let etag = part.e_tag.ok_or_else(|| s3_error!(MalformedXML, "a part has no ETag"))?;
    Ok(WantedPart { number, etag: etag.into_value() })
}

fn page_size(wanted: Option<i32>) -> S3Result<usize> {
    let wanted = wanted.map_or(Ok(PAGE_MAX), usize::try_from);
    let wanted = wanted.map_err(|_| s3_error!(InvalidArgument, "the size of a page must not be negative"))?;
    Ok(wanted.min(PAGE_MAX))
}

fn shown_count(count: usize) -> S3Result<i32> {
    i32::try_from(count).map_err(S3Error::internal_error)
}

fn signed(bytes: u64) -> S3Result<i64> {
    i64::try_from(bytes).map_err(S3Error::internal_error)
}

/// The bound of S3 for every kind of page.
const PAGE_MAX: usize = 1000;
/// Large reads, because each crosses to the blocking pool and back.
const READ_BYTES: usize = 256 << 10;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
