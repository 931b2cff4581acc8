//! What can be typed after `leasehold autoscale`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct AutoscaleArguments {
    #[command(subcommand)]
    pub(crate) command: AutoscaleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AutoscaleCommand {
    /// Replay traffic against the planner and the published autoscalers, side by side
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArguments),
    /// Print the default policy as TOML, to start a policy file from
    Policy,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// Replay the synthetic suite: eleven families of traffic for each seed (the default without --trace)
    #[arg(long, conflicts_with = "traces")]
    pub(crate) suite: bool,
    /// Seeds of the synthetic suite
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,4,5", conflicts_with = "traces")]
    pub(crate) seeds: Vec<u64>,
    /// File to replay: `timestamp,value` or `minute,bytes,records` with a header, plain or gzip; may be repeated
    #[arg(long = "trace", value_name = "FILE")]
    pub(crate) traces: Vec<PathBuf>,
    /// Scale each file to this mean load, in shards; files of values are otherwise scaled to 8
    #[arg(long, requires = "traces", value_name = "SHARDS")]
    pub(crate) mean_shards: Option<f64>,
    /// Policy of the planner; without it, the default one
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The planner sees CloudWatch alone, and nothing of what workers report
    #[arg(long)]
    pub(crate) without_workers: bool,
    /// Print every trace, not only the families
    #[arg(long)]
    pub(crate) each_trace: bool,
    /// End with exit code 1 if a bar does not hold
    #[arg(long)]
    pub(crate) check: bool,
    /// Print everything as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const SIMULATE_EXAMPLES: &str = "Examples:
  leasehold autoscale simulate                      eleven families, five seeds, a fortnight each
  leasehold autoscale simulate --trace requests.csv          your own traffic
  leasehold autoscale policy > policy.toml                   a policy to change and try:
  leasehold autoscale simulate --policy policy.toml

Columns: minutes a day in which records were refused; records lost; shard-hours over
those of an ideal that knows the future, and of one that reacts at once;
UpdateShardCount calls in 24 hours; calls refused; moves undone within the hour;
shards created for each doubling or halving that lasted.";
