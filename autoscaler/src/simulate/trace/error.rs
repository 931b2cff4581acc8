//! Why a file of traffic was refused: always the file, and where there is one the line, the field, its value and the remedy.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A file of traffic that cannot be used.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file cannot be opened, read or decompressed.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The columns are not those of any kind of file.
    #[error(
        "{}: the header has the columns {found}; give timestamp,value or minute,bytes,records",
        .path.display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// Its columns, at most 80 characters.
        found: String,
    },
    /// A line that is no row at all.
    #[error("{}:{line}: the line is longer than {bytes_max} bytes: give one row a line", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// How long a line may be.
        bytes_max: usize,
    },
    /// A row without a field.
    #[error("{}:{line}: {field} is missing: give as many fields as the header has", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The column.
        field: String,
    },
    /// A field that cannot be understood.
    #[error("{}:{line}: {field} = {value:?}: {remedy}", .path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The column.
        field: String,
        /// What it holds, at most 80 characters.
        value: String,
        /// What it may hold.
        remedy: &'static str,
    },
    /// A row that does not follow the one before.
    #[error("{}:{line}: {field} = {value:?} {misplaced}", .path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The column.
        field: String,
        /// What it holds.
        value: String,
        /// How it is misplaced, and the remedy.
        misplaced: &'static str,
    },
    /// There is no row with values, or less than half a minute of them.
    #[error("{}: no minute has a value: give rows of at least half a minute", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to scale.
    #[error("{}: every value is 0, which cannot be scaled to a mean load", .path.display())]
    NoLoad {
        /// The file.
        path: PathBuf,
    },
}
