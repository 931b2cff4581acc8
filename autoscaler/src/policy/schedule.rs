//! Times of the week at which the policy is another: floors before known peaks, and hours in which nothing may change.

use std::fmt;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::EpochMillis;

/// A part of each week, by the clock of a place.
///
/// A span whose end is not after its start goes on past midnight and belongs to the day on which it begins. Where clocks are
/// put forward or back, the span follows the clock on the wall.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WeeklySpan {
    /// The days on which it begins, `mon` to `sun`. Default all.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
    /// Its first minute, as `08:00`.
    pub from: Time,
    /// The minute at which it is over.
    pub until: Time,
    /// The place's time zone in the IANA database. Default `UTC`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

impl WeeklySpan {
    /// Whether `now` lies in the span. Never in a zone that does not exist; [`Policy::validate`](crate::Policy::validate) finds that first.
    #[must_use]
    pub fn contains(&self, now: EpochMillis) -> bool {
        let Some(local) = self.local(now) else { return false };
        let time = local.time();
        let is_on = |day: Weekday| self.days.iter().any(|listed| listed.weekday() == day);
        let today = local.weekday();
        if self.from < self.until {
            return is_on(today) && self.from <= time && time < self.until;
        }
        (is_on(today) && self.from <= time) || (is_on(today.previous()) && time < self.until)
    }

    /// What is wrong with the span, if anything: the field, its value and what it may be.
    pub(super) fn problem(&self, fields: SpanFields) -> Option<(&'static str, String, &'static str)> {
        if self.days.is_empty() {
            return Some((
                fields.days,
                "[]".to_owned(),
                "name at least one day, or leave the field out for all",
            ));
        }
        if TimeZone::get(&self.time_zone).is_err() {
            let remedy = "give a name of the IANA database, as Europe/Berlin";
            return Some((fields.time_zone, format!("{:?}", self.time_zone), remedy));
        }
        None
    }

    fn local(&self, now: EpochMillis) -> Option<Zoned> {
        let timestamp = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
        Some(timestamp.to_zoned(TimeZone::get(&self.time_zone).ok()?))
    }
}

impl fmt::Display for WeeklySpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {} {}", self.from, self.until, self.time_zone)
    }
}

/// What the fields of a span are called where it stands.
#[derive(Clone, Copy)]
pub(super) struct SpanFields {
    pub(super) days: &'static str,
    pub(super) time_zone: &'static str,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the days of the week")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    const fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

fn every_day() -> Vec<Day> {
    vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun]
}

fn utc() -> String {
    "UTC".to_owned()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn span(days: &[Day], from: i8, until: i8, zone: &str) -> WeeklySpan {
        WeeklySpan {
            days: days.to_vec(),
            from: Time::constant(from, 0, 0, 0),
            until: Time::constant(until, 0, 0, 0),
            time_zone: zone.to_owned(),
        }
    }

    /// 2026-11-20 is a Friday.
    fn utc_time(day: i8, hour: i8) -> EpochMillis {
        let zoned = date(2026, 11, day).at(hour, 0, 0, 0).to_zoned(TimeZone::UTC).expect("exists");
        EpochMillis(u64::try_from(zoned.timestamp().as_millisecond()).expect("after 1970"))
    }

    #[test]
    fn a_span_past_midnight_belongs_to_its_first_day() {
        let friday_night = span(&[Day::Fri], 22, 2, "UTC");
        assert!(friday_night.contains(utc_time(20, 22)));
        assert!(friday_night.contains(utc_time(21, 1)));
        assert!(!friday_night.contains(utc_time(21, 2)));
        assert!(!friday_night.contains(utc_time(20, 1)));
    }

    #[test]
    fn the_clock_is_that_of_the_place() {
        let office = span(&every_day(), 8, 18, "America/New_York");
        assert!(office.contains(utc_time(20, 13)));
        assert!(!office.contains(utc_time(20, 12)));
        assert!(office.contains(utc_time(20, 22)));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let problem = |span: WeeklySpan| span.problem(SpanFields { days: "days", time_zone: "time_zone" });
        assert_eq!(problem(span(&[Day::Mon], 1, 2, "Mars/Base")).expect("refused").0, "time_zone");
        assert_eq!(problem(span(&[], 1, 2, "UTC")).expect("refused").0, "days");
        assert!(!span(&[Day::Mon], 1, 2, "Mars/Base").contains(utc_time(20, 1)));
    }
}
