//! `leasehold local`: what can be typed.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use workers::Preset;

#[derive(Debug, Args)]
#[command(after_help = LOCAL_HELP)]
pub(crate) struct LocalArguments {
    /// Pipeline to run: weblog or clicks
    #[arg(long, default_value = "weblog")]
    pub(crate) preset: Preset,
    /// File to pump, plain or gzip; without it, generated events
    #[arg(long, conflicts_with_all = ["records", "seed"])]
    pub(crate) input: Option<PathBuf>,
    /// How many events to generate
    #[arg(long, default_value_t = 20_000)]
    pub(crate) records: u64,
    /// Seed of the generator: the same seed gives the same events
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Shards of the stream
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(crate) shards: u16,
    /// Worker processes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,
    /// Folder for the objects and the services' own files
    #[arg(long, default_value = "leasehold-data")]
    pub(crate) data: PathBuf,
    /// Remove what an earlier run left in the folder
    #[arg(long, conflicts_with = "resume")]
    pub(crate) fresh: bool,
    /// Go on with the run that the folder holds
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print one JSON object at the end, and nothing else, on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Kill one worker midway with SIGKILL; the result must not change
    #[arg(long)]
    pub(crate) kill_one: bool,
    /// Go on generating events until Ctrl-C
    #[arg(long, conflicts_with_all = ["input", "resume", "kill_one"])]
    pub(crate) follow: bool,
    /// Port of the services; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) autoscaling: AutoscalingArguments,
}

#[derive(Debug, Args)]
pub(crate) struct AutoscalingArguments {
    /// Send steady traffic on a clock that runs faster, with AWS' limits, and let the autoscaler change the shards
    #[arg(long, conflicts_with_all = ["preset", "input", "records", "follow", "resume"])]
    pub(crate) autoscale: bool,
    /// The traffic rises tenfold, stays there for 25 minutes of that clock, and falls again
    #[arg(long, requires = "autoscale")]
    pub(crate) surge: bool,
    /// How many seconds pass in one for control plane, quotas, metrics, alarms and planner
    #[arg(long, requires = "autoscale", default_value = "60", value_parser = time_scale, value_name = "FACTOR")]
    pub(crate) time_scale: NonZeroU32,
    /// How many records each record stands for in limits and metrics: less work for the machine, the same load on shards
    #[arg(long, requires = "autoscale", default_value = "5", value_parser = record_weight, value_name = "FACTOR")]
    pub(crate) record_weight: NonZeroU32,
}

fn time_scale(text: &str) -> Result<NonZeroU32, String> {
    factor(text, 240)
}

fn record_weight(text: &str) -> Result<NonZeroU32, String> {
    factor(text, 50)
}

fn factor(text: &str, most: u32) -> Result<NonZeroU32, String> {
    let factor = text.parse::<NonZeroU32>().ok().filter(|factor| factor.get() <= most);
    factor.ok_or_else(|| format!("give a number from 1 to {most}"))
}

const LOCAL_HELP: &str =
    "With --autoscale the stream begins with as many shards as --shards says, and never gets fewer.
Everything else is the default policy (`leasehold autoscale policy`), but that readers may be as
far behind as the fast clock makes of 15 seconds. The alarms of `leasehold autoscale alarms render`
are put on the local CloudWatch and wake the autoscaler by SNS and SQS.

A run takes two hours of the fast clock: two minutes at the default --time-scale. Sessions are off,
because keyed state does not follow its keys through a split or merge yet. It ends with exit code 1
if an event was lost or doubled, or a key was not kept in its order.";
