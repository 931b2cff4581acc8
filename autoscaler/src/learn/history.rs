//! The demand of the last days, minute by minute.

use std::collections::VecDeque;

/// Demand in shards by minute, of the last week and a little more. Minutes that are unknown are gaps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    /// The minute after the last one, counted from the epoch.
    end: u64,
    demands: VecDeque<f32>,
}

impl History {
    /// Notes what `minute` asked for; minutes left out since the last one are unknown. Earlier minutes are ignored.
    pub(super) fn push(&mut self, minute: u64, shards: f64) {
        if minute < self.end {
            return;
        }
        if self.demands.is_empty() || minute - self.end >= KEPT as u64 {
            self.demands.clear();
            self.end = minute;
        }
        while self.end < minute {
            self.push_next(f32::NAN);
        }
        self.push_next(shards as f32);
    }

    /// The minute after the last one.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// How many minutes lie between the first known one and the last, both included.
    pub(super) fn len(&self) -> usize {
        self.demands.len()
    }

    /// The greatest demand of the `count` minutes that end before `end`; nothing if none of them is known.
    pub(super) fn max(&self, end: u64, count: u64) -> f64 {
        let begin = self.end - self.demands.len() as u64;
        let from = end.saturating_sub(count).max(begin);
        let until = end.min(self.end);
        if from >= until {
            return 0.0;
        }
        let range = (from - begin) as usize..(until - begin) as usize;
        f64::from(self.demands.range(range).copied().fold(0.0, f32::max))
    }

    fn push_next(&mut self, shards: f32) {
        if self.demands.len() == KEPT {
            self.demands.pop_front();
        }
        self.demands.push_back(shards);
        self.end += 1;
    }
}

/// Minutes kept: a week, and what lies around the hour a week ago. 41 KB a stream.
const KEPT: usize = 7 * DAY as usize + 60;
/// Minutes.
pub(super) const DAY: u64 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_unknown_and_the_oldest_minutes_leave() {
        let mut history = History::default();
        for (minute, shards) in [(100, 3.0), (101, 5.0), (104, 2.0), (90, 9.0)] {
            history.push(minute, shards);
        }
        assert_eq!((history.end(), history.len()), (105, 5));
        assert_eq!(history.max(105, 3), 2.0, "two unknown ones and the last");
        assert_eq!(history.max(105, 4), 5.0);
        assert_eq!(history.max(104, 2), 0.0, "nothing is known");
        assert_eq!(history.max(1_000, 10), 0.0);
        for minute in 105..105 + KEPT as u64 {
            history.push(minute, 1.0);
        }
        assert_eq!((history.len(), history.max(history.end(), u64::MAX)), (KEPT, 1.0));
        history.push(1 << 40, 4.0);
        assert_eq!((history.len(), history.max(history.end(), 5)), (1, 4.0));
    }
}
