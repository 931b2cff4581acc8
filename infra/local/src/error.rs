//! Why the local services could not start.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Starting the services failed; nothing is left running.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A setting with which the services could not work.
    #[error("setting {field} = {value}: {remedy}")]
    Setting {
        /// Name of the field in [`LocalSettings`](crate::LocalSettings).
        field: &'static str,
        /// Its value.
        value: String,
        /// What to set instead.
        remedy: &'static str,
    },
    /// Another process listens on the port.
    #[error(
        "port {port} of 127.0.0.1 is in use: stop the process that listens there, or choose another port (0 takes any free one)"
    )]
    PortInUse {
        /// The port that was asked for.
        port: u16,
    },
    /// The loopback port could not be opened for another reason.
    #[error("cannot listen on port {port} of 127.0.0.1")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or folder could not be opened, made or read.
    #[error("cannot {action} {}", path.display())]
    Path {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the same files.
    #[error("{} is in use by another process: stop it, or choose another folder", path.display())]
    StateInUse {
        /// The file that both want to write.
        path: PathBuf,
    },
    /// The database of tables could not be opened.
    #[error("cannot open the DynamoDB database {}: {reason}", path.display())]
    Database {
        /// Its file, or `:memory:`.
        path: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// The Kinesis log holds something that this version did not write.
    #[error("the Kinesis log {} cannot be replayed at byte {offset}: {reason}; delete it to start empty", path.display())]
    KinesisLog {
        /// Its file.
        path: PathBuf,
        /// Where the entry starts.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The thread or the runtime of the services could not be made.
    #[error("cannot start the thread of the local services")]
    Thread(#[source] io::Error),
}

impl LocalError {
    /// For `map_err`: names what was attempted on which path.
    pub(crate) fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Path { action, path, source }
    }

    /// Keeps other processes off `file`, which lies at `path`, until it is closed.
    pub(crate) fn unless_locked(file: &File, path: &Path) -> Result<(), Self> {
        match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(Self::StateInUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Self::at("lock", path)(source)),
        }
    }
}
