//! What can be typed.

mod autoscale;
mod local;

use std::num::NonZeroU32;
use std::path::PathBuf;

use ::local::ClockAnchor;
use clap::{Args, Parser, Subcommand, ValueEnum};
use workers::Preset;

pub(crate) use autoscale::{
    AdviseArguments, AlarmsCommand, ApplyArguments, AutoscaleArguments, AutoscaleCommand, FormChoice,
    LambdaArguments, ObserveArguments, PauseArguments, RebalanceArguments, RenderArguments,
    SimulateArguments, StreamsArguments, SwitchArguments, TABLE,
};
pub(crate) use local::LocalArguments;

/// Consume Kinesis streams with leases, exactly once into S3, on AWS or on one machine.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole pipeline on this machine: services, producer and workers (what `leasehold` alone does)
    Local(LocalArguments),
    /// Serve Kinesis, DynamoDB, S3, CloudWatch, SNS and SQS on one loopback port, for any SDK or CLI
    Services(ServicesArguments),
    /// Write a commented settings file
    Init(InitArguments),
    /// Work with settings files
    Config(ConfigArguments),
    /// Run one worker
    Run(RunArguments),
    /// Put the lines of a file, of standard input or of a generator on a stream
    Pump(PumpArguments),
    /// Show who holds which shard
    Leases(LeasesArguments),
    /// Scale the shards of streams; or see what is seen of them, what would be done, and how that does on traffic
    Autoscale(AutoscaleArguments),
}

impl Default for Command {
    fn default() -> Self {
        let arguments = Arguments::parse_from(["leasehold", "local"]);
        arguments.command.unwrap_or_else(|| unreachable!("`leasehold local` names a command"))
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LimitsChoice {
    Off,
    Aws,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ControlPlaneChoice {
    Instant,
    Aws,
}

#[derive(Debug, Args)]
#[command(after_help = SERVICES_HELP)]
pub(crate) struct ServicesArguments {
    /// Folder for objects; tables and streams are kept in memory
    #[arg(long, default_value = "leasehold-services")]
    pub(crate) data: PathBuf,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 4566)]
    pub(crate) port: u16,
    /// Throttle shards as AWS does
    #[arg(long, value_enum, default_value = "off")]
    pub(crate) limits: LimitsChoice,
    /// How long creating and resharding take
    #[arg(long, value_enum, default_value = "instant")]
    pub(crate) control_plane: ControlPlaneChoice,
    /// How many seconds pass in one on the services' clock: 60 shows an hour in a minute
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    pub(crate) time_scale: NonZeroU32,
    /// How many records each record stands for in limits and metrics
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    pub(crate) record_weight: NonZeroU32,
    /// Seconds of that clock by which a minute of a stream's metrics appears late in CloudWatch
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) metrics_delay: u64,
    /// Queue that gets each alarm's change of state, as a rule of EventBridge would send it
    #[arg(long, value_name = "QUEUE")]
    pub(crate) alarm_events: Option<String>,
    /// Seconds until a shard iterator expires
    #[arg(long, default_value_t = 300)]
    pub(crate) iterator_ttl: u64,
    /// Stop when standard input is closed, as a child of another process
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// File to write
    #[arg(default_value = "leasehold.toml")]
    pub(crate) file: PathBuf,
    /// Pipeline to start from: weblog or clicks
    #[arg(long)]
    pub(crate) preset: Option<Preset>,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Name every problem of a settings file, each with its field, value and remedy
    Check {
        /// The settings file
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArguments {
    /// The settings file
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Address of all services, such as that of `leasehold services`; without it, AWS or stream.endpoint
    #[arg(long)]
    pub(crate) endpoint: Option<String>,
    /// How to log; RUST_LOG filters
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log: LogFormat,
    /// Name of this worker; a random suffix is appended
    #[arg(long)]
    pub(crate) worker_id: Option<String>,
    /// The clock of the services, if it is not the machine's: arrival times and telemetry go by it
    #[arg(long, hide = true)]
    pub(crate) clock: Option<ClockAnchor>,
    /// Stop when standard input is closed, as a child of another process
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PumpArguments {
    /// The settings file whose stream, format and partition key count
    #[arg(long, conflicts_with = "preset")]
    pub(crate) config: Option<PathBuf>,
    /// The preset whose stream, format and partition key count
    #[arg(long)]
    pub(crate) preset: Option<Preset>,
    /// Stream to put on, in place of the settings' one
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// File to pump, plain or gzip; `-` is standard input; without it, generated events
    #[arg(long)]
    pub(crate) input: Option<String>,
    /// How many events to generate
    #[arg(long, default_value_t = 20_000)]
    pub(crate) records: u64,
    /// Seed of the generator
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Address of all services; without it, AWS
    #[arg(long)]
    pub(crate) endpoint: Option<String>,
    /// At most so many records per second
    #[arg(long)]
    pub(crate) rate: Option<std::num::NonZeroU64>,
    /// Say on every open shard that nothing follows, so that workers close all sessions
    #[arg(long)]
    pub(crate) end_mark: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LeasesArguments {
    #[command(subcommand)]
    pub(crate) command: LeasesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeasesCommand {
    /// One line per shard: owner, checkpoint, batch, and what is pending
    List {
        #[command(flatten)]
        table: TableArguments,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Decide about a shard that stands still, which `leases list` shows with its reason
    #[command(after_help = RESOLVE_HELP)]
    Resolve {
        /// The shard, for example shardId-000000000003
        shard: String,
        #[command(flatten)]
        decision: DecisionArguments,
        #[command(flatten)]
        table: TableArguments,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TableArguments {
    /// The settings file; names the table
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Name of the lease table
    #[arg(long, conflicts_with = "config")]
    pub(crate) table: Option<String>,
    /// Address of DynamoDB; without it, AWS
    #[arg(long)]
    pub(crate) endpoint: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DecisionArguments {
    /// Try again what failed: the cause is mended
    #[arg(long)]
    pub(crate) retry: bool,
    /// Objects that lie under the pending batch's names count as its objects, whatever they hold
    #[arg(long)]
    pub(crate) accept_existing: bool,
    /// Drop the pending batch and write its records again under new names, in a new generation
    #[arg(long)]
    pub(crate) rewrite: bool,
    /// Give up the pending batch's range, record it as a gap in a manifest, and go on after it
    #[arg(long)]
    pub(crate) record_gap: bool,
}

const EXAMPLES: &str = "Examples:
  leasehold                                              a whole pipeline on generated events
  leasehold local --preset weblog --input access.log.gz  … on your own access log
  leasehold local --kill-one                             … while one worker is killed
  leasehold local --autoscale --surge                    … while traffic rises tenfold and the shards follow
  leasehold init --preset weblog && leasehold run --config leasehold.toml

Exit codes: 0 done, 1 failed, 2 wrong settings or arguments, 3 stream not found,
4 lease table of somebody else, 5 service not reachable.";

const SERVICES_HELP: &str = r#"With --time-scale the control plane, quotas, retention, metrics and alarms go by a clock that runs so
many times as fast, while a shard still takes and gives what it does at AWS in a second of those who
use it; each record stands for FACTOR records in the metrics, so that rates are what they are at
AWS. An autoscaler needs hours to show what it does:
  leasehold services --limits aws --control-plane aws --time-scale 60

To see workers while their lease table throttles, let DynamoDB refuse a part of all calls:
  curl -X PUT localhost:4566/_leasehold/throttle -d '{"share": 0.5, "seconds": 20}'
GET on the same address says what is on and how many calls were refused; DELETE ends it early.
Refused calls have no effect and fail with ProvisionedThroughputExceededException and
ThrottlingException in turn."#;

const RESOLVE_HELP: &str =
    "The decision is written into the shard's lease row, on condition that nothing has changed since it
was read. The worker that holds the shard notices within a third of its failover time, gives the
shard up, takes it again and carries the decision out; `leases list` shows when it is done.

  --retry            Always allowed. Nothing is lost or doubled.
  --accept-existing  After a conflict. The batch is what the other writer left: compare the
                     objects first.
  --rewrite          The records are written again. Objects of the dropped batch may lie in the
                     bucket: no manifest names them, but a reader that ignores manifests sees
                     their records twice. Records that the stream no longer holds are lost.
  --record-gap       The records are not written, and sessions go on as if there had been none.
                     Objects of the batch that lie there already are named by no manifest.";

const RUN_HELP: &str =
    "Credentials and region come from the SDK's usual sources. The first SIGINT or SIGTERM stops
gracefully: batches are finished and leases given back; the second stops at once, and the leases
expire.

Exit codes: 0 stopped gracefully, 1 failed, 2 wrong settings, 3 stream not found,
4 lease table of somebody else, 5 service not reachable.";
