//! What a person sees while the shards follow the traffic, and what a run ends with.

use std::io::Write;
use std::time::Duration;

use autoscaler::reconcile::{AuditAction, AuditEntry, AuditPlan, AuditRecord};
use local::EpochMillis;
use serde::Serialize;
use workers::{PumpSummary, Totals};

use super::traffic::Profile;
use super::verify::Verification;
use super::watch::{CountAt, Throttled};
use crate::arguments::LocalArguments;
use crate::local::folder::Folder;
use crate::problem::{FAILED, Problem};

/// A run at one moment.
pub(crate) struct Seen {
    pub(crate) elapsed: Duration,
    pub(crate) rate: f64,
    pub(crate) taken: u64,
    pub(crate) waiting: u64,
    pub(crate) written: u64,
    pub(crate) shards: u32,
    pub(crate) is_active: bool,
    pub(crate) looks: u64,
    pub(crate) looks_by_alarm: u64,
    pub(crate) workers: usize,
}

impl Seen {
    pub(crate) fn text(&self) -> String {
        let minutes = self.elapsed.as_secs() / 60;
        let state = if self.is_active { "" } else { ", changing" };
        format!(
            "{}:{:02} h  {} shards{state}  {:.0} records/s due, {} taken, {} waiting, {} written  {} looks, {} by alarm  \
             {} workers",
            minutes / 60,
            minutes % 60,
            self.shards,
            self.rate,
            self.taken,
            self.waiting,
            self.written,
            self.looks,
            self.looks_by_alarm,
            self.workers
        )
    }
}

/// How a run ended.
pub(crate) struct ScalingOutcome {
    pub(crate) profile: Profile,
    pub(crate) time_scale: u32,
    pub(crate) record_weight: u32,
    pub(crate) totals: Totals,
    pub(crate) objects: u64,
    pub(crate) put: PumpSummary,
    pub(crate) elapsed: Duration,
    pub(crate) virtual_time: Duration,
    pub(crate) started_at: EpochMillis,
    pub(crate) shards_at_start: u32,
    pub(crate) counts: Vec<CountAt>,
    pub(crate) is_at_rest: bool,
    pub(crate) throttled: Throttled,
    pub(crate) audit: Vec<AuditRecord>,
    pub(crate) alarms: usize,
    pub(crate) looks: u64,
    pub(crate) looks_by_alarm: u64,
    pub(crate) wakes: u64,
    pub(crate) verification: Verification,
    pub(crate) workers: u16,
    pub(crate) killed: Option<String>,
    pub(crate) bucket: String,
}

#[derive(Serialize)]
struct Json<'a> {
    events_in: u64,
    events_written: u64,
    events_failed: u64,
    objects: u64,
    workers: u16,
    killed: Option<&'a str>,
    seconds: f64,
    time_scale: u32,
    record_weight: u32,
    records_per_second_base: f64,
    records_per_second_top: f64,
    surge_minutes: (u64, u64),
    run_minutes: f64,
    retries: u64,
    throttled: Throttled,
    shards: &'a [CountAt],
    shards_at_start: u32,
    shards_most: u32,
    shards_at_end: u32,
    is_at_rest: bool,
    alarms: usize,
    wakes: u64,
    looks: u64,
    looks_by_alarm: u64,
    decisions: Vec<Decision<'a>>,
    verification: Verification,
    holds: bool,
    not_kept: &'static str,
}

/// A decision of the autoscaler, and what came of it.
#[derive(Serialize)]
struct Decision<'a> {
    decision: &'a str,
    minute: f64,
    #[serde(flatten)]
    plan: &'a AuditPlan,
    outcome: Vec<String>,
}

impl ScalingOutcome {
    /// Prints everything.
    ///
    /// # Errors
    /// If something was lost, doubled or out of order.
    pub(crate) fn print(&self, json: bool, folder: &Folder) -> anyhow::Result<()> {
        let mut output = std::io::stdout().lock();
        if json {
            writeln!(output, "{}", serde_json::to_string(&self.json())?)?;
        } else {
            self.text(&mut output, folder)?;
        }
        if !self.verification.holds() {
            return Err(Problem::with_code(
                FAILED,
                "what was written is not what was put: see the verification",
            ));
        }
        Ok(())
    }

    fn json(&self) -> Json<'_> {
        let (base, top) = self.profile.rates();
        let (from, to) = Profile::surge();
        Json {
            events_in: self.totals.records,
            events_written: self.totals.events,
            events_failed: self.totals.failed,
            objects: self.objects,
            workers: self.workers,
            killed: self.killed.as_deref(),
            seconds: self.elapsed.as_secs_f64(),
            time_scale: self.time_scale,
            record_weight: self.record_weight,
            records_per_second_base: base,
            records_per_second_top: top,
            surge_minutes: (from.as_secs() / 60, to.as_secs() / 60),
            run_minutes: self.virtual_time.as_secs_f64() / 60.0,
            retries: self.put.retries,
            throttled: self.throttled,
            shards: &self.counts,
            shards_at_start: self.shards_at_start,
            shards_most: self.shards_most(),
            shards_at_end: self.shards_at_end(),
            is_at_rest: self.is_at_rest,
            alarms: self.alarms,
            wakes: self.wakes,
            looks: self.looks,
            looks_by_alarm: self.looks_by_alarm,
            decisions: self.decisions(),
            verification: self.verification,
            holds: self.verification.holds(),
            not_kept: NOT_KEPT,
        }
    }

    fn text(&self, output: &mut impl Write, folder: &Folder) -> anyhow::Result<()> {
        writeln!(
            output,
            "{} events in, {} written, {} failed; {} objects, {:.0} s for {:.0} minutes of the fast clock, {} workers",
            self.totals.records,
            self.totals.events,
            self.totals.failed,
            self.objects,
            self.elapsed.as_secs_f64(),
            self.virtual_time.as_secs_f64() / 60.0,
            self.workers
        )?;
        if let Some(killed) = &self.killed {
            writeln!(output, "{killed} was killed midway; the others took over")?;
        }
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|count| format!("{} (minute {:.0})", count.shards, count.minute))
            .collect();
        writeln!(output, "\nshards:     {}", counts.join(", "))?;
        if !self.is_at_rest {
            writeln!(
                output,
                "            the autoscaler was not done: its last decisions say what it waits for"
            )?;
        }
        match (self.throttled.first_minute, self.throttled.last_minute) {
            (Some(first), Some(last)) => writeln!(
                output,
                "throttled:  {:.0} records in {} minutes, from minute {first} to {last}; {} records were put again",
                self.throttled.records, self.throttled.minutes, self.put.retries
            )?,
            (_, _) => writeln!(output, "throttled:  nothing")?,
        }
        writeln!(
            output,
            "looks:      {}, of which {} by {} alarms that went off or ended {} times",
            self.looks, self.looks_by_alarm, self.alarms, self.wakes
        )?;
        writeln!(output, "\ndecisions, minute by minute:")?;
        for line in decision_lines(&self.decisions()) {
            writeln!(output, "  {line}")?;
        }
        self.verification_text(output)?;
        let root = folder.path().join("s3").join(&self.bucket);
        writeln!(output, "\nevents:     {}/events", root.display())?;
        writeln!(output, "audit:      {}", folder.audit().display())?;
        Ok(())
    }

    fn verification_text(&self, output: &mut impl Write) -> anyhow::Result<()> {
        let Verification {
            lines,
            keys,
            keys_over_several_shards,
            lost,
            doubled,
            unknown,
            stray_objects,
            misplaced,
            out_of_stream_order,
            out_of_written_order,
        } = self.verification;
        writeln!(output, "\nverified by reading every object:")?;
        writeln!(
            output,
            "  {lines} events put: {lost} lost, {doubled} doubled, {unknown} of unknown origin"
        )?;
        writeln!(
            output,
            "  {stray_objects} objects beside the manifests, {misplaced} rows in a wrong shard"
        )?;
        writeln!(
            output,
            "  {keys} keys, {keys_over_several_shards} of them over several shards: {out_of_stream_order} out of order on \
             the stream, {out_of_written_order} as written"
        )?;
        writeln!(output, "  not kept: {NOT_KEPT}")?;
        Ok(())
    }

    fn shards_most(&self) -> u32 {
        self.counts.iter().map(|count| count.shards).max().unwrap_or(0)
    }

    fn shards_at_end(&self) -> u32 {
        self.counts.last().map_or(0, |count| count.shards)
    }

    fn decisions(&self) -> Vec<Decision<'_>> {
        let minute = |record: &AuditRecord| {
            let since_start = EpochMillis(record.at_millis).millis_since(self.started_at);
            (since_start as f64 / 600.0).round() / 100.0
        };
        let mut decisions: Vec<Decision<'_>> = Vec::new();
        for record in &self.audit {
            let outcome = match &record.entry {
                AuditEntry::Decided(plan) => {
                    let (decision, minute) = (record.decision.as_str(), minute(record));
                    decisions.push(Decision { decision, minute, plan, outcome: Vec::new() });
                    continue;
                }
                AuditEntry::Called { call, result } => format!("{call}: {result}"),
                AuditEntry::Ended { result, shards, .. } => {
                    format!("{result} at minute {:.0}, {shards} shards", minute(record))
                }
                AuditEntry::Effect { verdict, .. } => (*verdict).to_owned(),
            };
            if let Some(made) = decisions.iter_mut().rev().find(|made| made.decision == record.decision) {
                made.outcome.push(outcome);
            }
        }
        decisions
    }
}

/// A line for each decision to act, and one for each run of decisions to leave the stream alone for the same reason.
fn decision_lines(decisions: &[Decision<'_>]) -> Vec<String> {
    let is_like = |one: &Decision<'_>, other: &Decision<'_>| {
        let reason = |decision: &Decision<'_>| without_numbers(&decision.plan.constraint);
        let is_rest = |decision: &Decision<'_>| decision.plan.action == AuditAction::Nothing;
        is_rest(one) && is_rest(other) && reason(one) == reason(other)
    };
    decisions
        .chunk_by(is_like)
        .map(|alike| {
            let last = alike.last().expect("a chunk is not empty");
            let minutes = match (alike[0].minute, last.minute) {
                (first, last) if alike.len() > 1 => format!("{first:.0}–{last:.0}"),
                (first, _) => format!("{first:.0}"),
            };
            let times = if alike.len() > 1 { format!(" ({} looks)", alike.len()) } else { String::new() };
            let outcome: String = last.outcome.iter().map(|outcome| format!("; {outcome}")).collect();
            format!("{minutes:>9}  {:>3} shards  {}{times}{outcome}", last.plan.shards, last.plan)
        })
        .collect()
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_digit()).collect()
}

/// What traffic will come.
pub(crate) fn traffic_text(arguments: &LocalArguments, profile: &Profile) -> String {
    let (base, top) = profile.rates();
    let (scale, weight) = (arguments.autoscaling.time_scale, arguments.autoscaling.record_weight);
    let limit = 1_000.0 / f64::from(weight.get());
    let shape = if arguments.autoscaling.surge {
        let (from, to) = Profile::surge();
        let minute = |at: Duration| at.as_secs() / 60;
        format!(
            "{base:.0} records/s, {top:.0} from minute {} to {}, then {base:.0}",
            minute(from),
            minute(to)
        )
    } else {
        format!("{base:.0} records/s")
    };
    format!(
        "traffic: {shape}\nclock:   {scale} times as fast: an hour is {:.0} s; at AWS' limits, but each record stands for \
         {weight}, so that a shard is full at {limit:.0} records/s",
        3600.0 / f64::from(scale.get())
    )
}

/// What a reshard costs, as the README says.
const NOT_KEPT: &str =
    "keyed state (sessions) does not follow its keys through a split or merge yet, so this run has none";

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(action: AuditAction, constraint: &str) -> AuditPlan {
        AuditPlan {
            inputs: String::new(),
            shards: 4,
            action,
            constraint: constraint.to_owned(),
            demand_shards: None,
            utilisation_before: None,
            utilisation_after: None,
            quota_left: None,
            rejected: None,
            rejected_because: None,
            withheld: None,
        }
    }

    #[test]
    fn looks_that_change_nothing_for_one_reason_are_one_line() {
        let plans = [
            plan(AuditAction::Nothing, "look again in 50 s"),
            plan(AuditAction::Nothing, "look again in 40 s"),
            plan(AuditAction::Nothing, "all is well"),
            plan(AuditAction::Scale { target: 8 }, "too full"),
            plan(AuditAction::Scale { target: 8 }, "too full"),
        ];
        let decision = |(minute, plan)| Decision {
            decision: "1.1",
            minute: f64::from(minute),
            plan,
            outcome: vec!["accepted".to_owned()],
        };
        let decisions: Vec<_> = (0_u32..).zip(&plans).map(decision).collect();
        let lines = decision_lines(&decisions);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], "      0–1    4 shards  nothing: look again in 40 s (2 looks); accepted");
        assert_eq!(lines[2], "        3    4 shards  UpdateShardCount to 8: too full; accepted");
    }
}
