//! The journal's text: JSON of a fixed format, a few hundred bytes at rest, bounded at all times.

use std::time::Duration;

use kcl_core::HashKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{DecisionId, Intent, Journal, Settled};
use crate::reconcile::effect::{Reading, Trial};
use crate::reconcile::judge::{Fingerprint, Move};
use crate::{
    Boundaries, Change, EpochMillis, IneffectiveSplit, Ledger, LedgerCall, OperationDurations, Origin, Step,
};

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JournalProblem {
    /// A newer release wrote it.
    #[error(
        "the journal has format {found}, this release knows {FORMAT}: update this controller, or stop it"
    )]
    Newer {
        /// The format found.
        found: u32,
    },
    /// It is no journal.
    #[error(
        "the journal of {bytes} bytes cannot be read: {problem}; restore the item, or delete it if no call was made in 24 h"
    )]
    Unreadable {
        /// Its size.
        bytes: usize,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    term: u64,
    decisions: u64,
    calls: Vec<StoredCall>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<(u64, u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grown_at_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shrunk_at_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls_barred_until_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ineffective_splits: Vec<(Key, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale_duration_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_duration_millis: Option<u64>,
    /// Boundaries after the first, each of 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reshaping: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<StoredIntent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled: Option<StoredSettled>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trials: Vec<StoredTrial>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredCall {
    at_millis: u64,
    target: u32,
    is_own: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum StoredMove {
    Scale(u32),
    Split(Key),
    Merge(Key),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredSettled {
    fingerprint: u64,
    shards: u32,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredIntent {
    decision: (u64, u64),
    change: StoredMove,
    before: StoredSettled,
    after: StoredSettled,
    touched: (Key, Key),
    reading: StoredReading,
    written_at_millis: u64,
    accepted_at_millis: Option<u64>,
    counted: Option<StoredCall>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredReading {
    rejected: Option<f64>,
    fullest: Option<f64>,
    total: Option<f64>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredTrial {
    decision: (u64, u64),
    change: StoredMove,
    touched: (Key, Key),
    before: StoredReading,
    done_at_millis: u64,
}

/// A hash key as 32 hexadecimal digits: JSON has no numbers of that size.
struct Key(HashKey);

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:032x}", self.0.0))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse_key(&digits).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format_args!("{digits:.40?} is no hash key of 32 hexadecimal digits"))
        })
    }
}

impl Journal {
    /// The text to store.
    #[must_use]
    pub fn encode(&self) -> String {
        let ledger = &self.ledger;
        let millis = |time: Option<EpochMillis>| time.map(|time| time.0);
        let stored = Stored {
            format: FORMAT,
            term: self.term,
            decisions: self.decisions,
            calls: ledger.calls().map(StoredCall::from).collect(),
            changes: ledger.changes().map(|change| (change.at.0, change.from, change.to)).collect(),
            grown_at_millis: millis(ledger.grown_at()),
            shrunk_at_millis: millis(ledger.shrunk_at()),
            calls_barred_until_millis: millis(ledger.calls_barred_until()),
            ineffective_splits: ledger
                .ineffective_splits()
                .map(|split| (Key(split.at), split.seen_at.0))
                .collect(),
            scale_duration_millis: ledger.durations.scale.map(duration_millis),
            step_duration_millis: ledger.durations.step.map(duration_millis),
            reshaping: ledger
                .reshaping
                .as_ref()
                .filter(|target| target.count() <= RESHAPING_SHARDS_MAX)
                .map(hex),
            intent: self.intent.map(StoredIntent::from),
            settled: self.settled.map(StoredSettled::from),
            trials: self.trials.iter().copied().map(StoredTrial::from).collect(),
        };
        serde_json::to_string(&stored).expect("texts, numbers and lists are JSON")
    }

    /// The journal of a text.
    ///
    /// # Errors
    /// [`JournalProblem`] if it is of a newer format or no journal at all. Nothing is guessed: a ledger that is read wrongly
    /// spends calls that are not there.
    pub fn decode(text: &str) -> Result<Self, JournalProblem> {
        let unreadable = |problem: String| JournalProblem::Unreadable { bytes: text.len(), problem };
        let Format { format } = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        if format > FORMAT {
            return Err(JournalProblem::Newer { found: format });
        }
        let stored: Stored = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let mut ledger = Ledger::default();
        for call in &stored.calls {
            ledger.note_call(call.into());
        }
        for (at, from, to) in stored.changes {
            ledger.note_change(Change { at: EpochMillis(at), from, to });
        }
        let mut ledger = ledger.with_last_changes(
            stored.grown_at_millis.map(EpochMillis),
            stored.shrunk_at_millis.map(EpochMillis),
        );
        if let Some(until) = stored.calls_barred_until_millis {
            ledger.bar_calls(EpochMillis(until));
        }
        for (Key(at), seen_at) in stored.ineffective_splits {
            ledger.note_ineffective_split(IneffectiveSplit { at, seen_at: EpochMillis(seen_at) });
        }
        ledger.durations = OperationDurations {
            scale: stored.scale_duration_millis.map(Duration::from_millis),
            step: stored.step_duration_millis.map(Duration::from_millis),
        };
        if let Some(digits) = stored.reshaping {
            let target =
                unhex(&digits).ok_or_else(|| unreadable("reshaping is no list of hash keys".to_owned()))?;
            ledger.reshaping = Some(target);
        }
        Ok(Self {
            term: stored.term,
            decisions: stored.decisions,
            ledger,
            intent: stored.intent.map(Intent::from),
            settled: stored.settled.map(Settled::from),
            trials: stored.trials.into_iter().map(Trial::from).collect(),
        })
    }
}

impl From<LedgerCall> for StoredCall {
    fn from(call: LedgerCall) -> Self {
        let is_own = match call.origin {
            Origin::Own => true,
            Origin::Outside => false,
        };
        Self { at_millis: call.at.0, target: call.target, is_own }
    }
}

impl From<&StoredCall> for LedgerCall {
    fn from(call: &StoredCall) -> Self {
        let origin = if call.is_own { Origin::Own } else { Origin::Outside };
        Self { at: EpochMillis(call.at_millis), target: call.target, origin }
    }
}

impl From<Move> for StoredMove {
    fn from(change: Move) -> Self {
        match change {
            Move::Scale { target } => Self::Scale(target),
            Move::Step(Step::Split { at }) => Self::Split(Key(at)),
            Move::Step(Step::Merge { at }) => Self::Merge(Key(at)),
        }
    }
}

impl From<StoredMove> for Move {
    fn from(change: StoredMove) -> Self {
        match change {
            StoredMove::Scale(target) => Self::Scale { target },
            StoredMove::Split(Key(at)) => Self::Step(Step::Split { at }),
            StoredMove::Merge(Key(at)) => Self::Step(Step::Merge { at }),
        }
    }
}

impl From<Settled> for StoredSettled {
    fn from(settled: Settled) -> Self {
        Self { fingerprint: settled.fingerprint.0, shards: settled.shards }
    }
}

impl From<StoredSettled> for Settled {
    fn from(settled: StoredSettled) -> Self {
        Self { fingerprint: Fingerprint(settled.fingerprint), shards: settled.shards }
    }
}

impl From<Reading> for StoredReading {
    fn from(reading: Reading) -> Self {
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        Self {
            rejected: finite(reading.rejected),
            fullest: finite(reading.fullest),
            total: finite(reading.total),
        }
    }
}

impl From<StoredReading> for Reading {
    fn from(reading: StoredReading) -> Self {
        Self { rejected: reading.rejected, fullest: reading.fullest, total: reading.total }
    }
}

impl From<Intent> for StoredIntent {
    fn from(intent: Intent) -> Self {
        Self {
            decision: (intent.decision.term, intent.decision.number),
            change: intent.change.into(),
            before: intent.before.into(),
            after: intent.after.into(),
            touched: (Key(intent.touched.0), Key(intent.touched.1)),
            reading: intent.reading.into(),
            written_at_millis: intent.written_at.0,
            accepted_at_millis: intent.accepted_at.map(|at| at.0),
            counted: intent.counted.map(StoredCall::from),
        }
    }
}

impl From<StoredIntent> for Intent {
    fn from(intent: StoredIntent) -> Self {
        let (Key(start), Key(end)) = intent.touched;
        Self {
            decision: DecisionId { term: intent.decision.0, number: intent.decision.1 },
            change: intent.change.into(),
            before: intent.before.into(),
            after: intent.after.into(),
            touched: (start, end),
            reading: intent.reading.into(),
            written_at: EpochMillis(intent.written_at_millis),
            accepted_at: intent.accepted_at_millis.map(EpochMillis),
            counted: intent.counted.as_ref().map(LedgerCall::from),
        }
    }
}

impl From<Trial> for StoredTrial {
    fn from(trial: Trial) -> Self {
        Self {
            decision: (trial.decision.term, trial.decision.number),
            change: trial.change.into(),
            touched: (Key(trial.start), Key(trial.end)),
            before: trial.before.into(),
            done_at_millis: trial.done_at.0,
        }
    }
}

impl From<StoredTrial> for Trial {
    fn from(trial: StoredTrial) -> Self {
        let (Key(start), Key(end)) = trial.touched;
        Self {
            decision: DecisionId { term: trial.decision.0, number: trial.decision.1 },
            change: trial.change.into(),
            start,
            end,
            before: trial.before.into(),
            done_at: EpochMillis(trial.done_at_millis),
        }
    }
}

fn duration_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hex(boundaries: &Boundaries) -> String {
    boundaries.keys()[1..].iter().map(|key| format!("{:032x}", key.0)).collect()
}

fn unhex(digits: &str) -> Option<Boundaries> {
    let keys = digits.as_bytes().chunks(KEY_DIGITS).map(|digits| parse_key(str::from_utf8(digits).ok()?));
    Some(Boundaries::new(keys.collect::<Option<Vec<_>>>()?))
}

fn parse_key(digits: &str) -> Option<HashKey> {
    let is_hex = digits.len() == KEY_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u128::from_str_radix(digits, 16).ok().filter(|_| is_hex).map(HashKey)
}

/// Raised with every change that an earlier release would misread.
const FORMAT: u32 = 1;
const KEY_DIGITS: usize = 32;
/// A greater target is not stored, and is planned anew by the next leader: DynamoDB takes 400 KB, and each step of so many
/// takes half a minute.
const RESHAPING_SHARDS_MAX: u32 = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call() -> impl Strategy<Value = LedgerCall> {
        (1_000_u64..2_000, any::<u32>(), any::<bool>())
            .prop_map(|(at, target, is_own)| LedgerCall::from(&StoredCall { at_millis: at, target, is_own }))
    }

    fn decision() -> impl Strategy<Value = DecisionId> {
        any::<(u64, u64)>().prop_map(|(term, number)| DecisionId { term, number })
    }

    fn change() -> impl Strategy<Value = Move> {
        let at = any::<u128>().prop_map(HashKey);
        prop_oneof![
            any::<u32>().prop_map(|target| Move::Scale { target }),
            at.clone().prop_map(|at| Move::Step(Step::Split { at })),
            at.prop_map(|at| Move::Step(Step::Merge { at })),
        ]
    }

    fn settled() -> impl Strategy<Value = Settled> {
        (any::<u64>(), any::<u32>())
            .prop_map(|(print, shards)| Settled { fingerprint: Fingerprint(print), shards })
    }

    fn reading() -> impl Strategy<Value = Reading> {
        let value = proptest::option::of(0.0..1e9_f64);
        (value.clone(), value.clone(), value).prop_map(|(rejected, fullest, total)| Reading {
            rejected,
            fullest,
            total,
        })
    }

    fn intent() -> impl Strategy<Value = Intent> {
        (
            decision(),
            change(),
            (settled(), settled()),
            any::<(u128, u128)>(),
            reading(),
            any::<u64>(),
            any::<Option<u64>>(),
            proptest::option::of(call()),
        )
            .prop_map(
                |(decision, change, (before, after), touched, reading, written, accepted, counted)| Intent {
                    decision,
                    change,
                    before,
                    after,
                    touched: (HashKey(touched.0), HashKey(touched.1)),
                    reading,
                    written_at: EpochMillis(written),
                    accepted_at: accepted.map(EpochMillis),
                    counted,
                },
            )
    }

    prop_compose! {
        fn journal()(
            (term, decisions) in any::<(u64, u64)>(),
            calls in proptest::collection::vec(call(), 0..12),
            changes in proptest::collection::vec((1_000_u64..2_000, any::<u32>(), any::<u32>()), 0..8),
            barred in any::<Option<u64>>(),
            splits in proptest::collection::vec((any::<u128>(), any::<u64>()), 0..5),
            (scale, step) in any::<(Option<u32>, Option<u32>)>(),
            reshaping in proptest::option::of(proptest::collection::vec(any::<u128>(), 0..20)),
            intent in proptest::option::of(intent()),
            settled in proptest::option::of(settled()),
            trials in proptest::collection::vec((decision(), change(), any::<(u128, u128)>(), reading(), any::<u64>()), 0..4),
        ) -> Journal {
            let mut ledger = Ledger::default();
            for call in calls {
                ledger.note_call(call);
            }
            for (at, from, to) in changes {
                ledger.note_change(Change { at: EpochMillis(at), from, to });
            }
            if let Some(until) = barred {
                ledger.bar_calls(EpochMillis(until));
            }
            for (at, seen_at) in splits {
                ledger.note_ineffective_split(IneffectiveSplit { at: HashKey(at), seen_at: EpochMillis(seen_at) });
            }
            let span = |millis: Option<u32>| millis.map(|millis| Duration::from_millis(millis.into()));
            ledger.durations = OperationDurations { scale: span(scale), step: span(step) };
            ledger.reshaping = reshaping.map(|keys| Boundaries::new(keys.into_iter().map(HashKey)));
            let trial = |(decision, change, (start, end), before, done): (DecisionId, Move, (u128, u128), Reading, u64)| Trial {
                decision, change, start: HashKey(start), end: HashKey(end), before, done_at: EpochMillis(done),
            };
            Journal { term, decisions, ledger, intent, settled, trials: trials.into_iter().map(trial).collect() }
        }
    }

    proptest! {
        #[test]
        fn journals_round_trip(journal in journal()) {
            prop_assert_eq!(Journal::decode(&journal.encode()), Ok(journal));
        }

        #[test]
        fn arbitrary_texts_are_refused(text in ".{0,200}") {
            prop_assert!(Journal::decode(&text).is_err());
        }
    }

    #[test]
    fn a_newer_or_foreign_journal_is_refused_with_what_was_found() {
        let newer = r#"{"format":2,"surprise":true}"#;
        assert_eq!(Journal::decode(newer), Err(JournalProblem::Newer { found: 2 }));
        let text = Journal::default().encode().replace("\"term\"", "\"extra\":1,\"term\"");
        let problem = Journal::decode(&text).expect_err("unknown field").to_string();
        assert!(problem.contains("extra") && problem.contains("restore the item"), "{problem}");
    }

    #[test]
    fn a_journal_at_rest_is_small_and_a_great_one_bounded() {
        let mut journal = Journal::default();
        assert!(journal.encode().len() < 100, "{}", journal.encode());
        journal.ledger.reshaping = Some(Boundaries::uniform(4096));
        assert!(journal.encode().len() < 140_000);
        journal.ledger.reshaping = Some(Boundaries::uniform(4097));
        assert!(journal.encode().len() < 100);
    }
}
