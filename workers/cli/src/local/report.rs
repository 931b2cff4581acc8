//! What a person sees while a run goes on, and what it ends with.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use workers::{ManifestSummary, Totals};

use super::feeding::Feeding;
use super::folder::Folder;

/// How far a run is, in a line.
pub(crate) fn progress_text(feeding: &Feeding, summary: &ManifestSummary, workers: usize) -> String {
    let totals = &summary.totals;
    format!(
        "{} pumped, {} written, {} failed, {} sessions, {} objects, {workers} workers",
        feeding.records(),
        totals.events,
        totals.failed,
        totals.sessions,
        summary.objects
    )
}

/// How a run ended.
pub(crate) struct Outcome {
    pub(crate) totals: Totals,
    /// Records that an earlier part of a resumed run had written.
    pub(crate) records_earlier: u64,
    pub(crate) objects: u64,
    pub(crate) refused: u64,
    pub(crate) elapsed: Duration,
    pub(crate) first_record: Duration,
    pub(crate) workers: u16,
    pub(crate) killed: Option<String>,
    pub(crate) bucket: String,
}

#[derive(Serialize)]
struct Json {
    events_in: u64,
    events_written: u64,
    events_failed: u64,
    events_duplicate: Option<u64>,
    sessions: u64,
    objects: u64,
    records_per_second: f64,
    first_record_seconds: f64,
    workers: u16,
}

impl Outcome {
    pub(crate) fn print(&self, json: bool, folder: &Folder) -> anyhow::Result<()> {
        let totals = &self.totals;
        let records = totals.records - self.records_earlier;
        let rate = records as f64 / self.elapsed.as_secs_f64().max(0.001);
        let mut output = std::io::stdout().lock();
        if json {
            let json = Json {
                events_in: totals.records,
                events_written: totals.events,
                events_failed: totals.failed,
                events_duplicate: None,
                sessions: totals.sessions,
                objects: self.objects,
                records_per_second: (rate * 10.0).round() / 10.0,
                first_record_seconds: (self.first_record.as_secs_f64() * 1000.0).round() / 1000.0,
                workers: self.workers,
            };
            writeln!(output, "{}", serde_json::to_string(&json)?)?;
            return Ok(());
        }
        let root = folder.path().join("s3").join(&self.bucket);
        let root = root.display();
        writeln!(
            output,
            "{} events in, {} written, {} failed",
            totals.records, totals.events, totals.failed
        )?;
        if totals.dropped > 0 {
            writeln!(output, "{} late events dropped, as the settings say", totals.dropped)?;
        }
        if self.refused > 0 {
            writeln!(output, "{} lines are too long for a Kinesis record and were not put", self.refused)?;
        }
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            output,
            "{} sessions, {} objects, {seconds:.1} s ({rate:.0} events/s), {} workers",
            totals.sessions, self.objects, self.workers
        )?;
        if let Some(killed) = &self.killed {
            writeln!(output, "{killed} was killed midway; the others took over")?;
        }
        writeln!(output, "events:   {root}/events")?;
        writeln!(output, "sessions: {root}/sessions")?;
        if totals.failed > 0 {
            writeln!(output, "failed:   {root}/failed")?;
        }
        writeln!(
            output,
            "query:    duckdb -c \"SELECT session_id, count(*) FROM read_json('{root}/events/**/*.jsonl.gz') GROUP BY 1 \
             ORDER BY 2 DESC LIMIT 10\""
        )?;
        Ok(())
    }
}
