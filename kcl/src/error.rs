//! The one error of a worker: what to do about it, what happened, and why.

use std::error::Error as StdError;

use thiserror::Error;

use crate::port::{ControlError, OpenError};
use crate::settings::InvalidSetting;

/// Why a worker could not be built or started.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the reader of an [`Error`](struct@Error) should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Correct the settings or the components; starting again changes nothing.
    Settings,
    /// Create the stream, or correct its name or region.
    StreamNotFound,
    /// Use another lease table, or migrate this one.
    ForeignTable,
    /// Check endpoint, network and credentials, or wait; starting again may help.
    Unavailable,
}

impl Error {
    /// What to do.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// A component or setting that is missing.
    pub(crate) fn settings(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Settings, message: message.into(), source: None }
    }
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::settings(invalid.to_string())
    }
}

impl From<ControlError> for Error {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::NotFound { .. } => Self { kind: ErrorKind::StreamNotFound, message, source: None },
            ControlError::Unavailable { source, .. } => {
                let message = format!("{message}; check endpoint, network and credentials");
                Self { kind: ErrorKind::Unavailable, message, source: Some(source) }
            }
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::Foreign { .. } => Self { kind: ErrorKind::ForeignTable, message, source: None },
            OpenError::Unavailable { source, .. } => {
                let message = format!("{message}; check endpoint, network and credentials");
                Self { kind: ErrorKind::Unavailable, message, source: Some(source) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_names_the_remedy_and_keeps_its_cause_as_source() {
        let cause = std::io::Error::other("connection refused");
        let outage = ControlError::Unavailable { stream: "clicks".to_owned(), source: Box::new(cause) };
        let error = Error::from(outage);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "stream clicks cannot be described; check endpoint, network and credentials"
        );
        assert_eq!(error.source().expect("a cause").to_string(), "connection refused");
    }
}
