//! The metrics that clients put: samples by minute, bounded in number and in age.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use kinesis_model::EpochMillis;

use super::metric::{MetricId, Samples};
use super::protocol::{Refusal, RefusalKind};

/// All that clients put.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Samples of different units are kept apart, as CloudWatch does.
    series: BTreeMap<MetricId, BTreeMap<String, Minutes>>,
    series_count: usize,
}

type Minutes = BTreeMap<EpochMillis, Samples>;

impl Store {
    /// Adds `samples` to the minute of `at`, and forgets what is too old at `now`.
    pub(super) fn put(
        &mut self,
        metric: MetricId,
        unit: &str,
        at: EpochMillis,
        samples: &Samples,
        now: EpochMillis,
    ) -> Result<(), Refusal> {
        let is_known = self.series.get(&metric).is_some_and(|units| units.contains_key(unit));
        if !is_known && self.series_count == SERIES_MAX {
            let message = format!("there are {SERIES_MAX} metrics already, more are not kept");
            return Err(Refusal::new(RefusalKind::LimitExceeded, message));
        }
        self.series_count += usize::from(!is_known);
        let minutes = self.series.entry(metric).or_default().entry(unit.to_owned()).or_default();
        let minute = EpochMillis(at.0 - at.0 % MINUTE_MILLIS);
        minutes.entry(minute).and_modify(|known| known.merge(samples)).or_insert(*samples);
        while minutes.first_key_value().is_some_and(|(oldest, _)| *oldest < now.before(KEPT)) {
            minutes.pop_first();
        }
        Ok(())
    }

    /// The minutes of `metric` that begin within `range`, oldest first; of one unit, or of all put together.
    pub(super) fn minutes(
        &self,
        metric: &MetricId,
        unit: Option<&str>,
        range: &Range<EpochMillis>,
    ) -> Minutes {
        let mut merged = Minutes::new();
        let units = self.series.get(metric).into_iter().flatten();
        for (_, minutes) in units.filter(|(name, _)| unit.is_none_or(|unit| unit == name.as_str())) {
            for (minute, samples) in minutes.range(range.clone()) {
                merged.entry(*minute).and_modify(|known| known.merge(samples)).or_insert(*samples);
            }
        }
        merged
    }

    /// The unit of `metric`, if it has only one.
    pub(super) fn unit(&self, metric: &MetricId) -> Option<&str> {
        let units = self.series.get(metric)?;
        let (unit, _) = units.first_key_value()?;
        (units.len() == 1).then_some(unit.as_str())
    }

    /// Every metric with its newest minute, in the order of their names.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&MetricId, EpochMillis)> {
        self.series.iter().filter_map(|(metric, units)| {
            let newest = units.values().filter_map(|minutes| minutes.last_key_value());
            Some((metric, newest.map(|(minute, _)| *minute).max()?))
        })
    }
}

/// A metric of one minute costs about 1 MB in 15 days; ten thousand names are more than a stream's autoscaler makes.
const SERIES_MAX: usize = 10_000;
/// As long as CloudWatch keeps minutes.
const KEPT: Duration = Duration::from_secs(15 * 24 * 3600);
const MINUTE_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> MetricId {
        MetricId::new("Leasehold", name, Vec::new())
    }

    fn put(store: &mut Store, unit: &str, at: u64, value: f64, now: u64) {
        let samples = Samples::repeated(value, 1.0);
        store.put(metric("m"), unit, EpochMillis(at), &samples, EpochMillis(now)).expect("room");
    }

    #[test]
    fn samples_of_a_minute_gather_and_units_stay_apart() {
        let mut store = Store::default();
        put(&mut store, "Count", 60_001, 1.0, 60_001);
        put(&mut store, "Count", 119_999, 3.0, 119_999);
        assert_eq!(store.unit(&metric("m")), Some("Count"));
        put(&mut store, "Bytes", 120_000, 7.0, 120_000);
        let all = EpochMillis(0)..EpochMillis(u64::MAX);
        let count = store.minutes(&metric("m"), Some("Count"), &all);
        assert_eq!(
            count.into_iter().map(|(at, samples)| (at.0, samples.sum)).collect::<Vec<_>>(),
            [(60_000, 4.0)]
        );
        assert_eq!(store.minutes(&metric("m"), None, &all).len(), 2);
        assert_eq!(store.minutes(&metric("m"), None, &(EpochMillis(120_000)..EpochMillis(180_000))).len(), 1);
        assert_eq!(store.unit(&metric("m")), None);
        assert!(store.minutes(&metric("other"), None, &all).is_empty());
    }

    #[test]
    fn what_is_older_than_fifteen_days_goes() {
        let mut store = Store::default();
        let late = u64::try_from(KEPT.as_millis()).expect("fits") + 120_000;
        put(&mut store, "Count", 60_000, 1.0, 60_000);
        put(&mut store, "Count", late, 1.0, late);
        assert_eq!(store.minutes(&metric("m"), None, &(EpochMillis(0)..EpochMillis(u64::MAX))).len(), 1);
        assert_eq!(store.newest().map(|(_, at)| at.0).collect::<Vec<_>>(), [late]);
    }

    #[test]
    fn the_number_of_metrics_is_bounded() {
        let mut store = Store { series_count: SERIES_MAX, ..Store::default() };
        let samples = Samples::repeated(1.0, 1.0);
        let refused = store.put(metric("new"), "None", EpochMillis(0), &samples, EpochMillis(0));
        assert!(refused.is_err_and(|refusal| refusal.message().contains("10000")));
    }
}
