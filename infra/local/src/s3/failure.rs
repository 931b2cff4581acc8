//! How failures of the file system look to an S3 client.

use std::io;

use axum::http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

/// The S3 error for `error`: 507 for a full disk, which no retry cures, and `InternalError` for all others.
pub(super) fn failed(error: io::Error) -> S3Error {
    let is_full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    );
    if !is_full {
        let message = format!("the local object store failed: {error}");
        return S3Error::with_message(S3ErrorCode::InternalError, message);
    }
    let message = format!("the disk of the local object store is full: {error}");
    let mut full = S3Error::with_message(S3ErrorCode::Custom("InsufficientStorage".into()), message);
    full.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    full
}

/// The same for work on the blocking pool that did not end.
pub(super) fn interrupted(error: tokio::task::JoinError) -> S3Error {
    S3Error::with_message(S3ErrorCode::InternalError, format!("the local object store stopped: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart() {
        let full = failed(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
        let other = failed(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(other.status_code(), Some(StatusCode::INTERNAL_SERVER_ERROR));
    }
}
