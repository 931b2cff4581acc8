//! What a run says while it goes on and at its end, and whether it showed anything.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::journal::Counts;
use crate::torment::Blows;
use crate::verdict::Violation;

/// A run that has ended.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) minutes: u64,
    pub(crate) workers: usize,
    pub(crate) shards: u16,
    /// Events acknowledged by the stream.
    pub(crate) acknowledged: u64,
    /// Records on the stream: events, and those of their attempts without an answer that arrived.
    pub(crate) records: u64,
    /// Requests of the producer without an answer.
    pub(crate) ambiguous_puts: u64,
    /// Rows of events in objects.
    pub(crate) rows: u64,
    /// Sessions that started.
    pub(crate) sessions: u64,
    /// Committed batches.
    pub(crate) batches: u64,
    #[serde(flatten)]
    pub(crate) blows: Blows,
    /// Calls that the services throttled.
    pub(crate) throttled_calls: u64,
    /// Workers started again because the store was down when they began.
    pub(crate) restarts: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// From the end mark to the last commit.
    pub(crate) drain_seconds: f64,
    pub(crate) violations: Vec<Violation>,
    pub(crate) logs: String,
}

impl Report {
    /// What the torment should have caused and did not: without it the run shows nothing.
    pub(crate) fn unfelt(&self) -> Option<Violation> {
        let counts = &self.counts;
        let felt = [
            ("a worker was killed", self.blows.kills),
            ("a worker was stopped", self.blows.stops),
            ("a call was throttled", self.throttled_calls),
            ("a lease moved", counts.leases_moved),
            ("a stopped worker lost a lease", counts.leases_overdue + counts.writes_refused),
            ("a pending batch was finished by another", counts.intents_replayed + counts.intents_committed),
            ("an answer to the producer was lost", self.ambiguous_puts),
            ("a session started", self.sessions),
        ];
        let missing = felt.iter().filter(|(_, times)| *times == 0).map(|(what, _)| format!("never: {what}"));
        Violation::of("the torment is felt", missing)
    }

    /// Prints it.
    pub(crate) fn print(&self, is_json: bool) -> serde_json::Result<()> {
        if is_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        let (blows, counts) = (&self.blows, &self.counts);
        println!(
            "{} events acknowledged, {} records on the stream ({} puts without an answer)",
            self.acknowledged, self.records, self.ambiguous_puts
        );
        println!("proof: ran {} events", self.rows);
        println!("{} rows of events, {} session starts, {} batches", self.rows, self.sessions, self.batches);
        println!(
            "{} kills, {} stops, {} throttlings with {} calls refused, {} restarts",
            blows.kills, blows.stops, blows.throttles, self.throttled_calls, self.restarts
        );
        println!(
            "{} leases moved, {} overdue, {} writes of old holders refused, {} hand-offs",
            counts.leases_moved, counts.leases_overdue, counts.writes_refused, counts.hand_offs
        );
        println!(
            "{} pending batches replayed, {} only committed; drained in {:.1} s",
            counts.intents_replayed, counts.intents_committed, self.drain_seconds
        );
        for violation in &self.violations {
            println!("BROKEN {} times: {}", violation.times, violation.promise);
            for example in &violation.examples {
                println!("    {example}");
            }
        }
        let verdict =
            if self.violations.is_empty() { "every event exactly once, in order" } else { "FAILED" };
        println!("{verdict}; seed {}; logs in {}", self.seed, self.logs);
        Ok(())
    }
}

/// One line on standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) elapsed: Duration,
    pub(crate) acknowledged: u64,
    pub(crate) committed: u64,
    pub(crate) blows: Blows,
    pub(crate) throttled_calls: u64,
    pub(crate) counts: Counts,
}

impl Progress {
    pub(crate) fn print(&self) {
        let (blows, counts) = (&self.blows, &self.counts);
        eprintln!(
            "{:>5} s  {} produced, {} committed, {} kills, {} stops, {} throttles ({} calls), {} leases moved, {} lost, \
             {} replays",
            self.elapsed.as_secs(),
            self.acknowledged,
            self.committed,
            blows.kills,
            blows.stops,
            blows.throttles,
            self.throttled_calls,
            counts.leases_moved,
            counts.leases_overdue + counts.writes_refused,
            counts.intents_replayed + counts.intents_committed
        );
    }
}

/// Alarms of the workers' logs as a broken promise.
pub(crate) fn alarmed(alarms: &[String], logs: &Path) -> Option<Violation> {
    let shown = alarms.iter().map(|alarm| format!("{alarm} (in {})", logs.display()));
    Violation::of("no worker panics, and no shard stops", shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            seed: 1,
            minutes: 3,
            workers: 4,
            shards: 16,
            acknowledged: 10,
            records: 11,
            ambiguous_puts: 1,
            rows: 11,
            sessions: 1,
            batches: 2,
            blows: Blows { kills: 1, stops: 1, throttles: 1 },
            throttled_calls: 1,
            restarts: 0,
            counts: Counts { leases_moved: 1, leases_overdue: 1, intents_replayed: 1, ..Counts::default() },
            drain_seconds: 1.0,
            violations: Vec::new(),
            logs: String::new(),
        }
    }

    #[test]
    fn a_run_in_which_nothing_happened_shows_nothing() {
        assert_eq!(report().unfelt(), None);
        let calm = Report { blows: Blows::default(), ..report() };
        assert_eq!(calm.unfelt().map(|violation| violation.times), Some(2));
        let unharmed = Report { counts: Counts::default(), ..report() };
        assert_eq!(unharmed.unfelt().map(|violation| violation.times), Some(3));
    }
}
