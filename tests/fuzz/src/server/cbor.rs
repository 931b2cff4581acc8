//! A Kinesis request in JSON as the same request in CBOR, and answers back.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use ciborium::Value as Cbor;
use serde_json::Value;

use super::script::Call;

/// `call` in CBOR if it is one to Kinesis that CBOR can say.
pub(super) fn in_cbor(call: &Call) -> Call {
    let Some(body) = body_of(call) else { return call.clone() };
    let mut headers = call.headers.clone();
    headers.retain(|(name, _)| name != header::CONTENT_TYPE);
    headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-cbor-1.1")));
    Call { headers, body, ..call.clone() }
}

/// The body of `call` in CBOR. Left out is what JSON alone can say: a name twice, a list in place of an object.
pub(super) fn body_of(call: &Call) -> Option<Bytes> {
    call.kinesis_operation()?;
    let value: Value = serde_json::from_slice(&call.body).ok()?;
    if !value.is_object() || !lists_hold_items(&value) || serde_json::to_vec(&value).ok()? != call.body {
        return None;
    }
    let mut body = Vec::new();
    ciborium::into_writer(&translated("", &value), &mut body).expect("a Vec takes everything");
    Some(Bytes::from(body))
}

/// An answer as JSON text, as far as tokens can be found in it.
pub(super) fn shown(answer: &[u8]) -> Vec<u8> {
    match ciborium::from_reader::<Cbor, _>(answer) {
        Ok(value @ Cbor::Map(_)) => serde_json::to_vec(&texts_of(&value)).expect("texts are JSON"),
        Ok(_) | Err(_) => answer.to_vec(),
    }
}

/// Whether lists stand only where the API has them, or where it ignores them.
fn lists_hold_items(value: &Value) -> bool {
    let is_list = |name: &String| LISTS.contains(&name.as_str());
    match value {
        Value::Object(members) => members.iter().all(|(name, value)| match value.as_array() {
            Some(items) => {
                is_list(name) && items.iter().all(|item| !item.is_array() && lists_hold_items(item))
            }
            None => lists_hold_items(value),
        }),
        Value::Array(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn translated(name: &str, value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::Number(number) if name.ends_with("Timestamp") => {
            Cbor::Tag(1, Box::new(Cbor::Float(number.as_f64().unwrap_or(f64::NAN) * 1000.0)))
        }
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Cbor::from(number),
            (None, Some(number)) => Cbor::from(number),
            (None, None) => Cbor::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) if name == "Data" => match base64_decoded(text) {
            Some(bytes) => Cbor::Bytes(bytes),
            None => Cbor::Text(text.clone()),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(|item| translated(name, item)).collect()),
        Value::Object(members) => Cbor::Map(
            members.iter().map(|(name, value)| (Cbor::Text(name.clone()), translated(name, value))).collect(),
        ),
    }
}

fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

fn texts_of(value: &Cbor) -> Value {
    if let Cbor::Array(items) = value {
        return items.iter().map(texts_of).collect();
    }
    if let Cbor::Map(members) = value {
        let text = |(name, value): &(Cbor, Cbor)| Some((name.as_text()?.to_owned(), texts_of(value)));
        return Value::Object(members.iter().filter_map(text).collect());
    }
    value.as_text().map_or(Value::Null, Value::from)
}

/// Members that are lists.
const LISTS: [&str; 3] = ["Records", "ShardLevelMetrics", "TagKeys"];
