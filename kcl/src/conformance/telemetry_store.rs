//! What a telemetry store must do: one row for each lease, byte by byte, however many there are.

use std::time::Duration;

use bytes::Bytes;
use kcl_core::LeaseKey;

use crate::port::{TelemetryItem, TelemetryStore};
use crate::telemetry::TelemetryRow;

/// Checks a store whose table is empty or does not exist.
///
/// # Panics
/// With what was listed and what had to be.
pub async fn telemetry_store(store: &dyn TelemetryStore) {
    store.open().await.expect("the store opens");
    assert_eq!(store.list().await.expect("an empty table is listed"), []);
    let mut expected = Vec::new();
    for number in 0..ROWS {
        expected.push(item(number, &[u8::try_from(number % 256).expect("a byte"); TelemetryRow::BYTES_MAX]));
    }
    for items in expected.chunks(TelemetryItem::PUT_MAX) {
        store.put(items.to_vec()).await.expect("rows are put");
    }
    expect(store, &expected).await;
    for row in [&[][..], &[0, 159, 255], &[1; TelemetryRow::BYTES_MAX]] {
        expected[0] = item(0, row);
        store.put(vec![expected[0].clone()]).await.expect("a row is replaced");
        expect(store, &expected).await;
    }
    store.open().await.expect("the store opens again");
    expect(store, &expected).await;
}

/// Demands these rows; a listing may lag.
async fn expect(store: &dyn TelemetryStore, expected: &[TelemetryItem]) {
    let mut listed = Vec::new();
    for _ in 0..STALE_LISTS_MAX {
        listed = store.list().await.expect("the rows are listed");
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        if listed == expected {
            return;
        }
        tokio::time::sleep(STALE_LIST_PAUSE).await;
    }
    assert_eq!(listed, expected, "rows listed (left)");
}

fn item(number: u64, row: &[u8]) -> TelemetryItem {
    TelemetryItem {
        key: LeaseKey::new(format!("shardId-{number:012}")).expect("a short name"),
        row: Bytes::copy_from_slice(row),
        expires_epoch_seconds: 4_102_444_800 + number,
    }
}

/// More than one page of a megabyte.
const ROWS: u64 = 1_200;
/// A listing may lag: five seconds in all.
const STALE_LISTS_MAX: usize = 50;
const STALE_LIST_PAUSE: Duration = Duration::from_millis(100);
