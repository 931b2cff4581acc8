//! One simulated process: a clock of its own, which runs a little fast or slow, and standing still.
//!
//! A frozen process makes no call, gets no reply and runs no processor, while time goes on for everybody else. Its clock
//! shows the moment it froze, and on waking the present, as a clock that counts suspended time does. The timers of the
//! real worker may fire meanwhile; whatever they lead to waits at the next port or processor.

use std::sync::Arc;
use std::time::Duration;

use kcl::Clock;
use kcl_core::{Millis, WorkerId};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::lab::PortBug;

/// A process that runs one worker.
#[derive(Debug)]
pub struct Process {
    number: u64,
    worker: Mutex<Option<WorkerId>>,
    slow: Mutex<Option<(Instant, Duration)>>,
    clock: Arc<ProcessClock>,
}

impl Process {
    /// Process `number`, whose clock runs `rate_ppm` too fast.
    #[must_use]
    pub fn new(number: u64, zero: Instant, rate_ppm: i64, bug: Option<PortBug>) -> Self {
        let clock = ProcessClock {
            zero,
            offset: Millis(number * 10_000),
            rate_ppm,
            frozen: Mutex::default(),
            slept: Mutex::default(),
            stands_while_frozen: bug == Some(PortBug::ClockStopsWhenFrozen),
        };
        Self { number, worker: Mutex::default(), slow: Mutex::default(), clock: Arc::new(clock) }
    }

    /// Its number: no two processes of a run share one.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The clock for its worker.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Tells the process the id of its worker.
    pub fn runs(&self, worker: WorkerId) {
        *self.worker.lock() = Some(worker);
    }

    /// The id of its worker.
    ///
    /// # Panics
    /// Before [`Process::runs`].
    #[must_use]
    pub fn worker(&self) -> WorkerId {
        self.worker.lock().clone().expect("the worker is built before it calls")
    }

    /// Stands still for `span` from here on.
    pub fn freeze(&self, span: Duration) {
        let now = Instant::now();
        *self.clock.frozen.lock() = Some((now, now + span));
        if self.clock.stands_while_frozen {
            *self.clock.slept.lock() += span;
        }
    }

    /// For `span` from here on, its calls to the store take up to `each_way_max` there and as much back.
    pub fn slow_down(&self, span: Duration, each_way_max: Duration) {
        *self.slow.lock() = Some((Instant::now() + span, each_way_max));
    }

    /// What a call to the store may take each way, while the link is slow.
    #[must_use]
    pub fn slowness(&self) -> Option<Duration> {
        let slow = *self.slow.lock();
        slow.filter(|(until, _)| Instant::now() < *until).map(|(_, each_way_max)| each_way_max)
    }

    /// Until when it is frozen, if it is.
    #[must_use]
    pub fn frozen_until(&self) -> Option<Instant> {
        self.clock.frozen(Instant::now()).map(|(_, until)| until)
    }

    /// Returns once it is not frozen.
    pub async fn thawed(&self) {
        while let Some(until) = self.frozen_until() {
            sleep_until(until).await;
        }
    }
}

#[derive(Debug)]
struct ProcessClock {
    zero: Instant,
    offset: Millis,
    rate_ppm: i64,
    frozen: Mutex<Option<(Instant, Instant)>>,
    slept: Mutex<Duration>,
    stands_while_frozen: bool,
}

impl ProcessClock {
    fn frozen(&self, at: Instant) -> Option<(Instant, Instant)> {
        (*self.frozen.lock()).filter(|(from, until)| *from <= at && at < *until)
    }

    /// Time since zero as far as this process has noticed.
    fn noticed(&self) -> Duration {
        let now = Instant::now();
        self.frozen(now).map_or(now, |(from, _)| from).duration_since(self.zero)
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Millis {
        let micros = self.noticed().saturating_sub(*self.slept.lock()).as_micros() as i128;
        let local = micros * (1_000_000 + i128::from(self.rate_ppm)) / 1_000_000_000;
        self.offset + Millis(u64::try_from(local).expect("time goes on from zero"))
    }

    fn epoch_millis(&self) -> u64 {
        EPOCH_MILLIS_AT_ZERO + Millis::from(self.noticed()).0
    }
}

/// 2026-01-01, so that times in messages look like times.
pub(crate) const EPOCH_MILLIS_AT_ZERO: u64 = 1_767_225_600_000;
