//! Between the many-fielded inputs and outputs of S3 and the few things the store keeps.

use s3s::S3Request;
use s3s::dto::{Timestamp, TimestampFormat};

use super::chunked::Trailers;
use super::receive::Promise;

/// Takes the stored headers out of an input.
macro_rules! attributes_of {
    ($input:expr) => {
        $crate::s3::attributes::Attributes {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            website_redirect_location: $input.website_redirect_location.take(),
            expires: $input.expires.take().and_then($crate::s3::convert::http_date),
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
        }
    };
}

/// An output that shows the stored headers of an entry.
macro_rules! output_of {
    ($output:ident, $entry:expr, $checksums:expr, { $($field:ident: $value:expr),* $(,)? }) => {{
        let $crate::s3::attributes::Entry { attributes, .. } = &$entry;
        let checksums = $checksums;
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: attributes.cache_control.clone(),
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
            content_disposition: attributes.content_disposition.clone(),
            content_encoding: attributes.content_encoding.clone(),
            content_language: attributes.content_language.clone(),
            content_type: attributes.content_type.clone(),
            e_tag: Some($entry.etag()),
            expires: attributes.expires.as_deref().and_then($crate::s3::convert::from_http_date),
            last_modified: Some($entry.modified()),
            metadata: Some(attributes.metadata.clone().into_iter().collect()),
            website_redirect_location: attributes.website_redirect_location.clone(),
            $($field: $value,)*
            ..$output::default()
        }
    }};
}

/// What the client of a put says about its body.
macro_rules! promise_of {
    ($request:expr) => {{
        let checksums = $crate::s3::attributes::Checksums {
            crc32: $request.input.checksum_crc32.take(),
            crc32c: $request.input.checksum_crc32c.take(),
            crc64nvme: $request.input.checksum_crc64nvme.take(),
            sha1: $request.input.checksum_sha1.take(),
            sha256: $request.input.checksum_sha256.take(),
        };
        $crate::s3::receive::Promise {
            content_length: $request.input.content_length,
            content_md5: $request.input.content_md5.take(),
            checksums,
            ..$crate::s3::convert::promise_about_trailers(&$request)
        }
    }};
}

pub(super) use {attributes_of, output_of, promise_of};

/// The part of a promise that is in the headers of every kind of put.
pub(super) fn promise_about_trailers<T>(request: &S3Request<T>) -> Promise {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let asked = header("x-amz-sdk-checksum-algorithm").map(str::to_owned);
    let following = header("x-amz-trailer").and_then(|name| name.strip_prefix("x-amz-checksum-"));
    Promise {
        algorithms: asked.into_iter().chain(following.map(str::to_owned)).collect(),
        trailers: request.extensions.get::<Trailers>().cloned().unwrap_or_default(),
        ..Promise::default()
    }
}

pub(super) fn http_date(timestamp: Timestamp) -> Option<String> {
    let mut text = Vec::new();
    timestamp.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

pub(super) fn from_http_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}
