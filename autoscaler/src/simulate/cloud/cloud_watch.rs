//! CloudWatch: one-minute points that appear late, sometimes not at all, and sometimes too low at first.
//!
//! ```text
//!   minute ends ──delay──▶ point can be read ──correction──▶ a partial point becomes right
//!                    └──▶ or never (lost)
//! ```
//!
//! A metric of which nothing happened in a minute has no point, as in AWS: `rejected_records` is `None` in a minute without
//! refusals, and all metrics are in a minute without traffic. A lost minute loses all its points. So a reader may take
//! `rejected_records: None` for zero where the same minute's `bytes` are known, and must take everything for unknown
//! where they are not.

use std::collections::VecDeque;
use std::time::Duration;

use super::settings::MetricSettings;
use crate::{EpochMillis, Minute};

/// The points of one stream.
#[derive(Clone, Debug)]
pub(super) struct CloudWatch {
    settings: MetricSettings,
    random: fastrand::Rng,
    /// What can be read, without a gap.
    minutes: Vec<Minute>,
    ages: Vec<Option<Duration>>,
    /// What cannot be read yet, oldest first.
    pending: VecDeque<Pending>,
    /// When which minute becomes right, in the order of the times.
    corrections: VecDeque<(EpochMillis, usize, Minute)>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    visible_at: EpochMillis,
    shown: Minute,
    age: Option<Duration>,
    truth: Option<Minute>,
}

impl CloudWatch {
    /// No points yet.
    pub(super) fn new(settings: MetricSettings, seed: u64) -> Self {
        Self {
            settings,
            random: fastrand::Rng::with_seed(seed),
            minutes: Vec::new(),
            ages: Vec::new(),
            pending: VecDeque::new(),
            corrections: VecDeque::new(),
        }
    }

    /// Takes the sums of the minute that ended. Minutes must come in order.
    pub(super) fn record(&mut self, sums: Minute, age: Option<Duration>) {
        // Each minute takes the same number of draws, so that all scalers meet the same faults.
        let (fate, shown_part) = (self.random.f64(), self.random.f64());
        let truth = Minute {
            start: sums.start,
            bytes: whole(sums.bytes),
            records: whole(sums.records),
            rejected_records: whole(sums.rejected_records),
            read_bytes: whole(sums.read_bytes),
            rejected_reads: whole(sums.rejected_reads),
        };
        let visible_at = sums.start.after(MINUTE).after(self.settings.delay);
        let is_partial = fate < self.settings.lost + self.settings.partial;
        let pending = if fate < self.settings.lost {
            let shown = Minute { start: sums.start, ..Minute::default() };
            Pending { visible_at, shown, age: None, truth: None }
        } else if is_partial {
            let shown = scaled(&truth, PARTIAL_MIN + (1.0 - PARTIAL_MIN) * shown_part);
            Pending { visible_at, shown, age, truth: Some(truth) }
        } else {
            Pending { visible_at, shown: truth, age, truth: None }
        };
        self.pending.push_back(pending);
    }

    /// Shows what can be read at `now`.
    pub(super) fn advance(&mut self, now: EpochMillis) {
        while let Some(point) = self.pending.pop_front_if(|point| point.visible_at <= now) {
            if let Some(truth) = point.truth {
                let due = point.visible_at.after(self.settings.correction);
                self.corrections.push_back((due, self.minutes.len(), truth));
            }
            self.minutes.push(point.shown);
            self.ages.push(point.age);
        }
        while let Some((_, place, truth)) = self.corrections.pop_front_if(|(due, ..)| *due <= now) {
            self.minutes[place] = truth;
        }
    }

    /// The minutes that began within `window` before `now` and can be read.
    pub(super) fn minutes(&self, now: EpochMillis, window: Duration) -> &[Minute] {
        &self.minutes[self.first_of(now, window)..]
    }

    /// The greatest iterator age in each of them.
    pub(super) fn ages(&self, now: EpochMillis, window: Duration) -> &[Option<Duration>] {
        &self.ages[self.first_of(now, window)..]
    }

    fn first_of(&self, now: EpochMillis, window: Duration) -> usize {
        let oldest = now.before(window);
        self.minutes.partition_point(|minute| minute.start < oldest)
    }
}

/// What CloudWatch keeps of a sum: whole units, and nothing of nothing.
pub(super) fn whole(sum: Option<f64>) -> Option<f64> {
    sum.map(f64::round).filter(|&sum| sum > 0.0)
}

fn scaled(minute: &Minute, part: f64) -> Minute {
    let scale = |sum: Option<f64>| whole(sum.map(|sum| sum * part));
    Minute {
        start: minute.start,
        bytes: scale(minute.bytes),
        records: scale(minute.records),
        rejected_records: scale(minute.rejected_records),
        read_bytes: scale(minute.read_bytes),
        rejected_reads: scale(minute.rejected_reads),
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// A partial point shows at least this part of the truth.
const PARTIAL_MIN: f64 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> EpochMillis {
        EpochMillis(minute * 60_000)
    }

    fn sums(minute: u64, bytes: f64, rejected: f64) -> Minute {
        Minute {
            start: at(minute),
            bytes: Some(bytes),
            records: Some(bytes / 100.0),
            rejected_records: Some(rejected),
            read_bytes: Some(bytes),
            rejected_reads: Some(0.0),
        }
    }

    fn filled(settings: MetricSettings, minutes: u64) -> CloudWatch {
        let mut watch = CloudWatch::new(settings, 7);
        (0..minutes).for_each(|minute| watch.record(sums(minute, 1_000.0, 2.0), None));
        watch
    }

    const EXACT: MetricSettings = MetricSettings {
        delay: Duration::from_secs(120),
        lost: 0.0,
        partial: 0.0,
        correction: Duration::from_secs(180),
    };
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn points_appear_exactly_after_the_delay() {
        let mut watch = filled(EXACT, 2);
        let just_before = EpochMillis(at(3).0 - 1);
        watch.advance(just_before);
        assert!(watch.minutes(just_before, HOUR).is_empty());
        watch.advance(at(3));
        assert_eq!(watch.minutes(at(3), HOUR).len(), 1);
        watch.advance(at(4));
        let starts: Vec<_> = watch.minutes(at(4), HOUR).iter().map(|minute| minute.start).collect();
        assert_eq!(starts, [at(0), at(1)]);
        assert_eq!(
            watch.minutes(at(4), MINUTE * 3).len(),
            1,
            "only the later one began within three minutes"
        );
        assert_eq!(watch.ages(at(4), HOUR), [None, None]);
    }

    #[test]
    fn what_did_not_happen_has_no_point() {
        let mut watch = CloudWatch::new(EXACT, 7);
        watch.record(sums(0, 1_000.0, 0.3), Some(MINUTE));
        watch.record(sums(1, 0.0, 0.0), None);
        watch.advance(at(9));
        let minutes = watch.minutes(at(9), HOUR);
        assert_eq!((minutes[0].bytes, minutes[0].records), (Some(1_000.0), Some(10.0)));
        assert_eq!((minutes[0].rejected_records, minutes[0].rejected_reads), (None, None));
        assert_eq!(minutes[1], Minute { start: at(1), ..Minute::default() });
        assert_eq!(watch.ages(at(9), HOUR), [Some(MINUTE), None]);
    }

    #[test]
    fn lost_minutes_stay_unknown_and_leave_no_gap() {
        let mut watch = filled(MetricSettings { lost: 0.3, ..EXACT }, 1_000);
        watch.advance(at(2_000));
        let minutes = watch.minutes(at(2_000), HOUR * 100);
        assert_eq!(minutes.len(), 1_000);
        let lost = minutes.iter().filter(|minute| minute.bytes.is_none()).count();
        assert!((250..350).contains(&lost), "{lost}");
        assert!(minutes.iter().enumerate().all(|(index, minute)| minute.start == at(index as u64)));
        assert!(minutes.iter().all(|minute| minute.bytes.is_some() == minute.rejected_records.is_some()));
    }

    #[test]
    fn partial_points_show_too_little_until_they_are_right() {
        let mut watch = filled(MetricSettings { partial: 1.0, ..EXACT }, 1);
        watch.advance(at(3));
        let shown = watch.minutes(at(3), HOUR)[0].bytes.expect("shown");
        assert!((400.0..1_000.0).contains(&shown), "{shown}");
        watch.advance(EpochMillis(at(6).0 - 1));
        assert_eq!(watch.minutes(at(6), HOUR)[0].bytes, Some(shown));
        watch.advance(at(6));
        assert_eq!(watch.minutes(at(6), HOUR)[0].bytes, Some(1_000.0));
    }
}
