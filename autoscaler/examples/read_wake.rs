//! Reads the body of a message from standard input and says which streams it wakes, as the autoscaler would: for messages
//! found among the dead letters, and for the test of the templates.

use std::io::Read;
use std::process::ExitCode;

use autoscaler::trigger::{TriggerSettings, read_message};

fn main() -> ExitCode {
    let mut body = Vec::new();
    if let Err(error) = std::io::stdin().read_to_end(&mut body) {
        eprintln!("standard input: {error}");
        return ExitCode::FAILURE;
    }
    match read_message(&body, &TriggerSettings::default()) {
        Ok(wakes) => {
            for wake in wakes {
                match wake.source.alarm() {
                    Some(change) => println!("{} {} {}", wake.stream, change.arn.name(), change.state),
                    None => println!("{} asked for", wake.stream),
                }
            }
            ExitCode::SUCCESS
        }
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::FAILURE
        }
    }
}
