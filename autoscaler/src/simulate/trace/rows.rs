//! The rows of a file, one at a time: compressed or not, with lines of bounded length.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use thiserror::Error;

use super::TraceError;
use super::resample::Misplaced;
use crate::EpochMillis;

/// An open file of traffic.
pub(super) struct Rows {
    path: PathBuf,
    reader: csv::Reader<ShortLines<Box<dyn Read>>>,
    record: StringRecord,
    columns: Columns,
    time: Column,
    values: Vec<Column>,
    without_value: u64,
}

/// What a file's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// One, of any unit.
    Value,
    /// Bytes, then records.
    BytesRecords,
}

/// One row that has values.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) at: EpochMillis,
    /// As [`Columns`] says; 0 where there is but one.
    pub(super) values: [f64; 2],
}

struct Column {
    name: &'static str,
    place: usize,
}

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, TraceError> {
        let unreadable = |source| TraceError::Read { path: path.into(), source };
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        let is_compressed = file.fill_buf().map_err(unreadable)?.starts_with(&GZIP_MAGIC);
        let plain: Box<dyn Read> =
            if is_compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let lines = ShortLines { inner: plain, line: 1, bytes: 0 };
        // Quotes may not span lines, or one that is never closed would hold the rest of the file.
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).quoting(false).trim(csv::Trim::All).from_reader(lines);
        let header = reader.headers().map_err(|error| unusable(path, error))?.clone();
        let (columns, time, values) = find_columns(&header).ok_or_else(|| TraceError::Header {
            path: path.into(),
            found: excerpt(&header.iter().collect::<Vec<_>>().join(", ")),
        })?;
        Ok(Self {
            path: path.into(),
            reader,
            record: StringRecord::new(),
            columns,
            time,
            values,
            without_value: 0,
        })
    }

    pub(super) const fn columns(&self) -> Columns {
        self.columns
    }

    /// Rows so far whose values were left empty.
    pub(super) const fn without_value(&self) -> u64 {
        self.without_value
    }

    /// The next row that has values.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, TraceError> {
        while self.reader.read_record(&mut self.record).map_err(|error| unusable(&self.path, error))? {
            let line = self.record.position().map_or(0, csv::Position::line);
            let text = self.field(&self.time, line)?;
            let at = moment(self.time.name, text)
                .ok_or_else(|| self.refused(&self.time, line, text, TIME_REMEDY))?;
            let mut values = [0.0; 2];
            let mut is_known = true;
            for (value, column) in values.iter_mut().zip(&self.values) {
                let text = self.field(column, line)?;
                is_known &= !text.is_empty();
                if is_known {
                    let number = text.parse().ok().filter(|number| (0.0..=VALUE_MAX).contains(number));
                    *value = number.ok_or_else(|| self.refused(column, line, text, VALUE_REMEDY))?;
                }
            }
            if is_known {
                return Ok(Some(Row { line, at, values }));
            }
            self.without_value += 1;
        }
        Ok(None)
    }

    /// The error for the row that was read last.
    pub(super) fn misplaced(&self, row: &Row, misplaced: Misplaced) -> TraceError {
        TraceError::Misplaced {
            path: self.path.clone(),
            line: row.line,
            field: self.time.name.to_owned(),
            value: excerpt(self.record.get(self.time.place).unwrap_or_default()),
            misplaced: match misplaced {
                Misplaced::NotLater => {
                    "is not later than that of the row before: sort the rows and remove repeated ones"
                }
                Misplaced::TooLate => "is more than 366 days after the first row: cut the file into parts",
            },
        }
    }

    fn field(&self, column: &Column, line: u64) -> Result<&str, TraceError> {
        let field = self.record.get(column.place).map(|text| text.trim_matches('"'));
        field.ok_or_else(|| TraceError::Missing {
            path: self.path.clone(),
            line,
            field: column.name.to_owned(),
        })
    }

    fn refused(&self, column: &Column, line: u64, value: &str, remedy: &'static str) -> TraceError {
        TraceError::Field {
            path: self.path.clone(),
            line,
            field: column.name.to_owned(),
            value: excerpt(value),
            remedy,
        }
    }
}

fn find_columns(header: &StringRecord) -> Option<(Columns, Column, Vec<Column>)> {
    let find = |name: &'static str| {
        let place = header.iter().position(|field| field.trim_matches('"').eq_ignore_ascii_case(name))?;
        Some(Column { name, place })
    };
    let time = find("timestamp").or_else(|| find("minute"))?;
    if let (Some(bytes), Some(records)) = (find("bytes"), find("records")) {
        return Some((Columns::BytesRecords, time, vec![bytes, records]));
    }
    Some((Columns::Value, time, vec![find("value")?]))
}

/// A time with or without offset (without, it is UTC), or a whole number since 1970: of minutes in a column of minutes if
/// that is before 2160, of seconds before the year 5138, of milliseconds from there on up to the year 9999.
fn moment(column: &str, text: &str) -> Option<EpochMillis> {
    if let Ok(number) = text.parse::<u64>() {
        let millis = match number {
            ..MINUTES_END if column == "minute" => number * 60_000,
            ..SECONDS_END => number * 1_000,
            SECONDS_END.. => number,
        };
        return (millis <= MILLIS_MAX).then_some(EpochMillis(millis));
    }
    let with_offset = text.parse::<jiff::Timestamp>();
    let timestamp = with_offset.or_else(|_| {
        text.parse::<jiff::civil::DateTime>()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|zoned| zoned.timestamp())
    });
    u64::try_from(timestamp.ok()?.as_millisecond()).ok().map(EpochMillis)
}

fn unusable(path: &Path, error: csv::Error) -> TraceError {
    let line = error.position().map_or(0, csv::Position::line);
    if let csv::ErrorKind::Utf8 { err, .. } = error.kind() {
        return TraceError::Field {
            path: path.into(),
            line,
            field: format!("field {}", err.field() + 1),
            value: String::new(),
            remedy: "give text in UTF-8",
        };
    }
    if let csv::ErrorKind::Io(source) = error.kind()
        && let Some(long) = source.get_ref().and_then(|inner| inner.downcast_ref::<LineTooLong>())
    {
        return TraceError::Line { path: path.into(), line: long.line, bytes_max: LINE_BYTES_MAX };
    }
    TraceError::Read { path: path.into(), source: io::Error::from(error) }
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Refuses lines that are too long to be rows before they are held.
struct ShortLines<R> {
    inner: R,
    line: u64,
    bytes: usize,
}

#[derive(Debug, Error)]
#[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
struct LineTooLong {
    line: u64,
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for &byte in &buffer[..count] {
            if byte == b'\n' {
                self.line += 1;
                self.bytes = 0;
            } else {
                self.bytes += 1;
            }
            if self.bytes > LINE_BYTES_MAX {
                return Err(io::Error::other(LineTooLong { line: self.line }));
            }
        }
        Ok(count)
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A row has two or three numbers.
const LINE_BYTES_MAX: usize = 4_096;
const MINUTES_END: u64 = 100_000_000;
const SECONDS_END: u64 = 100_000_000_000;
/// The end of the year 9999, beyond which no other spelling of a time goes.
const MILLIS_MAX: u64 = 253_402_300_799_999;
/// Far above what a stream takes in a year, and far below where sums lose their meaning.
const VALUE_MAX: f64 = 1e18;
const TIME_REMEDY: &str = "give a time such as 2015-02-26 21:42:53 (UTC) or seconds since 1970";
const VALUE_REMEDY: &str = "give a number from 0 to 1e18, or nothing where it is unknown";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_spellings_are_one_moment() {
        let expected = Some(EpochMillis(1_424_986_973_000));
        for text in [
            "2015-02-26 21:42:53",
            "2015-02-26T21:42:53Z",
            "2015-02-26T22:42:53+01:00",
            "1424986973",
            "1424986973000",
        ] {
            assert_eq!(moment("timestamp", text), expected, "{text}");
        }
        assert_eq!(moment("minute", "23749782"), Some(EpochMillis(1_424_986_920_000)));
        for text in ["", "yesterday", "1969-12-31 23:59:59", "-5", "253402300800000", "99999999999999999999"]
        {
            assert_eq!(moment("timestamp", text), None, "{text}");
        }
    }

    #[test]
    fn columns_are_found_by_name() {
        let find = |header: &[&str]| {
            find_columns(&StringRecord::from(header)).map(|(columns, time, _)| (columns, time.name))
        };
        assert_eq!(find(&["value", "Timestamp"]), Some((Columns::Value, "timestamp")));
        assert_eq!(find(&["minute", "bytes", "records"]), Some((Columns::BytesRecords, "minute")));
        assert_eq!(find(&["minute", "bytes"]), None);
        assert_eq!(find(&["value"]), None);
    }
}
