//! A CloudWatch alarm on the load of a stream: datapoints of some minutes each, M of the last N of them beyond a limit.
//!
//! Every published tool divides the load by the shard count inside the alarm's metric math. Here the load stays in shards of
//! the tool's limits and the limit is multiplied instead, so a new shard count re-bases the whole history at once, as
//! rewriting the alarm does:
//!
//! ```text
//!   minutes    ─┬──┬──┬──┬──┬──┬──┬──┬──┬──┬─▶    the newest that can be read ends the newest datapoint
//!   datapoints   └── n−1 ──────┘└── n ─────────┘    each a sum over `period` minutes, sliding by a minute
//! ```
//!
//! CloudWatch evaluates such an alarm every minute over periods that end with that minute, so consecutive evaluations use
//! interleaved datapoints. One count of breaching datapoints is kept for each of the `period` interleaved series: a minute
//! costs the same for a window of five datapoints and of a day. Points that are corrected late are corrected here.
//!
//! Favourable to the tools: a period is taken when the data of its last minute have arrived, so late metrics never make the
//! newest datapoint too small. And minutes before the first one known breach nothing, although `FILL(metric, 0)` would make
//! zeros of them and let a scale-down alarm fire on a stream that is minutes old.

use std::time::Duration;

use crate::Minute;

/// An alarm and its history.
#[derive(Debug)]
pub(super) struct MathAlarm {
    rule: AlarmRule,
    state: AlarmState,
    limit_shards: f64,
    /// Number of the newest minute known, and of the oldest.
    known: Option<(u64, u64)>,
    minutes: Vec<MinuteSum>,
    points: Vec<Option<f64>>,
    /// For each series of datapoints `period` minutes apart, how many of the last N breach.
    breaching: Vec<usize>,
    /// Evaluations in a row that found no newest datapoint.
    silent: usize,
}

/// What an alarm is defined as, apart from its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlarmRule {
    pub(super) metric: AlarmMetric,
    /// Minutes in a datapoint.
    pub(super) period: usize,
    /// N, the datapoints looked at.
    pub(super) datapoints: usize,
    /// M, those that must breach.
    pub(super) datapoints_to_alarm: usize,
    pub(super) comparison: Comparison,
    pub(super) missing: MissingPoint,
    /// An iterator age from which a datapoint is never low.
    pub(super) iterator_age_max: Option<Duration>,
}

/// What is summed and turned into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlarmMetric {
    /// The greater of bytes at 1 MiB and records at 1,000 per second.
    BytesAndRecords,
    /// Records alone.
    Records,
}

/// How a datapoint is compared with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// What a datapoint without any data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingPoint {
    /// `FILL(metric, 0)`.
    Zero,
    /// No datapoint, CloudWatch's default: the alarm keeps its state while the last real ones can be looked at, and then knows
    /// nothing.
    Skipped,
}

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlarmState {
    Ok,
    Alarm,
    InsufficientData,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct MinuteSum {
    bytes: Option<f64>,
    records: Option<f64>,
    iterator_age: Option<Duration>,
}

impl MathAlarm {
    pub(super) fn new(rule: AlarmRule, limit_shards: f64) -> Self {
        Self {
            rule,
            state: AlarmState::InsufficientData,
            limit_shards,
            known: None,
            minutes: vec![MinuteSum::default(); REREAD_MINUTES + rule.period],
            points: vec![None; rule.period * rule.datapoints],
            breaching: vec![0; rule.period],
            silent: 0,
        }
    }

    /// Takes what CloudWatch shows: minutes one after the other, and the iterator age of each if the rule looks at it.
    pub(super) fn read(&mut self, minutes: &[Minute], iterator_ages: &[Option<Duration>]) {
        let skipped = minutes.len().saturating_sub(REREAD_MINUTES);
        for (place, minute) in minutes.iter().enumerate().skip(skipped) {
            let iterator_age = iterator_ages.get(place).copied().flatten();
            let sum = MinuteSum { bytes: minute.bytes, records: minute.records, iterator_age };
            self.note(minute.start.0 / MINUTE_MILLIS, sum);
        }
    }

    /// Evaluates the alarm, as CloudWatch does once a minute. Whether it changed to `ALARM`, which is when its actions run.
    pub(super) fn evaluate(&mut self) -> bool {
        let Some((_, last)) = self.known else { return false };
        if self.points[self.point_place(last)].is_none() {
            self.silent += 1;
            if self.silent >= self.rule.period * (self.rule.datapoints + POINTS_BEYOND) {
                self.state = AlarmState::InsufficientData;
            }
            return false;
        }
        self.silent = 0;
        let is_alarm = self.breaching[self.phase(last)] >= self.rule.datapoints_to_alarm;
        let has_fired = is_alarm && self.state != AlarmState::Alarm;
        self.state = if is_alarm { AlarmState::Alarm } else { AlarmState::Ok };
        has_fired
    }

    pub(super) fn state(&self) -> AlarmState {
        self.state
    }

    /// `SetAlarmState`: holds until the next evaluation.
    pub(super) fn set_state(&mut self, state: AlarmState) {
        self.state = state;
    }

    /// `PutMetricAlarm` with another limit: the state stays, the history is judged anew.
    pub(super) fn set_limit(&mut self, limit_shards: f64) {
        self.limit_shards = limit_shards;
        self.breaching.fill(0);
        for (place, &point) in self.points.iter().enumerate() {
            self.breaching[place % self.rule.period] += usize::from(self.breaches(point));
        }
    }

    /// The greatest of the datapoints looked at, in shards.
    pub(super) fn peak_shards(&self) -> Option<f64> {
        let (_, last) = self.known?;
        let phase = self.phase(last);
        let series = self.points.iter().skip(phase).step_by(self.rule.period);
        series.copied().flatten().reduce(f64::max)
    }

    fn note(&mut self, minute: u64, sum: MinuteSum) {
        let place = self.minute_place(minute);
        match &mut self.known {
            None => {
                self.known = Some((minute, minute));
                self.minutes[place] = sum;
                self.judge(minute);
            }
            Some((_, last)) if minute > *last => {
                let unknown = (*last + 1).max(minute.saturating_sub(self.points.len() as u64))..minute;
                *last = minute;
                for minute in unknown {
                    let place = self.minute_place(minute);
                    self.minutes[place] = MinuteSum::default();
                    self.judge(minute);
                }
                self.minutes[place] = sum;
                self.judge(minute);
            }
            Some((first, last)) => {
                let (first, last) = (*first, *last);
                if minute >= first && self.minutes[place] != sum {
                    self.minutes[place] = sum;
                    for end in minute..=last.min(minute + self.rule.period as u64 - 1) {
                        self.judge(end);
                    }
                }
            }
        }
    }

    /// Computes the datapoint that ends with a minute and puts it in place of the one N periods earlier.
    fn judge(&mut self, end: u64) {
        let point = self.point(end);
        let (place, phase) = (self.point_place(end), self.phase(end));
        let earlier = std::mem::replace(&mut self.points[place], point);
        self.breaching[phase] -= usize::from(self.breaches(earlier));
        self.breaching[phase] += usize::from(self.breaches(point));
    }

    fn point(&self, end: u64) -> Option<f64> {
        let (first, _) = self.known?;
        let period = self.rule.period as u64;
        let start = (end + 1).checked_sub(period).filter(|&start| start >= first)?;
        let (mut bytes, mut records, mut has_data, mut age) = (0.0, 0.0, false, Duration::ZERO);
        for minute in start..=end {
            let sum = &self.minutes[self.minute_place(minute)];
            bytes += sum.bytes.unwrap_or(0.0);
            records += sum.records.unwrap_or(0.0);
            has_data |= sum.bytes.or(sum.records).is_some();
            age = age.max(sum.iterator_age.unwrap_or_default());
        }
        if !has_data && self.rule.missing == MissingPoint::Skipped {
            return None;
        }
        if self.rule.iterator_age_max.is_some_and(|max| age >= max) {
            return Some(f64::INFINITY);
        }
        let seconds = 60.0 * period as f64;
        let records = records / (RECORDS_PER_SHARD_SECOND * seconds);
        Some(match self.rule.metric {
            AlarmMetric::BytesAndRecords => records.max(bytes / (BYTES_PER_SHARD_SECOND * seconds)),
            AlarmMetric::Records => records,
        })
    }

    fn breaches(&self, point: Option<f64>) -> bool {
        point.is_some_and(|shards| match self.rule.comparison {
            Comparison::AtLeast => shards >= self.limit_shards,
            Comparison::Above => shards > self.limit_shards,
            Comparison::AtMost => shards <= self.limit_shards,
            Comparison::Below => shards < self.limit_shards,
        })
    }

    fn minute_place(&self, minute: u64) -> usize {
        (minute % self.minutes.len() as u64) as usize
    }

    fn point_place(&self, end: u64) -> usize {
        (end % self.points.len() as u64) as usize
    }

    fn phase(&self, end: u64) -> usize {
        (end % self.rule.period as u64) as usize
    }
}

/// Minutes that each reading looks at again: CloudWatch corrects a point within a few minutes.
pub(super) const REREAD: Duration = Duration::from_secs(60 * REREAD_MINUTES as u64);
/// What all published tools call a shard's limit.
pub(super) const BYTES_PER_SHARD_SECOND: f64 = 1024.0 * 1024.0;
pub(super) const RECORDS_PER_SHARD_SECOND: f64 = 1000.0;

const REREAD_MINUTES: usize = 15;
/// How many more datapoints than the rule's CloudWatch looks at where some are missing: two in the example of its guide.
const POINTS_BEYOND: usize = 2;
const MINUTE_MILLIS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::EpochMillis;

    const RULE: AlarmRule = AlarmRule {
        metric: AlarmMetric::BytesAndRecords,
        period: 5,
        datapoints: 3,
        datapoints_to_alarm: 2,
        comparison: Comparison::AtLeast,
        missing: MissingPoint::Zero,
        iterator_age_max: None,
    };

    fn minute(number: u64, shards: Option<f64>) -> Minute {
        Minute {
            start: EpochMillis(number * MINUTE_MILLIS),
            records: shards.map(|shards| shards * 60_000.0),
            bytes: shards.map(|_| 0.0),
            ..Minute::default()
        }
    }

    /// The minute of the series at which the alarm fires.
    fn fires_at(rule: AlarmRule, limit: f64, shards: &[Option<f64>]) -> Option<usize> {
        let mut alarm = MathAlarm::new(rule, limit);
        (0..shards.len()).find(|&now| {
            alarm.read(&[minute(now as u64, shards[now])], &[]);
            alarm.evaluate()
        })
    }

    #[test]
    fn an_alarm_needs_its_datapoints_and_no_more() {
        assert_eq!(fires_at(RULE, 1.0, &[Some(1.0); 30]), Some(9), "two full periods of five minutes");
        let surge: Vec<_> = (0..40).map(|now| Some(if now < 20 { 0.1 } else { 1.0 })).collect();
        assert_eq!(fires_at(RULE, 1.0, &surge), Some(29));
    }

    #[test]
    fn the_greater_of_bytes_and_records_counts_and_records_alone_if_so_defined() {
        let mut both = MathAlarm::new(AlarmRule { datapoints_to_alarm: 1, ..RULE }, 2.0);
        let mut records = MathAlarm::new(AlarmRule { metric: AlarmMetric::Records, ..both.rule }, 2.0);
        for number in 0..5 {
            let minute =
                Minute { bytes: Some(2.0 * 60.0 * BYTES_PER_SHARD_SECOND), ..minute(number, Some(1.0)) };
            both.read(&[minute], &[]);
            records.read(&[minute], &[]);
        }
        assert!(both.evaluate());
        assert!(!records.evaluate());
        assert_eq!((both.peak_shards(), records.peak_shards()), (Some(2.0), Some(1.0)));
    }

    #[test]
    fn actions_run_at_a_change_of_state_only() {
        let mut alarm = MathAlarm::new(AlarmRule { datapoints: 1, datapoints_to_alarm: 1, ..RULE }, 1.0);
        for number in 0..5 {
            alarm.read(&[minute(number, Some(3.0))], &[]);
        }
        assert!(alarm.evaluate());
        assert!(!alarm.evaluate(), "still in alarm");
        alarm.set_state(AlarmState::InsufficientData);
        assert!(alarm.evaluate(), "set back, and found in alarm again");
        alarm.set_limit(4.0);
        assert_eq!(alarm.state(), AlarmState::Alarm, "a new definition leaves the state alone");
        assert!(!alarm.evaluate());
        assert_eq!(alarm.state(), AlarmState::Ok);
    }

    #[test]
    fn missing_data_are_zeros_or_leave_the_state_alone() {
        let low = AlarmRule { comparison: Comparison::Below, datapoints: 1, datapoints_to_alarm: 1, ..RULE };
        let gap: Vec<_> = (0..20).map(|now| (!(5..=12).contains(&now)).then_some(2.0)).collect();
        assert_eq!(fires_at(low, 1.0, &gap), Some(7), "three of five minutes are zero");
        assert_eq!(fires_at(AlarmRule { missing: MissingPoint::Skipped, period: 1, ..low }, 1.0, &gap), None);
    }

    #[test]
    fn an_alarm_without_any_data_keeps_its_state_for_two_datapoints_more_and_then_knows_nothing() {
        let rule = AlarmRule {
            missing: MissingPoint::Skipped,
            period: 1,
            datapoints: 1,
            datapoints_to_alarm: 1,
            ..RULE
        };
        let mut alarm = MathAlarm::new(rule, 1.0);
        let mut states = Vec::new();
        for number in 0..6 {
            let shards = [0, 1, 5].contains(&number).then_some(2.0);
            alarm.read(&[minute(number, shards)], &[]);
            states.push((alarm.evaluate(), alarm.state()));
        }
        let kept = (false, AlarmState::Alarm);
        let unknown = (false, AlarmState::InsufficientData);
        assert_eq!(states, [(true, AlarmState::Alarm), kept, kept, kept, unknown, (true, AlarmState::Alarm)]);
    }

    #[test]
    fn an_old_iterator_keeps_a_datapoint_from_being_low() {
        let rule = AlarmRule {
            comparison: Comparison::Below,
            iterator_age_max: Some(Duration::from_secs(1_800)),
            datapoints: 1,
            datapoints_to_alarm: 1,
            ..RULE
        };
        for (age, fires) in [(1_800, false), (1_799, true)] {
            let mut alarm = MathAlarm::new(rule, 1.0);
            for number in 0..5 {
                let age = (number == 2).then_some(Duration::from_secs(age));
                alarm.read(&[minute(number, Some(0.1))], &[age]);
            }
            assert_eq!(alarm.evaluate(), fires, "{age} s");
        }
    }

    proptest! {
        #[test]
        fn running_counts_are_those_of_a_full_scan(
            shards in proptest::collection::vec(proptest::option::weighted(0.9, 0.0..2.0_f64), 1..80),
            limits in proptest::collection::vec((0_usize..80, 0.2..1.8_f64), 0..4),
            corrections in proptest::collection::vec((1_usize..80, 1_usize..10, 0.0..2.0_f64), 0..10),
        ) {
            let mut alarm = MathAlarm::new(RULE, 1.0);
            let mut shown = Vec::new();
            for (now, value) in shards.into_iter().enumerate() {
                shown.push(minute(now as u64, value));
                for &(at, back, value) in &corrections {
                    if at == now && back <= now {
                        shown[now - back] = minute((now - back) as u64, Some(value));
                    }
                }
                alarm.read(&shown[(now + 1).saturating_sub(REREAD_MINUTES)..], &[]);
                for &(at, limit) in &limits {
                    if at == now {
                        alarm.set_limit(limit);
                    }
                }
                alarm.evaluate();
                let scanned = scan(&shown, alarm.limit_shards);
                prop_assert_eq!(alarm.state() == AlarmState::Alarm, scanned, "minute {}", now);
            }
        }
    }

    /// Whether two of the last three datapoints reach the limit, from scratch.
    fn scan(shown: &[Minute], limit: f64) -> bool {
        let points = (0..RULE.datapoints)
            .filter_map(|back| shown.len().checked_sub(back * RULE.period))
            .filter(|&end| {
                let Some(start) = end.checked_sub(RULE.period) else { return false };
                let sum: f64 = shown[start..end].iter().filter_map(|minute| minute.records).sum();
                sum / (60_000.0 * RULE.period as f64) >= limit
            });
        points.count() >= RULE.datapoints_to_alarm
    }
}
