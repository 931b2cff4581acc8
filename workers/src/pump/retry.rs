//! How long a lane waits after a refusal, and how much it asks for.
//!
//! Owns pauses (exponential, jittered), the size of requests under throttling (halved on a throttle, growing again with
//! each full success), and the decision to give up. Reads no clock.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::settings::REQUEST_RECORDS_MAX;

/// One lane's recent luck.
#[derive(Debug)]
pub(super) struct LaneRetry {
    seed: u64,
    pauses: ExponentialBackoff,
    records_max: usize,
    refused_since: Option<Duration>,
    attempts: u32,
}

/// What to do after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the next request after this pause.
    After(Duration),
    /// Nothing was taken for this long, in so many attempts.
    GiveUp { waited: Duration, attempts: u32 },
}

impl LaneRetry {
    /// A fresh lane; `seed` decorrelates its jitter from that of the others.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            pauses: pauses(seed),
            records_max: REQUEST_RECORDS_MAX,
            refused_since: None,
            attempts: 0,
        }
    }

    /// Records that the next request may hold.
    pub(super) fn records_max(&self) -> usize {
        self.records_max
    }

    /// Everything was taken.
    pub(super) fn succeeded(&mut self) {
        self.records_max = (self.records_max + RECORDS_GROWTH).min(REQUEST_RECORDS_MAX);
        if self.refused_since.take().is_some() {
            self.pauses = pauses(self.seed);
            self.attempts = 0;
        }
    }

    /// Something was refused; `progressed` tells whether something else was taken.
    pub(super) fn refused(
        &mut self,
        is_throttle: bool,
        progressed: bool,
        now: Duration,
        stalled_after: Duration,
    ) -> Next {
        if is_throttle {
            self.records_max = (self.records_max / 2).max(1);
        }
        if progressed {
            self.refused_since = None;
            self.attempts = 0;
        }
        let since = *self.refused_since.get_or_insert(now);
        self.attempts += 1;
        let waited = now.saturating_sub(since);
        if waited >= stalled_after {
            return Next::GiveUp { waited, attempts: self.attempts };
        }
        Next::After(self.pauses.next().unwrap_or(PAUSE_MAX))
    }
}

fn pauses(seed: u64) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .build()
}

/// A throttled shard refills within a second.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Ten successes restore what one throttle took.
const RECORDS_GROWTH: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_halves_requests_and_successes_restore_them() {
        let mut retry = LaneRetry::new(1);
        for _ in 0..12 {
            retry.refused(true, true, Duration::ZERO, Duration::from_secs(60));
        }
        assert_eq!(retry.records_max(), 1);
        for _ in 0..20 {
            retry.succeeded();
        }
        assert_eq!(retry.records_max(), REQUEST_RECORDS_MAX);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let mut retry = LaneRetry::new(7);
        let mut longest = Duration::ZERO;
        for _ in 0..30 {
            match retry.refused(false, false, Duration::ZERO, Duration::from_secs(60)) {
                Next::After(pause) => longest = longest.max(pause),
                Next::GiveUp { .. } => panic!("no time has passed"),
            }
        }
        assert!(longest >= PAUSE_MAX && longest <= PAUSE_MAX * 2, "{longest:?}");
    }

    #[test]
    fn a_lane_gives_up_only_without_progress() {
        let mut retry = LaneRetry::new(7);
        let limit = Duration::from_secs(60);
        retry.refused(false, false, Duration::from_secs(0), limit);
        assert!(matches!(retry.refused(false, true, Duration::from_secs(59), limit), Next::After(_)));
        assert!(matches!(retry.refused(false, false, Duration::from_secs(118), limit), Next::After(_)));
        let next = retry.refused(false, false, Duration::from_secs(119), limit);
        assert_eq!(next, Next::GiveUp { waited: limit, attempts: 3 });
    }
}
