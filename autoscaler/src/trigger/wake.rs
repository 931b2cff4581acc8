//! A wake: look at this stream now.

use std::fmt;

use super::{AlarmArn, Excerpt, Region, StreamName};
use crate::EpochMillis;

/// Look at a stream now. Only the stream and its region mean anything to the reconciler; the rest is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The stream to look at.
    pub stream: StreamName,
    /// Its region; the autoscaler's own if absent.
    pub region: Option<Region>,
    /// Who asked.
    pub source: WakeSource,
}

impl Wake {
    /// A wake by a person, or by whatever sends the name of a stream.
    #[must_use]
    pub const fn by_operator(stream: StreamName, region: Option<Region>) -> Self {
        Self { stream, region, source: WakeSource::Operator }
    }
}

impl fmt::Display for Wake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            WakeSource::Alarm(change) => write!(
                formatter,
                "{}: alarm {} went to {}: {}",
                self.stream,
                change.arn.name(),
                change.state,
                change.reason
            ),
            WakeSource::Schedule => write!(formatter, "{}: scheduled", self.stream),
            WakeSource::Operator => write!(formatter, "{}: asked for", self.stream),
        }
    }
}

/// Who asked for a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeSource {
    /// An alarm that changed its state.
    Alarm(AlarmChange),
    /// A schedule of EventBridge, which wakes every stream of the settings.
    Schedule,
    /// A person, or whatever sends the name of a stream.
    Operator,
}

impl WakeSource {
    /// The change of an alarm, if it was one: what repeated deliveries are recognised by.
    #[must_use]
    pub const fn alarm(&self) -> Option<&AlarmChange> {
        match self {
            Self::Alarm(change) => Some(change),
            Self::Schedule | Self::Operator => None,
        }
    }
}

/// One change of an alarm's state. Changes to every state wake: a return to `OK` may be the time to take capacity away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmChange {
    /// Which alarm.
    pub arn: AlarmArn,
    /// The state that it went to.
    pub state: AlarmState,
    /// When, by CloudWatch's clock.
    pub changed_at: EpochMillis,
    /// Why, in CloudWatch's words; empty if it gave none.
    pub reason: Excerpt,
}

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    /// The metric is within its threshold.
    Ok,
    /// It is not.
    Alarm,
    /// It has too few points to tell.
    InsufficientData,
}

impl AlarmState {
    /// The state by the name that CloudWatch gives it.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData].into_iter().find(|state| state.name() == name)
    }

    /// CloudWatch's name of the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

impl fmt::Display for AlarmState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_reads_as_a_line() {
        let stream: StreamName = "clicks".parse().expect("a name");
        assert_eq!(Wake::by_operator(stream.clone(), None).to_string(), "clicks: asked for");
        let change = AlarmChange {
            arn: "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:clicks-high".parse().expect("an ARN"),
            state: AlarmState::Alarm,
            changed_at: EpochMillis(0),
            reason: Excerpt::of("3 of 3 points were greater than 0.8", 100),
        };
        let wake = Wake { stream, region: None, source: WakeSource::Alarm(change) };
        assert_eq!(
            wake.to_string(),
            "clicks: alarm clicks-high went to ALARM: 3 of 3 points were greater than 0.8"
        );
    }

    #[test]
    fn states_have_the_names_of_cloudwatch() {
        assert_eq!(AlarmState::from_name("INSUFFICIENT_DATA"), Some(AlarmState::InsufficientData));
        assert_eq!(AlarmState::from_name("alarm"), None);
    }
}
