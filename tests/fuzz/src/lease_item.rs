//! Items of a lease table, by whomever written.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kcl::aws::{decode_lease, encode_lease};
use serde_json::Value;

/// An item in the JSON of DynamoDB: `{"leaseKey":{"S":"shardId-0"},"leaseCounter":{"N":"1"}}`.
///
/// # Panics
/// If a row that was read is written as another.
pub fn lease_item(data: &[u8]) {
    let Ok(Value::Object(members)) = serde_json::from_slice(data) else { return };
    let item: HashMap<String, AttributeValue> =
        members.into_iter().map(|(name, value)| (name, attribute(&value))).collect();
    match decode_lease(&item) {
        Ok(lease) => assert_eq!(decode_lease(&encode_lease(&lease)), Ok(lease)),
        Err(error) => assert!(error.to_string().starts_with("attribute "), "{error}"),
    }
}

/// A value of any type, also one that DynamoDB itself would not store.
fn attribute(value: &Value) -> AttributeValue {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let Some((kind, value)) = value.as_object().and_then(|members| members.iter().next()) else {
        return AttributeValue::Null(true);
    };
    match kind.as_str() {
        "S" => AttributeValue::S(text(value)),
        "N" => AttributeValue::N(text(value)),
        "B" => AttributeValue::B(Blob::new(text(value))),
        "SS" => AttributeValue::Ss(texts(value)),
        "NS" => AttributeValue::Ns(texts(value)),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap_or_default()),
        "L" => AttributeValue::L(value.as_array().into_iter().flatten().map(attribute).collect()),
        _ => AttributeValue::Null(true),
    }
}
