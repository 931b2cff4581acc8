//! Five recorded traces, read as a user reads them, and how much an autoscaler could make of them.

use std::path::PathBuf;
use std::time::Duration;

use autoscaler::{ShardLimits, TraceFile, TraceSettings, clairvoyant, reactive, read_trace, required};

fn sample(name: &str) -> TraceFile {
    let data = std::env::var("LEASEHOLD_SAMPLE_DATA")
        .expect("LEASEHOLD_SAMPLE_DATA names the folder of sample data");
    let path = PathBuf::from(data).join("traces").join(name);
    read_trace(&path, &TraceSettings::default()).expect("a trace")
}

/// Rows, minutes from row to row, minutes in gaps, and the greatest load over the mean.
const SAMPLES: [(&str, u64, u64, u32, f64); 5] = [
    ("Twitter_volume_AAPL.csv.gz", 15_902, 5, 0, 157.55),
    ("Twitter_volume_GOOG.csv.gz", 15_842, 5, 0, 22.42),
    ("ec2_network_in_257a54.csv.gz", 4_032, 5, 10, 430.0),
    ("elb_request_count_8c0756.csv.gz", 4_032, 5, 40, 10.6),
    ("nyc_taxi.csv.gz", 10_320, 30, 0, 2.59),
];

#[test]
#[ignore = "needs LEASEHOLD_SAMPLE_DATA"]
fn sample_traces_are_read_whole_and_keep_their_peaks() {
    let limits = ShardLimits::default();
    for (name, rows, step_minutes, gap_minutes, max) in SAMPLES {
        let file = sample(name);
        assert_eq!((file.rows, file.gap_minutes, file.rows_without_value), (rows, gap_minutes, 0), "{name}");
        assert_eq!(file.step, Duration::from_secs(60 * step_minutes), "{name}");
        let minutes = rows * step_minutes + u64::from(gap_minutes);
        assert_eq!(file.trace.minutes.len() as u64, minutes, "{name}");
        assert!((file.trace.mean_shards(&limits) - 8.0).abs() < 1e-6, "{name}");
        let peak = file.trace.minutes.iter().map(|minute| minute.shards(&limits)).fold(0.0, f64::max) / 8.0;
        assert!((peak / max - 1.0).abs() < 0.01, "{name}: {peak}");
    }
}

#[test]
#[ignore = "needs LEASEHOLD_SAMPLE_DATA"]
fn sample_traces_have_an_ideal_above_what_is_required() {
    let limits = ShardLimits::default();
    for (name, ..) in SAMPLES {
        let trace = sample(name).trace;
        let hours = |shards: &[u32]| shards.iter().map(|&count| f64::from(count)).sum::<f64>() / 60.0;
        let required = required(&trace, &limits);
        let ideal = clairvoyant(&trace, &limits);
        let reactive = reactive(&trace, &limits, Duration::from_secs(120));
        assert!(ideal.iter().zip(&required).all(|(count, least)| count >= least), "{name}");
        assert!(hours(&ideal) >= hours(&required), "{name}");
        assert!((hours(&reactive) / hours(&required) - 1.0).abs() < 0.01, "{name}");
        println!("{name}: required {:.0}, ideal {:.0} shard-hours", hours(&required), hours(&ideal));
    }
}
