//! Single trials: how soon a tenfold surge is absorbed, and how many shards keys of unequal weight take.

use super::{Bar, in_parallel, replay};
use crate::partition::fewest;
use crate::simulate::page::Detail;
use crate::simulate::{CloudSettings, Scaler, Trace, TracePlot, minutes_to_absorb, run, skewed, surge};

/// Runs the trials of one scaler.
pub(super) fn judge<S: Scaler>(settings: &CloudSettings, candidate: impl Fn() -> S + Sync) -> Vec<Bar> {
    vec![surge_bar(settings, candidate()), skew_bar(settings, &candidate)]
}

/// What a page draws of the tenfold surge: the trial of the scaler that `candidate` makes, and every baseline beside it.
#[must_use]
pub fn plot_surge<S: Scaler>(settings: &CloudSettings, candidate: impl Fn() -> S) -> TracePlot {
    let settings = CloudSettings { shards: Some(SURGE_SHARDS), ..settings.clone() };
    let (_, plot) = replay(&surge(), &settings, candidate(), Some(Detail::of_each(1)));
    plot.expect("a detail was asked for")
}

fn surge_bar(settings: &CloudSettings, mut candidate: impl Scaler) -> Bar {
    let settings = CloudSettings { shards: Some(SURGE_SHARDS), ..settings.clone() };
    let run = run(&surge(), &settings, &mut candidate);
    let minutes = minutes_to_absorb(&run).unwrap_or(0);
    let counts: Vec<_> =
        run.operations.iter().map(|operation| operation.to.to_string()).take(COUNTS_SHOWN).collect();
    Bar::new(
        "minutes to absorb a tenfold surge of 8 shards",
        f64::from(minutes),
        SURGE_MINUTES_MAX,
        format!("8 → {}", counts.join(" → ")),
    )
}

fn skew_bar<S: Scaler>(settings: &CloudSettings, candidate: &(impl Fn() -> S + Sync)) -> Bar {
    let trials: Vec<_> =
        EXPONENTS.iter().flat_map(|&exponent| KEYS.map(|keys| skewed(keys, exponent, SKEW_SHARDS))).collect();
    let ratios = in_parallel(&trials, |trace| over_optimum(trace, settings, candidate()));
    let worst = trials
        .iter()
        .zip(ratios)
        .filter_map(|(trace, ratio)| ratio.map(|ratio| (trace, ratio)))
        .max_by(|left, right| left.1.total_cmp(&right.1));
    let (measured, binds) =
        worst.map_or((0.0, String::new()), |(trace, ratio)| (ratio, format!("{}: {ratio:.2}", trace.name)));
    Bar::new("shards ÷ optimal partition, Zipf 0 to 0.8", measured, SKEW_MAX, binds)
}

/// The shards open at the end, over the fewest that keep each at 80 %; `None` if no layout does.
///
/// A layout that does not even carry the load is infinitely bad.
fn over_optimum(trace: &Trace, settings: &CloudSettings, mut candidate: impl Scaler) -> Option<f64> {
    let optimum = fewest(trace.keys.at(0), UTILISATION / SKEW_SHARDS).ok()?;
    let run = run(trace, settings, &mut candidate);
    let last = run.minutes.last()?;
    let carries = last.capacity_shards >= last.offered_shards;
    Some(if carries { f64::from(last.shards) / f64::from(optimum.count()) } else { f64::INFINITY })
}

const SURGE_SHARDS: u32 = 8;
const SURGE_MINUTES_MAX: f64 = 30.0;
const COUNTS_SHOWN: usize = 6;
const EXPONENTS: [f64; 3] = [0.0, 0.5, 0.8];
const KEYS: [usize; 3] = [1_000, 20_000, 100_000];
const SKEW_SHARDS: f64 = 20.0;
const SKEW_MAX: f64 = 1.25;
/// At which the tools that are compared call a shard full.
const UTILISATION: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::aws_samples;

    #[test]
    fn doubling_by_half_hours_absorbs_no_surge_in_half_an_hour() {
        let bar = surge_bar(&CloudSettings::exact(), aws_samples());
        assert!(bar.measured > 60.0 && !bar.holds, "{bar:?}");
        assert!(bar.binds.starts_with("8 → 16 → 32 → 64 → 128"), "{bar:?}");
    }

    #[test]
    fn a_uniform_layout_is_measured_against_the_optimum() {
        let even = over_optimum(&skewed(100_000, 0.0, SKEW_SHARDS), &CloudSettings::exact(), aws_samples());
        let even = even.expect("possible");
        assert!((1.1..1.2).contains(&even), "29 shards for 25 or 26: {even}");
        let impossible = skewed(1_000, 0.8, SKEW_SHARDS);
        assert_eq!(
            over_optimum(&impossible, &CloudSettings::exact(), aws_samples()),
            None,
            "one key is too heavy"
        );
    }
}
