//! The row of a stream as one DynamoDB item.
//!
//! The lock's attributes are those of the workers' leader lock (`amazon-dynamodb-lock-client`); the journal is one more, so
//! that a beat writes a few bytes and leaves it alone.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType,
};
use kcl_core::{LeaderLock, LockCondition, LockVersion, Millis, WorkerId};

use super::error::{failed, is_refused, timeouts};
use crate::reconcile::{PortError, Row, RowStore, RowWrite, RowWritten};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The row of one stream in a table of many.
#[derive(Clone, Debug)]
pub struct DynamoDbRows {
    /// Never repeats a call.
    client: Client,
    table: String,
    stream: String,
}

impl DynamoDbRows {
    /// The row of `stream` in `table`; each call is given up after `call_timeout`.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        table: impl Into<String>,
        stream: impl Into<String>,
        call_timeout: Duration,
    ) -> Self {
        let once = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(call_timeout));
        Self { client: Client::from_conf(once.build()), table: table.into(), stream: stream.into() }
    }

    async fn update(&self, write: &RowWrite) -> RowWritten {
        let mut expressions = Expressions::default();
        let condition = expressions.condition(&write.condition);
        let update = expressions.update(write);
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(STREAM, AttributeValue::S(self.stream.clone()))
            .condition_expression(condition)
            .update_expression(update)
            .set_expression_attribute_names(Some(expressions.names))
            .set_expression_attribute_values(Some(expressions.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match sent {
            Ok(_) => return RowWritten::Written,
            Err(error) => error,
        };
        if let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() {
            return match refused.item().map(decode).transpose() {
                Ok(current) => RowWritten::Refused(current),
                Err(problem) => {
                    tracing::error!(
                        table = self.table,
                        stream = self.stream,
                        problem,
                        "the row is unreadable"
                    );
                    RowWritten::Refused(None)
                }
            };
        }
        tracing::warn!(table = self.table, stream = self.stream, ?error, "the row was not written");
        if is_refused(&error) { RowWritten::Failed } else { RowWritten::Unknown }
    }
}

#[async_trait]
impl RowStore for DynamoDbRows {
    async fn read(&self) -> Result<Option<Row>, PortError> {
        let problem =
            |source: Source| failed("GetItem", &format!("{} in {}", self.stream, self.table), source);
        let get = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(STREAM, AttributeValue::S(self.stream.clone()))
            .consistent_read(true);
        let item = get.send().await.map_err(|error| problem(error.into()))?.item;
        item.as_ref().map(decode).transpose().map_err(|text| problem(text.into()))
    }

    async fn write(&self, write: &RowWrite) -> RowWritten {
        self.update(write).await
    }
}

/// Makes the table of the rows, billed per request. One that is there already is left as it is.
///
/// # Errors
/// [`PortError`] if it cannot be made.
pub async fn create_table(config: &SdkConfig, table: &str) -> Result<(), PortError> {
    let problem = |source: Source| failed("CreateTable", table, source);
    let attribute =
        AttributeDefinition::builder().attribute_name(STREAM).attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name(STREAM).key_type(KeyType::Hash);
    let create = Client::new(config)
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.build().map_err(|error| problem(error.into()))?)
        .key_schema(key.build().map_err(|error| problem(error.into()))?);
    match create.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(())
        }
        Err(error) => Err(problem(error.into())),
    }
}

/// Expressions with placeholders for every name and value.
#[derive(Debug, Default)]
struct Expressions {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expressions {
    fn condition(&mut self, condition: &LockCondition) -> String {
        match condition {
            LockCondition::Absent => format!("attribute_not_exists({})", self.name(STREAM)),
            LockCondition::Released => self.equal(IS_RELEASED, "released", "1"),
            LockCondition::Version(version) => self.equal(VERSION, "held", &version.0),
            LockCondition::VersionAndOwner(version, owner) => {
                let version = self.equal(VERSION, "held", &version.0);
                format!("{version} AND {}", self.equal(OWNER, "holder", owner.as_str()))
            }
        }
    }

    fn update(&mut self, write: &RowWrite) -> String {
        let lock = &write.lock;
        let duration = lock.lease_duration.0.to_string();
        let mut sets = vec![
            self.equal(OWNER, "owner", lock.owner.as_str()),
            self.equal(VERSION, "version", &lock.version.0),
            self.equal(LEASE_DURATION, "duration", &duration),
        ];
        if let Some(journal) = &write.journal {
            sets.push(self.equal(JOURNAL, "journal", journal));
        }
        if lock.is_released {
            sets.push(self.equal(IS_RELEASED, "release", "1"));
            return format!("SET {}", sets.join(", "));
        }
        format!("SET {} REMOVE {}", sets.join(", "), self.name(IS_RELEASED))
    }

    fn equal(&mut self, attribute: &str, value_name: &str, value: &str) -> String {
        let placeholder = format!(":{value_name}");
        self.values.insert(placeholder.clone(), AttributeValue::S(value.to_owned()));
        format!("{} = {placeholder}", self.name(attribute))
    }

    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }
}

fn decode(item: &HashMap<String, AttributeValue>) -> Result<Row, String> {
    let text = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text.as_str()),
        Some(_) => Err(format!("attribute {name} is not a string")),
        None => Err(format!("attribute {name} is missing")),
    };
    let duration = text(LEASE_DURATION)?;
    Ok(Row {
        lock: LeaderLock {
            owner: WorkerId::new(text(OWNER)?).map_err(|error| error.to_string())?,
            version: LockVersion(text(VERSION)?.to_owned()),
            lease_duration: Millis(
                duration
                    .parse()
                    .map_err(|_| format!("attribute {LEASE_DURATION} is {duration:.20?}, no number"))?,
            ),
            is_released: text(IS_RELEASED).is_ok_and(|text| text == "1"),
        },
        journal: text(JOURNAL)?.to_owned(),
    })
}

/// Hash key of the table: the stream's name.
pub(super) const STREAM: &str = "stream";
const OWNER: &str = "ownerName";
const VERSION: &str = "recordVersionNumber";
/// Milliseconds, as a string, as the lock client writes them.
const LEASE_DURATION: &str = "leaseDuration";
/// `"1"` if given back.
const IS_RELEASED: &str = "isReleased";
const JOURNAL: &str = "journal";
