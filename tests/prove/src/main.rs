//! `leasehold-prove`: runs every layer of the safety suite and every planted bug, and prints what each property rests on.
//!
//! ```text
//!  layers ──▶ cargo test, the soak ──▶ runs per layer ─────────┐
//!  tests/planted/*.patch ──▶ a copy of the tree ──▶ caught? ───┴─▶ table: property, layers and runs, bugs caught
//! ```
//!
//! A bug that is not caught, or that does not compile, is a failure like a property that breaks: either the tests or the
//! bug are not worth what they claim.

mod layer;
mod planted;
mod shell;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;

use layer::{LAYERS, Layer, LayerRun};
use planted::{PlantedBug, Planting};

/// Runs the safety suite, layer by layer, then the planted bugs, and prints the table.
#[derive(Debug, Parser)]
struct Arguments {
    /// 10^5 schedules, one more tick of the exhaustive search, 30 minutes of real processes
    #[arg(long)]
    long: bool,
    /// Only layers and planted bugs whose names contain one of these texts
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print the names of layers and planted bugs and end
    #[arg(long)]
    list: bool,
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text.as_str()))
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let root = shell::workspace_root()?;
    let bugs = PlantedBug::all(&root).context("the planted bugs cannot be read")?;
    let bugs: Vec<PlantedBug> = bugs.into_iter().filter(|bug| arguments.wants(&bug.name)).collect();
    let layers: Vec<&Layer> = LAYERS.iter().filter(|layer| arguments.wants(layer.name)).collect();
    if arguments.list {
        layers.iter().for_each(|layer| println!("{}", layer.name));
        bugs.iter().for_each(|bug| println!("{}", bug.name));
        return Ok(ExitCode::SUCCESS);
    }
    let begun = Instant::now();
    let (in_background, in_turn): (Vec<&Layer>, Vec<&Layer>) =
        layers.into_iter().partition(|layer| layer.waits_most_of_its_time());
    for layer in &in_background {
        layer.build(&root)?;
    }
    let (runs, verdicts) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let waiting: Vec<_> =
            in_background.iter().map(|layer| scope.spawn(|| layer.run(&root, arguments.long))).collect();
        let mut runs = Vec::new();
        for layer in &in_turn {
            runs.push(layer.run(&root, arguments.long)?);
        }
        let verdicts =
            if bugs.is_empty() { Vec::new() } else { Planting::in_copy_of(&root)?.judge_all(&bugs)? };
        for layer in waiting {
            runs.push(layer.join().expect("a layer's thread does not panic")?);
        }
        Ok((runs, verdicts))
    })?;
    println!("{}", table::of(&runs, &bugs, &verdicts));
    let has_failed = !runs.iter().all(LayerRun::holds) || verdicts.iter().any(|verdict| !verdict.is_caught());
    println!("{} after {} s", if has_failed { "NOT PROVED" } else { "proved" }, begun.elapsed().as_secs());
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
