//! Who is subscribed to one shard: at most one running subscription per consumer.

use std::collections::BTreeMap;

use crate::EpochMillis;

/// The latest subscription of each consumer.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionSlots {
    by_consumer: BTreeMap<String, Slot>,
    generation_last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u64,
    started: EpochMillis,
}

/// Whether a subscription still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Held,
    /// A later call of the same consumer has the slot.
    TakenOver,
    /// The consumer was deregistered.
    Gone,
}

impl SubscriptionSlots {
    /// Gives the consumer's slot to a new subscription; `None` within 5 seconds of the last time.
    pub(crate) fn take(&mut self, consumer_arn: &str, now: EpochMillis) -> Option<u64> {
        let is_too_early = self
            .by_consumer
            .get(consumer_arn)
            .is_some_and(|slot| now.millis_since(slot.started) < RESUBSCRIBE_MILLIS_MIN);
        if is_too_early {
            return None;
        }
        self.generation_last += 1;
        let slot = Slot { generation: self.generation_last, started: now };
        self.by_consumer.insert(consumer_arn.to_owned(), slot);
        Some(slot.generation)
    }

    /// What became of the subscription that got `generation`.
    pub(crate) fn state(&self, consumer_arn: &str, generation: u64) -> SlotState {
        match self.by_consumer.get(consumer_arn) {
            Some(slot) if slot.generation == generation => SlotState::Held,
            Some(_) => SlotState::TakenOver,
            None => SlotState::Gone,
        }
    }

    /// Ends the consumer's subscription.
    pub(crate) fn remove(&mut self, consumer_arn: &str) {
        self.by_consumer.remove(consumer_arn);
    }
}

/// Kinesis refuses a second call of one consumer for one shard within 5 seconds, and lets it take over afterwards.
const RESUBSCRIBE_MILLIS_MIN: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_taken_over_after_five_seconds_and_not_before() {
        let mut slots = SubscriptionSlots::default();
        let first = slots.take("a", EpochMillis(0)).expect("free");
        assert_eq!(slots.take("a", EpochMillis(4_999)), None);
        assert!(slots.take("b", EpochMillis(1)).is_some());
        assert_eq!(slots.state("a", first), SlotState::Held);
        let second = slots.take("a", EpochMillis(5_000)).expect("old enough");
        assert_eq!(slots.state("a", first), SlotState::TakenOver);
        slots.remove("a");
        assert_eq!(slots.state("a", second), SlotState::Gone);
    }
}
