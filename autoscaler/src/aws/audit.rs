//! The audit in DynamoDB: one item for each record, deleted by the table itself when its time is over.
//!
//! ```text
//!  stream (S, hash) │ at (S, range): time-decision-number │ record (S): the JSON line │ expires (N): epoch seconds
//!
//!  AuditTableSink ─▶ bounded channel ─▶ AuditTableWriter ─▶ PutItem
//! ```
//!
//! A decision does not wait for its record. A table that does not keep up loses records, each of which is told.

use std::io;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TableStatus, TimeToLiveSpecification,
};
use tokio::sync::mpsc;

use super::error::{failed, timeouts};
use crate::reconcile::{AuditRecord, AuditSink, PortError};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The table of the audit.
#[derive(Clone, Debug)]
pub struct AuditTable {
    client: Client,
    table: String,
    retention: Duration,
}

/// Takes records for a writer. Every clone counts them for itself.
#[derive(Clone, Debug)]
pub struct AuditTableSink {
    records: mpsc::Sender<Item>,
    retention: Duration,
    taken: u64,
}

/// Writes what its sinks take.
#[derive(Debug)]
pub struct AuditTableWriter {
    table: AuditTable,
    records: mpsc::Receiver<Item>,
}

#[derive(Debug)]
struct Item {
    stream: String,
    at: String,
    record: String,
    expires_epoch_seconds: u64,
}

impl AuditTable {
    /// The table called `table`, whose items are kept for `retention`; each attempt of a call is given up after
    /// `call_timeout`.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        table: impl Into<String>,
        retention: Duration,
        call_timeout: Duration,
    ) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts(call_timeout));
        Self { client: Client::from_conf(config.build()), table: table.into(), retention }
    }

    /// Makes the table, billed per request, with items that expire. One that is there already is left as it is.
    ///
    /// # Errors
    /// [`PortError`] if it cannot be made.
    pub async fn create(&self) -> Result<(), PortError> {
        let problem = |source: Source| failed("CreateTable", &self.table, source);
        let attribute = |name| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
        };
        let key = |name, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let build = || -> Result<_, Source> {
            let attributes = vec![attribute(STREAM)?, attribute(AT)?];
            Ok((attributes, vec![key(STREAM, KeyType::Hash)?, key(AT, KeyType::Range)?]))
        };
        let (attributes, keys) = build().map_err(problem)?;
        let create =
            self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        match create.set_attribute_definitions(Some(attributes)).set_key_schema(Some(keys)).send().await {
            Ok(_) => {}
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) =>
            {
                return Ok(());
            }
            Err(error) => return Err(problem(error.into())),
        }
        self.wait_until_active().await?;
        let specification = TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true).build();
        let update = self.client.update_time_to_live().table_name(&self.table);
        let specification = specification.map_err(|error| problem(error.into()))?;
        let updated = update.time_to_live_specification(specification).send().await;
        updated.map(drop).map_err(|error| failed("UpdateTimeToLive", &self.table, error))
    }

    /// A sink, and the writer that has to run for it. The writer ends when its sinks are gone and their records written.
    #[must_use]
    pub fn open(&self) -> (AuditTableSink, AuditTableWriter) {
        let (sender, records) = mpsc::channel(RECORDS_MAX);
        let sink = AuditTableSink { records: sender, retention: self.retention, taken: 0 };
        (sink, AuditTableWriter { table: self.clone(), records })
    }

    async fn wait_until_active(&self) -> Result<(), PortError> {
        let mut waited = Duration::ZERO;
        loop {
            let described = self.client.describe_table().table_name(&self.table).send().await;
            let table = described.map_err(|error| failed("DescribeTable", &self.table, error))?.table;
            let status = table.and_then(|table| table.table_status);
            if status == Some(TableStatus::Active) {
                return Ok(());
            }
            if waited >= ACTIVE_WAIT_MAX {
                let source = format!("after {} s it is still {status:?}", waited.as_secs());
                return Err(failed("CreateTable", &self.table, source));
            }
            tokio::time::sleep(ACTIVE_PAUSE).await;
            waited += ACTIVE_PAUSE;
        }
    }

    async fn put(&self, item: Item) -> Result<(), PortError> {
        let put = self.client.put_item().table_name(&self.table);
        let put = put
            .item(STREAM, AttributeValue::S(item.stream))
            .item(AT, AttributeValue::S(item.at))
            .item(RECORD, AttributeValue::S(item.record))
            .item(EXPIRES, AttributeValue::N(item.expires_epoch_seconds.to_string()));
        put.send().await.map(drop).map_err(|error| failed("PutItem", &self.table, error))
    }
}

impl AuditTableWriter {
    /// Writes until the last sink is gone.
    pub async fn run(mut self) {
        while let Some(item) = self.records.recv().await {
            let (stream, at) = (item.stream.clone(), item.at.clone());
            if let Err(error) = self.table.put(item).await {
                tracing::error!(stream, at, %error, cause = ?error.source, "an audit record was lost");
            }
        }
    }
}

impl AuditSink for AuditTableSink {
    fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
        self.taken += 1;
        let item = Item {
            stream: record.stream.to_string(),
            at: format!("{:013}-{}-{}", record.at_millis, record.decision, self.taken),
            record: serde_json::to_string(record)?,
            expires_epoch_seconds: (record.at_millis / 1_000).saturating_add(self.retention.as_secs()),
        };
        self.records.try_send(item).map_err(|_| io::Error::other("the audit table does not keep up"))
    }
}

const STREAM: &str = "stream";
const AT: &str = "at";
const RECORD: &str = "record";
/// The table's time to live.
const EXPIRES: &str = "expires";
/// A stream has some ten records in a busy minute.
const RECORDS_MAX: usize = 1_024;
/// DynamoDB makes tables in some ten seconds.
const ACTIVE_WAIT_MAX: Duration = Duration::from_secs(60);
const ACTIVE_PAUSE: Duration = Duration::from_millis(500);
