//! How fast records flow, and what that costs.
//!
//! ```text
//!  throughput:     FullStream ──▶ child with a Worker, child with the bare loop, in turns
//!  server-calls:   raw HTTP client ──▶ the local server, a server with canned answers, in turns
//!  server-memory:  FullStream, and what the server's process grew by
//!  local-start:    `leasehold local`, and what it says of its first record
//!  weblog:         the criterion bench of `workers`
//! ```

mod calls;
mod canned;
mod consume;
mod local_start;
mod server_calls;
mod server_memory;
mod stream;
mod throughput;
mod weblog;

use serde::{Deserialize, Serialize};

use crate::measurement::Measurement;
use canned::CannedTask;
use consume::ConsumeTask;

/// All measurements of this module.
pub(crate) fn measurements() -> Vec<Measurement> {
    vec![
        throughput::<300, 4>("throughput-300x4"),
        throughput::<300, 8>("throughput-300x8"),
        throughput::<600, 4>("throughput-600x4"),
        throughput::<600, 8>("throughput-600x8"),
        throughput::<1000, 4>("throughput-1000x4"),
        throughput::<1000, 8>("throughput-1000x8"),
        Measurement { name: "server-calls", measure: |context| Box::pin(server_calls::measure(context)) },
        Measurement { name: "server-memory", measure: |context| Box::pin(server_memory::measure(context)) },
        Measurement { name: "local-start", measure: |context| Box::pin(local_start::measure(context)) },
        Measurement { name: "weblog", measure: |context| Box::pin(weblog::measure(context)) },
    ]
}

fn throughput<const RECORD_BYTES: usize, const SHARDS: usize>(name: &'static str) -> Measurement {
    Measurement { name, measure: |context| Box::pin(throughput::measure(context, RECORD_BYTES, SHARDS)) }
}

/// What a child of these measurements does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    /// Reads a stream once.
    Consume(ConsumeTask),
    /// Serves canned answers.
    Canned(CannedTask),
}

impl Task {
    /// Carries it out in this process.
    pub(crate) async fn carry_out(self) -> anyhow::Result<()> {
        match self {
            Self::Consume(task) => task.carry_out().await,
            Self::Canned(task) => task.carry_out().await,
        }
    }
}
