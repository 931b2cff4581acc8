//! Everything that an operation can be refused with, under the exception names of AWS.

use kcl_core::{InvalidHashKey, InvalidId, InvalidSequenceNumber};
use thiserror::Error;

/// Outcome of an operation.
pub type Result<T> = std::result::Result<T, KinesisError>;

/// A refusal, named and worded as AWS does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KinesisError {
    /// No such stream, shard, consumer.
    #[error("{0}")]
    ResourceNotFound(String),
    /// It exists already, or it is busy.
    #[error("{0}")]
    ResourceInUse(String),
    /// An argument that is well formed but makes no sense here.
    #[error("{0}")]
    InvalidArgument(String),
    /// An argument outside its documented bounds.
    #[error("{0}")]
    Validation(String),
    /// A quota is used up.
    #[error("{0}")]
    LimitExceeded(String),
    /// A shard's throughput is used up.
    #[error("{0}")]
    ProvisionedThroughputExceeded(String),
    /// The iterator is older than its lifetime.
    #[error("{0}")]
    ExpiredIterator(String),
    /// The page token is older than its lifetime.
    #[error("{0}")]
    ExpiredNextToken(String),
    /// The model holds as many bytes as it may.
    #[error("{0}")]
    InternalFailure(String),
}

impl KinesisError {
    /// The name of the exception on the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ResourceNotFound(_) => "ResourceNotFoundException",
            Self::ResourceInUse(_) => "ResourceInUseException",
            Self::InvalidArgument(_) => "InvalidArgumentException",
            Self::Validation(_) => "ValidationException",
            Self::LimitExceeded(_) => "LimitExceededException",
            Self::ProvisionedThroughputExceeded(_) => "ProvisionedThroughputExceededException",
            Self::ExpiredIterator(_) => "ExpiredIteratorException",
            Self::ExpiredNextToken(_) => "ExpiredNextTokenException",
            Self::InternalFailure(_) => "InternalFailure",
        }
    }

    /// The HTTP status that carries it: 500 for the model's own failure, 400 for all others.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::InternalFailure(_) => 500,
            Self::ResourceNotFound(_)
            | Self::ResourceInUse(_)
            | Self::InvalidArgument(_)
            | Self::Validation(_)
            | Self::LimitExceeded(_)
            | Self::ProvisionedThroughputExceeded(_)
            | Self::ExpiredIterator(_)
            | Self::ExpiredNextToken(_) => 400,
        }
    }

    /// The refusal of a value outside its documented bounds, in the words of AWS.
    #[must_use]
    pub fn constraint(member: &str, value: impl std::fmt::Display, constraint: &str) -> Self {
        Self::Validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"
        ))
    }
}

impl From<InvalidHashKey> for KinesisError {
    fn from(invalid: InvalidHashKey) -> Self {
        Self::InvalidArgument(invalid.to_string())
    }
}

impl From<InvalidSequenceNumber> for KinesisError {
    fn from(invalid: InvalidSequenceNumber) -> Self {
        Self::InvalidArgument(invalid.to_string())
    }
}

impl From<InvalidId> for KinesisError {
    fn from(invalid: InvalidId) -> Self {
        Self::Validation(invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_wire() {
        assert_eq!(KinesisError::ResourceInUse(String::new()).code(), "ResourceInUseException");
        assert_eq!(KinesisError::InternalFailure(String::new()).http_status(), 500);
        let error =
            KinesisError::constraint("limit", 10_001, "Member must have value less than or equal to 10000");
        assert_eq!(error.code(), "ValidationException");
        assert!(error.to_string().contains("'10001' at 'limit'"));
    }
}
