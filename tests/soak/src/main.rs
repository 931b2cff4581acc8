//! Real processes under torment: services, workers and a producer on this machine, SIGKILL, SIGSTOP and throttling at
//! times that a seed chooses, and a verifier that reads every object afterwards.
//!
//! ```text
//!  this process ──spawns──▶ leasehold services ◀────────────┬──────────── leasehold run × 4 ──▶ objects
//!    producer ───────────────────▶ 16 shards                │ SIGKILL, SIGSTOP, SIGCONT          │
//!    torment ────────────────────▶ throttle ────────────────┘                                    │
//!    verdict ◀── ledger, stream, lease table, bucket ◀───────────────────────────────────────────┘
//! ```
//!
//! Nothing here shares code with what it judges but the formats: rows are compared with the records of the stream, one
//! by one, and the stream with what the producer was told. What counts as committed is said in `committed`.
//!
//! Not tormented: the services themselves, and the number of shards. A worker that is stopped when this process is
//! killed stands still for ever; every other process ends with this one.

mod committed;
mod event;
mod fleet;
mod journal;
mod ledger;
mod objects;
mod producer;
mod report;
mod resources;
mod run;
mod services;
mod stream;
mod torment;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Runs a pipeline of real processes, torments them, and verifies every object.
#[derive(Debug, Parser)]
#[command(
    after_help = "Exit codes: 0 every promise held, 1 one was broken, 2 the run could not be carried out."
)]
struct Arguments {
    /// For how long events are put; the drain and the verification come after it
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=240))]
    minutes: u64,
    /// Seed of every choice; drawn and printed if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// The binary under test; without it, the one that cargo built beside this one
    #[arg(long)]
    leasehold: Option<PathBuf>,
    /// Folder below which each run makes a folder of its own, with logs and objects; nothing is removed
    #[arg(long, default_value = "target/soak")]
    data: PathBuf,
    /// Events per second
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Worker processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    workers: u16,
    /// Shards of the stream
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=200))]
    shards: u16,
    /// Torment nobody: what breaks then is not the torment's doing
    #[arg(long)]
    calm: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run::run(Arguments::parse()).await {
        Ok(report) if report.violations.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(NOT_CARRIED_OUT)
        }
    }
}

const NOT_CARRIED_OUT: u8 = 2;
