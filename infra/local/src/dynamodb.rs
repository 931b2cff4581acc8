//! DynamoDB: the wire protocol in front of the embedded `dynoxide` database.
//!
//! Owns the mapping from `x-amz-target` to a call of the database, and the timer that deletes expired items. The
//! database's own HTTP server is not used: it wants a socket of its own, which would be a second port without the
//! Host check of [`crate::front`]. Every call blocks on one mutex over SQLite, so it runs on the blocking pool.
//! Never checks signatures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use dynoxide::{Database, DynoxideError};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::wire::{error_body, request_id};
use crate::{LocalError, Storage};

/// The tables of one run.
#[derive(Clone)]
pub(crate) struct DynamoDb {
    database: Database,
}

impl DynamoDb {
    pub(crate) fn open(storage: &Storage) -> Result<Self, LocalError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: DynoxideError| LocalError::Database { path, reason: error.to_string() }
        };
        let database = match storage {
            Storage::Memory => Database::memory().map_err(failed(&PathBuf::from(":memory:")))?,
            Storage::File(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(LocalError::at("make the folder", folder))?;
                }
                let text = path.to_str().ok_or_else(|| LocalError::Database {
                    path: path.clone(),
                    reason: "its path is not valid UTF-8".to_owned(),
                })?;
                Database::new(text).map_err(failed(path))?
            }
        };
        Ok(Self { database })
    }

    /// Answers one request; `operation` is the part of `x-amz-target` after the dot.
    pub(crate) async fn call(&self, operation: &str, body: Bytes) -> Response<Body> {
        let (database, operation) = (self.database.clone(), operation.to_owned());
        let answer = spawn_blocking(move || dispatch(&database, &operation, &body)).await;
        let (status, json) = match answer {
            Ok(Ok(json)) => (StatusCode::OK, json),
            Ok(Err(error)) => {
                let status = StatusCode::from_u16(error.status_code());
                (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.to_json())
            }
            Err(panicked) => {
                (StatusCode::INTERNAL_SERVER_ERROR, error_body("InternalServerError", &panicked.to_string()))
            }
        };
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
        headers.insert("x-amzn-requestid", request_id());
        response
    }

    /// Deletes expired items every `period` until `stop`.
    pub(crate) async fn sweep_expired(self, period: Duration, stop: CancellationToken) {
        let mut timer = interval(period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = timer.tick() => {}
            }
            let database = self.database.clone();
            match spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(_deleted)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the sweep of expired DynamoDB items failed"),
                Err(error) => tracing::warn!(%error, "the sweep of expired DynamoDB items panicked"),
            }
        }
    }
}

fn dispatch(database: &Database, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
    macro_rules! operations {
        ($($name:literal => $method:ident),+ $(,)?) => {
            match operation {
                $($name => encode(&database.$method(decode(body)?)?),)+
                unknown => Err(DynoxideError::ValidationException(format!(
                    "operation {unknown:?} is not offered by the local DynamoDB"
                ))),
            }
        };
    }
    operations! {
        "BatchExecuteStatement" => batch_execute_statement,
        "BatchGetItem" => batch_get_item,
        "BatchWriteItem" => batch_write_item,
        "CreateTable" => create_table,
        "DeleteItem" => delete_item,
        "DeleteTable" => delete_table,
        "DescribeTable" => describe_table,
        "DescribeTimeToLive" => describe_time_to_live,
        "ExecuteStatement" => execute_statement,
        "ExecuteTransaction" => execute_transaction,
        "GetItem" => get_item,
        "ListTables" => list_tables,
        "ListTagsOfResource" => list_tags_of_resource,
        "PutItem" => put_item,
        "Query" => query,
        "Scan" => scan,
        "TagResource" => tag_resource,
        "TransactGetItems" => transact_get_items,
        "TransactWriteItems" => transact_write_items,
        "UntagResource" => untag_resource,
        "UpdateItem" => update_item,
        "UpdateTable" => update_table,
        "UpdateTimeToLive" => update_time_to_live,
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => DynoxideError::ValidationException(without_marker(&error.to_string()).to_owned()),
        Category::Io | Category::Syntax | Category::Eof => {
            DynoxideError::SerializationException(error.to_string())
        }
    })
}

fn encode<T: serde::Serialize>(answer: &T) -> Result<String, DynoxideError> {
    serde_json::to_string(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The database marks the class of a refused value by a word before its message; the word is not for clients.
fn without_marker(message: &str) -> &str {
    MARKERS.iter().find_map(|marker| message.strip_prefix(marker)).unwrap_or(message)
}

const MARKERS: [&str; 5] =
    ["VALIDATION_REQUEST:", "VALIDATION_AS_READ:", "VALIDATION:", "SERIALIZATION_AS_READ:", "SERIALIZATION:"];

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn call(dynamodb: &DynamoDb, operation: &str, body: &str) -> (StatusCode, serde_json::Value) {
        let response = dynamodb.call(operation, Bytes::copy_from_slice(body.as_bytes())).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("in memory").to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[tokio::test]
    async fn refusals_are_typed_and_carry_no_marker() {
        let dynamodb = DynamoDb::open(&Storage::Memory).expect("in memory");
        let (status, body) = call(&dynamodb, "UpdateContinuousBackups", "{}").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["__type"], "com.amazon.coral.validate#ValidationException");

        let (status, body) = call(&dynamodb, "GetItem", "{").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["__type"], "com.amazon.coral.service#SerializationException");

        let item = r#"{"TableName": "table", "Item": {"key": {"NULL": false}}}"#;
        let (_, body) = call(&dynamodb, "PutItem", item).await;
        assert!(!body["message"].to_string().contains("VALIDATION"), "{body}");
    }

    #[tokio::test]
    async fn a_file_keeps_tables_across_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = Storage::File(folder.path().join("state").join("dynamodb.sqlite"));
        let table = r#"{"TableName": "leases", "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}]}"#;
        let first = DynamoDb::open(&storage).expect("a new file");
        assert_eq!(call(&first, "CreateTable", table).await.0, StatusCode::OK);
        drop(first);
        let second = DynamoDb::open(&storage).expect("the same file");
        let (_, body) = call(&second, "ListTables", "{}").await;
        assert_eq!(body["TableNames"][0], "leases");
    }
}
