//! aws-samples/kinesis-auto-scaling: doubles and halves on two CloudWatch alarms.
//!
//! Source: `golang/scale.go`, `terraform/scale.tf` and `terraform/stream.tf` of that repository at commit e1e52f8
//! (2022-03-28), the Lambda function of the AWS Big Data blog (2021). Defaults are those of the Terraform files.
//!
//! ```text
//!   up:   max(bytes, records) / count ≥ 0.75 in 5 of 5 five-minute datapoints               ─▶ count × 2
//!   down: max(bytes, records, iterator age) / count < 0.25 in 57 of 60, never at one shard  ─▶ count ÷ 2
//!   after a call that was accepted: both alarms carry the new count and are INSUFFICIENT_DATA
//!   after one that was refused: the alarm is set to OK, so that its next evaluation calls again
//! ```
//!
//! Modelled: both alarms with `FILL(metric, 0)`, evaluated every minute; the history re-based by the new count; the iterator
//! age of 30 minutes that holds a scale-down back; the floor of one shard by a threshold of −1; retries without end.
//! Not modelled: failures of the alarms' own calls, the tags that guard against duplicates, the concurrency of a consuming
//! Lambda function.
//! Favourable: half of an odd count is rounded up. The function rounds down, which for 3 → 1 is less than half; whether
//! Kinesis takes that is undocumented, and a tool that stays refused for ever would prove nothing.

use std::time::Duration;

use super::math_alarm::{AlarmMetric, AlarmRule, AlarmState, Comparison, MathAlarm, MissingPoint, REREAD};
use crate::simulate::{Cloud, Scaler};

/// The two alarms and the function behind them.
#[derive(Debug)]
pub(super) struct AwsSamples {
    up: MathAlarm,
    down: MathAlarm,
    /// The shard count in the alarms' metric math.
    count: Option<u32>,
}

impl AwsSamples {
    pub(super) fn new() -> Self {
        let rule = AlarmRule {
            metric: AlarmMetric::BytesAndRecords,
            period: 5,
            datapoints: 5,
            datapoints_to_alarm: 5,
            comparison: Comparison::AtLeast,
            missing: MissingPoint::Zero,
            iterator_age_max: None,
        };
        let down = AlarmRule {
            datapoints: 60,
            datapoints_to_alarm: 57,
            comparison: Comparison::Below,
            iterator_age_max: Some(ITERATOR_AGE_MAX),
            ..rule
        };
        Self { up: MathAlarm::new(rule, 0.0), down: MathAlarm::new(down, 0.0), count: None }
    }

    fn set_count(&mut self, count: u32) {
        self.count = Some(count);
        self.up.set_limit(UP_THRESHOLD * f64::from(count));
        self.down.set_limit(if count == 1 { NEVER } else { DOWN_THRESHOLD * f64::from(count) });
    }
}

impl Scaler for AwsSamples {
    fn name(&self) -> &str {
        "aws-samples ×2/÷2"
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        let count = cloud.layout().count();
        if self.count.is_none() {
            self.set_count(count);
        }
        let minutes = cloud.minutes(REREAD);
        self.up.read(minutes, &[]);
        self.down.read(minutes, cloud.iterator_age(REREAD));
        let (is_up, is_down) = (self.up.evaluate(), self.down.evaluate());
        if !is_up && !is_down {
            return;
        }
        let target = if is_up { doubled(count) } else { halved(count) };
        match cloud.update_shard_count(target) {
            Ok(()) => {
                self.set_count(target);
                self.up.set_state(AlarmState::InsufficientData);
                self.down.set_state(AlarmState::InsufficientData);
            }
            Err(_) if is_up => self.up.set_state(AlarmState::Ok),
            Err(_) => self.down.set_state(AlarmState::Ok),
        }
    }
}

fn doubled(count: u32) -> u32 {
    count.saturating_mul(2)
}

fn halved(count: u32) -> u32 {
    count.div_ceil(2)
}

const UP_THRESHOLD: f64 = 0.75;
const DOWN_THRESHOLD: f64 = 0.25;
const ITERATOR_AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// The threshold of −1 that the function writes at one shard: no load is below it.
const NEVER: f64 = -1.0;

#[cfg(test)]
mod tests {
    use super::super::replay::{SIGHT_MINUTES, calls, replay, step, trace};
    use super::*;
    use crate::simulate::CloudSettings;

    #[test]
    fn doubling_needs_twenty_five_minutes_of_evidence() {
        let run = replay(AwsSamples::new(), &step(1.0, 7.2, 120), 8);
        assert_eq!(calls(&run), [(60 + 24 + SIGHT_MINUTES, 16)]);
        let short =
            replay(AwsSamples::new(), &trace([[1.0; 60].as_slice(), &[7.2; 24], &[1.0; 60]].concat()), 8);
        assert!(calls(&short).is_empty());
    }

    #[test]
    fn a_tenfold_surge_takes_four_doublings_of_half_an_hour_each() {
        let run = replay(AwsSamples::new(), &step(6.0, 60.0, 240), 8);
        let calls = calls(&run);
        assert_eq!(calls.iter().map(|&(_, target)| target).collect::<Vec<_>>(), [16, 32, 64, 128]);
        assert!(calls.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 27), "{calls:?}");
    }

    #[test]
    fn halving_needs_285_minutes_and_ends_at_one_shard() {
        let run = replay(AwsSamples::new(), &trace([0.02; 3 * 1440]), 4);
        let calls = calls(&run);
        assert_eq!(calls[0], (284 + SIGHT_MINUTES, 2));
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert_eq!(calls[1].1, 1);
    }

    #[test]
    fn an_odd_count_is_halved_upwards() {
        assert_eq!([8, 3, 2, 1].map(halved), [4, 2, 1, 1]);
    }

    #[test]
    fn a_refused_call_is_made_again_every_minute() {
        let mut scaler = AwsSamples::new();
        let settings = CloudSettings { shards: Some(8), account_shards_max: 8, ..CloudSettings::exact() };
        let run = crate::simulate::run(&step(1.0, 7.2, 120), &settings, &mut scaler);
        assert!(calls(&run).is_empty(), "{:?}", calls(&run));
        assert_eq!(run.refused.len() as u64, 120 - 24 - SIGHT_MINUTES);
    }
}
