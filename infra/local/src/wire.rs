//! What the AWS JSON protocols share: request ids and the shape of an error.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// A fresh value for `x-amzn-requestid`.
pub(crate) fn request_id() -> HeaderValue {
    HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).expect("a UUID is valid in a header")
}

/// `{"__type": code, "message": message}`.
pub(crate) fn error_body(code: &str, message: &str) -> String {
    serde_json::json!({ "__type": code, "message": message }).to_string()
}

/// A whole error response in JSON.
pub(crate) fn error_response(status: StatusCode, code: &'static str, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(error_body(code, message)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"));
    headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
    headers.insert("x-amzn-requestid", request_id());
    response
}
