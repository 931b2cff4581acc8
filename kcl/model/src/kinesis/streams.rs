//! Streams: create, delete, describe, and the account's limits.

use super::Kinesis;
use crate::api::*;
use crate::operation_time::Operation;
use crate::{EpochMillis, KinesisError, Result};

impl Kinesis {
    /// `CreateStream`.
    ///
    /// # Errors
    /// `Validation`, `InvalidArgument`, `ResourceInUse` if the name is taken, `LimitExceeded`.
    pub fn create_stream(&self, request: CreateStreamRequest, now: EpochMillis) -> Result<()> {
        self.control(now, |account| account.create(request, now))
    }

    /// `DeleteStream`.
    ///
    /// # Errors
    /// `ResourceNotFound`; `ResourceInUse` unless the stream is active, and if it has consumers that must stay.
    pub fn delete_stream(&self, request: DeleteStreamRequest, now: EpochMillis) -> Result<()> {
        let due = self.due(Operation::DeleteStream, now);
        self.control_stream(&request.stream, now, |stream| {
            if stream.consumers.len() > 0 && !request.enforce_consumer_deletion {
                return Err(KinesisError::ResourceInUse(format!(
                    "Stream {} has {} registered consumers: deregister them, or set EnforceConsumerDeletion.",
                    stream.name,
                    stream.consumers.len()
                )));
            }
            stream.begin_deletion(due)
        })
    }

    /// `DescribeStreamSummary`.
    ///
    /// # Errors
    /// `ResourceNotFound`, `InvalidArgument`.
    pub fn describe_stream_summary(&self, stream: StreamRef, now: EpochMillis) -> Result<StreamSummary> {
        Ok(self.settled(now).stream(&stream)?.summary())
    }

    /// `DescribeLimits`.
    #[must_use]
    pub fn describe_limits(&self, now: EpochMillis) -> AccountLimits {
        self.settled(now).limits()
    }

    /// When `operation` is done if it starts at `now`.
    pub(super) fn due(&self, operation: Operation, now: EpochMillis) -> EpochMillis {
        now.after(operation.duration(&self.settings))
    }
}
