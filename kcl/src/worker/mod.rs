//! A worker: builds from settings and components, starts, and runs until it is stopped.
//!
//! ```text
//! builder ─▶ Worker ─▶ start: describe the stream, open the table ─▶ Driver { Coordinator, shard tasks } ─▶ end
//!                                                                       ▲
//!                                                       WorkerHandle ───┘ health, shutdown, abort
//! ```

mod builder;
mod driver;
mod handle;
mod health;

use std::sync::Arc;

use kcl_core::{Coordinator, CoordinatorSettings, WorkerId};
use tokio::sync::watch;
use tracing::Instrument;

pub use builder::WorkerBuilder;
pub use handle::{WorkerEnd, WorkerHandle};
pub use health::{Health, ShardHealth, ShardState, TelemetryHealth, WorkerPhase};

pub(crate) use health::{HealthBoard, ShardGauge};

use crate::budget::ByteBudget;
use crate::error::Error;
use crate::port::{Application, Clock, LeaseStore, StreamControl, StreamSource, TelemetryStore};
use crate::processor::ProcessorFactory;
use crate::settings::WorkerSettings;
use driver::{Driver, DriverParts};
use handle::StopSwitch;

/// One member of the fleet that consumes a stream.
#[derive(Debug)]
pub struct Worker<F> {
    application: String,
    id: WorkerId,
    settings: Arc<WorkerSettings>,
    coordinator: CoordinatorSettings,
    store: Arc<dyn LeaseStore>,
    source: Arc<dyn StreamSource>,
    control: Arc<dyn StreamControl>,
    telemetry: Option<Arc<dyn TelemetryStore>>,
    clock: Arc<dyn Clock>,
    seed: u64,
    factory: Arc<F>,
    board: HealthBoard,
    stop: StopSwitch,
    end: (watch::Sender<Option<WorkerEnd>>, watch::Receiver<Option<WorkerEnd>>),
}

impl Worker<()> {
    /// A worker of `application` on `stream`; everything else is given to the builder.
    pub fn builder<S>(application: impl Into<String>, stream: S) -> WorkerBuilder
    where
        S: StreamSource + StreamControl + 'static,
    {
        WorkerBuilder::new(application.into(), stream)
    }
}

impl<F: ProcessorFactory> Worker<F> {
    /// The worker's id, with the suffix of this process.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.id
    }

    /// A handle, which may be used before the worker starts.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle::new(self.board.clone(), self.stop.clone(), self.end.1.clone())
    }

    /// Starts and runs until the worker is stopped through a handle.
    ///
    /// # Errors
    /// If it cannot start; see [`Worker::start`]. A running worker rides out every outage.
    pub async fn run(self) -> Result<WorkerEnd, Error> {
        let driver = self.prepare().await?;
        Ok(driver.run().await)
    }

    /// Starts, and returns a handle as soon as the stream was found and the table opened.
    ///
    /// # Errors
    /// [`Error`] with its kind: the stream is missing, the table belongs to something else, or a service cannot be
    /// reached.
    pub async fn start(self) -> Result<WorkerHandle, Error> {
        let handle = self.handle();
        let driver = self.prepare().await?;
        tokio::spawn(driver.run());
        Ok(handle)
    }

    async fn prepare(self) -> Result<Driver<F>, Error> {
        let span = tracing::info_span!("worker", worker_id = %self.id);
        let stream = async {
            let stream = self.control.describe().await?;
            let application = Application { name: self.application.clone(), stream: stream.clone() };
            self.store.open(&application).await?;
            tracing::info!(application = %self.application, stream = %stream.arn, "worker starts");
            Ok::<_, Error>(stream)
        }
        .instrument(span.clone())
        .await?;
        let now = self.clock.now();
        let mut settings = self.coordinator;
        settings.epoch_millis_at_zero = self.clock.epoch_millis().saturating_sub(now.0);
        let initial_position = settings.initial_position;
        let coordinator = Coordinator::new(settings, self.id, self.seed, now);
        Ok(Driver::new(DriverParts {
            coordinator,
            initial_position,
            stream: Arc::new(stream),
            budget: ByteBudget::new(self.settings.fetch.prefetch_bytes_max),
            settings: self.settings,
            store: self.store,
            source: self.source,
            control: self.control,
            telemetry: self.telemetry,
            clock: self.clock,
            seed: self.seed,
            factory: self.factory,
            board: self.board,
            stop: self.stop,
            end: self.end.0,
            span,
        }))
    }
}
