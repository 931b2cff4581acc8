//! The `leasehold` command: composition of the library crates, and nothing else.

mod arguments;
mod clock;
mod command;
mod connection;
mod local;
mod problem;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = if is_lambda() {
        Arguments::parse_from(["leasehold", "autoscale", "lambda"])
    } else {
        Arguments::parse()
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("leasehold: the runtime cannot start: {error}");
            return ExitCode::from(problem::FAILED);
        }
    };
    let result = runtime.block_on(async {
        match arguments.command.unwrap_or_default() {
            Command::Local(local) => local::run(local).await,
            Command::Services(services) => command::services(services).await,
            Command::Init(init) => command::init(&init),
            Command::Config(config) => command::config(&config),
            Command::Run(run) => command::run(run).await,
            Command::Pump(pump) => command::pump(pump).await,
            Command::Leases(leases) => command::leases(leases).await,
            Command::Autoscale(autoscale) => command::autoscale(autoscale).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leasehold: {}", problem::text(&error));
            ExitCode::from(problem::exit_code(&error))
        }
    }
}

/// Whether Lambda has started this process: its programs are called `bootstrap` and get no arguments.
fn is_lambda() -> bool {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(std::path::PathBuf::from);
    program.is_some_and(|program| program.file_name().is_some_and(|name| name == "bootstrap"))
        && arguments.next().is_none()
        && std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}
