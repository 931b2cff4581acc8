//! The worker's row as an item: `WORKER_METRIC_STATS` of the Java KCL without metrics, and our beat.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::{Millis, WorkerId, WorkerRow};

use super::item::{ENTITY_TYPE, InvalidItem, Item, KEY, n, number, parsed, required, s};

pub(super) const ENTITY: &str = "WORKER_METRIC_STATS";
/// Epoch seconds of the last update.
pub(super) const LAST_UPDATE: &str = "lut";
const BEAT: &str = "lhBeat";
const DRAINING: &str = "lhDraining";

/// The attributes to set, without the key. Empty statistics are what a Java leader reads as "no metric of its own".
pub(super) fn attributes(row: &WorkerRow, epoch_seconds: u64) -> [(&'static str, AttributeValue); 6] {
    [
        (ENTITY_TYPE, s(ENTITY)),
        (LAST_UPDATE, n(epoch_seconds)),
        ("sts", AttributeValue::M(HashMap::new())),
        ("opr", AttributeValue::M(HashMap::new())),
        (BEAT, n(row.beat)),
        (DRAINING, AttributeValue::Bool(row.draining)),
    ]
}

/// The row of an item read at `epoch_seconds`.
pub(super) fn decode(item: &Item, epoch_seconds: u64) -> Result<WorkerRow, InvalidItem> {
    let updated: u64 = required(LAST_UPDATE, number(item, LAST_UPDATE)?)?;
    Ok(WorkerRow {
        worker: required(KEY, parsed(item, KEY, WorkerId::new)?)?,
        beat: number(item, BEAT)?.unwrap_or(0),
        draining: matches!(item.get(DRAINING), Some(AttributeValue::Bool(true))),
        age: Millis::from_secs(epoch_seconds.saturating_sub(updated)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_round_trip(id in "[a-z0-9-]{1,20}", beat: u64, draining: bool, written in 0..u64::MAX / 4000, age in 0_u64..1000) {
            let worker = WorkerId::new(id).expect("not empty");
            let row = WorkerRow { worker, beat, draining, age: Millis::from_secs(age) };
            let mut item: Item = attributes(&row, written).map(|(name, value)| (name.to_owned(), value)).into();
            item.insert(KEY.to_owned(), s(row.worker.as_str()));
            prop_assert_eq!(decode(&item, written + age), Ok(row));
        }
    }

    #[test]
    fn a_row_of_the_java_kcl_has_no_beat() {
        let item = Item::from([(KEY.to_owned(), s("w")), (LAST_UPDATE.to_owned(), n(100))]);
        let row = decode(&item, 130).expect("valid");
        assert_eq!((row.beat, row.draining, row.age), (0, false, Millis::from_secs(30)));
    }
}
