//! The lease store on one DynamoDB table: one call per request, never repeated here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use kcl_core::{
    LeaderLock, Lease, LeaseKey, LeaseWrite, LockCondition, StoreReply, StoreRequest, TableView, WorkerId,
    WorkerRow,
};

use super::expression::{Rendered, render};
use super::failure::{self, Failures};
use super::item::{ENTITY_TYPE, InvalidItem, Item, KEY, s};
use super::table::{CONDITION_FAILED, ItemKind, LeaseTableSetup, OWNER_INDEX};
use super::{lease_item, lock_item, roster_item, worker_item};
use crate::port::{Application, LeaseStore, OpenError};

/// Leases of one application in DynamoDB. The table is created on demand, with its index, billed per request.
#[derive(Debug)]
pub struct DynamoDbLeaseStore {
    /// Never repeats a call.
    client: Client,
    /// Repeats calls that open the table, where that is harmless.
    patient: Client,
    table: String,
    failures: Failures,
}

impl DynamoDbLeaseStore {
    /// The store on `table`, by the Java KCL's convention named like the application.
    ///
    /// A call is given up after a third of `failover`, five seconds at most: its reply is then unknown, and there is time
    /// left before the deadline to find out.
    #[must_use]
    pub fn new(config: &SdkConfig, table: impl Into<String>, failover: Duration) -> Self {
        Self::with_call_timeout(config, table, (failover / 3).min(CALL_TIMEOUT_MAX))
    }

    /// The same with a timeout of the caller's choice. Greater than a third of the failover time: a lost reply costs
    /// the lease.
    #[must_use]
    pub fn with_call_timeout(config: &SdkConfig, table: impl Into<String>, call_timeout: Duration) -> Self {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(call_timeout).operation_timeout(call_timeout).build();
        let once = Builder::from(config).retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        let patience = TimeoutConfig::builder()
            .connect_timeout(OPEN_ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(OPEN_ATTEMPT_TIMEOUT)
            .build();
        let patient = Builder::from(config).retry_config(RetryConfig::standard()).timeout_config(patience);
        Self {
            client: Client::from_conf(once.build()),
            patient: Client::from_conf(patient.build()),
            table: table.into(),
            failures: Failures::default(),
        }
    }

    async fn create(&self, lease: &Lease) -> StoreReply {
        let mut absent = Rendered::default();
        let key = absent.name(KEY);
        absent.require(format!("attribute_not_exists({key})"));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(lease_item::encode(lease)))
            .set_condition_expression(absent.condition_expression())
            .set_expression_attribute_names(absent.names())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => StoreReply::Applied(lease.clone()),
            Err(error) => self.refusal(&error, refused_put, |item| lease_reply(item, StoreReply::Refused)),
        }
    }

    async fn update(&self, write: &LeaseWrite) -> StoreReply {
        let rendered = render(write);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, s(write.key.as_str()))
            .set_condition_expression(rendered.condition_expression())
            .set_update_expression(rendered.update_expression())
            .set_expression_attribute_names(rendered.names())
            .set_expression_attribute_values(rendered.values())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match update.send().await {
            Ok(output) => match output.attributes.as_ref().map(lease_item::decode) {
                Some(Ok(lease)) => StoreReply::Applied(lease),
                Some(Err(invalid)) => unreadable(&invalid),
                None => StoreReply::Unknown,
            },
            Err(error) => self.refusal(&error, refused_update, |item| lease_reply(item, StoreReply::Refused)),
        }
    }

    async fn read_lease(&self, key: &LeaseKey) -> StoreReply {
        self.read(key.as_str(), |item| lease_reply(item, StoreReply::Lease)).await
    }

    async fn read(&self, key: &str, reply: impl FnOnce(Option<&Item>) -> StoreReply) -> StoreReply {
        let get = self.client.get_item().table_name(&self.table).key(KEY, s(key)).consistent_read(true);
        match get.send().await {
            Ok(output) => reply(output.item.as_ref()),
            Err(error) => failure::reply(&error, &self.failures),
        }
    }

    /// A page may be stale, and the counters of later writes make up for that; but from a table without leases the
    /// first rows of an application are made, so one is believed only when a consistent scan shows it.
    async fn read_table(&self) -> StoreReply {
        let reply = self.scan(false).await;
        let is_empty = matches!(&reply, StoreReply::Table(view) if view.leases.is_empty());
        if is_empty { self.scan(true).await } else { reply }
    }

    async fn scan(&self, is_consistent: bool) -> StoreReply {
        let mut view = TableView::default();
        let mut next = None;
        loop {
            let scan = self.client.scan().table_name(&self.table).consistent_read(is_consistent);
            let page = match scan.set_exclusive_start_key(next).send().await {
                Ok(page) => page,
                Err(error) => return failure::reply(&error, &self.failures),
            };
            let now = epoch_seconds();
            for item in page.items() {
                add_to_view(item, &mut view, now);
            }
            if page.last_evaluated_key.is_none() {
                return StoreReply::Table(view);
            }
            next = page.last_evaluated_key;
        }
    }

    async fn read_owned(&self, worker: &WorkerId) -> StoreReply {
        let mut condition = Rendered::default();
        condition.require_equal(lease_item::OWNER, s(worker.as_str()));
        let (mut keys, mut next) = (Vec::new(), None);
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(OWNER_INDEX)
                .set_key_condition_expression(condition.condition_expression())
                .set_expression_attribute_names(condition.names())
                .set_expression_attribute_values(condition.values())
                .set_exclusive_start_key(next);
            let page = match query.send().await {
                Ok(page) => page,
                Err(error) if error.code().is_some_and(|code| INDEX_MISSING.contains(&code)) => {
                    return StoreReply::Owned(None);
                }
                Err(error) => return failure::reply(&error, &self.failures),
            };
            let key = |item: &Item| item.get(KEY)?.as_s().ok().and_then(|key| LeaseKey::new(key).ok());
            keys.extend(page.items().iter().filter_map(key));
            if page.last_evaluated_key.is_none() {
                return StoreReply::Owned(Some(keys));
            }
            next = page.last_evaluated_key;
        }
    }

    async fn put_worker(&self, row: &WorkerRow) -> StoreReply {
        let mut update = Rendered::default();
        for (name, value) in worker_item::attributes(row, epoch_seconds()) {
            update.set(name, value);
        }
        match self.update_blindly(row.worker.as_str(), &update).await {
            Ok(_) => StoreReply::Done,
            Err(error) => failure::reply(&error, &self.failures),
        }
    }

    async fn delete_worker(&self, worker: &WorkerId) -> StoreReply {
        let delete = self.client.delete_item().table_name(&self.table).key(KEY, s(worker.as_str()));
        match delete.send().await {
            Ok(_) => StoreReply::Done,
            Err(error) => failure::reply(&error, &self.failures),
        }
    }

    async fn read_lock(&self) -> StoreReply {
        self.read(lock_item::LOCK_KEY, |item| lock_reply(item, StoreReply::Lock)).await
    }

    async fn write_lock(&self, condition: &LockCondition, lock: &LeaderLock) -> StoreReply {
        let condition = lock_item::condition(condition);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(lock_item::encode(lock)))
            .set_condition_expression(condition.condition_expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => StoreReply::LockWritten,
            Err(error) => self.refusal(&error, refused_put, |item| lock_reply(item, StoreReply::LockRefused)),
        }
    }

    async fn delete_lock(&self, condition: &LockCondition) -> StoreReply {
        let condition = lock_item::condition(condition);
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, s(lock_item::LOCK_KEY))
            .set_condition_expression(condition.condition_expression())
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match delete.send().await {
            Ok(_) => StoreReply::Done,
            Err(error) => {
                self.refusal(&error, refused_delete, |item| lock_reply(item, StoreReply::LockRefused))
            }
        }
    }

    async fn read_roster(&self) -> StoreReply {
        self.read(roster_item::ROSTER_KEY, |item| roster_reply(item.unwrap_or(&Item::new()))).await
    }

    async fn bump_roster(&self) -> StoreReply {
        let mut update = Rendered::default();
        update.set(ENTITY_TYPE, s(roster_item::ENTITY));
        update.add(roster_item::COUNT, 1);
        match self.update_blindly(roster_item::ROSTER_KEY, &update).await {
            Ok(item) => roster_reply(&item),
            Err(error) => failure::reply(&error, &self.failures),
        }
    }

    async fn update_blindly(
        &self,
        key: &str,
        update: &Rendered,
    ) -> Result<Item, SdkError<UpdateItemError, HttpResponse>> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, s(key))
            .set_update_expression(update.update_expression())
            .set_expression_attribute_names(update.names())
            .set_expression_attribute_values(update.values())
            .return_values(ReturnValue::AllNew);
        Ok(update.send().await?.attributes.unwrap_or_default())
    }

    /// A condition that did not hold is an answer with the item as it is; anything else is a failure.
    fn refusal<E>(
        &self,
        error: &SdkError<E, HttpResponse>,
        item: impl FnOnce(&E) -> Option<&Item>,
        reply: impl FnOnce(Option<&Item>) -> StoreReply,
    ) -> StoreReply
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        if error.code() == Some(CONDITION_FAILED) {
            return reply(error.as_service_error().and_then(item));
        }
        failure::reply(error, &self.failures)
    }
}

#[async_trait]
impl LeaseStore for DynamoDbLeaseStore {
    async fn open(&self, application: &Application) -> Result<(), OpenError> {
        LeaseTableSetup { client: &self.patient, table: &self.table }.open(application).await
    }

    async fn execute(&self, request: StoreRequest) -> StoreReply {
        let reply = match &request {
            StoreRequest::CreateLease(lease) => self.create(lease).await,
            StoreRequest::UpdateLease(write) => self.update(write).await,
            StoreRequest::ReadLease(key) => self.read_lease(key).await,
            StoreRequest::ReadTable => self.read_table().await,
            StoreRequest::ReadOwned(worker) => self.read_owned(worker).await,
            StoreRequest::PutWorker(row) => self.put_worker(row).await,
            StoreRequest::DeleteWorker(worker) => self.delete_worker(worker).await,
            StoreRequest::ReadLock => self.read_lock().await,
            StoreRequest::WriteLock { condition, lock } => self.write_lock(condition, lock).await,
            StoreRequest::DeleteLock(condition) => self.delete_lock(condition).await,
            StoreRequest::ReadRoster => self.read_roster().await,
            StoreRequest::BumpRoster => self.bump_roster().await,
        };
        if !matches!(reply, StoreReply::Throttled | StoreReply::Unknown) {
            self.failures.reset();
        }
        reply
    }
}

fn refused_put(error: &PutItemError) -> Option<&Item> {
    if let PutItemError::ConditionalCheckFailedException(refused) = error { refused.item() } else { None }
}

fn refused_update(error: &UpdateItemError) -> Option<&Item> {
    if let UpdateItemError::ConditionalCheckFailedException(refused) = error { refused.item() } else { None }
}

fn refused_delete(error: &DeleteItemError) -> Option<&Item> {
    if let DeleteItemError::ConditionalCheckFailedException(refused) = error { refused.item() } else { None }
}

fn lease_reply(item: Option<&Item>, reply: impl FnOnce(Option<Lease>) -> StoreReply) -> StoreReply {
    match item.map(lease_item::decode).transpose() {
        Ok(lease) => reply(lease),
        Err(invalid) => unreadable(&invalid),
    }
}

fn lock_reply(item: Option<&Item>, reply: impl FnOnce(Option<LeaderLock>) -> StoreReply) -> StoreReply {
    match item.map(lock_item::decode).transpose() {
        Ok(lock) => reply(lock),
        Err(invalid) => unreadable(&invalid),
    }
}

fn roster_reply(item: &Item) -> StoreReply {
    match roster_item::count(item) {
        Ok(count) => StoreReply::Roster(count),
        Err(invalid) => unreadable(&invalid),
    }
}

/// An item that cannot be read must be taken neither for a missing one nor for one that is known.
fn unreadable(invalid: &InvalidItem) -> StoreReply {
    tracing::warn!(%invalid, "an item of the lease table cannot be read");
    StoreReply::Unknown
}

fn add_to_view(item: &Item, view: &mut TableView, now: u64) {
    let added = match ItemKind::of(item) {
        ItemKind::TaggedLease | ItemKind::PlainLease => {
            lease_item::decode(item).map(|lease| view.leases.push(lease))
        }
        ItemKind::Worker => worker_item::decode(item, now).map(|row| view.workers.push(row)),
        ItemKind::Companion => Ok(()),
        ItemKind::Stranger => Err(InvalidItem::new(ENTITY_TYPE, "is of no known kind")),
    };
    if let Err(invalid) = added {
        tracing::debug!(%invalid, "an item of the lease table cannot be read");
        view.unreadable += 1;
    }
}

/// Wall-clock seconds: what `lut` is in. Decisions about leases never depend on it.
fn epoch_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Far above any answer of a healthy table.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// An endpoint that does not answer is to be reported within seconds.
const OPEN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// How the service says that an index does not exist or is still being filled.
const INDEX_MISSING: [&str; 2] = ["ValidationException", "ResourceNotFoundException"];
