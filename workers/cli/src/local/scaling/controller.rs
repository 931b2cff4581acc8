//! The autoscaler of the run: what `leasehold autoscale apply` runs, by the services' clock and in this process.
//!
//! ```text
//!  queue ─▶ WakePoller ─▶ (counted) ─▶ Attendance ─▶ Reconciler ─┬─▶ UpdateShardCount, SplitShard, MergeShards
//!  telemetry (weighed), leases, metrics, layout ────────▲        └─▶ decisions, file of the audit
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Context as _;
use autoscaler::alarms::AlarmSpec;
use autoscaler::aws::create_table;
use autoscaler::reconcile::{
    AuditAction, AuditEntry, AuditRecord, AuditSink, JsonLines, ReconcileSettings, RunFor,
};
use autoscaler::service::{Attendance, Connection, Steering, StreamParts};
use autoscaler::trigger::{SqsWakeQueue, StreamName, TriggerSettings, WakePoller};
use autoscaler::{Constraint, EpochMillis, Policy};
use aws_config::SdkConfig;
use kcl::aws::{DynamoDbLeaseStore, DynamoDbTelemetryStore};
use kcl_core::WorkerId;
use local::Clock;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workers::PipelineSettings;

use super::alarms::put_alarms;
use super::telemetry::WeighedTelemetry;
use crate::clock::ServicesClock;

/// An autoscaler at work.
pub(crate) struct Autoscaler {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    decisions: Decisions,
    looks: Arc<Looks>,
    alarms: usize,
}

/// What an autoscaler is to know.
pub(crate) struct AutoscalerParts<'a> {
    pub(crate) sdk: &'a SdkConfig,
    pub(crate) settings: &'a PipelineSettings,
    pub(crate) policy: Policy,
    pub(crate) clock: Arc<Clock>,
    pub(crate) record_weight: u32,
    /// Where the audit is kept.
    pub(crate) audit: &'a Path,
}

/// How often the stream was looked at.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    all: AtomicU64,
    by_alarm: AtomicU64,
    wakes: AtomicU64,
    is_woken: AtomicBool,
}

impl Autoscaler {
    /// Puts the alarms, makes the journal's table, and starts to look at the stream.
    pub(crate) async fn start(parts: AutoscalerParts<'_>) -> anyhow::Result<Self> {
        let AutoscalerParts { sdk, settings, policy, clock, record_weight, audit } = parts;
        let stream: StreamName = settings.stream.name.parse()?;
        let spec = AlarmSpec::default().with_stream(stream.as_str(), &policy)?;
        let (queue, alarms) = put_alarms(sdk, &spec).await?;
        create_table(sdk, JOURNAL_TABLE).await?;

        let connection = connection(sdk, settings, &clock, record_weight);
        let (decisions, looks) = (Decisions::default(), Arc::new(Looks::default()));
        let file = File::create(audit).with_context(|| format!("{} cannot be made", audit.display()))?;
        let sink =
            Told { decisions: decisions.clone(), looks: Arc::clone(&looks), file: JsonLines::new(file) };
        let parts = StreamParts {
            rows: Arc::new(connection.rows(stream.as_str())),
            gauges: Arc::new(connection.gauges(stream.as_str())),
            audit: Box::new(sink),
            steering: Arc::new(Steering::new(stream.as_str(), Arc::new(policy.clone()), policy)),
            memory: Arc::default(),
        };
        let (me, seed) = (WorkerId::new("local-autoscaler")?, fastrand::u64(..));
        let reconciler = connection.reconciler(stream.as_str(), me, seed, parts);

        let stop = CancellationToken::new();
        let (polled, mut alarm_wakes) = mpsc::channel(WAKES_MAX);
        let (counted, wakes) = mpsc::channel(WAKES_MAX);
        let streams = Some(BTreeSet::from([stream.clone()]));
        let triggers = TriggerSettings { streams, ..TriggerSettings::default() };
        let poller = WakePoller::new(Arc::new(SqsWakeQueue::new(sdk, queue)), triggers, Arc::default());
        let polling = poller.run(polled, stop.clone());
        let running = Attendance::new().with(stream, reconciler).run(RunFor::Ever, wakes, stop.clone());
        let counter = Arc::clone(&looks);
        let tasks = vec![
            tokio::spawn(async move {
                // It says whether it was stopped or nobody listens any more: here both are one.
                let _end = polling.await;
            }),
            tokio::spawn(async move {
                while let Some(wake) = alarm_wakes.recv().await {
                    counter.note_wake();
                    if counted.send(wake).await.is_err() {
                        return;
                    }
                }
            }),
            tokio::spawn(async move {
                running.await;
            }),
        ];
        Ok(Self { stop, tasks, decisions, looks, alarms })
    }

    /// Finishes what is under way and ends; what was decided, oldest first.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Vec<AuditRecord>> {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            task.await.context("the autoscaler broke down")?;
        }
        Ok(std::mem::take(&mut *self.decisions.0.lock()))
    }

    /// Fails if it ended by itself.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.tasks.iter().any(JoinHandle::is_finished), "the autoscaler ended by itself");
        Ok(())
    }

    /// Whether its last decision, made at `since` or later, was that nothing is to be changed.
    pub(crate) fn is_content(&self, since: EpochMillis) -> bool {
        let in_bounds = Constraint::InBounds.to_string();
        let decisions = self.decisions.0.lock();
        let last = decisions.iter().rev().find_map(|record| match &record.entry {
            AuditEntry::Decided(plan) => Some((record.at_millis, plan)),
            AuditEntry::Called { .. } | AuditEntry::Ended { .. } | AuditEntry::Effect { .. } => None,
        });
        last.is_some_and(|(at_millis, plan)| {
            at_millis >= since.0 && plan.action == AuditAction::Nothing && plan.constraint == in_bounds
        })
    }

    /// How often it looked at the stream.
    pub(crate) fn looks(&self) -> Arc<Looks> {
        Arc::clone(&self.looks)
    }

    /// Alarms that wake it.
    pub(crate) const fn alarms(&self) -> usize {
        self.alarms
    }
}

impl Drop for Autoscaler {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// How the stream and what its readers tell are reached, by the services' clock.
fn connection(
    sdk: &SdkConfig,
    settings: &PipelineSettings,
    clock: &Arc<Clock>,
    record_weight: u32,
) -> Connection {
    let scale = clock.scale();
    let own_clock = || ServicesClock::new(Arc::clone(clock));
    let application = &settings.application.name;
    let told = DynamoDbTelemetryStore::new(sdk, application);
    let told = WeighedTelemetry::new(told, own_clock(), scale.get(), record_weight);
    let leases = DynamoDbLeaseStore::new(sdk, application, settings.lease.failover);
    Connection::new(sdk.clone(), JOURNAL_TABLE, ReconcileSettings::default().paced(scale))
        .with_clock(Arc::new(own_clock()))
        .with_reader(application, Arc::new(told), Arc::new(leases))
}

impl Looks {
    /// Those that led to a decision.
    pub(crate) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Those that an alarm had asked for.
    pub(crate) fn by_alarm(&self) -> u64 {
        self.by_alarm.load(Ordering::Relaxed)
    }

    /// Alarms that reached the autoscaler; several may ask for one look.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    fn note_wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.is_woken.store(true, Ordering::Relaxed);
    }

    fn note_look(&self) {
        self.all.fetch_add(1, Ordering::Relaxed);
        if self.is_woken.swap(false, Ordering::Relaxed) {
            self.by_alarm.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The records of the audit; one for each look and change, so that a run of hours has a few hundred.
#[derive(Clone, Debug, Default)]
struct Decisions(Arc<Mutex<Vec<AuditRecord>>>);

struct Told {
    decisions: Decisions,
    looks: Arc<Looks>,
    file: JsonLines<File>,
}

impl AuditSink for Told {
    fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
        match record.entry {
            AuditEntry::Decided(_) => self.looks.note_look(),
            AuditEntry::Called { .. } | AuditEntry::Ended { .. } | AuditEntry::Effect { .. } => {}
        }
        self.decisions.0.lock().push(record.clone());
        self.file.record(record)
    }
}

const JOURNAL_TABLE: &str = "leasehold-autoscaler";
/// Alarms that wait; one look answers them all.
const WAKES_MAX: usize = 16;
