//! Why a pump stopped.

use std::time::Duration;

use thiserror::Error;

use super::input::InputError;
use super::target::PutError;

/// Why not every line was put on the stream.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PumpError {
    /// The input ended early.
    #[error("input failed after line {line}; lines up to it are on the stream, resume from line {}", line + 1)]
    Input {
        /// The last line read.
        line: u64,
        /// Why.
        #[source]
        source: InputError,
    },
    /// The stream refuses calls in a way that waiting does not heal.
    #[error("the stream refused line {line} for good; every line before it is on the stream")]
    Put {
        /// The first line that was not acknowledged.
        line: u64,
        /// Why.
        #[source]
        source: PutError,
    },
    /// The stream took nothing for too long.
    #[error(
        "line {line} was refused for {waited:?} ({attempts} attempts, last: {reason}); every line before it is on the \
         stream, later ones may be; raise the shard count or lower the rate"
    )]
    Stalled {
        /// The first line that was not acknowledged.
        line: u64,
        /// Time since the last acknowledged record of that lane.
        waited: Duration,
        /// Requests sent in that time.
        attempts: u32,
        /// What the stream said last.
        reason: String,
    },
    /// The open shards could not be listed, so that no end mark was put.
    #[error("every line is on the stream, but its open shards cannot be listed for the end marks")]
    ListShards {
        /// Why.
        #[source]
        source: PutError,
    },
}
