//! So many calls in a rolling window.

use std::collections::VecDeque;
use std::time::Duration;

use crate::EpochMillis;

/// The calls of the last window.
#[derive(Clone, Debug)]
pub(crate) struct RollingQuota {
    calls: VecDeque<EpochMillis>,
    calls_max: usize,
    window: Duration,
}

impl RollingQuota {
    /// `calls_max` calls within any `window`.
    pub(crate) const fn new(calls_max: usize, window: Duration) -> Self {
        Self { calls: VecDeque::new(), calls_max, window }
    }

    /// Whether another call is allowed.
    pub(crate) fn has_room(&mut self, now: EpochMillis) -> bool {
        while self.calls.front().is_some_and(|call| call.after(self.window) <= now) {
            self.calls.pop_front();
        }
        self.calls.len() < self.calls_max
    }

    /// Counts a call.
    pub(crate) fn count(&mut self, now: EpochMillis) {
        if self.has_room(now) {
            self.calls.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_when_the_oldest_call_leaves_the_window() {
        let mut quota = RollingQuota::new(2, Duration::from_millis(100));
        quota.count(EpochMillis(0));
        quota.count(EpochMillis(50));
        assert!(!quota.has_room(EpochMillis(99)));
        assert!(quota.has_room(EpochMillis(100)));
        quota.count(EpochMillis(100));
        assert!(!quota.has_room(EpochMillis(149)));
    }
}
