//! How errors leave the process: one readable line with its causes, and a documented exit code.

use std::fmt;

/// Anything that is not listed below.
pub(crate) const FAILED: u8 = 1;
/// Settings or arguments cannot be used; clap uses the same code.
pub(crate) const USAGE: u8 = 2;
/// The stream does not exist.
pub(crate) const STREAM_NOT_FOUND: u8 = 3;
/// The lease table belongs to somebody else.
pub(crate) const FOREIGN_TABLE: u8 = 4;
/// A service cannot be reached.
pub(crate) const UNAVAILABLE: u8 = 5;

/// An error with the exit code it stands for.
#[derive(Debug)]
pub(crate) struct Problem {
    code: u8,
    message: String,
}

impl Problem {
    pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self { code: USAGE, message: message.into() }.into()
    }

    pub(crate) fn with_code(code: u8, message: impl Into<String>) -> anyhow::Error {
        Self { code, message: message.into() }.into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The message with its causes.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}

/// The exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return problem.code;
    }
    match error.downcast_ref::<kcl::Error>().map(kcl::Error::kind) {
        Some(kcl::ErrorKind::Settings) => USAGE,
        Some(kcl::ErrorKind::StreamNotFound) => STREAM_NOT_FOUND,
        Some(kcl::ErrorKind::ForeignTable) => FOREIGN_TABLE,
        Some(kcl::ErrorKind::Unavailable) => UNAVAILABLE,
        Some(_) | None => FAILED,
    }
}
