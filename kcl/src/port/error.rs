//! Errors of the ports: one narrow enum per operation.

use thiserror::Error;

/// Why a lease table cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The table holds something else.
    #[error("table {table} is not a lease table of this application: {found}; {remedy}")]
    Foreign {
        /// Name of the table.
        table: String,
        /// What was found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// The store could not be reached or refused the call.
    #[error("lease table {table} cannot be opened")]
    Unavailable {
        /// Name of the table.
        table: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why telemetry rows could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The table holds something else.
    #[error("table {table} is no telemetry table: {found}; give telemetry a table of its own")]
    Foreign {
        /// Name of the table.
        table: String,
        /// What was found.
        found: String,
    },
    /// The store could not be reached or refused the call.
    #[error("telemetry table {table} cannot be used")]
    Unavailable {
        /// Name of the table.
        table: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why records could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The shard's read limits are used up; wait and repeat.
    #[error("reads of this shard are throttled")]
    Throttled,
    /// The iterator is older than five minutes or unknown; get a new one.
    #[error("shard iterator expired")]
    IteratorExpired,
    /// The position to start at means nothing in this shard, or is no longer readable.
    #[error("position is not in this shard: {detail}")]
    InvalidPosition {
        /// What the service said.
        detail: String,
    },
    /// The stream or shard is gone.
    #[error("stream or shard not found: {detail}")]
    NotFound {
        /// What the service said.
        detail: String,
    },
    /// Anything that may pass by itself: network, timeout, server error, key service.
    #[error("records cannot be fetched")]
    Unavailable {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a stream's control plane did not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such stream.
    #[error("stream {stream} not found in {region}; create it, or correct the name or region")]
    NotFound {
        /// Name or ARN asked for.
        stream: String,
        /// Region asked.
        region: String,
    },
    /// The call failed; whether to repeat it is up to the caller.
    #[error("stream {stream} cannot be described")]
    Unavailable {
        /// Name or ARN asked for.
        stream: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
