//! Audit records on their way to several places, one of which is the log.

use std::{fmt, io};

use super::audit::{AuditAction, AuditChange, AuditEntry, AuditPlan, AuditRecord, AuditSink};

/// Passes each record to every sink. One that fails does not keep a record from the others.
#[derive(Default)]
pub struct AuditTrail(Vec<Box<dyn AuditSink>>);

impl AuditTrail {
    /// No sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more sink.
    #[must_use]
    pub fn with(mut self, sink: impl AuditSink + 'static) -> Self {
        self.0.push(Box::new(sink));
        self
    }
}

impl AuditSink for AuditTrail {
    fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
        self.0.iter_mut().map(|sink| sink.record(record)).fold(Ok(()), Result::and)
    }
}

/// Writes each decision with its reason to the log. What came of it is logged where it happens.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecisionLog;

impl AuditSink for DecisionLog {
    fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
        if let AuditEntry::Decided(plan) = &record.entry {
            tracing::info!(
                stream = &*record.stream,
                decision = record.decision,
                shards = plan.shards,
                "{plan}"
            );
        }
        Ok(())
    }
}

impl fmt::Display for AuditPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.action, self.constraint)?;
        if let Some(withheld) = self.withheld {
            write!(formatter, "; not carried out: {withheld}")?;
        }
        if let Some(demand) = self.demand_shards {
            write!(formatter, "; demand {demand:.2} shards")?;
        }
        if let Some((before, after)) = self.utilisation_before.zip(self.utilisation_after) {
            write!(formatter, "; fullest shard at {before:.2}, then {after:.2}")?;
        }
        if let Some((rejected, reason)) = self.rejected.as_ref().zip(self.rejected_because.as_ref()) {
            write!(formatter, "; rather than {rejected}: {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("nothing"),
            Self::Scale { target } => write!(formatter, "UpdateShardCount to {target}"),
            Self::Reshape { shards, steps, first } => {
                let plural = if *steps == 1 { "" } else { "s" };
                write!(formatter, "{shards} shards in {steps} step{plural}")?;
                match first {
                    Some(first) => write!(formatter, ", the first {first}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for AuditChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale { target } => write!(formatter, "UpdateShardCount to {target}"),
            Self::Split { at } => write!(formatter, "SplitShard at {at}"),
            Self::Merge { at } => write!(formatter, "MergeShards at {at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    struct Kept(Arc<Mutex<Vec<String>>>);

    impl AuditSink for Kept {
        fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
            self.0.lock().push(record.decision.clone());
            Ok(())
        }
    }

    struct Full;

    impl AuditSink for Full {
        fn record(&mut self, _: &AuditRecord) -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }

    #[test]
    fn a_sink_that_fails_is_told_of_and_the_others_are_served() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut trail = AuditTrail::new().with(Full).with(Kept(Arc::clone(&kept)));
        let entry = AuditEntry::Called { call: "UpdateShardCount to 8".into(), result: "accepted".into() };
        let (stream, actor) = (Arc::from("clicks"), Arc::from("a"));
        let record = AuditRecord { decision: "1.1".into(), at_millis: 0, stream, actor, entry };
        assert_eq!(trail.record(&record).expect_err("told").kind(), io::ErrorKind::StorageFull);
        assert_eq!(*kept.lock(), ["1.1"]);
    }

    #[test]
    fn a_plan_reads_as_a_line() {
        let plan = AuditPlan {
            inputs: String::new(),
            shards: 4,
            action: AuditAction::Scale { target: 8 },
            constraint: "the fullest shard is above its target".into(),
            demand_shards: Some(3.6),
            utilisation_before: Some(0.9),
            utilisation_after: Some(0.45),
            quota_left: Some(8),
            rejected: Some(AuditAction::Reshape {
                shards: 5,
                steps: 1,
                first: Some(AuditChange::Split { at: "17".into() }),
            }),
            rejected_because: Some("it is dearer".into()),
            withheld: None,
        };
        assert_eq!(
            plan.to_string(),
            "UpdateShardCount to 8: the fullest shard is above its target; demand 3.60 shards; fullest shard \
             at 0.90, then 0.45; rather than 5 shards in 1 step, the first SplitShard at 17: it is dearer"
        );
    }
}
