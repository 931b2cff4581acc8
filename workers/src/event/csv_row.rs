//! One row of comma-separated values.

use serde_json::Value;

use super::Fields;

/// The values of a row under the names of `columns`, all as texts.
///
/// # Errors
/// If the row is malformed or has more or fewer values than columns.
pub(crate) fn parse_csv_row(row: &str, columns: &[String], delimiter: char) -> Result<Fields, String> {
    let delimiter = u8::try_from(delimiter).map_err(|_| format!("delimiter {delimiter:?} is not ASCII"))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(row.as_bytes());
    let mut records = reader.records();
    let record = match records.next() {
        Some(record) => record.map_err(|error| error.to_string())?,
        None => return Err("the row is empty".to_owned()),
    };
    if records.next().is_some() {
        return Err("the record holds more than one row".to_owned());
    }
    if record.len() != columns.len() {
        return Err(format!(
            "the row has {} values, the settings name {} columns",
            record.len(),
            columns.len()
        ));
    }
    Ok(columns.iter().cloned().zip(record.iter().map(Value::from)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_named_by_their_columns() {
        let columns = ["a".to_owned(), "b".to_owned()];
        let fields = parse_csv_row("1,\"x, y\"", &columns, ',').expect("parses");
        assert_eq!((&fields["a"], &fields["b"]), (&Value::from("1"), &Value::from("x, y")));
        for row in ["", "1", "1,2,3", "1,2\n3,4"] {
            assert!(parse_csv_row(row, &columns, ',').is_err(), "{row:?}");
        }
    }
}
