//! What is wrong with settings, said so that the reader can repair it without opening the source.

use std::fmt;

use thiserror::Error;

/// One fault: where, what was found, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `session.gap`.
    pub field: String,
    /// The value found, as text.
    pub value: String,
    /// What to write instead, and why.
    pub remedy: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, value: impl fmt::Display, remedy: impl Into<String>) -> Self {
        let value = value.to_string();
        let shown = match value.char_indices().nth(VALUE_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &value[..end]),
            None => value,
        };
        Self { field: field.into(), value: shown, remedy: remedy.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} = {}: {}", self.field, self.value, self.remedy)
    }
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// The text is no TOML, or a value has the wrong type.
    #[error("settings cannot be read: {text}")]
    Syntax {
        /// The parser's message with line and column.
        text: String,
    },
    /// Every fault that was found.
    #[error("{} in the settings:\n{}", count(.problems), lines(.problems))]
    Invalid {
        /// At least one.
        problems: Vec<Problem>,
    },
    /// A file that the settings name cannot be read.
    #[error("{field} = {path:?}: the file cannot be read ({cause}); correct the path or its permissions")]
    File {
        /// Path of the field.
        field: &'static str,
        /// The file named there.
        path: String,
        /// What the reader said.
        cause: String,
    },
}

fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Long enough for a template or a name, short enough for one line of a terminal.
const VALUE_CHARS_MAX: usize = 120;
