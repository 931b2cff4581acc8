//! Which alarms may wake which streams.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{AccountId, Region, StreamName};
use crate::alarms::OwnMetric;

/// Which alarms may wake which streams. The default takes every alarm on a metric of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerSettings {
    /// The only account whose alarms are taken. Default: any, since the queue's policy says who may send. Pin it where a
    /// topic is shared between accounts.
    pub account: Option<AccountId>,
    /// The only region whose alarms are taken. Default: any. Pin it if the autoscaler looks at one region only, so that a
    /// stream of the same name elsewhere wakes nothing.
    pub region: Option<Region>,
    /// The only streams that can be woken, and those that a schedule wakes. Default: any by an alarm, none by a schedule.
    /// Unless they are listed, whoever may write to the queue can cause a look at any stream, which costs a few calls of
    /// CloudWatch each.
    pub streams: Option<BTreeSet<StreamName>>,
    /// Namespaces whose metrics name streams by their dimension `StreamName`. Default: that of Kinesis and the
    /// autoscaler's own. Metrics of others are passed over in an alarm that has one of these, too.
    pub namespaces: BTreeSet<String>,
    /// The streams of alarms that do not name any themselves, by the alarm's name: composite alarms, alarms on queries.
    /// Default: none, so that these are refused.
    pub alarms: BTreeMap<String, BTreeSet<StreamName>>,
}

impl Default for TriggerSettings {
    fn default() -> Self {
        Self {
            account: None,
            region: None,
            streams: None,
            namespaces: NAMESPACES.map(str::to_owned).into(),
            alarms: BTreeMap::new(),
        }
    }
}

impl TriggerSettings {
    /// Checks how the fields go together.
    ///
    /// # Errors
    /// [`TriggerProblem`] for the first setting that would wake nothing: its name, its value and what it may be.
    pub fn validate(&self) -> Result<(), TriggerProblem> {
        if self.namespaces.is_empty() {
            let remedy = "give at least AWS/Kinesis";
            return Err(TriggerProblem { field: "namespaces".into(), value: "[]".into(), remedy });
        }
        for (alarm, streams) in &self.alarms {
            let problem = |value: String, remedy| {
                Err(TriggerProblem { field: format!("alarms.{alarm:?}"), value, remedy })
            };
            if streams.is_empty() {
                return problem("[]".into(), "name at least one stream");
            }
            if streams.len() > STREAMS_OF_ALARM_MAX {
                return problem(format!("{} streams", streams.len()), "name at most 10 streams");
            }
            let listed = |stream: &&StreamName| self.streams.as_ref().is_none_or(|all| all.contains(*stream));
            if let Some(stream) = streams.iter().find(|stream| !listed(stream)) {
                return problem(stream.to_string(), "list the stream under `streams`, too");
            }
        }
        Ok(())
    }
}

/// A setting of the triggers that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field} = {value}: {remedy}")]
pub struct TriggerProblem {
    /// The field's name.
    pub field: String,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub remedy: &'static str,
}

/// Streams that one alarm can name: CloudWatch allows ten metrics in an alarm.
pub(super) const STREAMS_OF_ALARM_MAX: usize = 10;
/// Kinesis' own namespace, and that of the metrics that the autoscaler publishes.
const NAMESPACES: [&str; 2] = ["AWS/Kinesis", OwnMetric::NAMESPACE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_refuses_nothing_by_name() {
        let settings = TriggerSettings::default();
        assert_eq!(settings.validate(), Ok(()));
        assert!(settings.account.is_none() && settings.region.is_none() && settings.streams.is_none());
    }

    #[test]
    fn each_problem_names_its_field() {
        let refused = |json: &str| {
            let settings: TriggerSettings = serde_json::from_str(json).expect("settings");
            settings.validate().expect_err("refused").to_string()
        };
        assert_eq!(refused(r#"{"namespaces": []}"#), "namespaces = []: give at least AWS/Kinesis");
        assert_eq!(refused(r#"{"alarms": {"busy": []}}"#), r#"alarms."busy" = []: name at least one stream"#);
        assert_eq!(
            refused(r#"{"streams": ["clicks"], "alarms": {"busy": ["views"]}}"#),
            r#"alarms."busy" = views: list the stream under `streams`, too"#
        );
        let many: Vec<_> = (0..11).map(|number| format!("\"s{number}\"")).collect();
        assert_eq!(
            refused(&format!(r#"{{"alarms": {{"busy": [{}]}}}}"#, many.join(","))),
            r#"alarms."busy" = 11 streams: name at most 10 streams"#
        );
    }
}
