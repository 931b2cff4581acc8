//! What workers tell, as it would be at AWS: their pace is the machine's, and their records stand for many.
//!
//! A row is written every few seconds of the machine, which are minutes of a fast clock, and counts the records that were
//! read, of which each stands for many. Whoever plans by the fast clock sees ages of the machine's seconds and weighed
//! records; times of arrival, and how far a reader is behind, are the fast clock's already.

use async_trait::async_trait;
use kcl::aws::DynamoDbTelemetryStore;
use kcl::{Clock as _, MinuteFigures, TelemetryError, TelemetryItem, TelemetryRow, TelemetryStore};

use crate::clock::ServicesClock;

/// The telemetry of workers beside services with a fast clock, for reading.
#[derive(Debug)]
pub(crate) struct WeighedTelemetry {
    store: DynamoDbTelemetryStore,
    clock: ServicesClock,
    scale: u32,
    record_weight: u32,
}

impl WeighedTelemetry {
    /// What `store` holds; each record stands for `scale` × `record_weight`.
    pub(crate) const fn new(
        store: DynamoDbTelemetryStore,
        clock: ServicesClock,
        scale: u32,
        record_weight: u32,
    ) -> Self {
        Self { store, clock, scale, record_weight }
    }

    /// A row that cannot be read stays as it is, to be counted as such.
    fn weighed(&self, item: TelemetryItem, now: u64) -> TelemetryItem {
        let Ok(row) = TelemetryRow::decode(&item.row) else { return item };
        let weight = self.scale.saturating_mul(self.record_weight);
        TelemetryItem { row: weigh(row, weight, self.scale, now).encode(), ..item }
    }
}

#[async_trait]
impl TelemetryStore for WeighedTelemetry {
    async fn open(&self) -> Result<(), TelemetryError> {
        self.store.open().await
    }

    async fn put(&self, items: Vec<TelemetryItem>) -> Result<(), TelemetryError> {
        self.store.put(items).await
    }

    async fn list(&self) -> Result<Vec<TelemetryItem>, TelemetryError> {
        let items = self.store.list().await?;
        let now = self.clock.epoch_millis();
        Ok(items.into_iter().map(|item| self.weighed(item, now)).collect())
    }
}

fn weigh(row: TelemetryRow, weight: u32, scale: u32, now: u64) -> TelemetryRow {
    let age = now.saturating_sub(row.written_epoch_millis) / u64::from(scale);
    let minute = |minute: &MinuteFigures| MinuteFigures {
        epoch_minute: minute.epoch_minute,
        bytes: minute.bytes.saturating_mul(weight.into()),
        records: minute.records.saturating_mul(weight),
        bytes_second_max: minute.bytes_second_max.saturating_mul(weight),
        records_second_max: minute.records_second_max.saturating_mul(weight),
    };
    TelemetryRow {
        written_epoch_millis: now - age.min(now),
        bytes_per_second: row.bytes_per_second * f64::from(weight),
        records_per_second: row.records_per_second * f64::from(weight),
        minutes: row.minutes.iter().map(minute).collect(),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kcl::{HashKeyRange, LoadShare, StreamDigest};

    use super::*;

    #[test]
    fn a_row_is_as_old_as_on_the_machine_and_its_records_count_as_many() {
        let minute = MinuteFigures {
            epoch_minute: 30,
            bytes: 1_000,
            records: 10,
            bytes_second_max: 200,
            records_second_max: u32::MAX,
        };
        let row = TelemetryRow {
            stream: StreamDigest(7),
            range: HashKeyRange::FULL,
            written_epoch_millis: 1_880_000,
            behind: Some(Duration::from_secs(30)),
            behind_before: None,
            covered: Duration::from_secs(60),
            bytes_per_second: 2.0,
            records_per_second: 0.5,
            samples: 9,
            bins: vec![LoadShare::default()],
            unplaced: LoadShare::default(),
            heavy_keys: Vec::new(),
            minutes: vec![minute],
        };
        // Two minutes of a clock that is 60 times as fast are two seconds.
        let weighed = weigh(row.clone(), 300, 60, 2_000_000);
        assert_eq!(weighed.written_epoch_millis, 1_998_000);
        assert_eq!((weighed.bytes_per_second, weighed.records_per_second), (600.0, 150.0));
        assert_eq!((weighed.minutes[0].bytes, weighed.minutes[0].records), (300_000, 3_000));
        assert_eq!(weighed.minutes[0].records_second_max, u32::MAX);
        assert_eq!((weighed.behind, weighed.bins.len()), (row.behind, 1));
    }
}
