//! How the streams of one account and region are reached, and the ports of each.

use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;
use kcl::{Clock, LeaseStore, SystemClock, TelemetryStore};
use kcl_core::WorkerId;

use super::steering::window_of;
use super::{Governor, Steered, Steering, StreamMemory};
use crate::aws::{AwsObserver, CloudWatchGauges, DynamoDbRows, KinesisControl, PauseSwitch};
use crate::reconcile::{
    AuditSink, Gauges, Journal, Planner, PortError, Ports, ReconcileSettings, Reconciler, RowStore,
};
use crate::{Ledger, Policy};

/// How the streams of one account and region are reached.
#[derive(Clone, Debug)]
pub struct Connection {
    config: SdkConfig,
    table: String,
    settings: ReconcileSettings,
    readers: Vec<Reader>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
struct Reader {
    application: String,
    telemetry: Arc<dyn TelemetryStore>,
    leases: Arc<dyn LeaseStore>,
}

/// What one stream's reconciler is given beside its ports on AWS.
pub struct StreamParts {
    /// The row.
    pub rows: Arc<dyn RowStore>,
    /// Who is told how the stream is.
    pub gauges: Arc<dyn Gauges>,
    /// Where decisions go.
    pub audit: Box<dyn AuditSink>,
    /// Policy and kill switch.
    pub steering: Arc<Steering>,
    /// What earlier looks have shown, if there were any.
    pub memory: Arc<StreamMemory>,
}

impl Connection {
    /// A connection whose rows lie in `table`. Settings must be valid.
    #[must_use]
    pub fn new(config: SdkConfig, table: impl Into<String>, settings: ReconcileSettings) -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { config, table: table.into(), settings, readers: Vec::new(), clock }
    }

    /// With an application that reads the streams: what its workers tell, and its leases.
    #[must_use]
    pub fn with_reader(
        mut self,
        application: impl Into<String>,
        telemetry: Arc<dyn TelemetryStore>,
        leases: Arc<dyn LeaseStore>,
    ) -> Self {
        self.readers.push(Reader { application: application.into(), telemetry, leases });
        self
    }

    /// With another clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Time, as this connection sees it.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The table of the rows.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The control plane of a stream.
    #[must_use]
    pub fn control(&self, stream: &str) -> KinesisControl {
        KinesisControl::new(&self.config, stream, self.settings.call_timeout)
    }

    /// What is seen of a stream, as far back as `policy` asks.
    #[must_use]
    pub fn observer(&self, stream: &str, policy: &Policy) -> AwsObserver {
        let timeout = self.settings.call_timeout;
        let observer =
            AwsObserver::new(&self.config, self.control(stream), window_of(policy), timeout, policy.limits);
        self.readers.iter().fold(observer, |observer, reader| {
            observer
                .with_telemetry(&reader.application, Arc::clone(&reader.telemetry))
                .with_leases(Arc::clone(&reader.leases))
        })
    }

    /// The row of a stream.
    #[must_use]
    pub fn rows(&self, stream: &str) -> DynamoDbRows {
        DynamoDbRows::new(&self.config, &self.table, stream, self.settings.call_timeout)
    }

    /// The kill switch of a stream.
    #[must_use]
    pub fn switch(&self, stream: &str) -> PauseSwitch {
        PauseSwitch::new(&self.config, &self.table, stream, self.settings.call_timeout)
    }

    /// The autoscaler's own metrics of a stream.
    #[must_use]
    pub fn gauges(&self, stream: &str) -> CloudWatchGauges {
        CloudWatchGauges::new(&self.config, stream, self.settings.call_timeout)
    }

    /// What was done to a stream so far, by its row; nothing without one.
    ///
    /// # Errors
    /// [`PortError`] if the row or its journal cannot be read.
    pub async fn ledger(&self, stream: &str) -> Result<Ledger, PortError> {
        let Some(row) = self.rows(stream).read().await? else { return Ok(Ledger::default()) };
        let journal = Journal::decode(&row.journal).map_err(|problem| PortError {
            operation: "reading the journal",
            target: format!("{stream} in {}", self.table),
            source: problem.into(),
        })?;
        Ok(journal.ledger)
    }

    /// The reconciler of a stream, which contends for its row as `me`. `seed` must be random per process.
    #[must_use]
    pub fn reconciler(
        &self,
        stream: &str,
        me: WorkerId,
        seed: u64,
        parts: StreamParts,
    ) -> Reconciler<Governor> {
        let governor = Governor::new(Arc::clone(&parts.steering), Arc::clone(&parts.memory));
        self.reconciler_with(governor, stream, me, seed, parts)
    }

    /// The same with another planner than this crate's.
    #[must_use]
    pub fn reconciler_with<P: Planner>(
        &self,
        planner: P,
        stream: &str,
        me: WorkerId,
        seed: u64,
        parts: StreamParts,
    ) -> Reconciler<P> {
        let StreamParts { rows, gauges, audit, steering, memory } = parts;
        let (policy, _) = steering.present();
        let ports = Ports {
            rows,
            control: Arc::new(self.control(stream)),
            observer: Arc::new(Steered::new(self.observer(stream, &policy), steering, memory)),
            gauges,
            clock: Arc::clone(&self.clock),
        };
        let settings = ReconcileSettings { limits: policy.limits, ..self.settings.clone() };
        Reconciler::new(stream, settings, me, seed, planner, ports, audit)
    }
}

impl fmt::Debug for StreamParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, gauges, audit: _, steering, memory: _ } = self;
        let mut parts = formatter.debug_struct("StreamParts");
        parts.field("rows", rows).field("gauges", gauges).field("steering", steering).finish_non_exhaustive()
    }
}
