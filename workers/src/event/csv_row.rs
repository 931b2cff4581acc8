//! One row of comma-separated values, as RFC 4180 has it; a quote that is never closed is refused, for it would swallow
//! whatever its writer meant to follow.

use csv_core::{ReadRecordResult, ReaderBuilder};
use serde_json::Value;

use super::Fields;

/// The values of a row under the names of `columns`, all as texts.
///
/// # Errors
/// If the row is malformed or has more or fewer values than columns.
pub(crate) fn parse_csv_row(row: &str, columns: &[String], delimiter: char) -> Result<Fields, String> {
    let delimiter = u8::try_from(delimiter).map_err(|_| format!("delimiter {delimiter:?} is not ASCII"))?;
    let row = row.trim_matches(['\r', '\n']);
    if row.is_empty() {
        return Err("the row is empty".to_owned());
    }
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    // A closing line feed is the longest that the values can become beyond the row: within an open quote.
    let mut text = vec![0; row.len() + 1];
    let mut ends = vec![0; columns.len()];
    let (result, read, written, ended) = reader.read_record(row.as_bytes(), &mut text, &mut ends);
    let is_whole = matches!(result, ReadRecordResult::InputEmpty);
    let (result, more) = match is_whole {
        true => {
            let (result, _, _, more) = reader.read_record(b"\n", &mut text[written..], &mut ends[ended..]);
            (result, more)
        }
        false => (result, 0),
    };
    let found = ended + more;
    match result {
        ReadRecordResult::Record if !is_whole => {
            return Err(format!("the record holds more than one row: {} bytes follow", row.len() - read));
        }
        ReadRecordResult::Record if found == columns.len() => {}
        ReadRecordResult::Record => {
            return Err(format!("the row has {found} values, the settings name {} columns", columns.len()));
        }
        ReadRecordResult::OutputEndsFull => {
            return Err(format!(
                "the row has more values than the {} columns of the settings",
                columns.len()
            ));
        }
        ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull | ReadRecordResult::End => {
            return Err(format!("the quote of value {} is never closed", found + 1));
        }
    }
    let mut fields = Vec::with_capacity(columns.len());
    let mut start = 0;
    for (column, end) in columns.iter().zip(ends) {
        let value = std::str::from_utf8(&text[start..end]).map_err(|error| error.to_string())?;
        fields.push((column.clone(), Value::from(value)));
        start = end;
    }
    Ok(fields.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(row: &str) -> Result<(String, String), String> {
        let fields = parse_csv_row(row, &["a".to_owned(), "b".to_owned()], ',')?;
        let text = |name: &str| fields[name].as_str().expect("a text").to_owned();
        Ok((text("a"), text("b")))
    }

    #[test]
    fn values_are_named_by_their_columns() {
        for (row, a, b) in [
            ("1,\"x, y\"", "1", "x, y"),
            ("\"say \"\"ü\"\"\",\r\n", "say \"ü\"", ""),
            (",\"two\nlines\"", "", "two\nlines"),
            ("\"\",a\"b", "", "a\"b"),
        ] {
            assert_eq!(parsed(row), Ok((a.to_owned(), b.to_owned())), "{row:?}");
        }
    }

    #[test]
    fn another_number_of_values_or_rows_is_refused() {
        for (row, reason) in [
            ("", "the row is empty"),
            ("\n", "the row is empty"),
            ("1", "has 1 values"),
            ("1,2,3", "more values than the 2 columns"),
            ("1,2\n3,4", "more than one row: 3 bytes follow"),
        ] {
            let error = parsed(row).expect_err("must be refused");
            assert!(error.contains(reason), "{row:?}: {error}");
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_is_refused() {
        for row in ["1,\"2", "1,\"", "1,\"2\n", "1,\"2\"\"", "1,\"2,3"] {
            assert_eq!(parsed(row), Err("the quote of value 2 is never closed".to_owned()), "{row:?}");
        }
    }
}
