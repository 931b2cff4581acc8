//! How many records are due at each moment of the services' clock, and an input that gives them then.
//!
//! ```text
//!  rate        ┌──── 10 × base ────┐
//!             ╱                     ╲
//!   base ────┘                       └──── base, until the run is told to end
//!        8 min  2      25 min        2
//! ```
//!
//! What a stream that throttles does not take waits at the producer: the number of records due depends on the time alone.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use local::{Clock, EpochMillis};
use workers::{InputError, InputLine, Line};

/// A rate over time: straight lines between points, and the last rate for ever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    base: f64,
    factor: f64,
    time_scale: NonZeroU32,
}

impl Profile {
    /// `base` records a second of the machine, on a clock that is `time_scale` times as fast.
    pub(crate) const fn steady(base: f64, time_scale: NonZeroU32) -> Self {
        Self { base, factor: 1.0, time_scale }
    }

    /// The same, rising tenfold in between.
    pub(crate) const fn surging(base: f64, time_scale: NonZeroU32) -> Self {
        Self { base, factor: SURGE_FACTOR, time_scale }
    }

    /// Records a second of the machine, at the least and at the most.
    pub(crate) const fn rates(&self) -> (f64, f64) {
        (self.base, self.base * self.factor)
    }

    /// From when to when more than the base is due.
    pub(crate) const fn surge() -> (Duration, Duration) {
        (SHAPE[1].0, SHAPE[4].0)
    }

    /// Records a second of the machine at `since_start`.
    pub(crate) fn rate(&self, since_start: Duration) -> f64 {
        self.base * (1.0 + (self.factor - 1.0) * height(since_start))
    }

    /// Records due up to `since_start`, by the fast clock.
    pub(crate) fn due(&self, since_start: Duration) -> u64 {
        let end = since_start.as_secs_f64();
        let corners = SHAPE.iter().map(|(at, _)| *at).filter(|at| *at < since_start).chain([since_start]);
        let corners: Vec<Duration> = corners.collect();
        let heights: f64 = corners
            .windows(2)
            .map(|span| (span[1] - span[0]).as_secs_f64() * (height(span[0]) + height(span[1])) / 2.0)
            .sum();
        let seconds = end + heights * (self.factor - 1.0);
        (self.base * seconds / f64::from(self.time_scale.get())) as u64
    }
}

/// Where the rate is at `since_start`: 0 at the base, 1 at the top.
fn height(since_start: Duration) -> f64 {
    let after = SHAPE.partition_point(|(at, _)| *at <= since_start);
    let (from, low) = SHAPE[after - 1];
    let Some(&(to, high)) = SHAPE.get(after) else { return low };
    low + (high - low) * (since_start - from).as_secs_f64() / (to - from).as_secs_f64()
}

/// Lines that come when they are due, until they are told to end.
pub(crate) struct PacedLines<L> {
    lines: L,
    profile: Profile,
    clock: Arc<Clock>,
    started_at: EpochMillis,
    given: u64,
    due: u64,
    has_paused: bool,
    is_over: Arc<AtomicBool>,
}

impl<L> PacedLines<L> {
    /// `lines` as `profile` has them from `started_at` on, until `is_over` is set.
    pub(crate) const fn new(
        lines: L,
        profile: Profile,
        clock: Arc<Clock>,
        started_at: EpochMillis,
        is_over: Arc<AtomicBool>,
    ) -> Self {
        Self { lines, profile, clock, started_at, given: 0, due: 0, has_paused: true, is_over }
    }
}

impl<L: Iterator<Item = Bytes>> Iterator for PacedLines<L> {
    type Item = Result<Line, InputError>;

    /// Blocks until a line is due: it is called by the pump's own reading thread. Nothing but the clock makes a line due, so
    /// there is no event to wait for; the steps are short so that the end is noticed, too.
    fn next(&mut self) -> Option<Self::Item> {
        while self.given >= self.due {
            if self.is_over.load(Ordering::Relaxed) {
                return None;
            }
            if !std::mem::replace(&mut self.has_paused, true) {
                return Some(Ok(Line::Pause));
            }
            let since_start = self.clock.now().millis_since(self.started_at);
            self.due = self.profile.due(Duration::from_millis(since_start));
            if self.given >= self.due {
                std::thread::sleep(STEP);
            }
        }
        self.has_paused = false;
        self.given += 1;
        let bytes = self.lines.next()?;
        Some(Ok(Line::Whole(InputLine { number: self.given, bytes })))
    }
}

const SURGE_FACTOR: f64 = 10.0;
const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
/// Long enough at the base for every alarm to have a state; at the top for more growth than one call may bring.
const SHAPE: [(Duration, f64); 5] =
    [(Duration::ZERO, 0.0), (minutes(8), 0.0), (minutes(10), 1.0), (minutes(35), 1.0), (minutes(37), 0.0)];
/// Of the machine's time: records come in a steady trickle and not in gusts that fill a shard's second.
const STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(factor: u32) -> NonZeroU32 {
        NonZeroU32::new(factor).expect("not zero")
    }

    #[test]
    fn a_surge_is_ten_times_the_base_and_comes_back() {
        let profile = Profile::surging(100.0, scale(60));
        let rate = |minute| profile.rate(minutes(minute));
        assert_eq!(
            [rate(0), rate(8), rate(9), rate(10), rate(35), rate(36), rate(37), rate(500)],
            [100.0, 100.0, 550.0, 1000.0, 1000.0, 550.0, 100.0, 100.0]
        );
        assert_eq!(profile.rates(), (100.0, 1000.0));
    }

    #[test]
    fn what_is_due_is_the_area_below_the_rate() {
        // At 60 a minute of the clock is a second of the machine.
        let profile = Profile::surging(100.0, scale(60));
        assert_eq!(profile.due(minutes(8)), 800);
        assert_eq!(profile.due(minutes(10)), 800 + 1_100);
        assert_eq!(profile.due(minutes(35)), 1_900 + 25_000);
        assert_eq!(profile.due(minutes(47)), 26_900 + 1_100 + 1_000);
        assert_eq!(Profile::steady(100.0, scale(30)).due(minutes(60)), 12_000);
    }

    #[test]
    fn lines_pause_when_none_is_due_and_end_when_they_are_told() {
        let (is_over, clock) =
            (Arc::new(AtomicBool::new(false)), Arc::new(Clock::anchored("0:0:1".parse().expect("a clock"))));
        // Two records are due at the start of 1970 and a hundredth of a second, and many more by now.
        let started_at = EpochMillis(clock.now().0 - 1_500);
        let lines = std::iter::repeat(Bytes::from_static(b"x"));
        let profile = Profile::steady(2.0, scale(1));
        let mut paced = PacedLines::new(lines, profile, clock, started_at, Arc::clone(&is_over));
        let mut next = || paced.next().map(|line| line.expect("no error"));
        let mut numbers = Vec::new();
        while let Some(Line::Whole(line)) = next() {
            numbers.push(line.number);
        }
        assert_eq!(numbers[..3], [1, 2, 3]);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(next(), None);
    }
}
