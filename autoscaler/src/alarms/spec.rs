//! The values for the templates: names of streams, and what of their policies the alarms compare with.

use std::time::Duration;

use thiserror::Error;

use super::catalog::DOUBLINGS_MAX;
use crate::{Policy, PolicyProblem, ShardLimits};

/// One deployment: the streams of an account and region that one autoscaler looks after.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmSpec {
    deployment: String,
    streams: Vec<StreamAlarms>,
}

/// The values for the alarms of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamAlarms {
    /// The stream's name.
    pub stream: String,
    /// Fewest and most shards: what the alarms on incoming data compare with.
    pub shards: (u32, u32),
    /// Utilisation above which the autoscaler adds capacity.
    pub grow_above: f64,
    /// How far readers may be behind.
    pub lag_max: Duration,
    /// How long the stream keeps records. 24 hours unless changed.
    pub retention: Duration,
    /// What a shard takes.
    pub limits: ShardLimits,
    /// Fan-out consumers to be watched. None unless added.
    pub consumers: Vec<String>,
}

impl Default for AlarmSpec {
    fn default() -> Self {
        Self { deployment: "leasehold".to_owned(), streams: Vec::new() }
    }
}

impl AlarmSpec {
    /// With a deployment's name, which all names in AWS begin with. `leasehold` unless changed.
    ///
    /// # Errors
    /// If SNS, SQS and IAM would not all take the name.
    pub fn named(deployment: &str) -> Result<Self, SpecProblem> {
        let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if deployment.is_empty()
            || deployment.len() > DEPLOYMENT_BYTES_MAX
            || !deployment.bytes().all(is_sound)
        {
            return Err(SpecProblem::Deployment { name: deployment.to_owned() });
        }
        Ok(Self { deployment: deployment.to_owned(), ..Self::default() })
    }

    /// Adds a stream with the bounds of its policy.
    ///
    /// # Errors
    /// If the name or the policy cannot be, or the stream is there already.
    pub fn with_stream(self, stream: &str, policy: &Policy) -> Result<Self, SpecProblem> {
        policy.validate()?;
        self.with(StreamAlarms {
            stream: stream.to_owned(),
            shards: (policy.shards_min, policy.shards_max),
            grow_above: policy.grow_above,
            lag_max: policy.lag_max,
            retention: RETENTION_OF_A_NEW_STREAM,
            limits: policy.limits,
            consumers: Vec::new(),
        })
    }

    /// Adds a stream with values of its own.
    ///
    /// # Errors
    /// If a name cannot be, or the stream is there already.
    pub fn with(mut self, stream: StreamAlarms) -> Result<Self, SpecProblem> {
        for name in stream.consumers.iter().chain([&stream.stream]) {
            let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_sound) {
                return Err(SpecProblem::Name { name: name.clone() });
            }
        }
        if self.streams.iter().any(|known| known.stream == stream.stream) {
            return Err(SpecProblem::Twice { stream: stream.stream });
        }
        self.streams.push(stream);
        Ok(self)
    }

    /// What all names in AWS begin with.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The streams in the order in which they were added.
    #[must_use]
    pub fn streams(&self) -> &[StreamAlarms] {
        &self.streams
    }
}

impl StreamAlarms {
    /// Doublings between the fewest and the most shards, for each of which there is an alarm; at most 6.
    #[must_use]
    pub fn doublings(&self) -> u32 {
        let (fewest, most) = self.shards;
        (most / fewest.max(1)).checked_ilog2().unwrap_or(0).min(DOUBLINGS_MAX)
    }
}

/// A value that no template would take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecProblem {
    /// The deployment's name.
    #[error("deployment {name:?}: give 1 to 40 letters, digits and hyphens")]
    Deployment {
        /// As given.
        name: String,
    },
    /// A stream's or a consumer's name.
    #[error("name {name:?}: Kinesis takes 1 to 128 letters, digits and _ . -")]
    Name {
        /// As given.
        name: String,
    },
    /// A stream that was added before.
    #[error("stream {stream} is given twice: name it once")]
    Twice {
        /// Its name.
        stream: String,
    },
    /// A policy that cannot be.
    #[error(transparent)]
    Policy(#[from] PolicyProblem),
}

/// Leaves room in the 64 bytes of a function's or a role's name.
const DEPLOYMENT_BYTES_MAX: usize = 40;
/// Of a stream and of a consumer, by the Kinesis API.
const NAME_BYTES_MAX: usize = 128;
const RETENTION_OF_A_NEW_STREAM: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_aws_would_refuse_are_refused() {
        let policy = Policy::default();
        for name in ["", "a b", "stream/orders", "\"", "${x}", &"n".repeat(129)] {
            let refused = AlarmSpec::default().with_stream(name, &policy);
            assert_eq!(refused, Err(SpecProblem::Name { name: name.to_owned() }));
        }
        for name in ["", "a_b", "a.b", &"n".repeat(41)] {
            assert_eq!(AlarmSpec::named(name), Err(SpecProblem::Deployment { name: name.to_owned() }));
        }
        let spec = AlarmSpec::named("prod").unwrap().with_stream("a.b-c_d", &policy).unwrap();
        assert_eq!(
            spec.with_stream("a.b-c_d", &policy),
            Err(SpecProblem::Twice { stream: "a.b-c_d".into() })
        );
    }

    #[test]
    fn doublings_reach_from_the_fewest_shards_to_the_most() {
        let doublings = |fewest, most| {
            let policy = Policy { shards_min: fewest, shards_max: most, ..Policy::default() };
            AlarmSpec::default().with_stream("s", &policy).unwrap().streams()[0].doublings()
        };
        assert_eq!(doublings(4, 4), 0);
        assert_eq!(doublings(4, 31), 2);
        assert_eq!(doublings(4, 32), 3);
        assert_eq!(doublings(1, 10_000), DOUBLINGS_MAX);
    }
}
