//! The streams that arguments name, reached and found.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autoscaler::aws::{AuditTable, AuditTableSink, AuditTableWriter, Pause, create_table, is_not_found};
use autoscaler::reconcile::{Look, PortError, ReconcileSettings, RowStore as _, ShardControl as _};
use autoscaler::service::{Connection, PolicySource, Steering};
use autoscaler::trigger::StreamName;
use autoscaler::{EpochMillis, Ledger, Policies, Policy};
use aws_config::SdkConfig;
use kcl::aws::{DynamoDbLeaseStore, DynamoDbTelemetryStore};
use local::Clock;

use super::policy::{policies_of, source_of};
use crate::arguments::StreamsArguments;
use crate::clock::ServicesClock;
use crate::connection::{is_loopback, sdk_config};
use crate::problem::{FAILED, Problem, STREAM_NOT_FOUND, UNAVAILABLE, text};

/// Everything that the modes share.
pub(super) struct Site {
    pub(super) connection: Connection,
    pub(super) sdk: SdkConfig,
    /// The policies as they were at the start.
    policies: Policies,
    /// The file that says them from then on.
    policy_file: Option<PathBuf>,
    is_local: bool,
}

impl Site {
    /// Reads the policies and makes the clients; calls nothing.
    pub(super) async fn of(arguments: &StreamsArguments) -> anyhow::Result<Self> {
        let policies = policies_of(arguments.policy.as_deref())?;
        Ok(Self::under(arguments, policies, ReconcileSettings::default()).await)
    }

    /// The same with policies that were read already; without a file they never change.
    pub(super) async fn under(
        arguments: &StreamsArguments,
        policies: Policies,
        settings: ReconcileSettings,
    ) -> Self {
        let StreamsArguments { streams, policy: policy_file, applications, table, endpoint, clock } =
            arguments;
        let others = policies.sections().filter(|stream| !streams.contains(stream)).map(StreamName::as_str);
        let others = others.collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            tracing::info!(
                streams = others,
                "the policy has sections for streams that are not looked after here"
            );
        }
        let sdk = sdk_config(None, endpoint.as_deref()).await;
        let clock = clock.map(|anchor| Arc::new(Clock::anchored(anchor)));
        let settings = match &clock {
            Some(clock) => settings.paced(clock.scale()),
            None => settings,
        };
        let mut connection = Connection::new(sdk.clone(), table, settings);
        if let Some(clock) = clock {
            connection = connection.with_clock(Arc::new(ServicesClock::new(clock)));
        }
        for application in applications {
            let telemetry = Arc::new(DynamoDbTelemetryStore::new(&sdk, application));
            let leases = Arc::new(DynamoDbLeaseStore::new(&sdk, application, LEASES_TIMEOUT));
            connection = connection.with_reader(application, telemetry, leases);
        }
        let is_local = endpoint.as_deref().is_some_and(is_loopback);
        Self { connection, sdk, policies, policy_file: policy_file.clone(), is_local }
    }

    /// The policy of a stream as it was at the start.
    pub(super) fn policy(&self, stream: &StreamName) -> &Policy {
        self.policies.for_stream(stream)
    }

    /// What steers a stream: its policy, read anew in every round if there is a file.
    pub(super) fn steering(&self, stream: &StreamName) -> Steering {
        let policy = self.policy(stream).clone();
        let source: Arc<dyn PolicySource> = match &self.policy_file {
            Some(file) => source_of(file, stream),
            None => Arc::new(policy.clone()),
        };
        Steering::new(stream.as_str(), source, policy)
    }

    /// Now, by the clock of the services.
    pub(super) fn now(&self) -> EpochMillis {
        EpochMillis(self.connection.clock().epoch_millis())
    }

    /// Whether the services are on this machine.
    pub(super) const fn is_local(&self) -> bool {
        self.is_local
    }

    /// State and shards of a stream.
    pub(super) async fn look(&self, stream: &str) -> anyhow::Result<Look> {
        self.connection.control(stream).look().await.map_err(|error| problem_of_stream(stream, error))
    }

    /// What was done to a stream, as far as it is known: nothing without the autoscaler's table.
    pub(super) async fn ledger(&self, stream: &str) -> anyhow::Result<Option<Ledger>> {
        match self.connection.ledger(stream).await {
            Ok(ledger) => Ok(Some(ledger)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.problem_of_table(error)),
        }
    }

    /// Makes sure that the autoscaler's table is there.
    pub(super) async fn open_table(&self, may_create: bool) -> anyhow::Result<()> {
        let table = self.connection.table();
        if may_create || self.is_local {
            create_table(&self.sdk, table).await.map_err(|error| self.problem_of_table(error))?;
        }
        for attempt in 1..=TABLE_READS_MAX {
            match self.connection.rows(TABLE_PROBE).read().await {
                Ok(_) => return Ok(()),
                // A table that was just made is not there for some seconds.
                Err(error) if is_not_found(&error) && may_create && attempt < TABLE_READS_MAX => {
                    tokio::time::sleep(TABLE_PAUSE).await;
                }
                Err(error) => return Err(self.problem_of_table(error)),
            }
        }
        Ok(())
    }

    /// A sink and a writer for the audit's table, if one is named.
    pub(super) async fn open_audit_table(
        &self,
        table: Option<&str>,
        days: u16,
        may_create: bool,
    ) -> anyhow::Result<Option<(AuditTableSink, AuditTableWriter)>> {
        let Some(name) = table else { return Ok(None) };
        let table = AuditTable::new(&self.sdk, name, DAY * u32::from(days), AUDIT_TIMEOUT);
        if may_create || self.is_local {
            table.create().await.map_err(|error| {
                let message =
                    format!("audit table {name} cannot be made; check region, endpoint and credentials");
                Problem::with_code(UNAVAILABLE, format!("{message}: {}", text(&error.into())))
            })?;
        }
        Ok(Some(table.open()))
    }

    /// The pause of a stream, if one is on.
    pub(super) async fn pause(&self, stream: &str) -> anyhow::Result<Option<Pause>> {
        match self.connection.switch(stream).read().await {
            Ok(pause) => Ok(pause),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.problem_of_table(error)),
        }
    }

    /// What a failed call of the autoscaler's table means.
    pub(super) fn problem_of_table(&self, error: PortError) -> anyhow::Error {
        let table = self.connection.table();
        if is_not_found(&error) {
            let message = format!(
                "table {table} does not exist: deploy infra/aws/control.yaml and give its table by --table, or let \
                 `apply --create-table` make it"
            );
            return Problem::with_code(FAILED, message);
        }
        let message =
            format!("table {table} cannot be used; check its name, region, endpoint and credentials");
        Problem::with_code(UNAVAILABLE, format!("{message}: {}", text(&error.into())))
    }
}

/// What a failed call of a stream means.
pub(super) fn problem_of_stream(stream: &str, error: PortError) -> anyhow::Error {
    if is_not_found(&error) {
        let message = format!("stream {stream} does not exist: check its name, the region and --endpoint");
        return Problem::with_code(STREAM_NOT_FOUND, message);
    }
    let message = format!("stream {stream} cannot be read; check region, endpoint and credentials");
    Problem::with_code(UNAVAILABLE, format!("{message}: {}", text(&error.into())))
}

/// A name that no stream has, for a read that finds nothing.
const TABLE_PROBE: &str = "/probe";
/// Making a table of DynamoDB takes some ten seconds.
const TABLE_READS_MAX: u32 = 60;
const TABLE_PAUSE: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);
const LEASES_TIMEOUT: Duration = Duration::from_secs(15);
