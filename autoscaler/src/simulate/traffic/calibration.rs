//! Whether the families look like published traffic: peaks, high percentiles and growth within ten minutes.
//!
//! Published, by minute: a football world cup max/mean 21, p99/mean 10.2, ten-minute growth ×2 (p99.9) to ×16 (greatest);
//! a web server 10 and 3.1; a message stream 4.7; a load balancer 10.6; taxi rides 2.6; a square wave 1.9.

use std::ops::RangeInclusive;

use super::{Family, Trace, suite, surge};
use crate::{Boundaries, ShardLimits, partition};

struct Figures {
    mean: f64,
    max: f64,
    p99: f64,
    growth_p999: f64,
    growth_max: f64,
}

/// Of the load in shards. Growth is counted where it starts above a twentieth of the mean: below, capacity is there anyway.
fn figures(trace: &Trace) -> Figures {
    let limits = ShardLimits::default();
    let load: Vec<f64> = trace.minutes.iter().map(|minute| minute.shards(&limits)).collect();
    let mean = load.iter().sum::<f64>() / load.len() as f64;
    let percentile = |mut values: Vec<f64>, part: f64| {
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * part) as usize]
    };
    let growth: Vec<f64> = load
        .iter()
        .zip(&load[10..])
        .filter(|(now, _)| **now > mean / 20.0)
        .map(|(now, then)| then / now)
        .collect();
    Figures {
        mean,
        max: percentile(load.clone(), 1.0) / mean,
        p99: percentile(load.clone(), 0.99) / mean,
        growth_p999: percentile(growth.clone(), 0.999),
        growth_max: percentile(growth, 1.0),
    }
}

#[test]
fn each_family_has_the_peaks_of_its_kind() {
    println!(
        "{:16} {:>6} {:>9} {:>9} {:>11} {:>10}",
        "trace", "mean", "max/mean", "p99/mean", "growth p999", "greatest"
    );
    let mut strange = Vec::new();
    for family in Family::ALL {
        let (max, p99, growth): (RangeInclusive<f64>, RangeInclusive<f64>, RangeInclusive<f64>) = match family
        {
            Family::Daily | Family::Bursts | Family::HotKeys | Family::SkewedKeys => {
                (1.4..=3.5, 1.3..=2.5, 1.1..=2.0)
            }
            Family::RecordSizes => (2.5..=6.0, 2.0..=4.0, 1.7..=5.0),
            Family::Regimes => (1.8..=5.5, 1.6..=4.0, 1.2..=6.0),
            Family::Crowds => (2.5..=25.0, 1.5..=11.0, 1.3..=8.0),
            Family::Batches => (2.0..=5.5, 1.8..=4.0, 2.0..=10.0),
            Family::Outages => (2.0..=10.0, 1.2..=2.5, 1.1..=2.5),
            Family::Growth => (1.7..=5.0, 1.5..=4.0, 1.1..=2.0),
            Family::QuietNights => (2.2..=8.0, 2.0..=5.5, 1.5..=20.0),
        };
        for seed in 1..=5 {
            let trace = family.trace(seed);
            let figures = figures(&trace);
            println!(
                "{:16} {:6.1} {:9.2} {:9.2} {:11.2} {:10.2}",
                trace.name, figures.mean, figures.max, figures.p99, figures.growth_p999, figures.growth_max
            );
            let is_in_bounds = (2.0..=40.0).contains(&figures.mean)
                && max.contains(&figures.max)
                && p99.contains(&figures.p99)
                && growth.contains(&figures.growth_p999);
            if !is_in_bounds {
                strange.push(trace.name);
            }
        }
    }
    assert!(strange.is_empty(), "out of bounds: {strange:?}");
}

/// A change here changes every published figure of the suite.
#[test]
fn traces_are_the_same_on_every_platform() {
    let digest = |trace: &Trace| {
        let mut digest = 0_u64;
        let mut add =
            |value: f64| digest = (digest ^ value.to_bits()).wrapping_mul(0x100_0000_01b3).rotate_left(29);
        for minute in &trace.minutes {
            [minute.bytes, minute.records, minute.burst].into_iter().for_each(&mut add);
        }
        for (_, map) in trace.keys.entries() {
            map.shares(&Boundaries::uniform(64)).into_iter().for_each(&mut add);
        }
        digest
    };
    let digests: Vec<_> = suite(&[1]).iter().chain([&surge()]).map(digest).collect();
    assert_eq!(digests, DIGESTS);
}

#[test]
fn every_minute_can_be_carried_by_some_layout() {
    let limits = ShardLimits::default();
    for trace in [Family::HotKeys, Family::SkewedKeys]
        .into_iter()
        .flat_map(|family| (1..=3).map(move |seed| family.trace(seed)))
    {
        for (place, (from, map)) in trace.keys.entries().iter().enumerate() {
            let until = trace.keys.entries().get(place + 1).map_or(trace.minutes.len(), |next| next.0);
            let peak = trace.minutes[*from..until]
                .iter()
                .map(|minute| minute.peak_shards(&limits))
                .fold(0.0, f64::max);
            let best = partition::fewest(map, 1.0 / peak);
            assert!(best.is_ok(), "{} at {from}: {best:?}", trace.name);
        }
    }
}

#[test]
fn record_sizes_let_bytes_bind_at_times_and_records_at_others() {
    for seed in 1..=5 {
        let trace = Family::RecordSizes.trace(seed);
        let by_bytes = trace.minutes.iter().filter(|minute| minute.bytes > 1_000.0 * minute.records).count();
        let part = by_bytes as f64 / trace.minutes.len() as f64;
        assert!((0.2..0.8).contains(&part), "{}: {part}", trace.name);
    }
}

#[test]
fn keys_change_in_families_of_keys_alone() {
    for trace in suite(&[2]) {
        let is_of_keys = trace.name.contains("keys");
        assert_eq!(
            trace.keys.entries().len() > 20,
            is_of_keys,
            "{}: {}",
            trace.name,
            trace.keys.entries().len()
        );
        assert_eq!(trace.minutes.len(), 20_160);
        assert!(trace.minutes.iter().all(|minute| minute.burst >= 1.0 && minute.bytes >= 0.0));
        let bursts = trace.minutes.iter().filter(|minute| minute.burst > 1.3).count();
        assert_eq!(bursts > 500, trace.name.starts_with("bursts"), "{}: {bursts}", trace.name);
    }
}

#[test]
fn the_surge_is_tenfold_within_five_minutes_and_goes_back() {
    let trace = surge();
    let load: Vec<f64> = trace.minutes.iter().map(|minute| minute.shards(&ShardLimits::default())).collect();
    assert!((load[0] - 5.6).abs() < 1e-9 && (load[359] - 5.6).abs() < 1e-9);
    assert!((load[364] - 56.0).abs() < 1e-9 && load[363] < 56.0);
    assert!(load[364..485].iter().all(|load| (load - 56.0).abs() < 1e-9));
    assert!((load[489] - load[360]).abs() < 1e-9 && (load[490] - 5.6).abs() < 1e-9);
}

/// Of the families under seed 1, and of the surge.
const DIGESTS: [u64; 12] = [
    0x5d8e0e75fef6b8d6,
    0xaf641b184faf115e,
    0x8259bca8a896f978,
    0x140ef89229badae4,
    0xf1686bd930300944,
    0xb36b457b7eea6ade,
    0x600323fd247ce68b,
    0x96b9e8d9e0b80fc8,
    0x3ee1bc6ed082a724,
    0x46fe992685906b1d,
    0xd9eb379bccb50a19,
    0x437cf51fabd4e317,
];
