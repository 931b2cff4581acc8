//! What an alarm is, apart from the language that it is written in.
//!
//! Texts and expressions name settings in braces, such as `{shards_min}`; each language puts its own reference there.

/// One alarm, or one for each stream, doubling or consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    /// The last part of the alarm's name, in kebab case.
    pub(super) kind: &'static str,
    pub(super) scope: Scope,
    pub(super) audience: Audience,
    pub(super) signal: Signal,
    pub(super) comparison: Comparison,
    pub(super) threshold: Amount,
    pub(super) period_seconds: u32,
    /// M of N: so many of the last `periods` must be beyond the threshold.
    pub(super) breaching_periods: u32,
    pub(super) periods: u32,
    pub(super) missing: Missing,
    pub(super) description: &'static str,
}

/// What there is one alarm for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Stream,
    /// Each doubling of what the least layout carries.
    Doubling,
    /// Each fan-out consumer.
    Consumer,
    /// The queue of wake-ups, once.
    WakeQueue,
    DeadLetters,
    /// The Lambda function, where there is one.
    Function,
}

/// Who is to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The autoscaler: "look at the stream". Never a person.
    Wake,
    /// People, about what the autoscaler cannot mend, and when it is over.
    Tell,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Metric(Metric),
    /// An expression over metrics by their ids.
    Expression {
        metrics: &'static [(&'static str, Metric)],
        text: &'static str,
        label: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) statistic: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Above,
    Below,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Amount {
    Number(&'static str),
    Setting(Setting),
}

/// What CloudWatch makes of a period without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The absence is itself the failure.
    Breaching,
    /// The metric is absent when nothing happened.
    NotBreaching,
    /// The absence says nothing new: the state stays.
    Ignore,
    /// The absence means that nobody knows: `INSUFFICIENT_DATA`.
    Unknown,
}

/// A value that the user of a template gives, or that the template counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Stream,
    ShardsMin,
    ShardsMax,
    GrowAbove,
    LagMaxMilliseconds,
    RetentionHours,
    WriteBytesPerSecond,
    WriteRecordsPerSecond,
    Consumer,
    /// 2 to the power of the doubling.
    Factor,
}

impl Setting {
    pub(super) const ALL: [Self; 10] = [
        Self::Stream,
        Self::ShardsMin,
        Self::ShardsMax,
        Self::GrowAbove,
        Self::LagMaxMilliseconds,
        Self::RetentionHours,
        Self::WriteBytesPerSecond,
        Self::WriteRecordsPerSecond,
        Self::Consumer,
        Self::Factor,
    ];

    /// Its name in snake case, as in texts and in Terraform.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::ShardsMin => "shards_min",
            Self::ShardsMax => "shards_max",
            Self::GrowAbove => "grow_above",
            Self::LagMaxMilliseconds => "lag_max_milliseconds",
            Self::RetentionHours => "retention_hours",
            Self::WriteBytesPerSecond => "write_bytes_per_second",
            Self::WriteRecordsPerSecond => "write_records_per_second",
            Self::Consumer => "consumer",
            Self::Factor => "factor",
        }
    }

    /// Puts a reference for each setting that `text` names.
    pub(super) fn fill(text: &str, reference: impl Fn(Self) -> String) -> String {
        Self::ALL.into_iter().fold(text.to_owned(), |text, setting| {
            text.replace(&format!("{{{}}}", setting.name()), &reference(setting))
        })
    }
}

impl Alarm {
    /// The kind in another case: `bytes-above-floor` as `BytesAboveFloor`.
    pub(super) fn pascal_case(&self) -> String {
        let word = |word: &str| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        };
        self.kind.split('-').map(word).collect()
    }

    /// The kind as `bytes_above_floor`.
    pub(super) fn snake_case(&self) -> String {
        self.kind.replace('-', "_")
    }
}

impl Audience {
    /// The part of an alarm's name, by which rules and policies tell the two apart.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wake => "wake",
            Self::Tell => "tell",
        }
    }
}

impl Comparison {
    pub(super) const fn operator(self) -> &'static str {
        match self {
            Self::Above => "GreaterThanThreshold",
            Self::Below => "LessThanThreshold",
        }
    }
}

impl Missing {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Breaching => "breaching",
            Self::NotBreaching => "notBreaching",
            Self::Ignore => "ignore",
            Self::Unknown => "missing",
        }
    }
}
