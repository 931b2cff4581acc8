//! Any credentials are good: takes the signature off a request, and the framing that belongs to it.
//!
//! `s3s` refuses signed requests unless it knows the secret, and decodes `aws-chunked` bodies only while it checks
//! them. So both are done here, and `s3s` sees an anonymous request with a plain body.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::chunked::{Trailers, without_framing};

/// `request` as an anonymous client would have sent it.
pub(super) fn unsigned(request: Request) -> s3s::HttpRequest {
    let (mut parts, body) = request.into_parts();
    let headers = &mut parts.headers;
    headers.remove(header::AUTHORIZATION);
    let framed = headers
        .remove(CONTENT_SHA256)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.starts_with("STREAMING-")));
    let trailers = Trailers::default();
    let body = if framed {
        describe_plain_body(headers);
        without_framing(body, trailers.clone())
    } else {
        s3s::Body::http_body_unsync(body)
    };
    parts.extensions.insert(trailers);
    if let Some(uri) = without_presigning(&parts.uri) {
        parts.uri = uri;
    }
    s3s::HttpRequest::from_parts(parts, body)
}

/// Makes length and encoding those of the body without framing.
fn describe_plain_body(headers: &mut HeaderMap) {
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = headers.remove(DECODED_CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    let encodings: Vec<_> = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    match HeaderValue::from_str(&encodings.join(",")) {
        Ok(plain) if !plain.is_empty() => headers.insert(header::CONTENT_ENCODING, plain),
        Ok(_) | Err(_) => headers.remove(header::CONTENT_ENCODING),
    };
}

/// The URI without the signature of a presigned one; `None` if it has none.
fn without_presigning(uri: &Uri) -> Option<Uri> {
    let is_signature = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        PRESIGNING.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let query = uri.query().filter(|query| query.split('&').any(|pair| is_signature(&pair)))?;
    let plain: Vec<_> = query.split('&').filter(|pair| !is_signature(pair)).collect();
    let path = uri.path();
    let text = if plain.is_empty() { path.to_owned() } else { format!("{path}?{}", plain.join("&")) };
    text.parse().ok()
}

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DECODED_CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const PRESIGNING: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn signature_and_framing_go_and_the_rest_stays() {
        let request = Request::builder()
            .uri("/bucket/key?X-Amz-Signature=abc&partNumber=1&X-Amz-Date=now&uploadId=u")
            .header(header::AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=any")
            .header(CONTENT_SHA256, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            .header(DECODED_CONTENT_LENGTH, "5")
            .header(header::CONTENT_LENGTH, "40")
            .header(header::CONTENT_ENCODING, "gzip,aws-chunked")
            .body(Body::from("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"))
            .expect("a request");
        let request = unsigned(request);
        assert_eq!(request.uri(), "/bucket/key?partNumber=1&uploadId=u");
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        assert_eq!(request.headers()[header::CONTENT_LENGTH], "5");
        assert_eq!(request.headers()[header::CONTENT_ENCODING], "gzip");
        let trailers = request.extensions().get::<Trailers>().expect("attached").clone();
        let body = request.into_body().collect().await.expect("well framed").to_bytes();
        assert_eq!(body, "hello");
        assert_eq!(trailers.value("x-amz-checksum-crc32").as_deref(), Some("NhCmhg=="));
    }

    #[test]
    fn a_plain_request_is_left_alone() {
        let request = Request::builder()
            .uri("/bucket?list-type=2&prefix=a%20b")
            .header(header::CONTENT_ENCODING, "gzip")
            .body(Body::empty())
            .expect("a request");
        let request = unsigned(request);
        assert_eq!(request.uri(), "/bucket?list-type=2&prefix=a%20b");
        assert_eq!(request.headers()[header::CONTENT_ENCODING], "gzip");
    }
}
