//! What a failed call says about its effect: surely none, or unknown.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::SdkError;

use crate::reconcile::PortError;

/// Whether the call was surely without effect: it was never sent, or the service refused it (4xx).
pub(super) fn is_refused<E>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(error, SdkError::ConstructionFailure(_))
        || error.raw_response().is_some_and(|response| response.status().is_client_error())
}

/// The failure of a reading call.
pub(super) fn failed<E>(operation: &'static str, target: &str, source: E) -> PortError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    PortError { operation, target: target.to_owned(), source: source.into() }
}

/// Each attempt is given up after `timeout`.
pub(super) fn timeouts(timeout: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(timeout).operation_attempt_timeout(timeout).build()
}

/// Whether a call failed because the stream or the table does not exist.
#[must_use]
pub fn is_not_found(error: &PortError) -> bool {
    use aws_sdk_dynamodb::types::error::ResourceNotFoundException as NoTable;
    use aws_sdk_kinesis::types::error::ResourceNotFoundException as NoStream;
    let first: &(dyn std::error::Error + 'static) = &*error.source;
    std::iter::successors(Some(first), |cause| cause.source())
        .any(|cause| cause.is::<NoStream>() || cause.is::<NoTable>())
}
