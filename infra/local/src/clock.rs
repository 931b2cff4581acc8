//! The one clock of the local services: the system's, made never to step back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use kinesis_model::EpochMillis;

/// Milliseconds since 1970 that never decrease, also when the system clock is set back.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    latest: AtomicU64,
}

impl Clock {
    /// A clock that shows `latest` at the least, so that a restart cannot go back behind what was stored.
    pub(crate) fn starting_at(latest: EpochMillis) -> Self {
        Self { latest: AtomicU64::new(latest.0) }
    }

    pub(crate) fn now(&self) -> EpochMillis {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        EpochMillis(self.latest.fetch_max(millis, Ordering::Relaxed).max(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_shows_less_than_where_it_started() {
        let far = EpochMillis(u64::MAX / 2);
        let clock = Clock::starting_at(far);
        assert_eq!(clock.now(), far);
        assert!(Clock::default().now() > EpochMillis(1_700_000_000_000));
    }
}
