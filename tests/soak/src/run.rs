//! One run from start to verdict.
//!
//! ```text
//! start ─▶ torment for so many minutes ─▶ end marks ─▶ drain: every shard committed to its end ─▶ stop ─▶ verdict
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fastrand::Rng;
use kcl::aws::DynamoDbLeaseStore;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::Arguments;
use crate::committed::Committed;
use crate::fleet::{Fleet, Launch, logs_of, name, program_beside_this_one};
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::objects::{BucketContents, Rows};
use crate::producer::{Producer, Tally};
use crate::report::{Progress, Report, alarmed};
use crate::resources::{FAILOVER, Resources};
use crate::services::ServicesProcess;
use crate::stream::StreamContents;
use crate::torment::{Act, Blows, Plan, THROTTLE_SPAN};
use crate::verdict::{Evidence, Violation};

/// Runs, judges and prints.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<Report> {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(Rng::new().u32(..)));
    let folder = new_folder(&arguments, seed)?;
    eprintln!("seed {seed}; logs in {}", folder.join("logs").display());
    let mut run = Run::start(arguments, seed, &folder).await.with_context(|| format!("seed {seed}"))?;
    let judged = tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err(anyhow::anyhow!("interrupted"))
        }
        judged = run.finish() => judged,
    };
    let report = judged.with_context(|| format!("seed {seed}; logs in {}", run.launch.logs.display()))?;
    report.print(run.arguments.json)?;
    Ok(report)
}

struct Run {
    arguments: Arguments,
    seed: u64,
    launch: Launch,
    services: ServicesProcess,
    resources: Resources,
    fleet: Option<Fleet>,
    committed: Committed,
    journal: Journal,
    producer: Option<JoinHandle<anyhow::Result<Ledger>>>,
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    began: Instant,
    blows: Blows,
    throttled_until: Option<Instant>,
}

/// What lies there when nobody runs any more.
struct Remains {
    ledger: Ledger,
    stream: StreamContents,
    bucket: BucketContents,
    drain_seconds: f64,
    restarts: u64,
    violations: Vec<Violation>,
}

impl Run {
    async fn start(arguments: Arguments, seed: u64, folder: &Path) -> anyhow::Result<Self> {
        let (logs, config) = (folder.join("logs"), folder.join("leasehold.toml"));
        let program = match &arguments.leasehold {
            Some(program) => program.clone(),
            None => program_beside_this_one()?,
        };
        let services = ServicesProcess::start(&program, &folder.join("services"), &logs).await?;
        let endpoint = services.endpoint().to_owned();
        let resources = Resources::create(&endpoint, arguments.shards, &config).await?;
        let launch = Launch { program, config, endpoint, logs };
        let workers = usize::from(arguments.workers);
        let fleet = Fleet::start(launch.clone(), workers)?;
        let leases = DynamoDbLeaseStore::new(&resources.sdk, resources.table(), TABLE_PATIENCE);
        let stream = &resources.settings.stream.name;
        let (stop, stopped) = watch::channel(false);
        let random = stream_of(seed, PRODUCER);
        let producer = Producer::new(resources.kinesis_once(), stream, random, arguments.rate);
        Ok(Self {
            committed: Committed::new(leases, stream),
            journal: Journal::new(logs_of(&launch, workers)),
            tally: producer.tally(),
            producer: Some(tokio::spawn(producer.run(stopped))),
            fleet: Some(fleet),
            began: Instant::now(),
            blows: Blows::default(),
            throttled_until: None,
            arguments,
            seed,
            launch,
            services,
            resources,
            stop,
        })
    }

    async fn finish(&mut self) -> anyhow::Result<Report> {
        self.torment().await?;
        let remains = self.come_to_rest().await?;
        let throttled_calls = self.services.throttled_calls().await?;
        let mut report = self.report(&remains, throttled_calls);
        report.violations.extend(self.evidence(&remains).violations());
        if !self.arguments.calm {
            report.violations.extend(report.unfelt());
        }
        Ok(report)
    }

    /// Ends producer and workers in order, and reads everything.
    async fn come_to_rest(&mut self) -> anyhow::Result<Remains> {
        self.stop.send_replace(true);
        let producer = self.producer.take().context("the producer is joined once")?;
        let ledger = producer.await.context("the producer broke down")??;
        let client = self.resources.kinesis_once();
        let stream = StreamContents::read(&client, &self.resources.settings.stream.name).await?;
        let draining = Instant::now();
        let overdue = self.drain(&stream).await?;
        let drain_seconds = draining.elapsed().as_secs_f64();
        let fleet = self.fleet.take().context("the workers are ended once")?;
        let restarts = fleet.restarts();
        let unwell = fleet.shut_down().await?;
        let unwell = unwell.iter().map(|(name, status)| match status {
            Some(status) => format!("{name}: {status}"),
            None => format!("{name} did not end in time"),
        });
        let unwell = Violation::of("a worker that is told to stop ends well", unwell);
        self.committed.advance(&self.resources.store).await?;
        self.journal.read()?;
        let alarmed = alarmed(self.journal.alarms(), &self.launch.logs);
        let bucket = BucketContents::read(&self.resources.store).await?;
        let violations = [overdue, unwell, alarmed].into_iter().flatten().collect();
        Ok(Remains { ledger, stream, bucket, drain_seconds, restarts, violations })
    }

    /// Deals the blows until the time is up, and undoes what would last.
    async fn torment(&mut self) -> anyhow::Result<()> {
        let span = Duration::from_secs(60 * self.arguments.minutes);
        let workers = usize::from(self.arguments.workers);
        let mut plan = if self.arguments.calm {
            Plan::calm()
        } else {
            Plan::new(stream_of(self.seed, TORMENT), span, workers, FAILOVER)
        };
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut shown = Duration::ZERO;
        while self.began.elapsed() < span {
            ticks.tick().await;
            while let Some(act) = plan.due(self.began.elapsed()) {
                self.strike(act).await?;
            }
            self.check()?;
            if self.began.elapsed() >= shown + PROGRESS_PERIOD {
                shown = self.began.elapsed();
                self.show_progress().await?;
            }
        }
        let fleet = self.fleet()?;
        (0..workers).try_for_each(|worker| fleet.proceed(worker))
    }

    async fn strike(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Kill { worker, is_aimed } => {
                self.aim(worker, is_aimed).await;
                self.fleet()?.kill(worker).await?;
                self.blows.kills += 1;
            }
            Act::Stop { worker, is_aimed } => {
                self.aim(worker, is_aimed).await;
                self.fleet()?.stop(worker)?;
                self.blows.stops += 1;
            }
            Act::Continue { worker } => self.fleet()?.proceed(worker)?,
            Act::Throttle { share } => {
                self.services.throttle(share, THROTTLE_SPAN).await?;
                self.throttled_until = Some(Instant::now() + THROTTLE_SPAN);
                self.blows.throttles += 1;
            }
        }
        Ok(())
    }

    /// Waits for a moment in which `worker` has an intent pending, but not for long: it may hold nothing.
    async fn aim(&self, worker: usize, is_aimed: bool) {
        let deadline = Instant::now() + AIM_TIMEOUT;
        while is_aimed && Instant::now() < deadline {
            if self.committed.is_committing(&name(worker)).await {
                return;
            }
        }
    }

    /// Waits until every record of the stream is committed; what is left undone if that takes too long.
    async fn drain(&mut self, stream: &StreamContents) -> anyhow::Result<Option<Violation>> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < deadline {
            ticks.tick().await;
            self.check()?;
            self.committed.advance(&self.resources.store).await?;
            if self.committed.reaches(&stream.ends) {
                self.show_progress().await?;
                return Ok(None);
            }
        }
        Ok(Violation::of("everything is committed soon after the last event", [format!("{DRAIN_TIMEOUT:?}")]))
    }

    /// Fails if a process ended that should run.
    fn check(&mut self) -> anyhow::Result<()> {
        self.services.check()?;
        let now = Instant::now();
        let is_store_down = self.throttled_until.is_some_and(|until| now < until + START_GRACE);
        self.fleet()?.check(is_store_down)?;
        let has_producer_ended = self.producer.as_ref().is_some_and(JoinHandle::is_finished);
        anyhow::ensure!(!has_producer_ended, "the producer gave up: its stream takes no records");
        self.journal.read()?;
        Ok(())
    }

    async fn show_progress(&mut self) -> anyhow::Result<()> {
        self.committed.advance(&self.resources.store).await?;
        Progress {
            elapsed: self.began.elapsed(),
            acknowledged: self.tally.acknowledged(),
            committed: self.committed.records(),
            blows: self.blows,
            throttled_calls: self.services.throttled_calls().await?,
            counts: self.journal.counts(),
        }
        .print();
        Ok(())
    }

    fn fleet(&mut self) -> anyhow::Result<&mut Fleet> {
        self.fleet.as_mut().context("the workers have been ended")
    }

    fn evidence<'a>(&'a self, remains: &'a Remains) -> Evidence<'a> {
        let settings = &self.resources.settings;
        Evidence {
            stream_name: &settings.stream.name,
            session_gap: settings.session.as_ref().map_or(Duration::MAX, |session| session.gap),
            ledger: &remains.ledger,
            stream: &remains.stream,
            leases: self.committed.rows(),
            batches: self.committed.batches(),
            bucket: &remains.bucket,
        }
    }

    /// Everything that is counted, and what is known to be broken before the evidence is looked at.
    fn report(&self, remains: &Remains, throttled_calls: u64) -> Report {
        let (mut rows, mut sessions) = (0, 0);
        for object in remains.bucket.objects.values() {
            match &object.rows {
                Rows::Events(events) => rows += events.len() as u64,
                Rows::Sessions(starts) => sessions += starts.len() as u64,
                Rows::Failed(_) => {}
            }
        }
        Report {
            seed: self.seed,
            minutes: self.arguments.minutes,
            workers: usize::from(self.arguments.workers),
            shards: self.arguments.shards,
            acknowledged: self.tally.acknowledged(),
            records: remains.stream.events.len() as u64,
            ambiguous_puts: self.tally.ambiguous_puts(),
            rows,
            sessions,
            batches: self.committed.batches().values().map(|batches| batches.len() as u64).sum(),
            blows: self.blows,
            throttled_calls,
            restarts: remains.restarts,
            counts: self.journal.counts(),
            drain_seconds: remains.drain_seconds,
            violations: remains.violations.clone(),
            logs: self.launch.logs.display().to_string(),
        }
    }
}

fn new_folder(arguments: &Arguments, seed: u64) -> anyhow::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let folder = arguments.data.join(format!("{seconds}-seed-{seed}"));
    let logs = folder.join("logs");
    fs::create_dir_all(&logs).with_context(|| format!("{} cannot be made", logs.display()))?;
    fs::canonicalize(&folder).with_context(|| format!("{} cannot be found", folder.display()))
}

/// Each part draws from a series of its own, so that one more draw here does not change what happens there.
fn stream_of(seed: u64, part: u64) -> Rng {
    Rng::with_seed(seed.wrapping_mul(PARTS_MAX).wrapping_add(part))
}

const PRODUCER: u64 = 1;
const TORMENT: u64 = 2;
const PARTS_MAX: u64 = 16;
const TICK: Duration = Duration::from_millis(200);
const PROGRESS_PERIOD: Duration = Duration::from_secs(10);
/// Several batches.
const AIM_TIMEOUT: Duration = Duration::from_secs(2);
/// Several failovers, and the time to read again what had not been committed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// A worker that began while the store throttled may say so a while later.
const START_GRACE: Duration = Duration::from_secs(15);
/// The observer's calls may take their time: nobody's lease hangs on them.
const TABLE_PATIENCE: Duration = Duration::from_secs(15);
