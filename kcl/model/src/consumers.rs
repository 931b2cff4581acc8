//! The registered consumers of one stream.

use std::collections::BTreeMap;

use crate::{ConsumerDescription, ConsumerStatus, EpochMillis, KinesisError, Result};

/// Consumers by name.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    by_name: BTreeMap<String, Consumer>,
}

#[derive(Debug)]
struct Consumer {
    arn: String,
    created: EpochMillis,
    phase: Phase,
}

/// `Registering ─▶ Registered ─▶ Deregistering ─▶ (gone)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Registering { due: EpochMillis },
    Registered,
    Deregistering { due: EpochMillis },
}

impl Consumers {
    /// Registers `name`, which becomes active at `due`.
    ///
    /// # Errors
    /// `ResourceInUse` if the name is taken, `LimitExceeded` if the stream has 20 consumers.
    pub(crate) fn register(
        &mut self,
        stream_arn: &str,
        name: &str,
        now: EpochMillis,
        due: EpochMillis,
    ) -> Result<ConsumerDescription> {
        if self.by_name.contains_key(name) {
            return Err(KinesisError::ResourceInUse(format!(
                "Consumer {name} already exists for stream {stream_arn}."
            )));
        }
        if self.by_name.len() >= CONSUMERS_MAX {
            return Err(KinesisError::LimitExceeded(format!(
                "Stream {stream_arn} has {CONSUMERS_MAX} registered consumers, which is the limit; deregister one."
            )));
        }
        let arn = format!("{stream_arn}/consumer/{name}:{}", now.seconds());
        let consumer = Consumer { arn, created: now, phase: Phase::Registering { due } };
        self.by_name.insert(name.to_owned(), consumer);
        Ok(self.describe(stream_arn, name).expect("it was just registered"))
    }

    /// Starts to deregister `name`; it is gone at `due`. Returns its ARN.
    pub(crate) fn deregister(&mut self, name: &str, due: EpochMillis) -> Option<String> {
        let consumer = self.by_name.get_mut(name)?;
        consumer.phase = Phase::Deregistering { due };
        Some(consumer.arn.clone())
    }

    /// The name of the consumer with this ARN.
    pub(crate) fn name_of(&self, arn: &str) -> Option<&str> {
        self.by_name.iter().find(|(_, consumer)| consumer.arn == arn).map(|(name, _)| name.as_str())
    }

    /// What is known about `name`.
    pub(crate) fn describe(&self, stream_arn: &str, name: &str) -> Option<ConsumerDescription> {
        let consumer = self.by_name.get(name)?;
        Some(ConsumerDescription {
            consumer_name: name.to_owned(),
            consumer_arn: consumer.arn.clone(),
            status: match consumer.phase {
                Phase::Registering { .. } => ConsumerStatus::Creating,
                Phase::Registered => ConsumerStatus::Active,
                Phase::Deregistering { .. } => ConsumerStatus::Deleting,
            },
            creation: consumer.created,
            stream_arn: stream_arn.to_owned(),
        })
    }

    /// The names after `name`, in order.
    pub(crate) fn names_after(&self, name: &str) -> impl Iterator<Item = &str> {
        let after = (std::ops::Bound::Excluded(name), std::ops::Bound::Unbounded);
        self.by_name.range::<str, _>(after).map(|(name, _)| name.as_str())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Finishes what is due.
    pub(crate) fn settle(&mut self, now: EpochMillis) {
        self.by_name.retain(|_, consumer| match consumer.phase {
            Phase::Registering { due } if due <= now => {
                consumer.phase = Phase::Registered;
                true
            }
            Phase::Registering { .. } | Phase::Registered => true,
            Phase::Deregistering { due } => due > now,
        });
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<EpochMillis> {
        let due = |consumer: &Consumer| match consumer.phase {
            Phase::Registering { due } | Phase::Deregistering { due } => Some(due),
            Phase::Registered => None,
        };
        self.by_name.values().filter_map(due).min()
    }
}

/// Consumers that Kinesis registers per stream.
const CONSUMERS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_comes_and_goes_in_its_time() {
        let mut consumers = Consumers::default();
        let status = |consumers: &Consumers| consumers.describe("s", "a").map(|consumer| consumer.status);
        consumers.register("s", "a", EpochMillis(0), EpochMillis(10)).expect("free");
        assert!(consumers.register("s", "a", EpochMillis(0), EpochMillis(10)).is_err());
        consumers.settle(EpochMillis(9));
        assert_eq!(status(&consumers), Some(ConsumerStatus::Creating));
        consumers.settle(EpochMillis(10));
        assert_eq!((status(&consumers), consumers.next_due()), (Some(ConsumerStatus::Active), None));
        consumers.deregister("a", EpochMillis(20));
        consumers.settle(EpochMillis(19));
        assert_eq!(status(&consumers), Some(ConsumerStatus::Deleting));
        consumers.settle(EpochMillis(20));
        assert_eq!(status(&consumers), None);
    }

    #[test]
    fn the_twenty_first_is_refused() {
        let mut consumers = Consumers::default();
        let mut register =
            |index: usize| consumers.register("s", &format!("c{index}"), EpochMillis(0), EpochMillis(0));
        assert!((0..CONSUMERS_MAX).all(|index| register(index).is_ok()));
        assert_eq!(register(CONSUMERS_MAX).map_err(|error| error.code()), Err("LimitExceededException"));
    }
}
