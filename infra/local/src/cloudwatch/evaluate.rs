//! How CloudWatch decides on an alarm's state: M of the last N periods, and what a missing one means. Pure.
//!
//! ```text
//!   oldest                       newest         N = 3, looked at are N + 2
//!     0     -     X     -     X                 three are real: they decide, whatever missing means
//!     -     -     X     -     -                 fewer than N are real: missing ones are filled as the alarm says
//! ```
//!
//! Real points go before missing ones, also if they are older than N periods, so a metric that comes late is judged by what
//! has come. All cases of the table in the CloudWatch guide are tests.

use serde::Serialize;

/// The three states of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum State {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "ALARM")]
    Alarm,
    #[serde(rename = "INSUFFICIENT_DATA")]
    InsufficientData,
}

impl State {
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData].into_iter().find(|state| state.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

/// What a period without data means to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing; if all are missing, nobody knows.
    Unknown,
    /// The state stays as it is.
    Ignore,
    Breaching,
    NotBreaching,
}

impl Missing {
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Unknown, Self::Ignore, Self::Breaching, Self::NotBreaching]
            .into_iter()
            .find(|one| one.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "missing",
            Self::Ignore => "ignore",
            Self::Breaching => "breaching",
            Self::NotBreaching => "notBreaching",
        }
    }
}

/// On which side of the threshold a value breaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "GreaterThanThreshold" => Self::Greater,
            "GreaterThanOrEqualToThreshold" => Self::GreaterOrEqual,
            "LessThanThreshold" => Self::Less,
            "LessThanOrEqualToThreshold" => Self::LessOrEqual,
            _ => return None,
        })
    }

    /// As the reason of a state says it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Greater => "greater than the threshold",
            Self::GreaterOrEqual => "greater than or equal to the threshold",
            Self::Less => "less than the threshold",
            Self::LessOrEqual => "less than or equal to the threshold",
        }
    }
}

/// When an alarm goes off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    /// N: how many periods are judged.
    pub(super) periods: usize,
    /// M: how many of them must breach.
    pub(super) breaching_periods: usize,
    pub(super) comparison: Comparison,
    pub(super) threshold: f64,
    pub(super) missing: Missing,
}

/// What a rule makes of the points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `None`: the alarm stays as it is.
    pub(super) state: Option<State>,
    /// Places of the real points that decided, oldest first.
    pub(super) real: Vec<usize>,
    /// How many missing ones were filled.
    pub(super) filled: usize,
}

impl Rule {
    /// How many periods are looked at: more than are judged, in case some are missing.
    pub(super) const fn range_periods(&self) -> usize {
        self.periods + FURTHER_PERIODS
    }

    /// Judges the points of the last [`Rule::range_periods`], oldest first.
    pub(super) fn evaluate(&self, points: &[Option<f64>]) -> Verdict {
        let real = points.iter().enumerate().filter_map(|(place, point)| point.map(|value| (place, value)));
        let mut real = real.collect::<Vec<_>>();
        real.drain(..real.len().saturating_sub(self.periods));
        let filled = self.periods - real.len();
        let breaching = real.iter().filter(|(_, value)| self.is_breaching(*value)).count();
        let all_breach = breaching == real.len();
        let if_enough =
            |breaching| Some(if breaching >= self.breaching_periods { State::Alarm } else { State::Ok });
        let state = match self.missing {
            Missing::Breaching => if_enough(breaching + filled),
            Missing::NotBreaching => if_enough(breaching),
            Missing::Unknown | Missing::Ignore if filled == 0 || breaching >= self.breaching_periods => {
                if_enough(breaching)
            }
            Missing::Ignore => (!all_breach).then_some(State::Ok),
            Missing::Unknown => Some(match real.first() {
                None => State::InsufficientData,
                // A breach so old that M periods have come since, with nothing in them that says otherwise.
                Some((oldest, _)) if all_breach && points.len() - oldest >= self.breaching_periods => {
                    State::Alarm
                }
                Some(_) => State::Ok,
            }),
        };
        Verdict { state, real: real.into_iter().map(|(place, _)| place).collect(), filled }
    }

    pub(super) fn is_breaching(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Greater => value > self.threshold,
            Comparison::GreaterOrEqual => value >= self.threshold,
            Comparison::Less => value < self.threshold,
            Comparison::LessOrEqual => value <= self.threshold,
        }
    }
}

/// The guide's examples look at five periods to judge three; other numbers are not documented.
const FURTHER_PERIODS: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALARM: Option<State> = Some(State::Alarm);
    const OK: Option<State> = Some(State::Ok);
    const INSUFFICIENT: Option<State> = Some(State::InsufficientData);
    const STAYS: Option<State> = None;

    fn rule(breaching_periods: usize, periods: usize, missing: Missing) -> Rule {
        Rule { periods, breaching_periods, comparison: Comparison::Greater, threshold: 1.0, missing }
    }

    /// As the guide draws them: `0` within the threshold, `X` beyond it, `-` missing.
    fn points(drawn: &str) -> Vec<Option<f64>> {
        let point = |word| match word {
            "0" => Some(0.0),
            "X" => Some(2.0),
            "-" => None,
            other => panic!("{other} is no point"),
        };
        drawn.split(' ').map(point).collect()
    }

    /// The states if missing points are missing, ignored, breaching, not breaching.
    fn row(breaching_periods: usize, periods: usize, drawn: &str) -> [Option<State>; 4] {
        [Missing::Unknown, Missing::Ignore, Missing::Breaching, Missing::NotBreaching]
            .map(|missing| rule(breaching_periods, periods, missing).evaluate(&points(drawn)).state)
    }

    #[test]
    fn three_of_three_as_in_the_guide() {
        assert_eq!(row(3, 3, "0 - X - X"), [OK, OK, OK, OK]);
        assert_eq!(row(3, 3, "0 - - - -"), [OK, OK, OK, OK]);
        assert_eq!(row(3, 3, "- - - - -"), [INSUFFICIENT, STAYS, ALARM, OK]);
        assert_eq!(row(3, 3, "0 X X - X"), [ALARM, ALARM, ALARM, ALARM]);
        assert_eq!(row(3, 3, "- - X - -"), [ALARM, STAYS, ALARM, OK]);
    }

    #[test]
    fn two_of_three_as_in_the_guide() {
        assert_eq!(row(2, 3, "0 - X - X"), [ALARM, ALARM, ALARM, ALARM]);
        assert_eq!(row(2, 3, "0 0 X 0 X"), [ALARM, ALARM, ALARM, ALARM]);
        assert_eq!(row(2, 3, "0 - X - -"), [OK, OK, ALARM, OK]);
        assert_eq!(row(2, 3, "- - - - 0"), [OK, OK, ALARM, OK]);
        assert_eq!(row(2, 3, "- - - X -"), [ALARM, STAYS, ALARM, OK]);
    }

    #[test]
    fn a_breach_is_not_believed_before_it_is_as_old_as_the_alarm_wants() {
        for drawn in ["- - - - X", "- - - X -"] {
            assert_eq!(row(3, 3, drawn)[0], OK, "{drawn}");
        }
        assert_eq!(row(3, 3, "- - X - 0")[0], OK);
    }

    #[test]
    fn the_side_of_the_threshold_counts_and_equality_where_it_is_named() {
        for (comparison, expected) in [
            ("GreaterThanThreshold", [OK, OK, ALARM]),
            ("GreaterThanOrEqualToThreshold", [OK, ALARM, ALARM]),
            ("LessThanThreshold", [ALARM, OK, OK]),
            ("LessThanOrEqualToThreshold", [ALARM, ALARM, OK]),
        ] {
            let comparison = Comparison::parse(comparison).expect("known");
            let rule = Rule { comparison, ..rule(1, 1, Missing::Unknown) };
            assert_eq!(
                [0.5, 1.0, 1.5].map(|value| rule.evaluate(&[None, None, Some(value)]).state),
                expected
            );
        }
    }

    #[test]
    fn the_verdict_names_what_it_rests_on() {
        let verdict = rule(3, 3, Missing::Breaching).evaluate(&points("X - 0 - X"));
        assert_eq!(verdict, Verdict { state: OK, real: vec![0, 2, 4], filled: 0 });
        let verdict = rule(3, 3, Missing::Breaching).evaluate(&points("- - - - X"));
        assert_eq!(verdict, Verdict { state: ALARM, real: vec![4], filled: 2 });
    }

    proptest! {
        #[test]
        fn without_missing_points_only_the_last_n_count(
            values in proptest::collection::vec(0.0_f64..2.0, 7),
            periods in 1_usize..=5,
            breaching_periods in 1_usize..=5,
        ) {
            let breaching_periods = breaching_periods.min(periods);
            let points = values.iter().copied().map(Some).collect::<Vec<_>>();
            let range = &points[points.len() - periods - FURTHER_PERIODS..];
            let breaching = values[values.len() - periods..].iter().filter(|value| **value > 1.0).count();
            let expected = if breaching >= breaching_periods { ALARM } else { OK };
            for missing in [Missing::Unknown, Missing::Ignore, Missing::Breaching, Missing::NotBreaching] {
                prop_assert_eq!(rule(breaching_periods, periods, missing).evaluate(range).state, expected);
            }
        }
    }
}
