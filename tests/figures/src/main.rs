//! `leasehold-figures`: measures what the project promises of its speed, and says which bars hold.
//!
//! ```text
//!  this process: one measurement after another ──▶ figures ──▶ table or JSON, exit code 1 if a bar is missed
//!       │ spawns, each in its own process
//!       ├─▶ leasehold services      the local server, limits off
//!       ├─▶ itself, `child <task>`  a worker or a bare loop, which reports its own CPU time and memory
//!       └─▶ leasehold local         a whole pipeline
//! ```
//!
//! A figure that compares two programs runs them in turns over the same records, so that other load on the machine
//! falls on both. A measurement that fails is a row of its own and does not end the others.

mod child;
mod data_plane;
mod figure;
mod fleet;
mod machine;
mod measurement;
mod services;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use child::Task;
use figure::Report;
use machine::Machine;
use measurement::Context;

/// Measures the figures of speed, one after another.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only measurements whose names contain one of these texts
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print the names of the measurements and end
    #[arg(long)]
    list: bool,
    /// How often each measurement is repeated; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry out a part of a measurement in this process
    #[command(hide = true)]
    Child {
        /// The part, as JSON
        task: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("leasehold-figures: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("leasehold-figures: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether every bar holds.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    if let Some(Command::Child { task }) = arguments.command {
        Task::parse(&task)?.carry_out().await?;
        return Ok(true);
    }
    let mut measurements = data_plane::measurements();
    measurements.extend(fleet::measurements());
    if let Some(text) = arguments.only.iter().find(|text| !measurements.iter().any(|one| one.is_called(text)))
    {
        anyhow::bail!("no measurement is called {text}; --list prints all names");
    }
    if !arguments.only.is_empty() {
        measurements.retain(|measurement| arguments.only.iter().any(|text| measurement.is_called(text)));
    }
    if arguments.list {
        for measurement in measurements {
            println!("{}", measurement.name);
        }
        return Ok(true);
    }
    let context = Context::new(arguments.runs.into())?;
    let mut report = Report::new(Machine::read()?);
    for measurement in measurements {
        eprintln!("measuring {} …", measurement.name);
        let load = Machine::read()?.load_of_a_minute();
        report.add(measurement.name, load, (measurement.measure)(&context).await);
    }
    if arguments.json {
        println!("{}", report.json()?);
    } else {
        print!("{report}");
    }
    Ok(report.holds())
}
