//! How fast a shard may be read: two token buckets, slowed down when the service throttles.
//!
//! Kinesis allows 5 `GetRecords` calls and 2 MB per second and shard, over all consumers together. Other consumers are
//! seen only through throttles: each halves both rates, each answer gives back a twentieth (additive increase,
//! multiplicative decrease).
//!
//! Pure: time is an argument.

use kcl_core::Millis;

/// Paces the calls of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    calls: Bucket,
    bytes: Bucket,
}

impl Pacer {
    /// At most `calls_per_second` and `bytes_per_second`, each with one second's worth at once.
    pub(crate) fn new(calls_per_second: f64, bytes_per_second: f64, now: Millis) -> Self {
        Self { calls: Bucket::new(calls_per_second, now), bytes: Bucket::new(bytes_per_second, now) }
    }

    /// When the next call may be made: one call is left, and earlier answers are paid for.
    pub(crate) fn ready_at(&self, now: Millis) -> Millis {
        self.calls.reaches(1.0, now).max(self.bytes.reaches(0.0, now))
    }

    /// A call is made.
    pub(crate) fn on_call(&mut self, now: Millis) {
        self.calls.take(1.0, now);
    }

    /// It was answered with `bytes`.
    pub(crate) fn on_answer(&mut self, bytes: usize, now: Millis) {
        self.bytes.take(bytes as f64, now);
        self.calls.speed_up();
        self.bytes.speed_up();
    }

    /// It was throttled.
    pub(crate) fn on_throttled(&mut self, now: Millis) {
        self.calls.slow_down(now);
        self.bytes.slow_down(now);
    }
}

/// Tokens that come at a rate; the level may fall below zero, which must be made good before the next call.
#[derive(Clone, Debug)]
struct Bucket {
    rate_max: f64,
    rate: f64,
    level: f64,
    updated: Millis,
}

impl Bucket {
    fn new(rate: f64, now: Millis) -> Self {
        Self { rate_max: rate, rate, level: rate, updated: now }
    }

    fn level_at(&self, now: Millis) -> f64 {
        let gained = now.since(self.updated).0 as f64 / 1000.0 * self.rate;
        (self.level + gained).min(self.rate_max)
    }

    fn reaches(&self, level: f64, now: Millis) -> Millis {
        let missing = level - self.level_at(now);
        if missing <= 0.0 { now } else { now + Millis((missing / self.rate * 1000.0).ceil() as u64) }
    }

    fn take(&mut self, tokens: f64, now: Millis) {
        self.level = self.level_at(now) - tokens;
        self.updated = now;
    }

    fn slow_down(&mut self, now: Millis) {
        self.take(0.0, now);
        self.rate = (self.rate / 2.0).max(self.rate_max * RATE_MIN);
        self.level = self.level.min(0.0);
    }

    fn speed_up(&mut self) {
        self.rate = (self.rate + self.rate_max / 20.0).min(self.rate_max);
    }
}

/// Least share of the full rate: a shard read by 16 throttled consumers still moves.
const RATE_MIN: f64 = 1.0 / 16.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALLS: f64 = 5.0;
    const BYTES: f64 = 2_000_000.0;

    #[test]
    fn five_calls_go_at_once_and_the_sixth_waits() {
        let mut pacer = Pacer::new(CALLS, BYTES, Millis(0));
        for _ in 0..5 {
            assert_eq!(pacer.ready_at(Millis(0)), Millis(0));
            pacer.on_call(Millis(0));
        }
        assert_eq!(pacer.ready_at(Millis(0)), Millis(200));
        assert_eq!(pacer.ready_at(Millis(200)), Millis(200));
    }

    #[test]
    fn a_great_answer_is_paid_for_before_the_next_call() {
        let mut pacer = Pacer::new(CALLS, BYTES, Millis(0));
        pacer.on_call(Millis(0));
        pacer.on_answer(10_000_000, Millis(0));
        assert_eq!(pacer.ready_at(Millis(0)), Millis(4000));
    }

    #[test]
    fn throttles_halve_the_rate_down_to_a_sixteenth_and_answers_restore_it() {
        let mut pacer = Pacer::new(CALLS, BYTES, Millis(0));
        pacer.on_throttled(Millis(0));
        assert_eq!(pacer.ready_at(Millis(0)), Millis(400));
        for _ in 0..20 {
            pacer.on_throttled(Millis(0));
        }
        assert_eq!(pacer.ready_at(Millis(0)), Millis(3200));
        for _ in 0..20 {
            pacer.on_answer(0, Millis(0));
        }
        assert_eq!(pacer.ready_at(Millis(0)), Millis(200));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_one_burst(gaps in prop::collection::vec(0_u64..400, 1..200)) {
            let mut pacer = Pacer::new(CALLS, BYTES, Millis(0));
            let (mut now, mut calls) = (Millis(0), 0);
            for gap in gaps {
                now += Millis(gap);
                if pacer.ready_at(now) <= now {
                    pacer.on_call(now);
                    calls += 1;
                }
            }
            prop_assert!(f64::from(calls) <= CALLS + CALLS * now.0 as f64 / 1000.0 + 1e-6);
        }

        #[test]
        fn the_time_announced_is_the_time_allowed(calls in 1_usize..20, bytes in 0_usize..20_000_000) {
            let mut pacer = Pacer::new(CALLS, BYTES, Millis(0));
            for _ in 0..calls {
                pacer.on_call(Millis(0));
            }
            pacer.on_answer(bytes, Millis(0));
            let ready = pacer.ready_at(Millis(0));
            prop_assert!(pacer.ready_at(ready) <= ready + Millis(1));
        }
    }
}
