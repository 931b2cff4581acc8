//! What the workers say in their logs: read as they grow, and counted.
//!
//! The counts show that the torment was felt. A message that is reworded is no longer counted, and the run then fails
//! for having shown nothing (`Report::unfelt`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Leases adopted beyond the first time: each went from one process or tenure to another.
    pub(crate) leases_moved: u64,
    /// Leases whose deadline passed before they could be renewed.
    pub(crate) leases_overdue: u64,
    /// Leases lost because a write of the old holder was refused.
    pub(crate) writes_refused: u64,
    /// Pending batches whose range was read again.
    pub(crate) intents_replayed: u64,
    /// Pending batches that had their manifest and only needed the commit.
    pub(crate) intents_committed: u64,
    /// Hand-offs begun by a leader.
    pub(crate) hand_offs: u64,
    /// Lines that are no JSON: cut short by a SIGKILL, or the last words of a worker that could not start.
    pub(crate) lines_plain: u64,
}

/// The logs of all workers.
#[derive(Debug)]
pub(crate) struct Journal {
    logs: Vec<Log>,
    counts: Counts,
    adopted: BTreeSet<String>,
    alarms: Vec<String>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    read_bytes: u64,
    rest: Vec<u8>,
}

#[derive(Deserialize)]
struct Line {
    level: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    message: String,
    #[serde(default)]
    lease: Option<String>,
}

impl Journal {
    /// Nothing read yet.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let log = |path| Log { path, read_bytes: 0, rest: Vec::new() };
        Self {
            logs: paths.into_iter().map(log).collect(),
            counts: Counts::default(),
            adopted: BTreeSet::new(),
            alarms: Vec::new(),
        }
    }

    /// Reads what was added since the last call.
    pub(crate) fn read(&mut self) -> io::Result<()> {
        let mut logs = std::mem::take(&mut self.logs);
        for log in &mut logs {
            for line in log.new_lines()? {
                self.take(&line);
            }
        }
        self.logs = logs;
        Ok(())
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Panics, and everything logged as an error: neither must ever happen.
    pub(crate) fn alarms(&self) -> &[String] {
        &self.alarms
    }

    fn take(&mut self, line: &str) {
        let Ok(Line { level, fields }) = serde_json::from_str(line) else {
            if line.contains("panicked at") {
                self.alarms.push(line.to_owned());
            } else {
                self.counts.lines_plain += 1;
            }
            return;
        };
        if level == "ERROR" {
            self.alarms.push(line.to_owned());
        }
        let counts = &mut self.counts;
        match fields.message.as_str() {
            "lease adopted" => {
                let is_first = self.adopted.insert(fields.lease.unwrap_or_default());
                counts.leases_moved += u64::from(!is_first);
            }
            "lease lost: it could not be renewed in time; another worker starts at the checkpoint" => {
                counts.leases_overdue += 1;
            }
            "lease taken by another worker" => counts.writes_refused += 1,
            "replaying the pending batch" => counts.intents_replayed += 1,
            "everything of the pending batch lies there; committing" => counts.intents_committed += 1,
            "hand-off started" => counts.hand_offs += 1,
            _ => {}
        }
    }
}

impl Log {
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        file.seek(SeekFrom::Start(self.read_bytes))?;
        self.read_bytes += file.read_to_end(&mut self.rest)? as u64;
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(lines: &[&str]) -> Journal {
        let mut journal = Journal::new(Vec::new());
        lines.iter().for_each(|line| journal.take(line));
        journal
    }

    #[test]
    fn a_lease_has_moved_when_it_is_adopted_again() {
        let adopted =
            |lease| format!(r#"{{"level":"INFO","fields":{{"message":"lease adopted","lease":"{lease}"}}}}"#);
        let journal = journal(&[&adopted("a"), &adopted("b"), &adopted("a"), &adopted("a")]);
        assert_eq!(journal.counts(), Counts { leases_moved: 2, ..Counts::default() });
    }

    #[test]
    fn errors_and_panics_are_alarms_and_other_plain_lines_are_none() {
        let journal = journal(&[
            r#"{"level":"ERROR","fields":{"message":"the shard is stopped"}}"#,
            r#"{"level":"WARN","fields":{"message":"something","error":"x"}}"#,
            "thread 'main' panicked at src/main.rs:1:1:",
            r#"{"level":"IN{"level":"INFO","fields":{"message":"worker starts"}}"#,
        ]);
        assert_eq!(journal.alarms().len(), 2);
        assert_eq!(journal.counts().lines_plain, 1);
    }
}
