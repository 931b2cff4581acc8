//! A token bucket that answers how long to wait.

use std::num::NonZeroU64;
use std::time::Duration;

/// Lets `per_second` units pass each second, with a burst of a tenth of a second.
///
/// A request is let through as soon as the bucket is not in debt, and may put it into debt: a request greater than the
/// burst passes, and the next one waits the longer.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    refilled_at: Duration,
}

impl TokenBucket {
    pub(super) fn new(per_second: NonZeroU64) -> Self {
        let per_second = per_second.get() as f64;
        let burst = (per_second * BURST_SECONDS).max(1.0);
        Self { per_second, burst, tokens: burst, refilled_at: Duration::ZERO }
    }

    /// Takes `units` at `now`; the caller may go ahead after the returned time.
    pub(super) fn take(&mut self, units: u64, now: Duration) -> Duration {
        let elapsed = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.refilled_at = self.refilled_at.max(now);
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        let debt = (-self.tokens).max(0.0);
        self.tokens -= units as f64;
        Duration::from_secs_f64(debt / self.per_second)
    }
}

const BURST_SECONDS: f64 = 0.1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn over_time_no_more_passes_than_the_rate(
            per_second in 1_u64..10_000,
            requests in prop::collection::vec((1_u64..500, 0_u64..200), 1..50),
        ) {
            let mut bucket = TokenBucket::new(NonZeroU64::new(per_second).expect("positive"));
            let (mut now, mut passed, mut last) = (Duration::ZERO, 0, 0);
            for (units, pause_millis) in requests {
                now += Duration::from_millis(pause_millis);
                now += bucket.take(units, now);
                passed += units;
                last = units;
            }
            let allowed = per_second as f64 * (now.as_secs_f64() + BURST_SECONDS) + last as f64 + 1.0;
            prop_assert!(passed as f64 <= allowed + 1e-3, "{passed} passed, {allowed} allowed");
        }
    }
}
