//! Opens a lease table: looks at what is there, creates what is missing, claims it.
//!
//! ```text
//! describe ─┬─ missing ─▶ siblings? ─▶ create with the index ─▶ wait ACTIVE ─┐
//!           └─ there ───▶ siblings, special items, one page ─▶ detect ───────┴─▶ claim the roster item
//! ```
//!
//! Waits for the table only, never for the index: without it the coordinator scans.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
};

use super::item::{ENTITY_TYPE, Item, KEY, s};
use super::{lease_item, lock_item, roster_item, worker_item};
use crate::layout::{self, TableFacts, TableKey, TableSample};
use crate::port::{Application, OpenError};

/// Index by owner: finds a worker's leases.
pub(super) const OWNER_INDEX: &str = "LeaseOwnerToLeaseKeyIndex";

/// A table being opened.
#[derive(Debug)]
pub(super) struct LeaseTableSetup<'a> {
    pub(super) client: &'a Client,
    pub(super) table: &'a str,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl LeaseTableSetup<'_> {
    /// Makes sure that the table is there, is `application`'s, and has a layout that we write.
    pub(super) async fn open(&self, application: &Application) -> Result<(), OpenError> {
        let unavailable = |source| OpenError::Unavailable { table: self.table.to_owned(), source };
        let facts = self.look(application).await.map_err(unavailable)?;
        layout::detect(&facts, application).admit(self.table)?;
        if facts.key.is_none() {
            self.create().await.map_err(unavailable)?;
        }
        self.wait_until_active().await.map_err(unavailable)?;
        if let Some(owner) = self.claim(application).await.map_err(unavailable)? {
            layout::Layout::OtherOwner { owner }.admit(self.table)?;
        }
        Ok(())
    }

    async fn look(&self, application: &Application) -> Result<TableFacts, Source> {
        let mut facts = TableFacts {
            has_legacy_tables: self.exists(&format!("{}-CoordinatorState", application.name)).await?
                || self.exists(&format!("{}-WorkerMetricStats", application.name)).await?,
            ..TableFacts::default()
        };
        let Some(description) = self.describe(self.table).await? else {
            return Ok(facts);
        };
        let key = table_key(&description);
        let is_lease_table = key.hash == KEY && !key.has_range;
        facts.key = Some(key);
        if !is_lease_table {
            return Ok(facts);
        }
        self.wait_until_active().await?;
        facts.client_version = self.special(MIGRATION_KEY, "cv").await?;
        facts.table_migration = self.special(TABLE_MIGRATION_KEY, "tm").await?;
        if let Some(roster) = self.item(roster_item::ROSTER_KEY).await? {
            facts.claimed_by = roster_item::owner(&roster)?;
        }
        let page = self.client.scan().table_name(self.table).limit(SAMPLE_ITEMS).send().await?;
        for item in page.items() {
            count(item, &mut facts.sample);
        }
        Ok(facts)
    }

    async fn exists(&self, table: &str) -> Result<bool, Source> {
        Ok(self.describe(table).await?.is_some())
    }

    async fn describe(&self, table: &str) -> Result<Option<TableDescription>, Source> {
        match self.client.describe_table().table_name(table).send().await {
            Ok(answer) => Ok(answer.table),
            Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn item(&self, key: &str) -> Result<Option<Item>, Source> {
        let get = self.client.get_item().table_name(self.table).key(KEY, s(key)).consistent_read(true);
        Ok(get.send().await?.item)
    }

    async fn special(&self, key: &str, attribute: &str) -> Result<Option<String>, Source> {
        let item = self.item(key).await?;
        let text = |item: Item| item.get(attribute).and_then(|value| value.as_s().ok()).cloned();
        Ok(item.map(|item| text(item).unwrap_or_else(|| "unreadable".to_owned())))
    }

    /// Creates the table with its index: adding the index later would take minutes.
    async fn create(&self) -> Result<(), Source> {
        let attribute = |name: &str| {
            let definition = AttributeDefinition::builder().attribute_name(name);
            definition.attribute_type(ScalarAttributeType::S).build()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name(OWNER_INDEX)
            .key_schema(key_element(lease_item::OWNER, KeyType::Hash)?)
            .key_schema(key_element(KEY, KeyType::Range)?)
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
            .build()?;
        let created = self
            .client
            .create_table()
            .table_name(self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(KEY)?)
            .attribute_definitions(attribute(lease_item::OWNER)?)
            .key_schema(key_element(KEY, KeyType::Hash)?)
            .global_secondary_indexes(index)
            .send()
            .await;
        match created {
            Ok(_) => {
                tracing::info!(table = self.table, "lease table created");
                Ok(())
            }
            Err(SdkError::ServiceError(error)) if error.err().is_resource_in_use_exception() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn wait_until_active(&self) -> Result<(), Source> {
        let mut waited = Duration::ZERO;
        loop {
            let status = self.describe(self.table).await?.and_then(|description| description.table_status);
            match status {
                Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                _ if waited >= ACTIVE_WAIT_MAX => {
                    return Err(format!("after {waited:?} the table is still {status:?}").into());
                }
                _ => {}
            }
            tokio::time::sleep(ACTIVE_POLL_INTERVAL).await;
            waited += ACTIVE_POLL_INTERVAL;
        }
    }

    /// Writes whose table this is, or answers whose it is already.
    async fn claim(&self, application: &Application) -> Result<Option<Application>, Source> {
        let mut update = super::expression::Rendered::default();
        let owner = update.name(roster_item::STREAM);
        update.require(format!("attribute_not_exists({owner})"));
        for (name, value) in roster_item::claim(application) {
            update.set(name, value);
        }
        update.add(roster_item::COUNT, 0);
        let claimed = self
            .client
            .update_item()
            .table_name(self.table)
            .key(KEY, s(roster_item::ROSTER_KEY))
            .set_condition_expression(update.condition_expression())
            .set_update_expression(update.update_expression())
            .set_expression_attribute_names(update.names())
            .set_expression_attribute_values(update.values())
            .send()
            .await;
        match claimed {
            Ok(_) => Ok(None),
            Err(error) if error.code() == Some(CONDITION_FAILED) => {
                let roster = self.item(roster_item::ROSTER_KEY).await?.unwrap_or_default();
                Ok(roster_item::owner(&roster)?.filter(|owner| owner != application))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What kind an item is, by what it says and by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemKind {
    TaggedLease,
    PlainLease,
    Worker,
    Companion,
    Stranger,
}

impl ItemKind {
    pub(super) fn of(item: &Item) -> Self {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
        match (text(ENTITY_TYPE), text(KEY)) {
            (Some(lease_item::ENTITY), _) => Self::TaggedLease,
            (Some(worker_item::ENTITY), _) => Self::Worker,
            (Some(lock_item::ENTITY | roster_item::ENTITY), _) => Self::Companion,
            (Some("CLIENT_VERSION_MIGRATION" | "TABLE_MIGRATION" | "STREAM"), _) => Self::Companion,
            (None, Some(lock_item::LOCK_KEY | MIGRATION_KEY | TABLE_MIGRATION_KEY)) => Self::Companion,
            (None, _) if item.contains_key(lease_item::COUNTER) => Self::PlainLease,
            (Some(_) | None, _) => Self::Stranger,
        }
    }
}

fn count(item: &Item, sample: &mut TableSample) {
    match ItemKind::of(item) {
        ItemKind::TaggedLease | ItemKind::PlainLease if item.contains_key(MULTI_STREAM_MARK) => {
            sample.multi_stream_leases += 1;
        }
        ItemKind::TaggedLease => sample.tagged_leases += 1,
        ItemKind::PlainLease => sample.plain_leases += 1,
        ItemKind::Worker | ItemKind::Companion => sample.companions += 1,
        ItemKind::Stranger => sample.strangers += 1,
    }
}

fn table_key(description: &TableDescription) -> TableKey {
    let name_of = |wanted: &KeyType| {
        let element = description.key_schema().iter().find(|element| element.key_type() == wanted);
        element.map(|element| element.attribute_name().to_owned())
    };
    TableKey {
        hash: name_of(&KeyType::Hash).unwrap_or_default(),
        has_range: name_of(&KeyType::Range).is_some(),
    }
}

fn key_element(name: &str, key_type: KeyType) -> Result<KeySchemaElement, Source> {
    Ok(KeySchemaElement::builder().attribute_name(name).key_type(key_type).build()?)
}

/// Code of a refused condition.
pub(super) const CONDITION_FAILED: &str = "ConditionalCheckFailedException";
const MIGRATION_KEY: &str = "Migration3.0";
const TABLE_MIGRATION_KEY: &str = "TableMigration3.5";
/// Present in every lease row of a multi-stream application.
const MULTI_STREAM_MARK: &str = "streamName";
/// Enough to see which writers a table has had; at most a few read units.
const SAMPLE_ITEMS: i32 = 200;
/// AWS creates a table within half a minute; the Java KCL gives up after ten.
const ACTIVE_WAIT_MAX: Duration = Duration::from_secs(180);
const ACTIVE_POLL_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::item::n;

    fn item(attributes: &[(&str, &str)]) -> Item {
        attributes.iter().map(|(name, value)| ((*name).to_owned(), s(*value))).collect()
    }

    #[test]
    fn items_are_told_apart() {
        let kind = |attributes: &[(&str, &str)]| ItemKind::of(&item(attributes));
        assert_eq!(kind(&[(KEY, "s"), (ENTITY_TYPE, "LEASE")]), ItemKind::TaggedLease);
        assert_eq!(kind(&[(KEY, "w"), (ENTITY_TYPE, "WORKER_METRIC_STATS")]), ItemKind::Worker);
        assert_eq!(kind(&[(KEY, "Leader"), (ENTITY_TYPE, "LEADER")]), ItemKind::Companion);
        assert_eq!(kind(&[(KEY, "Leader")]), ItemKind::Companion);
        assert_eq!(kind(&[(KEY, "order-17")]), ItemKind::Stranger);
        assert_eq!(kind(&[(KEY, "x"), (ENTITY_TYPE, "ORDER")]), ItemKind::Stranger);
        let mut plain = item(&[(KEY, "shardId-0")]);
        plain.insert(lease_item::COUNTER.to_owned(), n(3));
        assert_eq!(ItemKind::of(&plain), ItemKind::PlainLease);
        let mut sample = TableSample::default();
        plain.insert(MULTI_STREAM_MARK.to_owned(), s("1:s:2"));
        count(&plain, &mut sample);
        assert_eq!(sample.multi_stream_leases, 1);
    }
}
