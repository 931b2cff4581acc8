//! Every alarm there is: what it watches, how much evidence it wants, what silence means, and what its reader should know.
//!
//! Alarms for the autoscaler ([`Audience::Wake`]) are quick and many: a needless look costs nothing, since the planner asks
//! for its own evidence. Alarms for people ([`Audience::Tell`]) are slow and few: each means that the autoscaler alone will
//! not mend it. Both hear of the end, too: for the autoscaler it may be the time to take capacity away.
//!
//! CloudWatch acts on a change of state and not while one lasts, so an alarm at one level wakes once for a surge of any
//! size. The doublings are that alarm at 2, 4, 8 times the level: each doubling of the demand is a change of some state.

use super::OwnMetric;
use super::alarm::{Alarm, Amount, Audience, Comparison, Metric, Missing, Scope, Setting, Signal};

/// Doublings above the least layout for which the templates have an alarm: 64 times `shards_min`.
pub(super) const DOUBLINGS_MAX: u32 = 6;

const MINUTE: u32 = 60;
/// The tool looks at a calm stream every five minutes, so shorter periods of its metrics would be empty.
const LOOK: u32 = 300;

const fn kinesis(name: &'static str, statistic: &'static str) -> Metric {
    Metric { namespace: "AWS/Kinesis", name, statistic }
}

const fn own(metric: OwnMetric, statistic: &'static str) -> Metric {
    Metric { namespace: OwnMetric::NAMESPACE, name: metric.name(), statistic }
}

const BYTES: Metric = kinesis("IncomingBytes", "Sum");
const RECORDS: Metric = kinesis("IncomingRecords", "Sum");
const ITERATOR_AGE: Metric = kinesis("GetRecords.IteratorAgeMilliseconds", "Maximum");
const FAN_OUT_AGE: Metric = kinesis("SubscribeToShardEvent.MillisBehindLatest", "Maximum");

pub(super) const ALARMS: &[Alarm] = &[
    Alarm {
        kind: "bytes-above-floor",
        scope: Scope::Stream,
        audience: Audience::Wake,
        signal: Signal::Expression {
            metrics: &[("bytes", BYTES)],
            text: "bytes / (60 * {write_bytes_per_second} * {shards_min})",
            label: "bytes written, as a share of what the least layout takes",
        },
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: MINUTE,
        breaching_periods: 2,
        periods: 3,
        missing: Missing::NotBreaching,
        description: "The bytes written to {stream} exceed {grow_above} of what {shards_min} shards take, the fewest that \
            it may have. Wakes the autoscaler, which looks and decides; nothing to do for people. It compares with the \
            bound of the policy and not with the shards of today, so a reshard never has to rewrite it. Bytes count \
            only when accepted: on a throttled stream the demand is higher. No data means no puts, which ends the \
            alarm so that the next surge sets it off again.",
    },
    Alarm {
        kind: "records-above-floor",
        scope: Scope::Stream,
        audience: Audience::Wake,
        signal: Signal::Expression {
            metrics: &[("records", RECORDS)],
            text: "records / (60 * {write_records_per_second} * {shards_min})",
            label: "records written, as a share of what the least layout takes",
        },
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: MINUTE,
        breaching_periods: 2,
        periods: 3,
        missing: Missing::NotBreaching,
        description: "The records written to {stream} exceed {grow_above} of what {shards_min} shards take, the fewest \
            that it may have. A shard takes {write_records_per_second} records a second however small they are: with \
            records below 1 kB this limit binds before the bytes do, and aggregating them in the producer is cheaper \
            than shards. Wakes the autoscaler; nothing to do for people.",
    },
    Alarm {
        kind: "demand-doubled",
        scope: Scope::Doubling,
        audience: Audience::Wake,
        signal: Signal::Expression {
            metrics: &[("bytes", BYTES), ("records", RECORDS)],
            text: "MAX([bytes / (60 * {write_bytes_per_second} * {shards_min} * {factor}), \
                records / (60 * {write_records_per_second} * {shards_min} * {factor})])",
            label: "bytes or records, as a share of what so many shards take",
        },
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: MINUTE,
        breaching_periods: 2,
        periods: 3,
        missing: Missing::NotBreaching,
        description: "The demand on {stream} exceeds {grow_above} of {factor} x {shards_min} shards. Alarms act when \
            their state changes and not while it lasts, so one level would wake the autoscaler once, however far a \
            surge climbs. These levels lie a doubling apart: each doubling of the demand changes the state of one of \
            them. Wakes the autoscaler; nothing to do for people.",
    },
    Alarm {
        kind: "writes-throttled",
        scope: Scope::Stream,
        audience: Audience::Wake,
        signal: Signal::Metric(kinesis("WriteProvisionedThroughputExceeded", "Sum")),
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: MINUTE,
        breaching_periods: 1,
        periods: 1,
        missing: Missing::NotBreaching,
        description: "Records written to {stream} were refused: some shard is full, although the stream as a whole may \
            not be. Wakes the autoscaler at the first minute; it needs no telemetry and no shard count, so it works \
            even if every metric of the tool is missing. The count includes retries, so it says that there is a \
            shortage and not how great it is. The metric is absent while nothing is refused: no data is good news.",
    },
    Alarm {
        kind: "writes-throttled-long",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Metric(kinesis("WriteProvisionedThroughputExceeded", "Sum")),
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: MINUTE,
        breaching_periods: 30,
        periods: 40,
        missing: Missing::NotBreaching,
        description: "Writes to {stream} were refused in 30 of the last 40 minutes; even a tenfold surge should be \
            absorbed in 30. Ask `leasehold autoscale plan` what binds: shards_max, the day's UpdateShardCount calls, \
            the account's shard limit, or one hot key that no split can divide and that its producer must spread.",
    },
    Alarm {
        kind: "reads-throttled",
        scope: Scope::Stream,
        audience: Audience::Wake,
        signal: Signal::Metric(kinesis("ReadProvisionedThroughputExceeded", "Sum")),
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: MINUTE,
        breaching_periods: 3,
        periods: 5,
        missing: Missing::NotBreaching,
        description: "Polling readers of {stream} were refused in 3 of 5 minutes. They share 2 MB and 5 calls a second \
            for each shard; single refusals are how pollers share, so one minute is no reason. Wakes the autoscaler. If \
            it finds no shard over the byte limit, the calls are too many: poll less often, or use enhanced fan-out. No \
            data means that nothing was refused.",
    },
    Alarm {
        kind: "readers-behind",
        scope: Scope::Stream,
        audience: Audience::Wake,
        signal: Signal::Metric(ITERATOR_AGE),
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::LagMaxMilliseconds),
        period_seconds: MINUTE,
        breaching_periods: 3,
        periods: 5,
        missing: Missing::Unknown,
        description: "The slowest polling reader of {stream} is more than {lag_max_milliseconds} ms behind. Wakes the \
            autoscaler, which stops merging; it adds no shards for it, because children are read only after their \
            parents and new shards do not shorten an old backlog. The readers need more workers or less work for each \
            record. No data means that nobody polls, which is neither good nor bad: the state is then unknown.",
    },
    Alarm {
        kind: "readers-near-loss",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Expression {
            metrics: &[("age", ITERATOR_AGE)],
            text: "age / (3600000 * {retention_hours})",
            label: "age of the oldest unread record, as a share of the retention",
        },
        comparison: Comparison::Above,
        threshold: Amount::Number("0.5"),
        period_seconds: MINUTE,
        breaching_periods: 3,
        periods: 5,
        missing: Missing::Ignore,
        description: "A polling reader of {stream} is behind by more than half of the {retention_hours} hours that \
            records are kept. What it does not read in time is lost. Raise the retention first \
            (IncreaseStreamRetentionPeriod works at once), then the number of workers. A reader that stops while it is \
            behind publishes nothing: no data leaves the alarm as it is and does not end it.",
    },
    Alarm {
        kind: "consumer-behind",
        scope: Scope::Consumer,
        audience: Audience::Wake,
        signal: Signal::Metric(FAN_OUT_AGE),
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::LagMaxMilliseconds),
        period_seconds: MINUTE,
        breaching_periods: 3,
        periods: 5,
        missing: Missing::Unknown,
        description: "The fan-out consumer {consumer} of {stream} is more than {lag_max_milliseconds} ms behind. Iterator \
            age does not see fan-out consumers; this metric, one for each consumer, is the only one that does. Wakes the \
            autoscaler, which stops merging. No data means that it is not subscribed: the state is then unknown.",
    },
    Alarm {
        kind: "bytes-near-ceiling",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Expression {
            metrics: &[("bytes", BYTES)],
            text: "bytes / (60 * {write_bytes_per_second} * {shards_max})",
            label: "bytes written, as a share of what the greatest layout takes",
        },
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: LOOK,
        breaching_periods: 2,
        periods: 3,
        missing: Missing::NotBreaching,
        description: "The bytes written to {stream} exceed {grow_above} of what {shards_max} shards take, the most that \
            it may have. The autoscaler will stop there and the stream will throttle. Raise shards_max in its policy \
            and here, after a look at the account's shard limit, or ask the producers. No data means no puts.",
    },
    Alarm {
        kind: "records-near-ceiling",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Expression {
            metrics: &[("records", RECORDS)],
            text: "records / (60 * {write_records_per_second} * {shards_max})",
            label: "records written, as a share of what the greatest layout takes",
        },
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: LOOK,
        breaching_periods: 2,
        periods: 3,
        missing: Missing::NotBreaching,
        description: "The records written to {stream} exceed {grow_above} of what {shards_max} shards take, the most \
            that it may have. The autoscaler will stop there and the stream will throttle. Raise shards_max, or \
            aggregate small records in the producers: a shard takes {write_records_per_second} a second of any size. \
            No data means no puts.",
    },
    Alarm {
        kind: "shards-full",
        scope: Scope::Stream,
        audience: Audience::Wake,
        signal: Signal::Metric(own(OwnMetric::ShardUtilisation, "Maximum")),
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: MINUTE,
        breaching_periods: 1,
        periods: 1,
        missing: Missing::Ignore,
        description: "The fullest shard of {stream} is used above {grow_above} of its limit, as the autoscaler or a \
            worker measured it. Utilisation is a share of a shard, whatever the number of shards, so a reshard never \
            has to rewrite this alarm. Wakes the autoscaler before its next slow look is due. Between two measurements \
            there is no data: the state stays.",
    },
    Alarm {
        kind: "shards-full-long",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Metric(own(OwnMetric::ShardUtilisation, "Maximum")),
        comparison: Comparison::Above,
        threshold: Amount::Setting(Setting::GrowAbove),
        period_seconds: LOOK,
        breaching_periods: 6,
        periods: 6,
        missing: Missing::Unknown,
        description: "The fullest shard of {stream} has been used above {grow_above} for 30 minutes, in which even a \
            tenfold surge should have been absorbed. Ask `leasehold autoscale plan` what binds. In the mode `observe` \
            the autoscaler only says what it would do. No data: the heartbeat alarm tells whether anybody measures.",
    },
    Alarm {
        kind: "load-skewed",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Expression {
            metrics: &[
                ("fullest", own(OwnMetric::ShardUtilisation, "Maximum")),
                ("mean", own(OwnMetric::ShardUtilisation, "Average")),
            ],
            text: "IF(fullest > {grow_above} AND fullest > 3 * mean, fullest / mean, 0)",
            label: "fullest shard by mean shard, while the fullest is above its target",
        },
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: LOOK,
        breaching_periods: 6,
        periods: 6,
        missing: Missing::Unknown,
        description: "For 30 minutes one shard of {stream} has been above {grow_above} and more than three times as full \
            as the mean. Metrics of the whole stream cannot show this. The autoscaler splits hot shards, so what is left \
            is most likely one hot partition key, which no split divides: `leasehold autoscale plan` names its hash, and \
            its producer must spread it.",
    },
    Alarm {
        kind: "throttle-ratio",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Metric(own(OwnMetric::ThrottleRatio, "Maximum")),
        comparison: Comparison::Above,
        threshold: Amount::Number("0.01"),
        period_seconds: LOOK,
        breaching_periods: 3,
        periods: 3,
        missing: Missing::Unknown,
        description: "For 15 minutes more than 1 % of the records sent to {stream} have been refused. Unlike the count of \
            refusals, the ratio does not grow with the traffic, so one threshold fits every stream. Producers retry, and \
            retries add load: look at their backoff, too. No data: the heartbeat alarm tells whether anybody measures.",
    },
    Alarm {
        kind: "quota-low",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Metric(own(OwnMetric::QuotaLeft, "Minimum")),
        comparison: Comparison::Below,
        threshold: Amount::Number("2"),
        period_seconds: LOOK,
        breaching_periods: 1,
        periods: 1,
        missing: Missing::Ignore,
        description: "Of the 10 UpdateShardCount calls that Kinesis allows {stream} in any 24 hours fewer than 2 are left. \
            Calls of other people and tools count as well: look for them in CloudTrail. The autoscaler goes on with \
            splits, which have no daily quota but take one shard at a time. Calls return a day after they were made, so \
            a gap in the data changes nothing: the state stays.",
    },
    Alarm {
        kind: "failures",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Metric(own(OwnMetric::Failures, "Sum")),
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: LOOK,
        breaching_periods: 2,
        periods: 3,
        missing: Missing::NotBreaching,
        description: "In two of three periods of five minutes the autoscaler of {stream} had calls refused, gave up steps \
            or refused triggers. Its log and `leasehold autoscale plan` name the call and the error; a missing \
            permission is the usual one. Once may be chance, so one period is no reason. The counter is published only \
            when it is above zero: no data means no failure.",
    },
    Alarm {
        kind: "heartbeat-missing",
        scope: Scope::Stream,
        audience: Audience::Tell,
        signal: Signal::Metric(own(OwnMetric::Heartbeat, "Sum")),
        comparison: Comparison::Below,
        threshold: Amount::Number("1"),
        period_seconds: LOOK,
        breaching_periods: 3,
        periods: 3,
        missing: Missing::Breaching,
        description: "For 15 minutes nobody has come to a decision about {stream}: it keeps its shards, whatever its load. \
            The autoscaler publishes a heartbeat for each decision, at least every five minutes. Is a process or the \
            function running, may it read CloudWatch, does one of them hold the lock? This alarm alone notices an \
            autoscaler that is gone, which is why missing data breach it. It rings until the autoscaler first runs.",
    },
    Alarm {
        kind: "wakeups-waiting",
        scope: Scope::WakeQueue,
        audience: Audience::Tell,
        signal: Signal::Metric(Metric {
            namespace: "AWS/SQS",
            name: "ApproximateAgeOfOldestMessage",
            statistic: "Maximum",
        }),
        comparison: Comparison::Above,
        threshold: Amount::Number("900"),
        period_seconds: LOOK,
        breaching_periods: 2,
        periods: 2,
        missing: Missing::NotBreaching,
        description: "A wake-up has lain in the queue for 15 minutes. Nobody receives, or receives and fails. The \
            autoscaler also looks by itself, so streams may still be scaled, only later. Wake-ups are thrown away after \
            an hour: an old one says nothing. SQS publishes nothing about an idle queue: no data is good news.",
    },
    Alarm {
        kind: "dead-letters",
        scope: Scope::DeadLetters,
        audience: Audience::Tell,
        signal: Signal::Metric(Metric {
            namespace: "AWS/SQS",
            name: "ApproximateNumberOfMessagesVisible",
            statistic: "Maximum",
        }),
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: LOOK,
        breaching_periods: 1,
        periods: 1,
        missing: Missing::NotBreaching,
        description: "Wake-ups were received ten times without success, or could not be delivered to the queue. They are kept \
            for 14 days: the body names the stream and the alarm, the log of the autoscaler says why its look failed. A \
            body that is no alarm never gets here, it is refused, counted and deleted. Nothing has to be redriven: the \
            next look sees the stream as it is. SQS publishes nothing about an idle queue: no data is good news.",
    },
    Alarm {
        kind: "function-errors",
        scope: Scope::Function,
        audience: Audience::Tell,
        signal: Signal::Metric(Metric { namespace: "AWS/Lambda", name: "Errors", statistic: "Sum" }),
        comparison: Comparison::Above,
        threshold: Amount::Number("0"),
        period_seconds: MINUTE,
        breaching_periods: 3,
        periods: 5,
        missing: Missing::NotBreaching,
        description: "The function failed in three of five minutes. Its log group has the reason. One failure is made good \
            by the next run, which starts from the stream as it is. Throttles are no errors: the function runs once at a \
            time on purpose. No data means that it was not invoked; the heartbeat alarm tells whether it should have.",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_evidence_can_be_met() {
        let kinds: BTreeSet<_> = ALARMS.iter().map(|alarm| alarm.kind).collect();
        assert_eq!(kinds.len(), ALARMS.len());
        for alarm in ALARMS {
            assert!((1..=alarm.periods).contains(&alarm.breaching_periods), "{}", alarm.kind);
            assert!(
                alarm.period_seconds * alarm.periods <= 24 * 60 * 60,
                "{}: CloudWatch looks back a day",
                alarm.kind
            );
            assert_eq!(alarm.period_seconds % 60, 0, "{}", alarm.kind);
        }
    }

    #[test]
    fn a_stream_costs_what_the_readme_says() {
        let count = |scope| {
            ALARMS
                .iter()
                .filter(|alarm| alarm.scope == scope)
                .map(|alarm| metrics(alarm).len())
                .sum::<usize>()
        };
        let readme = include_str!("../../../infra/README.md");
        let said = format!("{}, and {} for each doubling", count(Scope::Stream), count(Scope::Doubling));
        assert!(readme.contains(&said), "{said}");
    }

    #[test]
    fn only_the_dead_man_takes_silence_for_failure() {
        let breaching: Vec<_> = ALARMS.iter().filter(|alarm| alarm.missing == Missing::Breaching).collect();
        assert_eq!(breaching.len(), 1);
        assert_eq!(metrics(breaching[0]), [own(OwnMetric::Heartbeat, "Sum")]);
    }

    #[test]
    fn every_metric_of_the_tool_is_watched() {
        for metric in OwnMetric::ALL {
            let is_watched = ALARMS
                .iter()
                .flat_map(metrics)
                .any(|watched| watched.namespace == OwnMetric::NAMESPACE && watched.name == metric.name());
            assert!(is_watched, "{metric:?}");
        }
    }

    #[test]
    fn descriptions_teach_within_the_limit_of_cloudwatch() {
        for alarm in ALARMS {
            let long_name = "n".repeat(128);
            let text = Setting::fill(alarm.description, |_| long_name.clone());
            assert!(text.len() <= 1024, "{}: {} characters", alarm.kind, text.len());
            assert!(alarm.description.len() > 200, "{}", alarm.kind);
            assert!(!text.contains(['{', '}']), "{}: an unknown setting in {text}", alarm.kind);
        }
    }

    fn metrics(alarm: &Alarm) -> Vec<Metric> {
        match alarm.signal {
            Signal::Metric(metric) => vec![metric],
            Signal::Expression { metrics, .. } => metrics.iter().map(|&(_, metric)| metric).collect(),
        }
    }
}
