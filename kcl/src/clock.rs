//! Clocks, and sleeping until a time of one.
//!
//! Lease deadlines are counted on a clock that goes on while the machine is suspended: a holder that wakes up after an
//! hour must see that its hour is gone. Timers of the runtime stand still meanwhile, so [`sleep_until`] looks at the
//! clock at least every second.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kcl_core::Millis;
use tokio::time::Instant;

use crate::port::Clock;

/// The machine's clock: `CLOCK_BOOTTIME` on Linux, the standard monotonic clock elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        since_boot()
    }

    fn epoch_millis(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clock of the tokio runtime, which tests can pause and advance. Does not count suspend: not for production.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    zero: Instant,
    epoch_millis_at_zero: u64,
}

impl TokioClock {
    /// A clock that starts at zero, with the wall clock at `epoch_millis_at_zero`.
    #[must_use]
    pub fn starting_at(epoch_millis_at_zero: u64) -> Self {
        Self { zero: Instant::now(), epoch_millis_at_zero }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Millis {
        self.zero.elapsed().into()
    }

    fn epoch_millis(&self) -> u64 {
        self.epoch_millis_at_zero.saturating_add(self.now().0)
    }
}

/// Returns once `clock` shows `when`.
pub(crate) async fn sleep_until(clock: &dyn Clock, when: Millis) {
    loop {
        let left = Duration::from(when.since(clock.now()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLEEP_MAX)).await;
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Millis {
    use nix::time::{ClockId, clock_gettime};
    static HAS_BOOTTIME: OnceLock<bool> = OnceLock::new();
    let has_boottime = *HAS_BOOTTIME.get_or_init(|| clock_gettime(ClockId::CLOCK_BOOTTIME).is_ok());
    let clock = if has_boottime { ClockId::CLOCK_BOOTTIME } else { ClockId::CLOCK_MONOTONIC };
    let now = clock_gettime(clock).expect("the kernel has a monotonic clock");
    Duration::from(now).into()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Millis {
    static ZERO: OnceLock<std::time::Instant> = OnceLock::new();
    ZERO.get_or_init(std::time::Instant::now).elapsed().into()
}

/// How late a sleeper may notice that the machine was suspended.
const SLEEP_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_does_not_step_back() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(clock.epoch_millis() > 1_700_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleeper_wakes_at_the_time_of_its_clock() {
        let clock = TokioClock::starting_at(5_000);
        sleep_until(&clock, Millis(2_500)).await;
        assert_eq!((clock.now(), clock.epoch_millis()), (Millis(2_500), 7_500));
        sleep_until(&clock, Millis(1_000)).await;
        assert_eq!(clock.now(), Millis(2_500), "a time in the past does not wait");
    }
}
