//! Puts a worker together: settings are data, components are behaviour.

use std::fs;
use std::sync::Arc;

use kcl_core::WorkerId;
use tokio::sync::watch;
use uuid::Uuid;

use super::Worker;
use super::handle::StopSwitch;
use super::health::HealthBoard;
use crate::backoff::derive_seed;
use crate::clock::SystemClock;
use crate::error::Error;
use crate::port::{Clock, LeaseStore, StreamControl, StreamSource, TelemetryStore};
use crate::processor::ProcessorFactory;
use crate::settings::WorkerSettings;

/// Collects what a worker is made of.
#[derive(Debug)]
pub struct WorkerBuilder {
    application: String,
    source: Arc<dyn StreamSource>,
    control: Arc<dyn StreamControl>,
    store: Option<Arc<dyn LeaseStore>>,
    telemetry: Option<Arc<dyn TelemetryStore>>,
    clock: Arc<dyn Clock>,
    settings: WorkerSettings,
    seed: u64,
}

impl WorkerBuilder {
    pub(super) fn new<S>(application: String, stream: S) -> Self
    where
        S: StreamSource + StreamControl + 'static,
    {
        let stream = Arc::new(stream);
        let seed = Uuid::new_v4().as_u64_pair().0;
        Self {
            application,
            source: stream.clone(),
            control: stream,
            store: None,
            telemetry: None,
            clock: Arc::new(SystemClock::new()),
            settings: WorkerSettings::default(),
            seed,
        }
    }

    /// Where the leases live. Required.
    #[must_use]
    pub fn with_lease_store(mut self, store: impl LeaseStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Where to tell what the load of the shards is made of, for the autoscaler. Without it nothing is told, and nothing is
    /// counted: telemetry that is off costs nothing.
    #[must_use]
    pub fn with_telemetry_store(mut self, store: impl TelemetryStore + 'static) -> Self {
        self.telemetry = Some(Arc::new(store));
        self
    }

    /// The settings. Required, because the initial position is.
    #[must_use]
    pub fn with_settings(mut self, settings: WorkerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Another clock than the machine's: a paused one in tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// A fixed source of randomness, so that a test repeats. Two workers must never share one: ids and nonces derive
    /// from it. Random by default.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Checks everything and builds the worker; `factory` makes a processor for each shard it gets.
    ///
    /// # Errors
    /// [`Error`] of kind `Settings`, naming what is missing or cannot work.
    pub fn build<F: ProcessorFactory>(self, factory: F) -> Result<Worker<F>, Error> {
        self.settings.validate()?;
        let store = self.store.ok_or_else(|| {
            Error::settings(
                "no lease store: give one to the builder by with_lease_store, such as the one in kcl::aws",
            )
        })?;
        if self.application.is_empty() {
            return Err(Error::settings("application name is empty: it also names the lease table"));
        }
        let id = worker_id(self.settings.worker_id.as_deref(), self.seed);
        Ok(Worker {
            application: self.application,
            coordinator: self.settings.coordinator(0)?,
            settings: Arc::new(self.settings),
            store,
            source: self.source,
            control: self.control,
            telemetry: self.telemetry,
            board: HealthBoard::new(id.clone(), Arc::clone(&self.clock)),
            clock: self.clock,
            seed: self.seed,
            factory: Arc::new(factory),
            stop: StopSwitch::default(),
            end: watch::channel(None),
            id,
        })
    }
}

/// Two runs never share an id: the suffix is random per process.
fn worker_id(prefix: Option<&str>, seed: u64) -> WorkerId {
    let suffix = derive_seed(seed, WORKER_ID_PART) as u32;
    let id = match prefix {
        Some(prefix) => format!("{prefix}-{suffix:08x}"),
        None => format!("{}-{}-{suffix:08x}", host_name(), std::process::id()),
    };
    WorkerId::new(id).expect("a validated prefix and a suffix are no longer than an id may be")
}

fn host_name() -> String {
    let from_kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel().or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name: String = name.trim().chars().take(HOST_NAME_CHARS_MAX).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

/// Of the parts that derive seeds, the one for the worker's id.
const WORKER_ID_PART: u64 = 1;
/// Longest label of the domain name system.
const HOST_NAME_CHARS_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_of_the_process_is_always_appended() {
        assert_ne!(worker_id(Some("a"), 1), worker_id(Some("a"), 2));
        assert!(worker_id(Some("a"), 1).as_str().starts_with("a-"));
        let pid = format!("-{}-", std::process::id());
        assert!(worker_id(None, 1).as_str().contains(&pid));
    }
}
