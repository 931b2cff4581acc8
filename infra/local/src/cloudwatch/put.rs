//! PutMetricData: what a client measured, checked and put together by minute.

use std::time::Duration;

use kinesis_model::EpochMillis;

use super::input::{MetricDatum, PutMetricDataInput, StatisticSet};
use super::metric::{Dimension, MetricId, Samples};
use super::protocol::{Number, Refusal, RefusalKind};
use super::store::Store;

/// Adds all of it, or nothing if one datum is not as it must be.
pub(super) fn put_metric_data(
    store: &mut Store,
    input: PutMetricDataInput,
    now: EpochMillis,
) -> Result<(), Refusal> {
    let PutMetricDataInput { namespace, metric_data, entity_metric_data } = input;
    if namespace.is_empty() || namespace.starts_with("AWS/") {
        return Err(Refusal::value(format!(
            "namespace {namespace:?}: it must be there and not begin with AWS/"
        )));
    }
    let data =
        metric_data.into_iter().chain(entity_metric_data.into_iter().flat_map(|entity| entity.metric_data));
    let data = data.map(|datum| Checked::of(datum, now)).collect::<Result<Vec<_>, _>>()?;
    if data.len() > DATA_MAX {
        return Err(Refusal::value(format!("{} data in one call, more than {DATA_MAX}", data.len())));
    }
    for Checked { name, dimensions, unit, at, samples } in data {
        let Some(samples) = samples else { continue };
        store.put(MetricId::new(&namespace, &name, dimensions), &unit, at, &samples, now)?;
    }
    Ok(())
}

struct Checked {
    name: String,
    dimensions: Vec<Dimension>,
    unit: String,
    at: EpochMillis,
    /// Nothing if every value was seen no time.
    samples: Option<Samples>,
}

impl Checked {
    fn of(datum: MetricDatum, now: EpochMillis) -> Result<Self, Refusal> {
        let MetricDatum {
            metric_name: name,
            dimensions,
            timestamp,
            value,
            statistic_values,
            values,
            counts,
            unit,
        } = datum;
        if name.is_empty() || dimensions.len() > DIMENSIONS_MAX {
            let message = format!("metric {name:?}: it needs a name and at most {DIMENSIONS_MAX} dimensions");
            return Err(Refusal::value(message));
        }
        let at = timestamp.map_or(now, |timestamp| timestamp.0);
        if at < now.before(PAST_MAX) || at > now.after(FUTURE_MAX) {
            let message = format!(
                "metric {name:?}: its time {at} is too far from {now}, which the services' clock shows"
            );
            return Err(Refusal::value(message));
        }
        let samples = match (value, statistic_values) {
            (Some(value), None) if values.is_empty() => Some(Samples::repeated(value.0, 1.0)),
            (None, Some(set)) if values.is_empty() => Some(of_set(&set)),
            (None, None) if !values.is_empty() => of_values(&name, &values, &counts)?,
            (None | Some(_), None | Some(_)) => {
                let message = format!("metric {name:?}: it needs one of Value, Values and StatisticValues");
                return Err(Refusal::new(RefusalKind::InvalidParameterCombination, message));
            }
        };
        if let Some(Samples { count, sum, min, max }) = samples
            && !([sum, min, max].into_iter().all(f64::is_finite)
                && count > 0.0
                && count.is_finite()
                && min <= max)
        {
            return Err(Refusal::value(format!("metric {name:?}: its numbers are no samples")));
        }
        Ok(Self { name, dimensions, unit: unit.unwrap_or_else(|| NO_UNIT.to_owned()), at, samples })
    }
}

fn of_set(set: &StatisticSet) -> Samples {
    Samples { count: set.sample_count.0, sum: set.sum.0, min: set.minimum.0, max: set.maximum.0 }
}

fn of_values(name: &str, values: &[Number], counts: &[Number]) -> Result<Option<Samples>, Refusal> {
    if values.len() > VALUES_MAX || !(counts.is_empty() || counts.len() == values.len()) {
        let message = format!(
            "metric {name:?}: {} values with {} counts; it may have {VALUES_MAX}, and a count for each or none",
            values.len(),
            counts.len()
        );
        return Err(Refusal::new(RefusalKind::InvalidParameterCombination, message));
    }
    let counts = counts.iter().map(|count| count.0).chain(std::iter::repeat(1.0));
    let seen = values.iter().zip(counts).filter(|(_, count)| *count != 0.0);
    Ok(seen.map(|(value, count)| Samples::repeated(value.0, count)).reduce(|mut all, one| {
        all.merge(&one);
        all
    }))
}

/// The unit of a datum that names none.
const NO_UNIT: &str = "None";
const DATA_MAX: usize = 1000;
const DIMENSIONS_MAX: usize = 30;
const VALUES_MAX: usize = 150;
/// How far from now a datum may lie, as at AWS.
const PAST_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
const FUTURE_MAX: Duration = Duration::from_secs(2 * 3600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: EpochMillis = EpochMillis(1_700_000_000_000);

    fn put(store: &mut Store, datum: &serde_json::Value) -> Result<(), Refusal> {
        let input = json!({"Namespace": "Leasehold", "MetricData": [datum]});
        put_metric_data(store, serde_json::from_value(input).expect("well formed"), NOW)
    }

    #[test]
    fn a_value_values_with_counts_and_a_set_all_count() {
        let mut store = Store::default();
        for datum in [
            json!({"MetricName": "m", "Value": 4}),
            json!({"MetricName": "m", "Values": [1, 9, 100], "Counts": [2, 1, 0]}),
            json!({"MetricName": "m", "StatisticValues": {"SampleCount": 2, "Sum": 5, "Minimum": 0.5, "Maximum": 4.5}}),
        ] {
            put(&mut store, &datum).expect("as it must be");
        }
        let metric = MetricId::new("Leasehold", "m", Vec::new());
        let minutes = store.minutes(&metric, None, &(EpochMillis(0)..NOW.after(FUTURE_MAX)));
        let expected = Samples { count: 6.0, sum: 20.0, min: 0.5, max: 9.0 };
        assert_eq!(minutes.into_values().collect::<Vec<_>>(), [expected]);
        assert_eq!(store.unit(&metric), Some("None"));
    }

    #[test]
    fn what_is_no_datum_is_refused() {
        for (datum, expected) in [
            (json!({"MetricName": "m"}), "needs one of"),
            (json!({"MetricName": "m", "Value": 1, "Values": [1]}), "needs one of"),
            (json!({"MetricName": "m", "Values": [1, 2], "Counts": [1]}), "2 values with 1 counts"),
            (json!({"MetricName": "m", "Values": [1], "Counts": [-1]}), "no samples"),
            (json!({"MetricName": "", "Value": 1}), "needs a name"),
            (json!({"MetricName": "m", "Value": 1, "Timestamp": 1_600_000_000}), "too far from"),
        ] {
            let refusal = put(&mut Store::default(), &datum).expect_err(expected);
            assert!(refusal.message().contains(expected), "{}", refusal.message());
        }
        let input = json!({"Namespace": "AWS/Kinesis", "MetricData": []});
        let input = serde_json::from_value(input).expect("well formed");
        assert!(put_metric_data(&mut Store::default(), input, NOW).is_err());
    }
}
