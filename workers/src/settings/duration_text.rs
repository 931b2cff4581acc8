//! Durations in settings: `"30m"`, `"1h 30m"`, `"250ms"`.

use std::time::Duration;

use jiff::fmt::friendly::{SpanParser, SpanPrinter};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn print(duration: Duration) -> String {
    PRINTER.unsigned_duration_to_string(&duration)
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&print(*duration))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    PARSER.parse_unsigned_duration(&text).map_err(|error| {
        D::Error::custom(format!("{text:?} is no duration such as \"30m\" or \"250ms\" ({error})"))
    })
}

static PRINTER: SpanPrinter = SpanPrinter::new();
static PARSER: SpanParser = SpanParser::new();
