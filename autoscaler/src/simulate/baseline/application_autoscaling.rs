//! aws-samples/aws-application-auto-scaling-kinesis: one shard up or down by Application Auto Scaling.
//!
//! Source: `index.py` and `cloudformation/custom-application-autoscaling-kinesis.yaml` of that repository at commit 9fe4d11
//! (2020-04-22).
//!
//! ```text
//!   out: records of 1 minute  > 0.8 × 60,000 × count, 1 of 1   ─▶ +1   ┐ no second one within ten minutes,
//!   in:  records of 5 minutes < 0.8 × 60,000 × count, 3 of 3   ─▶ −1   ┘ except out after in
//! ```
//!
//! Both thresholds have the same number, but one is compared with five minutes: scale-in begins below 16 %. Until the first
//! change they are the template's 1,000 and 700 records. Bytes are not looked at.
//!
//! Modelled: step scaling with its cool-down; actions that repeat every minute while an alarm lasts, as Application Auto
//! Scaling's do; the wanted count kept in the parameter store and asked for again at each read of the endpoint, which a
//! repeated action makes; thresholds rewritten with each accepted call.
//! Not modelled: the greatest capacity of 8 (a parameter of the stack, lifted, or nothing but the cap would be seen), and the
//! parameter's pattern of one digit.

use std::time::Duration;

use super::math_alarm::{AlarmMetric, AlarmRule, AlarmState, Comparison, MathAlarm, MissingPoint, REREAD};
use crate::simulate::{Cloud, Scaler};
use crate::{EpochMillis, StreamState};

/// Two alarms, two step policies, and the endpoint that they scale.
#[derive(Debug)]
pub(super) struct ApplicationAutoscaling {
    out: MathAlarm,
    r#in: MathAlarm,
    /// What the parameter store holds.
    wanted: Option<u32>,
    /// When the last activity began, and whether it added a shard.
    last: Option<(EpochMillis, bool)>,
}

impl ApplicationAutoscaling {
    pub(super) fn new() -> Self {
        let rule = AlarmRule {
            metric: AlarmMetric::Records,
            period: 1,
            datapoints: 1,
            datapoints_to_alarm: 1,
            comparison: Comparison::Above,
            missing: MissingPoint::Skipped,
            iterator_age_max: None,
        };
        let low = AlarmRule {
            period: 5,
            datapoints: 3,
            datapoints_to_alarm: 3,
            comparison: Comparison::Below,
            ..rule
        };
        Self {
            out: MathAlarm::new(rule, 1_000.0 / SHARD_MINUTE_RECORDS),
            r#in: MathAlarm::new(low, 700.0 / (5.0 * SHARD_MINUTE_RECORDS)),
            wanted: None,
            last: None,
        }
    }

    /// Reads the endpoint, which asks again for a count that was not reached.
    fn read_endpoint(&mut self, cloud: &mut Cloud) {
        if let Some(wanted) = self.wanted
            && cloud.state() == StreamState::Active
            && wanted != cloud.layout().count()
        {
            self.ask(wanted, cloud);
        }
    }

    fn ask(&mut self, count: u32, cloud: &mut Cloud) {
        if cloud.update_shard_count(count).is_ok() {
            let limit = THRESHOLD * f64::from(count);
            self.out.set_limit(limit);
            self.r#in.set_limit(limit / 5.0);
        }
    }

    fn is_cooling(&self, is_out: bool, now: EpochMillis) -> bool {
        self.last.is_some_and(|(at, was_out)| now < at.after(COOL_DOWN) && (was_out || !is_out))
    }
}

impl Scaler for ApplicationAutoscaling {
    fn name(&self) -> &str {
        "application-autoscaling ±1"
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        let minutes = cloud.minutes(REREAD);
        self.out.read(minutes, &[]);
        self.r#in.read(minutes, &[]);
        self.out.evaluate();
        self.r#in.evaluate();
        let is_out = self.out.state() == AlarmState::Alarm;
        if !is_out && self.r#in.state() != AlarmState::Alarm {
            return;
        }
        self.read_endpoint(cloud);
        let (now, count) = (cloud.now(), cloud.layout().count());
        let wanted = if is_out { count + 1 } else { count.saturating_sub(1).max(SHARDS_MIN) };
        if cloud.state() == StreamState::Active && wanted != count && !self.is_cooling(is_out, now) {
            self.wanted = Some(wanted);
            self.last = Some((now, is_out));
            self.ask(wanted, cloud);
        }
    }
}

const THRESHOLD: f64 = 0.8;
const SHARD_MINUTE_RECORDS: f64 = 60_000.0;
const COOL_DOWN: Duration = Duration::from_secs(600);
const SHARDS_MIN: u32 = 1;

#[cfg(test)]
mod tests {
    use super::super::replay::{SIGHT_MINUTES, calls, replay, step, trace};
    use super::*;

    #[test]
    fn the_first_thresholds_are_a_thousand_records_a_minute() {
        let run = replay(ApplicationAutoscaling::new(), &trace([4.0; 120]), 8);
        assert_eq!(calls(&run), [(SIGHT_MINUTES, 9)], "after that, 44 % lies between 16 % and 80 %");
    }

    #[test]
    fn one_shard_is_added_every_ten_minutes() {
        let run = replay(ApplicationAutoscaling::new(), &step(4.0, 8.5, 60), 8);
        let calls = calls(&run);
        assert_eq!(calls[..3], [(SIGHT_MINUTES, 9), (60 + SIGHT_MINUTES, 10), (70 + SIGHT_MINUTES, 11)]);
        assert_eq!(calls.len(), 3, "8.5 of 11 is below 80 %: {calls:?}");
    }

    #[test]
    fn shards_go_one_by_one_below_a_sixth() {
        let run = replay(ApplicationAutoscaling::new(), &trace([1.0; 600]), 8);
        let calls = calls(&run);
        assert_eq!(calls.iter().map(|&(_, target)| target).collect::<Vec<_>>(), [9, 8, 7, 6]);
        assert!(calls.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 10), "{calls:?}");
    }

    #[test]
    fn bytes_are_not_looked_at() {
        let mut trace = step(4.0, 4.0, 60);
        for minute in &mut trace.minutes {
            minute.bytes = 8.0 * 60e6;
        }
        let run = replay(ApplicationAutoscaling::new(), &trace, 8);
        assert_eq!(calls(&run), [(SIGHT_MINUTES, 9)]);
    }
}
