//! How long operations of the control plane take.
//!
//! AWS publishes no figures beyond "a few minutes"; these are round numbers of the order that operators report.

use std::time::Duration;

use crate::{ControlPlane, Settings};

/// An operation that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateStream,
    DeleteStream,
    SplitOrMerge,
    UpdateShardCount {
        from: usize,
        to: usize,
    },
    /// Retention, mode, encryption, record size.
    ChangeSetting,
    RegisterConsumer,
    DeregisterConsumer,
}

impl Operation {
    /// From the call until it is done.
    pub(crate) fn duration(self, settings: &Settings) -> Duration {
        match settings.control_plane {
            ControlPlane::Instant => Duration::ZERO,
            ControlPlane::Aws => self.usual_duration() * settings.operation_percent / 100,
        }
    }

    fn usual_duration(self) -> Duration {
        match self {
            Self::CreateStream | Self::DeleteStream => Duration::from_secs(20),
            Self::SplitOrMerge => Duration::from_secs(30),
            Self::UpdateShardCount { from, to } => scaling(from as u64, to as u64),
            Self::ChangeSetting | Self::RegisterConsumer | Self::DeregisterConsumer => {
                Duration::from_secs(10)
            }
        }
    }
}

/// Two minutes and 1.8 s per shard, half as long again when the step is no multiple of 25 %.
fn scaling(from: u64, to: u64) -> Duration {
    let millis = 120_000 + 1_800 * to;
    let is_quarter_step = (to * 4).is_multiple_of(from);
    Duration::from_millis(if is_quarter_step { millis } else { millis * 3 / 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_steps_take_longer() {
        let aws = Settings { control_plane: ControlPlane::Aws, ..Settings::default() };
        let seconds = |from, to| Operation::UpdateShardCount { from, to }.duration(&aws).as_secs();
        assert_eq!(seconds(4, 8), 134);
        assert_eq!(seconds(8, 10), 138);
        assert_eq!(seconds(8, 9), 204);
        assert_eq!(Operation::DeleteStream.duration(&Settings::default()), Duration::ZERO);
    }

    #[test]
    fn all_operations_can_be_slower() {
        let slow =
            Settings { control_plane: ControlPlane::Aws, operation_percent: 250, ..Settings::default() };
        assert_eq!(Operation::SplitOrMerge.duration(&slow), Duration::from_secs(75));
    }
}
