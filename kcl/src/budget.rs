//! One byte budget for everything that a worker has fetched and not yet processed.
//!
//! ```text
//! reserve(expected) ─▶ fetch ─▶ settle(actual) ─▶ queue ─▶ process ─▶ drop
//!                                 more than expected: taken at once, as debt if nothing is left
//! ```
//!
//! A fetch waits for what it expects, in the order of arrival. Its answer is never made to wait: what it has in excess
//! becomes debt, which the next releases pay first. So one oversized answer can neither block its own shard nor be
//! refused, and the budget is passed by one answer at most per call under way.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// Bytes that may be held.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    free: Semaphore,
    debt: Mutex<usize>,
    bytes_max: usize,
}

impl ByteBudget {
    /// A budget of `bytes_max`, at most 4 GiB.
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        Arc::new(Self { free: Semaphore::new(bytes_max), debt: Mutex::new(0), bytes_max })
    }

    /// Waits for `bytes`, or for the whole budget if that is less.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: usize) -> Reservation {
        let bytes = bytes.clamp(1, self.bytes_max);
        let permits = u32::try_from(bytes).expect("a budget has at most u32::MAX bytes");
        self.free.acquire_many(permits).await.expect("the semaphore is never closed").forget();
        Reservation { budget: Arc::clone(self), bytes }
    }

    fn take_at_once(&self, bytes: usize) {
        let mut debt = self.debt.lock();
        *debt += bytes - self.free.forget_permits(bytes);
    }

    fn give_back(&self, bytes: usize) {
        let mut debt = self.debt.lock();
        let paid = bytes.min(*debt);
        *debt -= paid;
        self.free.add_permits(bytes - paid);
    }
}

/// Part of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl Reservation {
    /// Replaces what was expected by what came. Never waits.
    pub(crate) fn settle(&mut self, actual: usize) {
        if actual > self.bytes {
            self.budget.take_at_once(actual - self.bytes);
        } else {
            self.budget.give_back(self.bytes - actual);
        }
        self.bytes = actual;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_fetch_waits_until_enough_is_given_back() {
        let budget = ByteBudget::new(100);
        let held = budget.reserve(80).await;
        assert!(timeout(MOMENT, budget.reserve(30)).await.is_err());
        drop(held);
        assert!(timeout(MOMENT, budget.reserve(30)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_oversized_answer_is_taken_and_paid_back() {
        let budget = ByteBudget::new(100);
        let mut oversized = timeout(MOMENT, budget.reserve(1_000)).await.expect("the whole budget is enough");
        oversized.settle(1_000);
        let mut other = Box::pin(budget.reserve(1));
        assert!(timeout(MOMENT, &mut other).await.is_err());
        drop(oversized);
        assert!(timeout(MOMENT, other).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_smaller_than_expected_frees_the_rest() {
        let budget = ByteBudget::new(100);
        let mut small = budget.reserve(100).await;
        small.settle(10);
        assert!(timeout(MOMENT, budget.reserve(90)).await.is_ok());
    }

    proptest! {
        #[test]
        fn everything_comes_back(sizes in prop::collection::vec((1_usize..200, 0_usize..500), 1..50)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let budget = ByteBudget::new(100);
                for (expected, actual) in sizes {
                    let mut reservation = budget.reserve(expected).await;
                    reservation.settle(actual);
                }
                assert_eq!((budget.free.available_permits(), *budget.debt.lock()), (100, 0));
            });
        }
    }
}
