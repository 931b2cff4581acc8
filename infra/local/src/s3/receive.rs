//! Takes the body of a put to a temporary file, with its digests computed on the way.
//!
//! A body whose length or digests are not what the client said is refused here, before anything is visible. If the
//! client goes away, the future is dropped and the temporary file with it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, s3_error};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::attributes::{Checksums, hex};
use super::chunked::Trailers;
use super::failure::{failed, interrupted};
use super::store::{Staged, Store};

/// What the client says about the bytes it sends.
#[derive(Debug, Default)]
pub(super) struct Promise {
    pub(super) content_length: Option<i64>,
    /// In base64.
    pub(super) content_md5: Option<String>,
    pub(super) checksums: Checksums,
    /// Names of checksums that follow the body or are wanted in the answer.
    pub(super) algorithms: Vec<String>,
    pub(super) trailers: Trailers,
}

/// Reads `body` to its end.
pub(super) async fn receive(
    store: &Arc<Store>,
    body: Option<StreamingBlob>,
    promise: Promise,
) -> Result<Staged, S3Error> {
    let opener = Arc::clone(store);
    let mut temporary =
        spawn_blocking(move || opener.temporary()).await.map_err(interrupted)?.map_err(failed)?;
    let mut output = tokio::fs::File::from_std(temporary.handle().map_err(failed)?);
    let (mut md5, mut hasher, mut bytes) = (Md5::new(), promise.hasher(), 0_u64);
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                S3Error::with_message(S3ErrorCode::IncompleteBody, format!("the body ended early: {error}"))
            })?;
            md5.update(&chunk);
            hasher.update(&chunk);
            bytes += chunk.len() as u64;
            output.write_all(&chunk).await.map_err(failed)?;
        }
    }
    output.flush().await.map_err(failed)?;
    let digest = md5.finalize();
    promise.check_length(bytes)?;
    promise.check_md5(&digest)?;
    let checksums = promise.check_checksums(&hasher.finalize())?;
    Ok(Staged { file: temporary, bytes, etag: hex(&digest), checksums })
}

impl Promise {
    fn hasher(&self) -> ChecksumHasher {
        let wants = |name: &str, given: &Option<String>| {
            given.is_some() || self.algorithms.iter().any(|algorithm| algorithm.eq_ignore_ascii_case(name))
        };
        ChecksumHasher {
            crc32: wants("CRC32", &self.checksums.crc32).then(Default::default),
            crc32c: wants("CRC32C", &self.checksums.crc32c).then(Default::default),
            sha1: wants("SHA1", &self.checksums.sha1).then(Default::default),
            sha256: wants("SHA256", &self.checksums.sha256).then(Default::default),
            crc64nvme: wants("CRC64NVME", &self.checksums.crc64nvme).then(Default::default),
        }
    }

    fn check_length(&self, bytes: u64) -> Result<(), S3Error> {
        match self.content_length.map(u64::try_from) {
            Some(Ok(promised)) if promised != bytes => {
                let message = format!("the body has {bytes} bytes, its header says {promised}");
                Err(S3Error::with_message(S3ErrorCode::IncompleteBody, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_md5(&self, digest: &[u8]) -> Result<(), S3Error> {
        let Some(text) = &self.content_md5 else { return Ok(()) };
        let promised = STANDARD.decode(text).map_err(|_| s3_error!(InvalidDigest))?;
        if promised == digest { Ok(()) } else { Err(s3_error!(BadDigest, "the body has another MD5")) }
    }

    /// The computed checksums, if none differs from one that came before or after the body.
    fn check_checksums(&self, computed: &s3s::dto::Checksum) -> Result<Checksums, S3Error> {
        let check = |name: &str, given: &Option<String>, computed: &Option<String>| {
            let trailer = || self.trailers.value(&format!("x-amz-checksum-{name}"));
            match (given.clone().or_else(trailer), computed) {
                (Some(promised), Some(computed)) if promised != *computed => Err(S3Error::with_message(
                    S3ErrorCode::BadDigest,
                    format!("the {name} of the body is {computed}, the client says {promised}"),
                )),
                (_, computed) => Ok(computed.clone()),
            }
        };
        let given = &self.checksums;
        Ok(Checksums {
            crc32: check("crc32", &given.crc32, &computed.checksum_crc32)?,
            crc32c: check("crc32c", &given.crc32c, &computed.checksum_crc32c)?,
            crc64nvme: check("crc64nvme", &given.crc64nvme, &computed.checksum_crc64nvme)?,
            sha1: check("sha1", &given.sha1, &computed.checksum_sha1)?,
            sha256: check("sha256", &given.sha256, &computed.checksum_sha256)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures_util::stream;

    use super::*;

    async fn receive_text(promise: Promise, pieces: &[&'static str]) -> (usize, Result<Staged, S3Error>) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(folder.path().to_owned()).expect("opens"));
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| match *piece {
                "!" => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                text => Ok(Bytes::from_static(text.as_bytes())),
            })
            .collect();
        let result = receive(&store, Some(StreamingBlob::wrap(stream::iter(pieces))), promise).await;
        let left = std::fs::read_dir(folder.path().join(".leasehold/temporary")).expect("a folder").count();
        (left, result)
    }

    #[tokio::test]
    async fn right_promises_are_kept_and_answered() {
        let promise = Promise {
            content_length: Some(11),
            content_md5: Some("XrY7u+Ae7tCTyyK7j1rNww==".to_owned()),
            algorithms: vec!["CRC32".to_owned()],
            ..Promise::default()
        };
        let (left, staged) = receive_text(promise, &["hello", " world"]).await;
        let staged = staged.expect("all promises hold");
        assert_eq!(staged.etag, "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(staged.checksums.crc32.as_deref(), Some("DUoRhQ=="));
        assert_eq!((left, staged.bytes), (1, 11));
    }

    #[tokio::test]
    async fn broken_promises_leave_no_file() {
        let crc = Checksums { crc32: Some("AAAAAA==".to_owned()), ..Checksums::default() };
        let cases: [(Promise, &[&'static str], S3ErrorCode); 4] = [
            (
                Promise { content_length: Some(12), ..Promise::default() },
                &["hello"],
                S3ErrorCode::IncompleteBody,
            ),
            (
                Promise { content_md5: Some("XrY7u+Ae7tCTyyK7j1rNww==".to_owned()), ..Promise::default() },
                &["other"],
                S3ErrorCode::BadDigest,
            ),
            (Promise { checksums: crc, ..Promise::default() }, &["hello"], S3ErrorCode::BadDigest),
            (Promise::default(), &["hel", "!"], S3ErrorCode::IncompleteBody),
        ];
        for (promise, pieces, code) in cases {
            let (left, result) = receive_text(promise, pieces).await;
            assert_eq!(result.expect_err("a broken promise").code(), &code);
            assert_eq!(left, 0);
        }
    }
}
