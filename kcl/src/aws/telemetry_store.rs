//! Telemetry rows in a table of their own, by convention `<application>-Telemetry`.
//!
//! ```text
//!  leaseKey (S, hash key) │ lhRow (B): the encoded row │ lhExpires (N): epoch seconds, the table's time to live
//! ```
//!
//! Apart from the lease table, whose scans it would make longer and whose other readers would not know the items.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
    ScalarAttributeType, TableDescription, TableStatus, TimeToLiveSpecification, WriteRequest,
};
use bytes::Bytes;
use kcl_core::LeaseKey;

use super::item::{Item, KEY, n, number, s};
use crate::port::{TelemetryError, TelemetryItem, TelemetryStore};

/// Telemetry rows in a DynamoDB table.
#[derive(Clone, Debug)]
pub struct DynamoDbTelemetryStore {
    client: Client,
    table: String,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl DynamoDbTelemetryStore {
    /// The store of an application: table `<application>-Telemetry`.
    #[must_use]
    pub fn new(config: &SdkConfig, application: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CALL_TIMEOUT)
            .operation_attempt_timeout(CALL_TIMEOUT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(CALL_ATTEMPTS);
        let config = Builder::from(config).retry_config(retries).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), table: format!("{application}-Telemetry") }
    }

    fn unavailable(&self, source: impl Into<Source>) -> TelemetryError {
        TelemetryError::Unavailable { table: self.table.clone(), source: source.into() }
    }

    async fn describe(&self) -> Result<Option<TableDescription>, Source> {
        match self.client.describe_table().table_name(&self.table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self) -> Result<(), Source> {
        let definition = AttributeDefinition::builder().attribute_name(KEY);
        let element = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash);
        let created = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(definition.attribute_type(ScalarAttributeType::S).build()?)
            .key_schema(element.build()?)
            .send()
            .await;
        match created {
            Ok(_) => {
                tracing::info!(table = self.table, "telemetry table created");
                Ok(())
            }
            Err(SdkError::ServiceError(error)) if error.err().is_resource_in_use_exception() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_until_active(&self) -> Result<TableDescription, Source> {
        let mut waited = Duration::ZERO;
        loop {
            let description = self.describe().await?;
            let status = description.as_ref().and_then(|description| description.table_status.clone());
            match (description, status) {
                (Some(table), Some(TableStatus::Active | TableStatus::Updating)) => return Ok(table),
                (_, status) if waited >= ACTIVE_WAIT_MAX => {
                    return Err(format!("after {waited:?} the table is still {status:?}").into());
                }
                (_, _) => {}
            }
            tokio::time::sleep(ACTIVE_POLL_INTERVAL).await;
            waited += ACTIVE_POLL_INTERVAL;
        }
    }

    /// Rows are as true without it, only more of them stay, so a refusal is no failure: it is on already, being changed, or
    /// not permitted.
    async fn expire_rows(&self) -> Result<(), Source> {
        let specification =
            TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true).build()?;
        let update = self.client.update_time_to_live().table_name(&self.table);
        if let Err(error) = update.time_to_live_specification(specification).send().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "rows of telemetry may not expire");
        }
        Ok(())
    }
}

#[async_trait]
impl TelemetryStore for DynamoDbTelemetryStore {
    async fn open(&self) -> Result<(), TelemetryError> {
        let is_missing = self.describe().await.map_err(|source| self.unavailable(source))?.is_none();
        if is_missing {
            self.create().await.map_err(|source| self.unavailable(source))?;
        }
        let table = self.wait_until_active().await.map_err(|source| self.unavailable(source))?;
        let keys: Vec<_> = table.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
        if keys != [KEY] {
            let found = format!("a table with keys {}", keys.join(", "));
            return Err(TelemetryError::Foreign { table: self.table.clone(), found });
        }
        self.expire_rows().await.map_err(|source| self.unavailable(source))
    }

    async fn put(&self, items: Vec<TelemetryItem>) -> Result<(), TelemetryError> {
        let rows = items.len();
        let puts = items.into_iter().map(put_request).collect::<Result<_, _>>();
        let puts = puts.map_err(|error| self.unavailable(error))?;
        let write = self.client.batch_write_item().request_items(&self.table, puts);
        let answer = write.send().await.map_err(|error| self.unavailable(error))?;
        match answer.unprocessed_items().and_then(|left| left.get(&self.table)).map_or(0, Vec::len) {
            0 => Ok(()),
            left => Err(self.unavailable(format!("it throttles: {left} of {rows} rows were not taken"))),
        }
    }

    async fn list(&self) -> Result<Vec<TelemetryItem>, TelemetryError> {
        let (mut items, mut next) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let scan = self.client.scan().table_name(&self.table).set_exclusive_start_key(next);
            let page = scan.send().await.map_err(|error| self.unavailable(error))?;
            items.extend(page.items().iter().filter_map(decode));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(items);
            }
        }
        Err(self.unavailable(format!("it has more than {PAGES_MAX} MB of items, which no stream needs")))
    }
}

fn put_request(item: TelemetryItem) -> Result<WriteRequest, BuildError> {
    let put = PutRequest::builder()
        .item(KEY, s(item.key.as_str()))
        .item(ROW, AttributeValue::B(Blob::new(item.row)))
        .item(EXPIRES, n(item.expires_epoch_seconds));
    Ok(WriteRequest::builder().put_request(put.build()?).build())
}

/// The row as it is, sound or not; `None` if the item cannot be any lease's.
fn decode(item: &Item) -> Option<TelemetryItem> {
    let key = LeaseKey::new(item.get(KEY)?.as_s().ok()?).ok()?;
    let row = item
        .get(ROW)
        .and_then(|row| row.as_b().ok())
        .map_or_else(Bytes::new, |row| row.as_ref().to_vec().into());
    let expires_epoch_seconds = number(item, EXPIRES).ok().flatten().unwrap_or(0);
    Some(TelemetryItem { key, row, expires_epoch_seconds })
}

const ROW: &str = "lhRow";
const EXPIRES: &str = "lhExpires";
/// A row that is not written within this waits for the next round.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_ATTEMPTS: u32 = 2;
/// Of a megabyte each: ten times the rows of a stream of 10,000 shards.
const PAGES_MAX: usize = 100;
/// AWS creates a table within half a minute.
const ACTIVE_WAIT_MAX: Duration = Duration::from_secs(180);
const ACTIVE_POLL_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_others_are_told_as_they_are_or_not_at_all() {
        let item = |attributes: Vec<(&str, AttributeValue)>| -> Item {
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        let decoded = decode(&item(vec![(KEY, s("shardId-1")), (ROW, s("text")), (EXPIRES, s("never"))]));
        let decoded = decoded.expect("a lease's");
        assert_eq!((decoded.row.len(), decoded.expires_epoch_seconds), (0, 0));
        assert_eq!(decode(&item(vec![(KEY, n(1))])), None);
        assert_eq!(decode(&item(vec![(KEY, s("x".repeat(2_000)))])), None);
    }
}
