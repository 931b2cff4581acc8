//! S3: `s3s` speaks the protocol, this module keeps the objects as plain files.
//!
//! ```text
//!  request ─▶ unsigned: credentials off, aws-chunked framing off ─▶ s3s (XML, routing) ─▶ api ─▶ store, uploads, listing
//!                                                                                        │
//!                                                             body ─▶ receive ─▶ Staged ─┘
//! ```
//!
//! All file work runs on the blocking pool, where a request that its client gives up still runs to its end: an object
//! is never half stored because somebody hung up.
//!
//! Never checks signatures, never keeps versions.

mod api;
mod attributes;
mod chunked;
mod convert;
mod failure;
mod key;
mod listing;
mod receive;
mod store;
mod unsigned;
mod uploads;

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use s3s::service::{S3Service, S3ServiceBuilder};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::LocalError;
use crate::wire::error_response;

/// The object store of one run.
#[derive(Clone)]
pub(crate) struct ObjectStore {
    service: S3Service,
}

impl ObjectStore {
    /// Opens the objects below `<data_dir>/s3`.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, LocalError> {
        let store = store::Store::open(data_dir.join("s3"))?;
        Ok(Self { service: S3ServiceBuilder::new(api::Api::new(Arc::new(store))).build() })
    }

    /// Answers one request.
    pub(crate) async fn call(&self, request: Request) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        // s3s logs each refusal as an error, also a failed If-None-Match, which is a normal outcome of a race.
        let answer =
            self.service.call(unsigned::unsigned(request)).with_subscriber(NoSubscriber::default()).await;
        let response = match answer {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                let message = s3s::StdError::from(error).to_string();
                error_response(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &message)
            }
        };
        if response.status().is_server_error() {
            tracing::warn!(%method, path, status = response.status().as_u16(), "an S3 request failed");
        }
        response
    }
}
