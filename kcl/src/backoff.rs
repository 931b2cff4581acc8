//! Pauses between attempts: exponential, jittered from a seed, without an end unless the caller sets one.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses of one repeated operation.
#[derive(Debug)]
pub(crate) struct Backoff {
    builder: ExponentialBuilder,
    delays: ExponentialBackoff,
    pause_max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Pauses that double from `pause_min` to `pause_max`.
    pub(crate) fn new(pause_min: Duration, pause_max: Duration, seed: u64) -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(pause_min)
            .with_max_delay(pause_max)
            .with_factor(2.0)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed);
        Self { builder, delays: builder.build(), pause_max, attempts: 0 }
    }

    /// The pause before the next attempt.
    pub(crate) fn next_pause(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.delays.next().unwrap_or(self.pause_max).min(self.pause_max)
    }

    /// Failed attempts since the last success.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the number of failures has just doubled: worth a warning, once per doubling.
    pub(crate) const fn is_escalation(&self) -> bool {
        self.attempts.is_power_of_two()
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
        self.delays = self.builder.build();
    }
}

/// Derives the seed of a part from the seed of the whole, so that parts do not disturb each other (splitmix64).
pub(crate) const fn derive_seed(seed: u64, part: u64) -> u64 {
    let mut mixed = seed.wrapping_add(part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_start_again_after_a_success() {
        let (min, max) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut backoff = Backoff::new(min, max, 7);
        let pauses: Vec<_> = (0..20).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] >= min && pauses[0] <= min * 2, "{pauses:?}");
        assert_eq!(pauses[19], max);
        assert!(pauses.iter().all(|pause| *pause >= min && *pause <= max));
        assert_eq!(backoff.attempts(), 20);
        backoff.reset();
        assert_eq!((backoff.attempts(), backoff.next_pause()), (0, pauses[0]));
    }

    #[test]
    fn warnings_become_rarer() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2), 1);
        let escalations = (0..100)
            .filter(|_| {
                backoff.next_pause();
                backoff.is_escalation()
            })
            .count();
        assert_eq!(escalations, 7, "at 1, 2, 4, 8, 16, 32 and 64");
    }

    #[test]
    fn derived_seeds_differ() {
        assert_ne!(derive_seed(1, 0), derive_seed(1, 1));
        assert_ne!(derive_seed(1, 0), derive_seed(2, 0));
    }
}
