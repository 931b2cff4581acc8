//! The one clock of the local services: the system's, sped up if a setting says so, made never to step back.
//!
//! ```text
//!  system  12:00:00 ─────── 12:00:01 ─────── 12:00:02        time_scale = 60
//!  clock   12:00:00 ─────── 12:01:00 ─────── 12:02:00
//! ```
//!
//! It starts at the system's time and runs ahead of it from there on. What the services decide by time goes by it: the
//! control plane, quotas, retention, arrival times, metrics, alarms. What a client does at its own pace does not: how long
//! an iterator, a page token or a subscription lives, how often messages may be polled, and how many bytes a second a shard
//! takes and gives. So a program that keeps up with a stream at AWS keeps up with it here, whatever the scale.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kinesis_model::EpochMillis;
use thiserror::Error;

/// The time of the local services: milliseconds since 1970 that never decrease, also when the system clock is set back.
#[derive(Debug)]
pub struct Clock {
    started_millis: u64,
    origin: EpochMillis,
    scale: NonZeroU32,
    latest: AtomicU64,
}

/// What another process needs to show the same time: `<system milliseconds>:<clock milliseconds>:<scale>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockAnchor {
    started_millis: u64,
    origin: EpochMillis,
    scale: NonZeroU32,
}

impl Clock {
    /// A clock that shows `latest` at the least, so that a restart cannot go back behind what was stored, and runs `scale`
    /// times as fast as the system's.
    pub(crate) fn starting_at(latest: EpochMillis, scale: NonZeroU32) -> Self {
        let started_millis = system_millis();
        let origin = latest.max(EpochMillis(started_millis));
        Self { started_millis, origin, scale, latest: AtomicU64::new(origin.0) }
    }

    /// The clock that `anchor` was taken of, in a process that has the same system clock.
    #[must_use]
    pub const fn anchored(anchor: ClockAnchor) -> Self {
        let ClockAnchor { started_millis, origin, scale } = anchor;
        Self { started_millis, origin, scale, latest: AtomicU64::new(origin.0) }
    }

    /// For [`anchored`](Self::anchored).
    #[must_use]
    pub const fn anchor(&self) -> ClockAnchor {
        ClockAnchor { started_millis: self.started_millis, origin: self.origin, scale: self.scale }
    }

    /// The time.
    pub fn now(&self) -> EpochMillis {
        let elapsed = system_millis().saturating_sub(self.started_millis);
        let millis = self.origin.0.saturating_add(elapsed.saturating_mul(u64::from(self.scale.get())));
        EpochMillis(self.latest.fetch_max(millis, Ordering::Relaxed).max(millis))
    }

    /// How long to wait until this clock has gone on by `span`.
    #[must_use]
    pub fn real(&self, span: Duration) -> Duration {
        span / self.scale.get()
    }

    /// How many of its seconds pass in a second.
    #[must_use]
    pub fn scale(&self) -> NonZeroU32 {
        self.scale
    }
}

impl fmt::Display for ClockAnchor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.started_millis, self.origin.0, self.scale)
    }
}

impl FromStr for ClockAnchor {
    type Err = InvalidClockAnchor;

    fn from_str(text: &str) -> Result<Self, InvalidClockAnchor> {
        let read = || {
            let mut parts = text.split(':');
            let started_millis = parts.next()?.parse().ok()?;
            let origin = EpochMillis(parts.next()?.parse().ok()?);
            let scale = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { started_millis, origin, scale })
        };
        read().ok_or_else(|| InvalidClockAnchor { text: text.to_owned() })
    }
}

/// A text that is no anchor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no clock such as 1800000000000:1800000000000:60")]
pub struct InvalidClockAnchor {
    text: String,
}

fn system_millis() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_shows_less_than_where_it_started() {
        let far = EpochMillis(u64::MAX / 2);
        assert!(Clock::starting_at(far, NonZeroU32::MIN).now() >= far);
        let fresh = Clock::starting_at(EpochMillis::default(), NonZeroU32::MIN);
        assert!(fresh.now() > EpochMillis(1_700_000_000_000));
    }

    #[test]
    fn it_runs_as_fast_as_it_is_told() {
        let scale = NonZeroU32::new(60).expect("not zero");
        let mut clock = Clock::starting_at(EpochMillis::default(), scale);
        assert_eq!(clock.real(Duration::from_secs(60)), Duration::from_secs(1));
        let before = clock.now();
        clock.started_millis -= 10_000;
        assert!(clock.now().millis_since(before) >= 600_000);
    }

    #[test]
    fn a_clock_by_an_anchor_shows_the_same_time() {
        let scale = NonZeroU32::new(60).expect("not zero");
        let clock = Clock::starting_at(EpochMillis(u64::MAX / 4), scale);
        let anchor = clock.anchor().to_string().parse::<ClockAnchor>().expect("written as it is read");
        let (before, shown, after) = (clock.now(), Clock::anchored(anchor).now(), clock.now());
        assert!(before <= shown && shown <= after, "{before:?} {shown:?} {after:?}");
        for text in ["", "1:2", "1:2:0", "1:2:3:4", "a:2:3"] {
            assert!(text.parse::<ClockAnchor>().is_err(), "{text}");
        }
    }
}
