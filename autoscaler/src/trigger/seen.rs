//! Which changes of alarms were handled lately, so that a repeated delivery costs nothing.
//!
//! Bounded in time and in number. What is forgotten too early is handled twice, which is harmless: a wake is a look. A
//! change is noted only once it is handled, so that the repetition after a failure counts.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kcl_core::Millis;

use super::{AlarmArn, AlarmChange};
use crate::EpochMillis;

/// The changes handled within a span of time.
#[derive(Debug)]
pub struct SeenWindow {
    span: Millis,
    count_max: usize,
    changes: BTreeSet<ChangeKey>,
    by_age: VecDeque<(Millis, ChangeKey)>,
}

/// What makes two deliveries the same: the alarm and the time of its change.
type ChangeKey = (AlarmArn, EpochMillis);

impl Default for SeenWindow {
    fn default() -> Self {
        Self::new(SPAN, COUNT_MAX)
    }
}

impl SeenWindow {
    /// Remembers changes for `span`, and at most `count_max` of them.
    #[must_use]
    pub fn new(span: Duration, count_max: usize) -> Self {
        Self { span: span.into(), count_max, changes: BTreeSet::new(), by_age: VecDeque::new() }
    }

    /// Whether this change was handled lately.
    pub fn contains(&mut self, change: &AlarmChange, now: Millis) -> bool {
        self.forget(now);
        self.changes.contains(&key(change))
    }

    /// Notes that this change is handled.
    pub fn note(&mut self, change: &AlarmChange, now: Millis) {
        self.forget(now);
        if self.count_max == 0 || !self.changes.insert(key(change)) {
            return;
        }
        if self.by_age.len() == self.count_max {
            self.drop_oldest();
        }
        self.by_age.push_back((now, key(change)));
    }

    /// The changes remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    fn forget(&mut self, now: Millis) {
        while self.by_age.front().is_some_and(|(noted_at, _)| now.since(*noted_at) >= self.span) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.by_age.pop_front() {
            self.changes.remove(&key);
        }
    }
}

fn key(change: &AlarmChange) -> ChangeKey {
    (change.arn.clone(), change.changed_at)
}

/// SNS and Lambda repeat within minutes; SQS after its visibility timeout.
const SPAN: Duration = Duration::from_secs(15 * 60);
/// Hundreds of streams with a handful of alarms each; at most 2 MiB of names.
const COUNT_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trigger::{AlarmState, Excerpt};

    fn change(alarm: u8, changed_at: u64) -> AlarmChange {
        AlarmChange {
            arn: format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{alarm}").parse().expect("an ARN"),
            state: AlarmState::Alarm,
            changed_at: EpochMillis(changed_at),
            reason: Excerpt::default(),
        }
    }

    #[test]
    fn a_change_is_known_by_its_alarm_and_time_alone() {
        let mut seen = SeenWindow::default();
        seen.note(&change(1, 5), Millis(0));
        let repeated = AlarmChange { state: AlarmState::Ok, reason: Excerpt::of("x", 9), ..change(1, 5) };
        assert!(seen.contains(&repeated, Millis(1)));
        assert!(!seen.contains(&change(1, 6), Millis(1)));
        assert!(!seen.contains(&change(2, 5), Millis(1)));
    }

    #[test]
    fn a_change_is_forgotten_after_the_span_counted_from_its_first_note() {
        let mut seen = SeenWindow::new(Duration::from_millis(100), 10);
        seen.note(&change(1, 5), Millis(0));
        seen.note(&change(1, 5), Millis(60));
        assert!(seen.contains(&change(1, 5), Millis(99)));
        assert!(!seen.contains(&change(1, 5), Millis(100)));
        assert!(seen.is_empty());
    }

    #[test]
    fn the_oldest_gives_way_when_the_window_is_full() {
        let mut seen = SeenWindow::new(Duration::from_secs(1), 2);
        for alarm in 0..3 {
            seen.note(&change(alarm, 5), Millis(0));
        }
        assert!(!seen.contains(&change(0, 5), Millis(0)));
        assert!(seen.contains(&change(1, 5), Millis(0)) && seen.contains(&change(2, 5), Millis(0)));
    }

    proptest! {
        /// Against the plainest model: a list of all notes ever made.
        #[test]
        fn the_window_agrees_with_a_list_of_all_notes(
            steps in prop::collection::vec((0_u8..4, 0_u64..3, 0_u64..40, any::<bool>()), 0..200),
        ) {
            let (span, count_max) = (100_u64, 5_usize);
            let mut seen = SeenWindow::new(Duration::from_millis(span), count_max);
            let mut notes: Vec<(u64, AlarmChange)> = Vec::new();
            let mut now = 0;
            for (alarm, changed_at, pause, notes_it) in steps {
                now += pause;
                let change = change(alarm, changed_at);
                notes.retain(|(noted_at, _)| now - noted_at < span);
                let is_known = notes.iter().any(|(_, noted)| *noted == change);
                prop_assert_eq!(seen.contains(&change, Millis(now)), is_known);
                if notes_it {
                    seen.note(&change, Millis(now));
                    if !is_known {
                        notes.push((now, change));
                    }
                    if notes.len() > count_max {
                        notes.remove(0);
                    }
                }
                prop_assert!(seen.len() <= count_max);
                prop_assert_eq!(seen.len(), seen.changes.len());
            }
        }
    }
}
