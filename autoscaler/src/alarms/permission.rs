//! What the autoscaler may do, statement by statement, apart from the language that the policies are written in.
//!
//! Each action is bound to the narrowest resource that AWS knows for it. Two have none: `DescribeLimits` answers for the
//! account, and CloudWatch authorises metrics by namespace at most, and only for publishing.

use super::OwnMetric;

/// A statement that allows something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission {
    pub(super) name: &'static str,
    pub(super) needed_to: Purpose,
    pub(super) actions: &'static [&'static str],
    pub(super) on: Resource,
    pub(super) condition: Option<Condition>,
}

/// Which of the policies a statement belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// See, decide and say so. Enough for the modes `observe` and `plan`.
    Observe,
    /// Change shards.
    Apply,
    /// Write telemetry: for the workers, not for the autoscaler.
    Tell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Streams,
    /// Actions that AWS cannot bind to a resource.
    Any,
    JournalTable,
    AuditTable,
    /// Tables of the applications that read the streams, if any are given: leases, and telemetry.
    ReaderTables,
    /// Tables `<application>-Telemetry`, for those who write them.
    TelemetryTables,
    WakeQueue,
    /// The key of queue and topics, if one is given.
    Key,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    pub(super) key: &'static str,
    pub(super) equals: &'static str,
}

pub(super) const PERMISSIONS: &[Permission] = &[
    Permission {
        name: "SeeStreams",
        needed_to: Purpose::Observe,
        actions: &["kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:ListStreamConsumers"],
        on: Resource::Streams,
        condition: None,
    },
    Permission {
        name: "SeeShardLimitOfAccount",
        needed_to: Purpose::Observe,
        actions: &["kinesis:DescribeLimits"],
        on: Resource::Any,
        condition: None,
    },
    Permission {
        name: "ReadMetrics",
        needed_to: Purpose::Observe,
        actions: &["cloudwatch:GetMetricData"],
        on: Resource::Any,
        condition: None,
    },
    Permission {
        name: "PublishOwnMetrics",
        needed_to: Purpose::Observe,
        actions: &["cloudwatch:PutMetricData"],
        on: Resource::Any,
        condition: Some(Condition { key: "cloudwatch:namespace", equals: OwnMetric::NAMESPACE }),
    },
    Permission {
        name: "LeadAndKeepTheJournal",
        needed_to: Purpose::Observe,
        actions: &["dynamodb:GetItem", "dynamodb:UpdateItem"],
        on: Resource::JournalTable,
        condition: None,
    },
    Permission {
        name: "SeeHowFarReadersAre",
        needed_to: Purpose::Observe,
        actions: &["dynamodb:Scan"],
        on: Resource::ReaderTables,
        condition: None,
    },
    Permission {
        name: "KeepTheAudit",
        needed_to: Purpose::Observe,
        actions: &["dynamodb:PutItem"],
        on: Resource::AuditTable,
        condition: None,
    },
    Permission {
        name: "TakeWakeUps",
        needed_to: Purpose::Observe,
        actions: &[
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        ],
        on: Resource::WakeQueue,
        condition: None,
    },
    Permission {
        name: "ReadEncryptedWakeUps",
        needed_to: Purpose::Observe,
        actions: &["kms:Decrypt"],
        on: Resource::Key,
        condition: None,
    },
    Permission {
        name: "Reshard",
        needed_to: Purpose::Apply,
        actions: &["kinesis:MergeShards", "kinesis:SplitShard", "kinesis:UpdateShardCount"],
        on: Resource::Streams,
        condition: None,
    },
    Permission {
        name: "TellTelemetry",
        needed_to: Purpose::Tell,
        actions: &[
            "dynamodb:BatchWriteItem",
            "dynamodb:CreateTable",
            "dynamodb:DescribeTable",
            "dynamodb:UpdateTimeToLive",
        ],
        on: Resource::TelemetryTables,
        condition: None,
    },
];

/// The statements of one policy.
pub(super) fn needed_to(purpose: Purpose) -> impl Iterator<Item = &'static Permission> {
    PERMISSIONS.iter().filter(move |permission| permission.needed_to == purpose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_action_is_a_wildcard_and_only_three_lack_a_resource() {
        let mut unbound: Vec<&str> = Vec::new();
        for permission in PERMISSIONS {
            assert!(permission.actions.is_sorted(), "{}", permission.name);
            assert!(permission.actions.iter().all(|action| !action.contains('*')), "{}", permission.name);
            if permission.on == Resource::Any {
                unbound.extend(permission.actions);
            }
        }
        assert_eq!(
            unbound,
            ["kinesis:DescribeLimits", "cloudwatch:GetMetricData", "cloudwatch:PutMetricData"]
        );
    }

    #[test]
    fn observing_changes_no_stream() {
        let changes =
            ["Update", "Split", "Merge", "Create", "Delete", "Increase", "Decrease", "Enable", "Put"];
        let harmful = needed_to(Purpose::Observe)
            .flat_map(|permission| permission.actions)
            .filter_map(|action| action.strip_prefix("kinesis:"))
            .find(|action| changes.iter().any(|change| action.starts_with(change)));
        assert_eq!(harmful, None);
    }
}
