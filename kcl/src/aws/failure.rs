//! What a failed call says about its effect: surely none, or unknown.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use kcl_core::StoreReply;

/// The reply to a call that failed for another reason than its condition.
///
/// A request that the service refused (4xx) was not applied. Whatever else went wrong, it may have been or may yet be:
/// an attempt that timed out can still be on its way.
pub(super) fn reply<E>(error: &SdkError<E, HttpResponse>, failures: &Failures) -> StoreReply
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let is_refused = matches!(error, SdkError::ConstructionFailure(_))
        || error.raw_response().is_some_and(|response| response.status().is_client_error());
    let is_throttle = error.code().is_some_and(|code| THROTTLES.contains(&code));
    if !is_throttle && failures.is_escalation() {
        tracing::warn!(error = %DisplayErrorContext(error), "a call to the lease table failed");
    } else {
        tracing::debug!(error = %DisplayErrorContext(error), "a call to the lease table failed");
    }
    if is_refused { StoreReply::Throttled } else { StoreReply::Unknown }
}

/// Failures since the last success, so that an outage is told once per doubling.
#[derive(Debug, Default)]
pub(super) struct Failures(AtomicU32);

impl Failures {
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_escalation(&self) -> bool {
        let failures = self.0.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= FAILURES_QUIET && failures.is_power_of_two()
    }
}

/// Refusals for want of throughput: they pass by themselves.
const THROTTLES: [&str; 4] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionConflictException",
];
/// Single failures happen every day.
const FAILURES_QUIET: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_per_doubling() {
        let failures = Failures::default();
        let told: Vec<u32> = (1..=20).filter(|_| failures.is_escalation()).collect();
        assert_eq!(told, [4, 8, 16]);
        failures.reset();
        assert!(!failures.is_escalation());
    }
}
