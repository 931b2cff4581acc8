//! How many bytes all streams of an account hold together, and how many they may.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::WhenFull;

/// A count shared by all shards. It guards no memory, so its order against other accesses does not matter.
#[derive(Debug)]
pub(crate) struct StoredBytes {
    held: AtomicU64,
    max: Option<u64>,
    when_full: WhenFull,
}

impl StoredBytes {
    /// Nothing held.
    pub(crate) const fn new(max: Option<u64>, when_full: WhenFull) -> Self {
        Self { held: AtomicU64::new(0), max, when_full }
    }

    /// Counts `bytes`, unless they must be refused.
    pub(crate) fn add(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let refused_above = match self.when_full {
            WhenFull::TrimOldest => u64::MAX,
            WhenFull::Refuse => self.max.unwrap_or(u64::MAX),
        };
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes).filter(|sum| *sum <= refused_above)
            })
            .is_ok()
    }

    /// Counts `bytes` as given back.
    pub(crate) fn remove(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes that may be held.
    pub(crate) const fn max(&self) -> Option<u64> {
        self.max
    }

    /// Whether old records have to go.
    pub(crate) fn is_over(&self) -> bool {
        self.max.is_some_and(|max| self.held() > max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_refuses_or_runs_over() {
        let refusing = StoredBytes::new(Some(10), WhenFull::Refuse);
        assert!(refusing.add(10) && !refusing.add(1));
        refusing.remove(1);
        assert!(refusing.add(1) && !refusing.is_over());

        let trimming = StoredBytes::new(Some(10), WhenFull::TrimOldest);
        assert!(trimming.add(11) && trimming.is_over());
    }
}
