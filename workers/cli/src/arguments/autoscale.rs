//! What can be typed after `leasehold autoscale`.

use std::net::SocketAddr;
use std::path::PathBuf;

use autoscaler::trigger::StreamName;
use clap::{Args, Subcommand, ValueEnum};
use local::ClockAnchor;

use super::LogFormat;

#[derive(Debug, Args)]
pub(crate) struct AutoscaleArguments {
    #[command(subcommand)]
    pub(crate) command: AutoscaleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AutoscaleCommand {
    /// Show what is seen of streams, and change nothing
    #[command(after_help = OBSERVE_EXAMPLES)]
    Observe(ObserveArguments),
    /// Show what would be done with each stream at this moment, and why, and change nothing
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(ObserveArguments),
    /// Keep streams scaled until stopped
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArguments),
    /// Cut the hash space anew for the load as it lies, at the same number of shards or another
    #[command(after_help = REBALANCE_EXAMPLES)]
    Rebalance(RebalanceArguments),
    /// Say what a month costs provisioned, on demand and with on-demand Advantage
    #[command(after_help = ADVISE_EXAMPLES)]
    AdviseMode(AdviseArguments),
    /// Stop every change of streams from the next round on, without a deployment
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause(PauseArguments),
    /// End a pause
    Resume(SwitchArguments),
    /// Alarms, queue and permissions, as infrastructure that stays as it is when a stream is resharded
    Alarms(AlarmsArguments),
    /// Serve as a Lambda function, which a binary called `bootstrap` does by itself
    #[command(after_help = LAMBDA_HELP)]
    Lambda(LambdaArguments),
    /// Replay traffic against the planner and the published autoscalers, side by side
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArguments),
    /// Print the default policy as TOML, to start a policy file from
    #[command(after_help = POLICY_HELP)]
    Policy,
}

/// Which streams, and how they are reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct StreamsArguments {
    /// Streams, separated by commas
    #[arg(long = "stream", value_name = "NAME", value_delimiter = ',', required = true)]
    pub(crate) streams: Vec<StreamName>,
    /// Policy of all of them, with sections for single ones; without it, the default one
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Applications that read them, separated by commas: what their workers tell, and how far they are behind
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) applications: Vec<String>,
    /// Table in which the autoscaler keeps who leads and what was done
    #[arg(long, value_name = "NAME", default_value = TABLE)]
    pub(crate) table: String,
    /// Address of all services, such as that of `leasehold services`; without it, AWS
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Clock of the services at that address, if it runs faster than the machine's
    #[arg(long, hide = true, value_name = "CLOCK")]
    pub(crate) clock: Option<ClockAnchor>,
}

#[derive(Debug, Args)]
pub(crate) struct ObserveArguments {
    #[command(flatten)]
    pub(crate) streams: StreamsArguments,
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    #[command(flatten)]
    pub(crate) streams: StreamsArguments,
    /// Queue of SQS in which alarms lie; without it, streams are looked at by time alone
    #[arg(long, value_name = "URL", conflicts_with = "once")]
    pub(crate) queue: Option<String>,
    /// Look at each stream once, do what is to be done, and end: for cron
    #[arg(long)]
    pub(crate) once: bool,
    /// Plan and tell, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Make the tables that are missing; on a loopback address that is done anyway
    #[arg(long)]
    pub(crate) create_table: bool,
    /// File to which each decision is added, with what came of it, as a line of JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,
    /// Table of DynamoDB that keeps the same records
    #[arg(long, value_name = "NAME")]
    pub(crate) audit_table: Option<String>,
    /// Days for which that table keeps a record
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) audit_days: u16,
    /// Serve metrics for Prometheus at this address, under /metrics
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "once")]
    pub(crate) metrics: Option<SocketAddr>,
    /// How to log; RUST_LOG filters
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log: LogFormat,
    /// Stop when standard input is closed, as a child of another process
    #[arg(long, hide = true)]
    pub(crate) stop_with_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RebalanceArguments {
    #[command(flatten)]
    pub(crate) streams: StreamsArguments,
    /// Shards of the new layout; without it, as many as there are
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) shards: Option<u32>,
    /// Carry the steps out; without it, they are shown
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// How to log; RUST_LOG filters
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log: LogFormat,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("traffic").required(true).multiple(false))]
pub(crate) struct AdviseArguments {
    /// File of traffic: `minute,bytes,records` or `timestamp,value` with a header, plain or gzip
    #[arg(long, value_name = "FILE", group = "traffic")]
    pub(crate) trace: Option<PathBuf>,
    /// Stream whose traffic of the last days CloudWatch still has
    #[arg(long, value_name = "NAME", group = "traffic")]
    pub(crate) stream: Option<StreamName>,
    /// Days of that traffic, of which CloudWatch keeps 15 by the minute
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=15))]
    pub(crate) days: u16,
    /// Scale the file to this mean load, in shards; a file of values is otherwise scaled to 8
    #[arg(long, value_name = "SHARDS", requires = "trace")]
    pub(crate) mean_shards: Option<f64>,
    /// Applications that poll
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) readers: u32,
    /// Enhanced fan-out consumers; without it, those that the stream has
    #[arg(long, value_name = "COUNT")]
    pub(crate) consumers: Option<u32>,
    /// Policy of the planner, for a file of traffic without its sections; without it, the default one
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Prices in dollars as TOML, for another region or date; what it leaves out is us-east-1's
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// Address of all services; without it, AWS
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Clock of the services at that address, if it runs faster than the machine's
    #[arg(long, hide = true, value_name = "CLOCK")]
    pub(crate) clock: Option<ClockAnchor>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Streams by their switch alone.
#[derive(Debug, Args)]
pub(crate) struct SwitchArguments {
    /// Streams, separated by commas
    #[arg(long = "stream", value_name = "NAME", value_delimiter = ',', required = true)]
    pub(crate) streams: Vec<StreamName>,
    /// Table of the autoscaler
    #[arg(long, value_name = "NAME", default_value = TABLE)]
    pub(crate) table: String,
    /// Address of DynamoDB; without it, AWS
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    #[command(flatten)]
    pub(crate) switch: SwitchArguments,
    /// Why, for whoever finds it paused
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct AlarmsArguments {
    #[command(subcommand)]
    pub(crate) command: AlarmsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlarmsCommand {
    /// Write the templates, and the values of the streams for them
    #[command(after_help = RENDER_EXAMPLES)]
    Render(RenderArguments),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormChoice {
    Cloudformation,
    Terraform,
}

#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    /// Streams, separated by commas; without any, the templates alone
    #[arg(long = "stream", value_name = "NAME", value_delimiter = ',')]
    pub(crate) streams: Vec<StreamName>,
    /// Language of the templates
    #[arg(long, value_enum)]
    pub(crate) form: FormChoice,
    /// Policy whose bounds the alarms compare with, with sections for single streams; without it, the default one
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Name of the deployment, which all names in AWS begin with
    #[arg(long, value_name = "NAME", default_value = "leasehold")]
    pub(crate) deployment: String,
    /// Fan-out consumers to be watched, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "streams")]
    pub(crate) consumers: Vec<String>,
    /// Hours for which the streams keep records
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u16).range(24..=8760))]
    pub(crate) retention_hours: u16,
    /// Folder for the files, made if missing; without it, they are printed
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LambdaArguments {
    /// Address of all services, such as that of `leasehold services`; without it, AWS
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Make the tables that are missing; on a loopback address that is done anyway
    #[arg(long)]
    pub(crate) create_table: bool,
    /// How to log; RUST_LOG filters
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) log: LogFormat,
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
    /// Policy of the planner, by its top level alone: sections are for streams; without it, the default one
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
    /// Write a page with plots as well: one file to open in a browser, which loads nothing else
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "simulation.html")]
    pub(crate) html: Option<PathBuf>,
}

/// Of the table, unless another is named: the one that `infra/aws/control.yaml` makes by default.
pub(crate) const TABLE: &str = "leasehold_autoscaler";

const OBSERVE_EXAMPLES: &str = "Examples:
  leasehold autoscale observe --stream orders
  leasehold autoscale observe --stream orders,clicks --applications billing --json
  leasehold autoscale observe --stream orders --endpoint http://127.0.0.1:4566

A reading that is missing is unknown, never zero: `-` in the table, null in JSON.";

const PLAN_EXAMPLES: &str = "Examples:
  leasehold autoscale plan --stream orders
  leasehold autoscale plan --stream orders,clicks --policy policy.toml --json

Without the autoscaler's table, the calls of the last 24 hours are unknown and taken for none.
Exit codes: 0 planned, whatever the plan; 1 failed; 2 wrong arguments; 3 stream not found; 5 service not \
reachable.";

const APPLY_EXAMPLES: &str = "Examples:
  leasehold autoscale apply --stream orders --dry-run       what it would do, told and not done
  leasehold autoscale apply --stream orders,clicks --policy policy.toml --metrics 127.0.0.1:9464 \\
      --queue https://sqs.eu-west-1.amazonaws.com/111122223333/leasehold-wake
  leasehold autoscale apply --stream orders --once          from cron

Streams are looked at every one to five minutes, the sooner the fuller they are, and at once when an \
alarm says so. Any number of these may run: one of them acts for a stream, another takes over when it \
has not been heard of for a minute. The policy file is read again in every round: `is_paused = true` \
stops all changes at once, and so does a file that cannot be read. A section `[streams.orders]` says \
what differs for that stream (`leasehold autoscale policy --help`). The first SIGINT or SIGTERM finishes \
the call under way, writes down what came of it and gives the streams back.

Exit codes: 0 stopped, or done once; 1 failed, or another one acts for a stream that was to be looked at \
once; 2 wrong arguments or policy; 3 stream not found; 5 service not reachable.";

const REBALANCE_EXAMPLES: &str = "Examples:
  leasehold autoscale rebalance --stream orders --applications billing
  leasehold autoscale rebalance --stream orders --applications billing --shards 12 --yes

The layout is the one whose fullest shard has the least of the load. It is reached by SplitShard and \
MergeShards, one after the other, none of which makes a shard fuller than the fullest is now, and merges \
wait for readers. How the load lies is known from what the workers of --applications tell, or from shard \
metrics (EnableEnhancedMonitoring).

A running `apply` acts for its streams alone: stop it for that time.";

const ADVISE_EXAMPLES: &str = "Examples:
  leasehold autoscale advise-mode --trace requests.csv --mean-shards 8
  leasehold autoscale advise-mode --stream orders --readers 2
  leasehold autoscale advise-mode --trace bytes.csv --consumers 3 --prices eu-west-1.toml

A price file names what differs, for example `shard_hour = 0.0179`; --json shows every price.";

const PAUSE_EXAMPLES: &str = "Examples:
  leasehold autoscale pause --stream orders --reason 'migration until Monday'
  leasehold autoscale resume --stream orders

The pause is an item of the autoscaler's table, read in every round: the call under way ends, the next \
one is not made. `plan` shows it, and what would be done without it.";

const RENDER_EXAMPLES: &str = "Examples:
  leasehold autoscale alarms render --form cloudformation --stream orders --out deploy
  leasehold autoscale alarms render --form terraform --stream orders,clicks --policy policy.toml

infra/README.md says what the files make, how they are deployed and what they cost.";

const LAMBDA_HELP: &str = "Environment, as infra/aws/lambda.yaml and the Terraform module set it:
  LEASEHOLD_AUTOSCALE_MODE          observe (the default): plan and tell; apply: change streams, too
  LEASEHOLD_AUTOSCALE_STREAMS       the only streams that can be woken, separated by commas
  LEASEHOLD_AUTOSCALE_TABLE         the autoscaler's table
and besides, where they are set:
  LEASEHOLD_AUTOSCALE_POLICY        the policy, as the text of a TOML file, with sections for single streams
  LEASEHOLD_AUTOSCALE_APPLICATIONS  applications that read the streams, separated by commas
  LEASEHOLD_AUTOSCALE_AUDIT_TABLE   table for audit records, kept for 30 days

Each event is one look at each stream that it names, by SQS, SNS, EventBridge or an alarm's own action.";

const SIMULATE_EXAMPLES: &str = "Examples:
  leasehold autoscale simulate                      eleven families, five seeds, a fortnight each
  leasehold autoscale simulate --trace requests.csv          your own traffic
  leasehold autoscale simulate --html               the same with plots, in simulation.html
  leasehold autoscale policy > policy.toml                   a policy to change and try:
  leasehold autoscale simulate --policy policy.toml

Columns: minutes a day in which records were refused; records lost; shard-hours over
those of an ideal that knows the future, and of one that reacts at once;
UpdateShardCount calls in 24 hours; calls refused; moves undone within the hour;
shards created for each doubling or halving that lasted.";

const POLICY_HELP: &str =
    "A policy file says what differs from that. What differs for single streams stands below it, in sections:

  shards_min = 2

  [streams.orders]
  shards_min = 8
  shards_max = 64

  [streams.\"clicks.raw\"]                 a name with a dot, in quotes
  is_paused = true

For its stream a section lies over what stands outside of all sections, field by field, and in the table \
`limits`, too; lists (`floors`, `freezes`) take the place of lists, and `freezes = []` lifts them.";
