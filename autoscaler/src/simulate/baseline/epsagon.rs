//! epsagon/kinesis-autoscaler: grows quickly on five minutes of evidence, shrinks after a whole quiet day.
//!
//! Source: `kinesis_autoscaler/*.py` and `examples/stream_subscription.yml` of that repository at commit a866ff4 (2022-01-20).
//!
//! ```text
//!   up:   max(bytes, records) / count ≥ 0.75 in 1 of 1 five-minute datapoints   ─▶ +100 % up to 3 shards, +50 % up to 50, then +25 %
//!   down: max(bytes, records) / count ≤ 0.25 in 288 of 288                      ─▶ the day's peak at 50 %, not below half
//!   an alarm whose count is not the stream's only brings both alarms up to date
//! ```
//!
//! Modelled: both alarms with `FILL(metric, 0)`; the check of the embedded count; a failed call, which Lambda tries again
//! after one and three minutes with the same event and which leaves the alarms alone; the scale-down alarm's actions
//! switched off at one shard.
//! Not modelled: failures of the alarms' own calls; the log table.

use std::collections::VecDeque;
use std::time::Duration;

use super::math_alarm::{AlarmMetric, AlarmRule, AlarmState, Comparison, MathAlarm, MissingPoint, REREAD};
use crate::EpochMillis;
use crate::simulate::{Cloud, Scaler};

/// The two alarms and the two functions behind them.
#[derive(Debug)]
pub(super) struct Epsagon {
    up: MathAlarm,
    down: MathAlarm,
    /// The shard count in the alarms' metric math.
    count: Option<u32>,
    /// Events that Lambda will deliver again.
    retries: VecDeque<Event>,
}

/// What an alarm told its function.
#[derive(Clone, Copy, Debug)]
struct Event {
    due: EpochMillis,
    /// How often it has failed.
    failures: usize,
    is_up: bool,
    alarm_count: u32,
}

impl Epsagon {
    pub(super) fn new() -> Self {
        let rule = AlarmRule {
            metric: AlarmMetric::BytesAndRecords,
            period: 5,
            datapoints: 1,
            datapoints_to_alarm: 1,
            comparison: Comparison::AtLeast,
            missing: MissingPoint::Zero,
            iterator_age_max: None,
        };
        let down =
            AlarmRule { datapoints: 288, datapoints_to_alarm: 288, comparison: Comparison::AtMost, ..rule };
        Self {
            up: MathAlarm::new(rule, 0.0),
            down: MathAlarm::new(down, 0.0),
            count: None,
            retries: VecDeque::new(),
        }
    }

    fn handle(&mut self, event: Event, cloud: &mut Cloud) {
        let count = cloud.layout().count();
        if event.alarm_count != count {
            self.sync(count);
            return;
        }
        let target = if event.is_up { grown(count) } else { self.shrunk(count) };
        if target == count {
            return;
        }
        match cloud.update_shard_count(target) {
            Ok(()) => self.sync(target),
            Err(_) => self.retries.extend(RETRY_AFTER.get(event.failures).map(|&wait| Event {
                due: event.due.after(wait),
                failures: event.failures + 1,
                ..event
            })),
        }
    }

    /// Writes the count into both alarms and sets their states back.
    fn sync(&mut self, count: u32) {
        self.set_count(count);
        self.up.set_state(AlarmState::InsufficientData);
        self.down.set_state(AlarmState::InsufficientData);
    }

    fn set_count(&mut self, count: u32) {
        self.count = Some(count);
        self.up.set_limit(UP_THRESHOLD * f64::from(count));
        self.down.set_limit(DOWN_THRESHOLD * f64::from(count));
    }

    fn shrunk(&self, count: u32) -> u32 {
        let peak_shards = self.down.peak_shards().unwrap_or(f64::from(count));
        let fitting = (peak_shards / DOWN_AIM).ceil() as u32;
        fitting.max(count.div_ceil(2))
    }
}

impl Scaler for Epsagon {
    fn name(&self) -> &str {
        "epsagon"
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        let now = cloud.now();
        if self.count.is_none() {
            self.set_count(cloud.layout().count());
        }
        let minutes = cloud.minutes(REREAD);
        self.up.read(minutes, &[]);
        self.down.read(minutes, &[]);
        while let Some(event) = self.retries.pop_front_if(|event| event.due <= now) {
            self.handle(event, cloud);
        }
        for is_up in [true, false] {
            let has_fired = if is_up { self.up.evaluate() } else { self.down.evaluate() };
            let Some(alarm_count) = self.count.filter(|&count| has_fired && (is_up || count > 1)) else {
                continue;
            };
            self.handle(Event { due: now, failures: 0, is_up, alarm_count }, cloud);
        }
    }
}

fn grown(count: u32) -> u32 {
    match count {
        0..=3 => count * 2,
        4..=50 => count + count.div_ceil(2),
        51.. => count + count.div_ceil(4),
    }
}

const UP_THRESHOLD: f64 = 0.75;
const DOWN_THRESHOLD: f64 = 0.25;
const DOWN_AIM: f64 = 0.5;
/// How Lambda tries an asynchronous event again: twice, a minute and then two minutes later.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

#[cfg(test)]
mod tests {
    use super::super::replay::{SIGHT_MINUTES, calls, minute_of, replay, step, trace};
    use super::*;
    use crate::simulate::CloudSettings;

    #[test]
    fn growth_needs_five_minutes_and_is_by_half() {
        let run = replay(Epsagon::new(), &step(1.0, 7.2, 60), 8);
        assert_eq!(calls(&run), [(60 + 4 + SIGHT_MINUTES, 12)]);
        assert_eq!([1, 3, 4, 5, 50, 51, 100].map(grown), [2, 6, 6, 8, 75, 64, 125]);
    }

    #[test]
    fn one_quiet_day_of_datapoints_shrinks_to_twice_the_peak_but_not_below_half() {
        let run = replay(Epsagon::new(), &trace([0.8; 2 * 1440]), 8);
        let calls = calls(&run);
        assert_eq!(calls[0], (1439 + SIGHT_MINUTES, 4));
        assert_eq!(calls.iter().map(|&(_, target)| target).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn one_busy_minute_a_day_keeps_every_shard() {
        let day = || std::iter::repeat_n(0.8, 1439).chain([7.0]);
        let run = replay(Epsagon::new(), &trace(day().chain(day()).chain(day())), 4);
        assert!(calls(&run).is_empty(), "{:?}", calls(&run));
    }

    #[test]
    fn a_refused_call_is_tried_three_times_and_then_forgotten() {
        let settings = CloudSettings { shards: Some(8), account_shards_max: 8, ..CloudSettings::exact() };
        let run = crate::simulate::run(&step(1.0, 7.2, 60), &settings, &mut Epsagon::new());
        let first = 60 + 4 + SIGHT_MINUTES;
        let refused: Vec<_> = run.refused.iter().map(|refusal| minute_of(refusal.at)).collect();
        assert_eq!(refused, [first, first + 1, first + 3]);
    }

    #[test]
    fn an_alarm_with_an_outdated_count_is_only_brought_up_to_date() {
        let mut scaler = Epsagon::new();
        scaler.set_count(4);
        let run = replay(scaler, &trace([5.0; 60]), 8);
        assert!(calls(&run).is_empty(), "5 of 4 shards is above 75 %, 5 of 8 is not: {:?}", calls(&run));
    }

    #[test]
    fn at_one_shard_nothing_is_taken_away() {
        let run = replay(Epsagon::new(), &trace([0.02; 2 * 1440]), 1);
        assert_eq!((calls(&run).len(), run.refused.len()), (0, 0));
    }
}
