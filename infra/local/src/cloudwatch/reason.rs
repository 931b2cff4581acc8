//! Why an alarm is in its state, in CloudWatch's words and in its JSON.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use kinesis_model::EpochMillis;
use serde_json::json;

use super::evaluate::{Missing, Rule, State, Verdict};

/// The sentence: which points were beyond the threshold, or that there are none.
pub(super) fn text(
    rule: &Rule,
    verdict: &Verdict,
    points: &[(EpochMillis, Option<f64>)],
    before: State,
) -> String {
    let Some(state) = verdict.state.filter(|state| *state != State::InsufficientData) else {
        let missing = points.len();
        return format!("Insufficient Data: {missing} datapoint{} unknown.", were(missing));
    };
    let is_alarm = state == State::Alarm;
    let mut text = "Threshold Crossed: ".to_owned();
    if verdict.real.is_empty() {
        let periods = rule.periods;
        let plural = if periods == 1 { "" } else { "s" };
        write!(text, "no datapoints were received for {periods} period{plural}").expect("a String");
    } else {
        let real = verdict.real.iter().rev().filter_map(|place| {
            let (start, value) = points[*place];
            let value = value.filter(|value| rule.is_breaching(*value) == is_alarm)?;
            Some(format!("{value:?} ({})", written(start, "%d/%m/%y %H:%M:%S")))
        });
        let real = real.collect::<Vec<_>>();
        let not = if is_alarm { "" } else { " not" };
        let Rule { periods, comparison, threshold, .. } = rule;
        write!(
            text,
            "{} out of the last {periods} datapoints [{}]{}{not}",
            real.len(),
            real.join(", "),
            was(real.len())
        )
        .expect("a String");
        write!(text, " {} ({threshold:?})", comparison.words()).expect("a String");
    }
    let is_filled = verdict.filled > 0 && matches!(rule.missing, Missing::Breaching | Missing::NotBreaching);
    if is_filled {
        let how = if rule.missing == Missing::Breaching { "Breaching" } else { "NonBreaching" };
        let plural = if verdict.filled == 1 { "" } else { "s" };
        let filled = verdict.filled;
        write!(text, " and {filled} missing datapoint{plural}{} treated as [{how}]", was(filled))
            .expect("a String");
    }
    let Rule { periods, breaching_periods, .. } = rule;
    let minimum = if is_alarm { *breaching_periods } else { periods - breaching_periods + 1 };
    let plural = if minimum == 1 { "" } else { "s" };
    write!(
        text,
        " (minimum {minimum} datapoint{plural} for {} -> {} transition).",
        before.name(),
        state.name()
    )
    .expect("a String");
    text
}

/// The same as JSON, which a state carries beside the sentence.
pub(super) fn data(
    rule: &Rule,
    points: &[(EpochMillis, Option<f64>)],
    period: Duration,
    statistic: Option<&str>,
    now: EpochMillis,
) -> String {
    let evaluated = points.iter().rev().map(|(start, value)| match value {
        Some(value) => json!({ "timestamp": stamp(*start), "value": value }),
        None => json!({ "timestamp": stamp(*start) }),
    });
    let mut data = json!({
        "version": "1.0",
        "queryDate": stamp(now),
        "period": period.as_secs(),
        "recentDatapoints": points.iter().filter_map(|(_, value)| *value).collect::<Vec<_>>(),
        "threshold": rule.threshold,
        "evaluatedDatapoints": evaluated.collect::<Vec<_>>(),
    });
    if let Some((start, _)) = points.iter().find(|(_, value)| value.is_some()) {
        data["startDate"] = stamp(*start).into();
    }
    if let Some(statistic) = statistic {
        data["statistic"] = statistic.into();
    }
    data.to_string()
}

/// A time as alarms write it: `2019-10-02T17:04:40.985+0000`.
pub(super) fn stamp(time: EpochMillis) -> String {
    written(time, "%Y-%m-%dT%H:%M:%S%.3f+0000")
}

/// A time as events write it: `2019-10-02T17:04:40Z`.
pub(super) fn whole_second(time: EpochMillis) -> String {
    written(time, "%Y-%m-%dT%H:%M:%SZ")
}

fn written(time: EpochMillis, format: &str) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).strftime(format).to_string()
}

const fn was(count: usize) -> &'static str {
    if count == 1 { " was" } else { " were" }
}

const fn were(count: usize) -> &'static str {
    if count == 1 { " was" } else { "s were" }
}

#[cfg(test)]
mod tests {
    use super::super::evaluate::Comparison;
    use super::*;

    const NOON: u64 = 1_570_035_540_000;

    fn sentence(missing: Missing, values: &[Option<f64>], before: State) -> String {
        let rule = Rule {
            periods: 3,
            breaching_periods: 2,
            comparison: Comparison::Greater,
            threshold: 50.0,
            missing,
        };
        let starts = (0..).map(|minute| EpochMillis(NOON + minute * 60_000));
        let points = starts.zip(values.iter().copied()).collect::<Vec<_>>();
        text(&rule, &rule.evaluate(values), &points, before)
    }

    #[test]
    fn sentences_read_as_those_of_cloudwatch() {
        assert_eq!(
            sentence(Missing::Unknown, &[None, None, Some(99.5), Some(60.0), Some(7.0)], State::Ok),
            "Threshold Crossed: 2 out of the last 3 datapoints [60.0 (02/10/19 17:02:00), 99.5 (02/10/19 17:01:00)] \
             were greater than the threshold (50.0) (minimum 2 datapoints for OK -> ALARM transition)."
        );
        assert_eq!(
            sentence(Missing::Breaching, &[None, None, None, None, Some(99.5)], State::Ok),
            "Threshold Crossed: 1 out of the last 3 datapoints [99.5 (02/10/19 17:03:00)] was greater than the threshold \
             (50.0) and 2 missing datapoints were treated as [Breaching] (minimum 2 datapoints for OK -> ALARM \
             transition)."
        );
        assert_eq!(
            sentence(Missing::Unknown, &[Some(1.0), Some(99.5), Some(2.0)], State::Alarm),
            "Threshold Crossed: 2 out of the last 3 datapoints [2.0 (02/10/19 17:01:00), 1.0 (02/10/19 16:59:00)] \
             were not greater than the threshold (50.0) (minimum 2 datapoints for ALARM -> OK transition)."
        );
        assert_eq!(
            sentence(Missing::NotBreaching, &[None; 5], State::Alarm),
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as \
             [NonBreaching] (minimum 2 datapoints for ALARM -> OK transition)."
        );
        assert_eq!(
            sentence(Missing::Unknown, &[None; 5], State::Alarm),
            "Insufficient Data: 5 datapoints were unknown."
        );
    }

    #[test]
    fn times_are_written_in_both_forms() {
        assert_eq!(stamp(EpochMillis(NOON + 985)), "2019-10-02T16:59:00.985+0000");
        assert_eq!(whole_second(EpochMillis(NOON + 985)), "2019-10-02T16:59:00Z");
    }

    #[test]
    fn the_json_has_the_points_and_the_missing_ones() {
        let rule = Rule {
            periods: 1,
            breaching_periods: 1,
            comparison: Comparison::Less,
            threshold: 1.0,
            missing: Missing::Unknown,
        };
        let points = [(EpochMillis(NOON), None), (EpochMillis(NOON + 60_000), Some(0.5))];
        let text = data(&rule, &points, Duration::from_secs(60), Some("Sum"), EpochMillis(NOON + 120_000));
        let data: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(data["recentDatapoints"], json!([0.5]));
        assert_eq!(data["startDate"], "2019-10-02T17:00:00.000+0000");
        assert_eq!(data["statistic"], "Sum");
        let evaluated = json!([
            {"timestamp": "2019-10-02T17:00:00.000+0000", "value": 0.5},
            {"timestamp": "2019-10-02T16:59:00.000+0000"},
        ]);
        assert_eq!(data["evaluatedDatapoints"], evaluated);
    }
}
