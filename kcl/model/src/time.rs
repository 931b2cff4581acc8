//! Time as Kinesis shows it: milliseconds since 1970, given by the caller.

use std::fmt;
use std::time::Duration;

/// A point in time, in milliseconds since 1970-01-01 UTC.
///
/// Callers may hand in times that step back a little; a shard keeps its arrival times in order all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochMillis(pub u64);

impl EpochMillis {
    /// The time `duration` later, at most the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The time `duration` earlier, at least 1970.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for EpochMillis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(EpochMillis(5).before(second), EpochMillis(0));
        assert_eq!(EpochMillis(u64::MAX).after(second), EpochMillis(u64::MAX));
        assert_eq!(EpochMillis(5).millis_since(EpochMillis(7)), 0);
        assert_eq!(EpochMillis(1_234).to_string(), "1.234");
    }
}
