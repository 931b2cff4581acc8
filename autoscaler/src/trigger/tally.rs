//! What the triggers did, in numbers: counters that only grow, for whoever publishes metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::RefusalKind;

/// The counters of the triggers. Shared: all methods take `&self`.
#[derive(Debug, Default)]
pub struct Tally {
    messages: AtomicU64,
    wakes: AtomicU64,
    repeated: AtomicU64,
    queue_failures: AtomicU64,
    handler_failures: AtomicU64,
    refused: [AtomicU64; RefusalKind::ALL.len()],
}

/// A counter at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The metric's name. Stable.
    pub name: &'static str,
    /// The value of the metric's label `kind`, for the metric that has one.
    pub kind: Option<&'static str>,
    /// How often since the start.
    pub value: u64,
}

impl Tally {
    pub(super) fn count_message(&self) {
        increment(&self.messages);
    }

    pub(super) fn count_wake(&self) {
        increment(&self.wakes);
    }

    pub(super) fn count_repeated(&self) {
        increment(&self.repeated);
    }

    pub(super) fn count_queue_failure(&self) {
        increment(&self.queue_failures);
    }

    #[cfg(feature = "lambda")]
    pub(super) fn count_handler_failure(&self) {
        increment(&self.handler_failures);
    }

    pub(super) fn count_refused(&self, kind: RefusalKind) {
        increment(&self.refused[kind as usize]);
    }

    /// Messages refused for this reason.
    #[must_use]
    pub fn refused(&self, kind: RefusalKind) -> u64 {
        self.refused[kind as usize].load(Ordering::Relaxed)
    }

    /// Every counter, those at zero included.
    pub fn counters(&self) -> impl Iterator<Item = Counter> + '_ {
        let plain = [
            ("autoscaler_trigger_messages_total", &self.messages),
            ("autoscaler_trigger_wakes_total", &self.wakes),
            ("autoscaler_trigger_repeated_messages_total", &self.repeated),
            ("autoscaler_trigger_queue_failures_total", &self.queue_failures),
            ("autoscaler_trigger_handler_failures_total", &self.handler_failures),
        ];
        let plain = plain.into_iter().map(|(name, count)| (name, None, count));
        let refused = RefusalKind::ALL.into_iter().zip(&self.refused);
        let refused = refused.map(|(kind, count)| (REFUSED_NAME, Some(kind.name()), count));
        plain.chain(refused).map(|(name, kind, count)| Counter {
            name,
            kind,
            value: count.load(Ordering::Relaxed),
        })
    }
}

fn increment(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

const REFUSED_NAME: &str = "autoscaler_trigger_refused_messages_total";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_counted_under_its_own_kind() {
        let tally = Tally::default();
        tally.count_refused(RefusalKind::NotJson);
        tally.count_refused(RefusalKind::NotJson);
        tally.count_message();
        let counted: Vec<_> = tally.counters().filter(|counter| counter.value > 0).collect();
        let messages = Counter { name: "autoscaler_trigger_messages_total", kind: None, value: 1 };
        let refused = Counter { name: REFUSED_NAME, kind: Some("not_json"), value: 2 };
        assert_eq!(counted, [messages, refused]);
        assert_eq!(tally.refused(RefusalKind::NotJson), 2);
        assert_eq!(tally.counters().count(), 5 + RefusalKind::ALL.len());
    }
}
