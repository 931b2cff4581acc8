//! Event time: epoch milliseconds between 1990 and 2100, read from the units that producers use.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;
use serde_json::Value;

use crate::settings::TimeUnit;

/// When an event happened, in epoch milliseconds.
///
/// Times outside 1990 to 2100 do not exist: in practice they are times in another unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

impl EventTime {
    /// The time at `millis` after the epoch, if it lies between 1990 and 2100.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        (MILLIS_MIN..MILLIS_END).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds after the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The time `duration` earlier, not before 1990.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)).max(MILLIS_MIN))
    }

    /// The time `duration` later, before 2100.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)).min(MILLIS_END - 1))
    }

    /// Milliseconds from `earlier` to this time, negative if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Reads the time of field `name` in `unit`.
    ///
    /// # Errors
    /// [`InvalidTime`] with the reason, and the likely unit where there is one.
    pub(crate) fn read(name: &str, value: &Value, unit: TimeUnit) -> Result<Self, InvalidTime> {
        match unit {
            TimeUnit::Seconds | TimeUnit::Millis | TimeUnit::Micros => number(name, value, unit),
            TimeUnit::Rfc3339 => text(name, value, |text| text.parse().ok(), "2015-05-17T10:05:03Z"),
            TimeUnit::CombinedLog => text(name, value, access_log_time, "17/May/2015:10:05:03 +0000"),
        }
    }

    /// The time in UTC.
    pub(crate) fn to_civil(self) -> DateTime {
        Offset::UTC.to_datetime(self.timestamp())
    }

    /// `2024-02-17 16:20:26`, as SQL engines print it: a fraction only if there is one.
    pub(crate) fn sql_text(self) -> String {
        let seconds = self.to_civil().strftime("%Y-%m-%d %H:%M:%S").to_string();
        match self.0.rem_euclid(1000) {
            0 => seconds,
            fraction => format!("{seconds}.{fraction:03}").trim_end_matches('0').to_owned(),
        }
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).expect("1990 to 2100 lies within the range of a timestamp")
    }
}

impl fmt::Display for EventTime {
    /// `2015-05-17T10:05:03.000Z`: of fixed width, so that texts sort like times.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.to_civil();
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, number) in [
            (4, i32::from(time.year())),
            (7, i32::from(time.month())),
            (10, i32::from(time.day())),
            (13, i32::from(time.hour())),
            (16, i32::from(time.minute())),
            (19, i32::from(time.second())),
            (23, i32::from(time.millisecond())),
        ] {
            put_digits(&mut text[..end], number);
        }
        formatter.write_str(std::str::from_utf8(&text).expect("digits are text"))
    }
}

/// A value that is no event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvalidTime {
    /// Not written as the unit demands.
    Unreadable(String),
    /// Outside 1990 to 2100; the text names the unit that would fit.
    WrongUnit(String),
}

fn number(name: &str, value: &Value, unit: TimeUnit) -> Result<EventTime, InvalidTime> {
    let unreadable = || {
        InvalidTime::Unreadable(format!(
            "field `{name}` = {} is no number of {}",
            shown(value),
            unit_name(unit)
        ))
    };
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return Err(unreadable()),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_decimal = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    if unsigned.is_empty() || !is_decimal(unsigned) || !is_decimal(fraction) || text.ends_with('.') {
        return Err(unreadable());
    }
    let whole: i64 = whole.parse().map_err(|_| unreadable())?;
    if let Some(time) = in_unit(whole, fraction, unit) {
        return Ok(time);
    }
    let likely = [TimeUnit::Seconds, TimeUnit::Millis, TimeUnit::Micros]
        .into_iter()
        .find(|other| in_unit(whole, fraction, *other).is_some())
        .map(unit_name)
        .or_else(|| EventTime::from_millis(whole / 1_000_000).map(|_| "nanoseconds"));
    let hint = likely.map_or_else(|| "it fits no unit".to_owned(), |unit| format!("it looks like {unit}"));
    Err(InvalidTime::WrongUnit(format!(
        "field `{name}` = {} read as {} lies outside 1990 to 2100; {hint}",
        shown(value),
        unit_name(unit)
    )))
}

fn in_unit(whole: i64, fraction: &str, unit: TimeUnit) -> Option<EventTime> {
    let millis = match unit {
        TimeUnit::Seconds => {
            let thousandths = fraction.bytes().map(|byte| i64::from(byte - b'0')).chain([0, 0, 0]).take(3);
            whole.checked_mul(1000)?.checked_add(thousandths.fold(0, |sum, digit| sum * 10 + digit))?
        }
        TimeUnit::Millis => whole,
        TimeUnit::Micros => whole.div_euclid(1000),
        TimeUnit::Rfc3339 | TimeUnit::CombinedLog => return None,
    };
    EventTime::from_millis(millis)
}

fn text(
    name: &str,
    value: &Value,
    parse: impl Fn(&str) -> Option<Timestamp>,
    example: &str,
) -> Result<EventTime, InvalidTime> {
    let time = value.as_str().and_then(parse).ok_or_else(|| {
        InvalidTime::Unreadable(format!("field `{name}` = {} is no time such as {example}", shown(value)))
    })?;
    EventTime::from_millis(time.as_millisecond()).ok_or_else(|| {
        InvalidTime::WrongUnit(format!("field `{name}` = {} lies outside 1990 to 2100", shown(value)))
    })
}

fn access_log_time(text: &str) -> Option<Timestamp> {
    fixed_access_log_time(text)
        .or_else(|| BrokenDownTime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?.to_timestamp().ok())
}

/// `17/May/2015:10:05:03 +0000`, as every server writes it; anything else is left to the general parser.
fn fixed_access_log_time(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 26] = text.as_bytes().try_into().ok()?;
    let separators = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if !separators.iter().all(|(at, byte)| bytes[*at] == *byte) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .try_fold(0_i16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    let two = |at: usize| number(at..at + 2).and_then(|number| i8::try_from(number).ok());
    let month = MONTHS.iter().position(|month| month.as_bytes() == &bytes[3..6])?;
    let (hour, minute, second) = (two(12)?, two(15)?, two(18)?);
    let time = DateTime::new(number(7..11)?, i8::try_from(month).ok()? + 1, two(0)?, hour, minute, second, 0)
        .ok()?;
    let (offset_hours, offset_minutes) = (two(22)?, two(24)?);
    if offset_hours >= 24 || offset_minutes >= 60 {
        return None;
    }
    let offset_seconds = (i32::from(offset_hours) * 60 + i32::from(offset_minutes)) * 60;
    let offset = match bytes[21] {
        b'+' => Offset::from_seconds(offset_seconds),
        b'-' => Offset::from_seconds(-offset_seconds),
        _ => return None,
    };
    offset.ok()?.to_timestamp(time).ok()
}

/// Writes `number` right-aligned over the end of `text`, no further than its first digit.
fn put_digits(text: &mut [u8], mut number: i32) {
    for place in text.iter_mut().rev() {
        if number == 0 {
            return;
        }
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds",
        TimeUnit::Millis => "milliseconds",
        TimeUnit::Micros => "microseconds",
        TimeUnit::Rfc3339 => "RFC 3339",
        TimeUnit::CombinedLog => "access log time",
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN_CHARS_MAX).collect()
}

fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// 1990-01-01T00:00:00Z.
const MILLIS_MIN: i64 = 631_152_000_000;
/// 2100-01-01T00:00:00Z.
const MILLIS_END: i64 = 4_102_444_800_000;
const SHOWN_CHARS_MAX: usize = 80;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: Value, unit: TimeUnit) -> Result<i64, InvalidTime> {
        EventTime::read("t", &value, unit).map(EventTime::millis)
    }

    #[test]
    fn every_unit_is_read() {
        let millis = 1_431_857_103_000;
        assert_eq!(read(json!(1_431_857_103), TimeUnit::Seconds), Ok(millis));
        assert_eq!(read(json!("1431857103.25"), TimeUnit::Seconds), Ok(millis + 250));
        assert_eq!(read(json!("1431857103000"), TimeUnit::Millis), Ok(millis));
        assert_eq!(read(json!(1_431_857_103_000_999_i64), TimeUnit::Micros), Ok(millis));
        assert_eq!(read(json!("2015-05-17T12:05:03+02:00"), TimeUnit::Rfc3339), Ok(millis));
        assert_eq!(read(json!("17/May/2015:10:05:03 +0000"), TimeUnit::CombinedLog), Ok(millis));
    }

    #[test]
    fn a_time_in_another_unit_is_recognized() {
        for (value, unit, likely) in [
            (json!(1_431_857_103), TimeUnit::Millis, "it looks like seconds"),
            (json!(1_431_857_103_000_i64), TimeUnit::Seconds, "it looks like milliseconds"),
            (json!("1431857103000000"), TimeUnit::Millis, "it looks like microseconds"),
            (json!(1_431_857_103_000_000_000_i64), TimeUnit::Millis, "it looks like nanoseconds"),
            (json!(5), TimeUnit::Millis, "it fits no unit"),
            (json!("1815-05-17T10:05:03Z"), TimeUnit::Rfc3339, "outside 1990 to 2100"),
        ] {
            match read(value.clone(), unit) {
                Err(InvalidTime::WrongUnit(text)) => assert!(text.contains(likely), "{text}"),
                other => panic!("{value} gave {other:?}"),
            }
        }
    }

    #[test]
    fn other_values_are_unreadable() {
        for value in [
            json!(null),
            json!(true),
            json!(""),
            json!("soon"),
            json!("1e12"),
            json!([]),
            json!("12."),
            json!("-"),
        ] {
            assert!(
                matches!(read(value.clone(), TimeUnit::Millis), Err(InvalidTime::Unreadable(_))),
                "{value}"
            );
        }
        assert!(read(json!("2015-05-17 10:05:03"), TimeUnit::Rfc3339).is_err());
        assert!(read(json!("31/Feb/2015:10:05:03 +0000"), TimeUnit::CombinedLog).is_err());
    }

    #[test]
    fn texts_have_the_documented_form() {
        let time = |millis| EventTime::from_millis(millis).expect("in range");
        assert_eq!(time(1_708_186_826_000).to_string(), "2024-02-17T16:20:26.000Z");
        assert_eq!(time(1_708_186_826_000).sql_text(), "2024-02-17 16:20:26");
        assert_eq!(time(1_708_186_826_250).sql_text(), "2024-02-17 16:20:26.25");
    }

    proptest! {
        #[test]
        fn the_fixed_forms_are_those_of_the_library(millis in MILLIS_MIN..MILLIS_END, offset_minutes in -1439_i32..1440) {
            let time = EventTime::from_millis(millis).expect("in range");
            prop_assert_eq!(time.to_string(), format!("{:.3}", time.timestamp()));
            let offset = Offset::from_seconds(offset_minutes * 60).expect("less than a day");
            let local = offset.to_datetime(time.timestamp());
            let sign = if offset_minutes < 0 { '-' } else { '+' };
            let minutes = offset_minutes.abs();
            let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
            let text = format!("{} {zone}", local.strftime("%d/%b/%Y:%H:%M:%S"));
            let read = fixed_access_log_time(&text);
            prop_assert_eq!(read.map(Timestamp::as_second), Some(millis.div_euclid(1000)));
        }

        #[test]
        fn the_fixed_form_reads_nothing_that_the_library_reads_otherwise(
            text in "[0-9]{2}/(Jan|Feb|may|Dec)/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-6][0-9] [+-][0-9]{4}",
        ) {
            let general = BrokenDownTime::parse("%d/%b/%Y:%H:%M:%S %z", &text).and_then(|time| time.to_timestamp());
            if let Some(fixed) = fixed_access_log_time(&text) {
                prop_assert_eq!(Some(fixed), general.ok());
            }
        }
    }
}
