//! Traffic read from a file: recorded somewhere, once, by somebody else.
//!
//! ```text
//!   file ─▶ rows (csv, gz or not) ─▶ resample (spread over minutes, gaps filled) ─▶ scale ─▶ Trace
//! ```
//!
//! Two kinds of files are understood, told apart by their header: `timestamp,value`, whose values are of any unit and are
//! scaled to a mean load, and `minute,bytes,records`, as exported from CloudWatch, which is taken as it is.
//!
//! A row's values are **sums** over the time from its timestamp to the next row's, as CloudWatch gives them: only sums can be
//! resampled without losing or inventing load when steps differ. Over steps of one length a rate differs from a sum by a
//! constant, which scaling removes, so files of rates may be read as well.

mod error;
mod resample;
mod rows;

use std::path::Path;
use std::time::Duration;

pub use self::error::TraceError;
use self::resample::Resampler;
use self::rows::{Columns, Rows};
use super::{KeySchedule, MinuteLoad, Trace};
use crate::{LoadMap, ShardLimits};

/// How a file is read.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// Mean load to which the file is scaled, in shards. Without it a file of bytes and records keeps its own, and one of
    /// values is scaled to 8, the size at which published comparisons of autoscalers were made.
    pub mean_shards: Option<f64>,
    /// Bytes of each record where the file has values alone. Default 2000: bytes bind, not records.
    pub record_bytes: f64,
    /// What stands for minutes of which nothing is known. Default [`Gaps::Interpolate`].
    pub gaps: Gaps,
    /// The size of the shards that `mean_shards` counts in.
    pub limits: ShardLimits,
}

/// What stands for minutes of which nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gaps {
    /// A straight line from the load before to the load after.
    #[default]
    Interpolate,
    /// The load before.
    Hold,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceFile {
    /// Its traffic: even over the hash space and within each minute, because the file tells nothing of either.
    pub trace: Trace,
    /// Rows that had values.
    pub rows: u64,
    /// Rows whose values were left empty.
    pub rows_without_value: u64,
    /// The usual time from one row to the next; rows within one minute count as one.
    pub step: Duration,
    /// Minutes of which the file tells nothing, filled by the setting.
    pub gap_minutes: u32,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            mean_shards: None,
            record_bytes: 2_000.0,
            gaps: Gaps::default(),
            limits: ShardLimits::default(),
        }
    }
}

/// Reads a file of up to 366 days, whatever its size, in memory of some megabytes.
///
/// # Errors
/// [`TraceError`] if the file cannot be read, or its header or a row cannot be understood: it names file, line, field, value
/// and remedy.
pub fn read_trace(path: &Path, settings: &TraceSettings) -> Result<TraceFile, TraceError> {
    let mut rows = Rows::open(path)?;
    let columns = rows.columns();
    let mut resampler = Resampler::default();
    while let Some(row) = rows.next_row()? {
        resampler.add(row.at, row.values).map_err(|misplaced| rows.misplaced(&row, misplaced))?;
    }
    let rows_without_value = rows.without_value();
    let resampled = resampler.finish(settings.gaps).ok_or_else(|| TraceError::Empty { path: path.into() })?;
    let mut minutes: Vec<_> =
        resampled.minutes.iter().map(|&values| load(columns, values, settings)).collect();
    let mean_shards = match (settings.mean_shards, columns) {
        (Some(mean), Columns::BytesRecords | Columns::Value) => Some(mean),
        (None, Columns::Value) => Some(MEAN_SHARDS),
        (None, Columns::BytesRecords) => None,
    };
    if let Some(wanted) = mean_shards {
        let mean =
            minutes.iter().map(|minute| minute.shards(&settings.limits)).sum::<f64>() / minutes.len() as f64;
        if mean <= 0.0 {
            return Err(TraceError::NoLoad { path: path.into() });
        }
        for minute in &mut minutes {
            minute.bytes *= wanted / mean;
            minute.records *= wanted / mean;
        }
    }
    let trace = Trace {
        name: name(path),
        start: resampled.start,
        minutes,
        keys: KeySchedule::constant(LoadMap::even()),
    };
    Ok(TraceFile {
        trace,
        rows: resampled.rows,
        rows_without_value,
        step: resampled.step,
        gap_minutes: resampled.gap_minutes,
    })
}

fn load(columns: Columns, [first, second]: [f64; 2], settings: &TraceSettings) -> MinuteLoad {
    let (bytes, records) = match columns {
        Columns::Value => (first * settings.record_bytes, first),
        Columns::BytesRecords => (first, second),
    };
    MinuteLoad { bytes, records, burst: 1.0 }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(".csv").unwrap_or(name).to_owned()
}

/// What values without a unit are scaled to.
const MEAN_SHARDS: f64 = 8.0;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::EpochMillis;

    fn read(text: &[u8], settings: &TraceSettings) -> Result<TraceFile, TraceError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("calls.csv.gz");
        std::fs::write(&path, text).expect("written");
        read_trace(&path, settings)
    }

    #[test]
    fn values_are_scaled_to_a_mean_load() {
        let file = read(
            b"timestamp,value\n2015-02-26 21:42:00,100\n2015-02-26 21:47:00,300\n",
            &TraceSettings::default(),
        )
        .expect("read");
        assert_eq!((file.rows, file.step, file.gap_minutes), (2, Duration::from_secs(300), 0));
        let trace = file.trace;
        assert_eq!((trace.name.as_str(), trace.minutes.len()), ("calls", 10));
        assert_eq!(trace.start, EpochMillis(1_424_986_920_000));
        let limits = ShardLimits::default();
        assert!((trace.mean_shards(&limits) - 8.0).abs() < 1e-9);
        assert!((trace.minutes[0].shards(&limits) - 4.0).abs() < 1e-9);
        assert!((trace.minutes[9].bytes / trace.minutes[9].records - 2_000.0).abs() < 1e-9);
    }

    #[test]
    fn bytes_and_records_keep_their_units_unless_a_mean_is_asked_for() {
        let text = b"minute,records,bytes\n7,10,5000\n8,20,6000\n";
        let as_it_is = read(text, &TraceSettings::default()).expect("read").trace;
        let load = |bytes, records| MinuteLoad { bytes, records, burst: 1.0 };
        assert_eq!(as_it_is.minutes, [load(5_000.0, 10.0), load(6_000.0, 20.0)]);
        assert_eq!(as_it_is.start, EpochMillis(7 * 60_000));
        let scaled =
            read(text, &TraceSettings { mean_shards: Some(3.0), ..TraceSettings::default() }).expect("read");
        assert!((scaled.trace.mean_shards(&ShardLimits::default()) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn compressed_files_are_told_by_their_first_bytes() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"minute,bytes,records\n0,1,1\n1,2,1\n").expect("in memory");
        let file = read(&encoder.finish().expect("in memory"), &TraceSettings::default()).expect("read");
        assert_eq!(file.rows, 2);
        let cut_off = read(&[0x1f, 0x8b, 8], &TraceSettings::default()).expect_err("refused");
        assert!(matches!(cut_off, TraceError::Read { .. }), "{cut_off}");
    }

    #[test]
    fn each_error_names_file_line_field_value_and_remedy() {
        let message = |text: &[u8]| {
            let message = read(text, &TraceSettings::default()).expect_err("refused").to_string();
            let place = message.find("calls.csv.gz").expect("the file");
            message[place + "calls.csv.gz".len()..].to_owned()
        };
        assert_eq!(
            message(b"when,what\n1,2\n"),
            ": the header has the columns when, what; give timestamp,value or minute,bytes,records"
        );
        assert_eq!(
            message(b"timestamp,value\n2015-02-26 21:42:53,5\n2015-02-30 21:42:53,5\n"),
            ":3: timestamp = \"2015-02-30 21:42:53\": give a time such as 2015-02-26 21:42:53 (UTC) or seconds since 1970"
        );
        assert_eq!(
            message(b"timestamp,value\n60,-5\n"),
            ":2: value = \"-5\": give a number from 0 to 1e18, or nothing where it is unknown"
        );
        assert_eq!(
            message(b"timestamp,value\n60\n"),
            ":2: value is missing: give as many fields as the header has"
        );
        assert_eq!(
            message(b"timestamp,value\n120,1\n60,1\n"),
            ":3: timestamp = \"60\" is not later than that of the row before: sort the rows and remove repeated ones"
        );
        assert_eq!(
            message(b"timestamp,value\n0,1\n40000000,1\n"),
            ":3: timestamp = \"40000000\" is more than 366 days after the first row: cut the file into parts"
        );
        assert_eq!(
            message(b"timestamp,value\n60,\n"),
            ": no minute has a value: give rows of at least half a minute"
        );
        assert_eq!(
            message(b"timestamp,value\n60,0\n"),
            ": every value is 0, which cannot be scaled to a mean load"
        );
        let endless = [b"timestamp,value\n60,".as_slice(), &[b'1'; 5_000]].concat();
        assert_eq!(message(&endless), ":2: the line is longer than 4096 bytes: give one row a line");
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(
            header in prop_oneof![Just("timestamp,value\n"), Just("minute,bytes,records\n"), Just("")],
            lines in proptest::collection::vec("[0-9]{0,20}[-: ,.\"0-9eTZ]{0,24}", 0..20),
            noise in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let text = [header.as_bytes(), lines.join("\n").as_bytes(), &noise].concat();
            if let Ok(file) = read(&text, &TraceSettings::default()) {
                prop_assert!(file.rows > 0 && !file.trace.minutes.is_empty());
                for minute in &file.trace.minutes {
                    prop_assert!(minute.bytes.is_finite() && minute.bytes >= 0.0);
                    prop_assert!(minute.records.is_finite() && minute.records >= 0.0);
                }
            }
        }

        #[test]
        fn any_rows_in_order_are_read(
            rows in proptest::collection::btree_map(0..4_000_000_000_u64, 0.0..1e18_f64, 1..30),
        ) {
            let mut text = String::from("timestamp,value\n");
            for (millis, value) in &rows {
                text.push_str(&format!("{},{value}\n", 1_700_000_000_000 + millis / 2));
            }
            match read(text.as_bytes(), &TraceSettings::default()) {
                Ok(file) => prop_assert!((file.trace.mean_shards(&ShardLimits::default()) - 8.0).abs() < 1e-6),
                Err(error) => prop_assert!(matches!(error, TraceError::Misplaced { .. } | TraceError::NoLoad { .. }), "{}", error),
            }
        }
    }
}
