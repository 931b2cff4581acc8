//! One record for each decision, what came of it, and whether it helped: for people who ask why.
//!
//! ```text
//!   decided (inputs' hash, plan) ─▶ called (result) ─▶ ended ─▶ effect       all under one decision name, term.number
//! ```

use std::io;
use std::sync::Arc;

use kcl_core::HashKey;
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use super::effect::{Effect, Reading, Verdict};
use super::judge::Move;
use crate::{Action, EpochMillis, Ledger, Observation, Plan, Step};

/// A line of the audit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRecord {
    /// The decision: the term and the number within the journal.
    pub decision: String,
    /// When, in epoch milliseconds.
    pub at_millis: u64,
    /// The stream.
    #[serde(serialize_with = "text")]
    pub stream: Arc<str>,
    /// The controller.
    #[serde(serialize_with = "text")]
    pub actor: Arc<str>,
    /// What.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// What an audit line tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum AuditEntry {
    /// What was decided.
    Decided(Box<AuditPlan>),
    /// What came of the call.
    Called {
        /// The call, with the shards' names.
        call: String,
        /// What Kinesis said.
        result: String,
    },
    /// What became of the change.
    Ended {
        /// The change.
        change: AuditChange,
        /// `done`, `did not happen`, `given up`.
        result: &'static str,
        /// Shards now.
        shards: u32,
    },
    /// Whether the change helped.
    Effect {
        /// The change.
        change: AuditChange,
        /// `helped`, `did not help`, `unclear`.
        verdict: &'static str,
        /// The load of what it touched, before.
        before: AuditReading,
        /// Afterwards.
        after: AuditReading,
    },
}

/// A plan, readable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditPlan {
    /// Hash of everything that the planner was given, in hexadecimal.
    pub inputs: String,
    /// Shards before.
    pub shards: u32,
    /// What is to be done.
    pub action: AuditAction,
    /// What the decision turned on.
    pub constraint: String,
    /// The demand, in shards.
    pub demand_shards: Option<f64>,
    /// Utilisation of the fullest shard before.
    pub utilisation_before: Option<f64>,
    /// Utilisation of the fullest shard after the action.
    pub utilisation_after: Option<f64>,
    /// Calls of `UpdateShardCount` that the policy allows after the action.
    pub quota_left: Option<u32>,
    /// The best action that was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<AuditAction>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_because: Option<String>,
    /// Why the action is not carried out, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld: Option<&'static str>,
}

/// An action, readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum AuditAction {
    /// Nothing.
    Nothing,
    /// `UpdateShardCount`.
    Scale {
        /// The count asked for.
        target: u32,
    },
    /// Splits and merges.
    Reshape {
        /// Shards at the end.
        shards: u32,
        /// How many steps lead there.
        steps: usize,
        /// The first one.
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<AuditChange>,
    },
}

/// A change, readable; hash keys in decimal, as AWS writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum AuditChange {
    /// `UpdateShardCount`.
    Scale {
        /// The count asked for.
        target: u32,
    },
    /// `SplitShard`.
    Split {
        /// The boundary.
        at: String,
    },
    /// `MergeShards`.
    Merge {
        /// The boundary.
        at: String,
    },
}

/// A load, readable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AuditReading {
    /// Records refused in a minute.
    pub rejected: Option<f64>,
    /// Utilisation of the fullest shard.
    pub fullest: Option<f64>,
    /// Load of all shards together, in shards.
    pub total: Option<f64>,
}

/// Where audit records go.
pub trait AuditSink: Send {
    /// Keeps a record.
    ///
    /// # Errors
    /// If it cannot be kept; the decision is carried out all the same.
    fn record(&mut self, record: &AuditRecord) -> io::Result<()>;
}

/// One JSON object on each line.
#[derive(Debug)]
pub struct JsonLines<W>(W);

impl<W: io::Write + Send> JsonLines<W> {
    /// Lines to `writer`, each flushed.
    pub const fn new(writer: W) -> Self {
        Self(writer)
    }

    /// The writer.
    pub fn into_inner(self) -> W {
        self.0
    }
}

impl<W: io::Write + Send> AuditSink for JsonLines<W> {
    fn record(&mut self, record: &AuditRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.write_all(&line)?;
        self.0.flush()
    }
}

impl AuditPlan {
    /// What was planned from these inputs.
    #[must_use]
    pub fn new(plan: &Plan, observation: &Observation, ledger: &Ledger, now: EpochMillis) -> Self {
        let decision = &plan.decision;
        let rejected = decision.rejected.as_ref();
        Self {
            inputs: format!("{:016x}", inputs_hash(observation, ledger, now)),
            shards: observation.layout.count(),
            action: AuditAction::from(&plan.action),
            constraint: decision.constraint.to_string(),
            demand_shards: decision.demand_shards,
            utilisation_before: decision.utilisation.map(|(before, _)| before),
            utilisation_after: decision.utilisation.map(|(_, after)| after),
            quota_left: decision.quota_left,
            rejected: rejected.map(|rejected| AuditAction::from(&rejected.action)),
            rejected_because: rejected.map(|rejected| rejected.reason.clone()),
            withheld: None,
        }
    }
}

impl From<&Action> for AuditAction {
    fn from(action: &Action) -> Self {
        match action {
            Action::Nothing => Self::Nothing,
            Action::Scale { target } => Self::Scale { target: *target },
            Action::Reshape { target, steps } => Self::Reshape {
                shards: target.count(),
                steps: steps.len(),
                first: steps.first().map(|&step| Move::Step(step).into()),
            },
        }
    }
}

impl From<Move> for AuditChange {
    fn from(change: Move) -> Self {
        match change {
            Move::Scale { target } => Self::Scale { target },
            Move::Step(Step::Split { at }) => Self::Split { at: at.to_string() },
            Move::Step(Step::Merge { at }) => Self::Merge { at: at.to_string() },
        }
    }
}

impl From<Reading> for AuditReading {
    fn from(reading: Reading) -> Self {
        Self { rejected: reading.rejected, fullest: reading.fullest, total: reading.total }
    }
}

impl From<&Effect> for AuditEntry {
    fn from(effect: &Effect) -> Self {
        let verdict = match effect.verdict {
            Verdict::Helped => "helped",
            Verdict::DidNotHelp => "did not help",
            Verdict::Unclear => "unclear",
        };
        Self::Effect {
            change: effect.trial.change.into(),
            verdict,
            before: effect.trial.before.into(),
            after: effect.after.into(),
        }
    }
}

fn text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Equal for equal inputs of the planner, whoever runs it.
fn inputs_hash(observation: &Observation, ledger: &Ledger, now: EpochMillis) -> u64 {
    let mut inputs = Inputs(Xxh3::new());
    inputs.number(now.0);
    inputs.number(observation.state as u64);
    for shard in observation.layout.shards() {
        inputs.text(shard.id.as_str());
        inputs.key(shard.range.start());
    }
    inputs.maybe(observation.account_shards_left.map(f64::from));
    inputs.number(u64::from(observation.fan_out_consumers));
    for minute in &observation.minutes {
        inputs.number(minute.start.0);
        let readings =
            [minute.bytes, minute.records, minute.rejected_records, minute.read_bytes, minute.rejected_reads];
        readings.into_iter().for_each(|reading| inputs.maybe(reading));
    }
    if let Some(map) = &observation.load_map {
        map.shares(&observation.layout.boundaries()).into_iter().for_each(|share| inputs.maybe(Some(share)));
        for heavy in map.heavy_keys() {
            inputs.key(heavy.hash);
            inputs.maybe(Some(heavy.share));
        }
    }
    for (id, minutes) in &observation.shards {
        inputs.text(id.as_str());
        for minute in minutes {
            inputs.number(minute.start.0);
            let readings = [minute.bytes, minute.records, minute.rejected_records];
            readings.into_iter().for_each(|reading| inputs.maybe(reading));
            inputs.maybe(minute.bytes_second_max);
            inputs.maybe(minute.records_second_max);
        }
    }
    for lag in &observation.applications {
        inputs.text(&lag.name);
        inputs.maybe(lag.behind.map(|behind| behind.as_secs_f64()));
        inputs.number(u64::from(lag.is_rising));
        inputs.maybe(lag.undrained_parents.map(f64::from));
    }
    for call in ledger.calls() {
        inputs.number(call.at.0);
        inputs.number(u64::from(call.target));
    }
    for time in [ledger.grown_at(), ledger.shrunk_at(), ledger.calls_barred_until()].into_iter().flatten() {
        inputs.number(time.0);
    }
    for key in ledger.reshaping.iter().flat_map(crate::Boundaries::keys) {
        inputs.key(*key);
    }
    inputs.0.digest()
}

struct Inputs(Xxh3);

impl Inputs {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn key(&mut self, key: HashKey) {
        self.0.update(&key.0.to_le_bytes());
    }

    fn maybe(&mut self, reading: Option<f64>) {
        self.number(u64::from(reading.is_some()));
        self.number(reading.unwrap_or_default().to_bits());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_one_line_of_json_each() {
        let mut lines = JsonLines::new(Vec::new());
        let record = |entry| AuditRecord {
            decision: "3.17".to_owned(),
            at_millis: 5,
            stream: Arc::from("clicks"),
            actor: Arc::from("controller-a"),
            entry,
        };
        let change = AuditChange::from(Move::Step(Step::Split { at: HashKey(1 << 127) }));
        lines.record(&record(AuditEntry::Ended { change, result: "done", shards: 3 })).expect("kept");
        let called =
            AuditEntry::Called { call: "UpdateShardCount to 4".to_owned(), result: "accepted".to_owned() };
        lines.record(&record(called)).expect("kept");
        let text = String::from_utf8(lines.into_inner()).expect("text");
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some(concat!(
                r#"{"decision":"3.17","at_millis":5,"stream":"clicks","actor":"controller-a","entry":"ended","#,
                r#""change":{"change":"split","at":"170141183460469231731687303715884105728"},"result":"done","shards":3}"#
            ))
        );
        assert!(lines.next().is_some_and(|line| line.contains(r#""entry":"called""#)));
        assert_eq!(lines.next(), None);
    }
}
