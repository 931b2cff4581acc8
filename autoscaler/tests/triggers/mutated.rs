//! Bytes from nowhere and fixtures with something changed: never a panic, never a wake that the settings do not allow, never
//! a log line that lies.

use std::sync::LazyLock;

use autoscaler::trigger::{Refusal, TriggerSettings, Wake, read_event, read_message};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture;

static FIXTURES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let paths = ["accepted", "batches", "refused"].iter().flat_map(|folder| fixture::list(folder));
    paths.map(|path| fixture::read(&path)).collect()
});
static SETTINGS: LazyLock<TriggerSettings> = LazyLock::new(fixture::settings);

/// Reads bytes in every way, and checks what must hold whatever they are.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    match read_event(bytes, &SETTINGS) {
        Err(refusal) => check_refusal(&refusal)?,
        Ok(deliveries) => {
            for delivery in deliveries {
                check_wakes(&delivery.wakes)?;
                prop_assert!(delivery.message_id.is_none_or(|id| is_one_line(&id, 100)));
            }
        }
    }
    check_wakes(&read_message(bytes, &SETTINGS))
}

fn check_wakes(wakes: &Result<Vec<Wake>, Refusal>) -> Result<(), TestCaseError> {
    match wakes {
        Err(refusal) => check_refusal(refusal),
        Ok(wakes) => {
            prop_assert!((1..=10).contains(&wakes.len()));
            for wake in wakes {
                prop_assert!(SETTINGS.streams.as_ref().expect("listed").contains(&wake.stream));
                prop_assert!(wake.region.is_none() || wake.region == SETTINGS.region);
                prop_assert!(is_one_line(&wake.to_string(), 700), "{wake}");
            }
            Ok(())
        }
    }
}

fn check_refusal(refusal: &Refusal) -> Result<(), TestCaseError> {
    prop_assert!(is_one_line(&refusal.to_string(), 500), "{refusal}");
    Ok(())
}

fn is_one_line(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max && !text.chars().any(char::is_control)
}

/// One change to bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\0n".to_vec())];
    prop_oneof![
        (place(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        (place(), 1_usize..40).prop_map(|(at, count)| Change::Remove(at, count)),
        (place(), 1_usize..400).prop_map(|(at, count)| Change::Repeat(at, count)),
        place().prop_map(Change::Cut),
    ]
}

fn apply(change: &Change, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    match change {
        Change::Set(at, byte) => *at.get_mut(bytes) = *byte,
        Change::Remove(at, count) => {
            let start = at.index(bytes.len());
            bytes.drain(start..(start + count).min(bytes.len()));
        }
        Change::Repeat(at, count) => {
            let start = at.index(bytes.len());
            let piece = bytes[start..(start + count).min(bytes.len())].to_vec();
            bytes.splice(start..start, piece);
        }
        Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

/// Values that stand where others should, in a document that stays JSON.
fn intruder() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(Value::from("x".repeat(3_000))),
        prop::collection::vec(".{0,5}".prop_map(Value::from), 0..4).prop_map(Value::from),
        Just(serde_json::json!({"name": "StreamName", "value": "payroll"})),
    ]
}

/// Puts `intruder` in place of the `left`th value, counted depth first through strings that hold JSON, too.
fn replace(value: &mut Value, left: &mut usize, intruder: &Value) {
    if *left == 0 {
        *value = intruder.clone();
    }
    *left = left.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, left, intruder)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, left, intruder)),
        Value::String(text) => {
            if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str::<Value>(text) {
                replace(&mut inner, left, intruder);
                *text = inner.to_string();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_from_nowhere_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes)?;
    }

    #[test]
    fn changed_bytes_do_no_harm(
        fixture in prop::sample::select(FIXTURES.as_slice()),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut bytes = fixture;
        for change in &changes {
            apply(change, &mut bytes);
        }
        check(&bytes)?;
    }

    #[test]
    fn changed_values_do_no_harm(
        fixture in prop::sample::select(FIXTURES.as_slice()),
        changes in prop::collection::vec((0_usize..90, intruder()), 1..4),
    ) {
        if let Ok(mut document) = serde_json::from_slice::<Value>(&fixture) {
            for (mut place, intruder) in changes {
                replace(&mut document, &mut place, &intruder);
            }
            check(document.to_string().as_bytes())?;
        }
    }
}
