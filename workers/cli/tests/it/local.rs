//! `leasehold local`: whole runs with worker processes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{assert_each_line_once, leasehold, rows, summary, text};

const SMALL: [&str; 8] = ["local", "--records", "3000", "--workers", "2", "--json", "--data", "out"];

#[test]
fn a_run_writes_every_event_once_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = summary(folder.path(), &SMALL);
    assert_eq!(json["events_in"], 3000);
    let (written, failed) = (json["events_written"].as_u64(), json["events_failed"].as_u64());
    assert_eq!(written.zip(failed).map(|(written, failed)| written + failed), Some(3000));
    assert!(failed > Some(0), "the generator breaks some lines");
    assert!(json["events_duplicate"].is_null());
    assert_eq!(json["workers"], 2);
    let data = folder.path().join("out");
    assert_each_line_once(&data, 3000);
    assert_eq!(rows(&data, "sessions").len() as u64, json["sessions"].as_u64().expect("a number"));
    assert!(rows(&data, "events").iter().all(|row| row["session_id"].is_string()));
}

#[test]
fn a_worker_killed_midway_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let undisturbed = summary(folder.path(), &SMALL);
    let arguments =
        ["local", "--records", "3000", "--workers", "2", "--json", "--data", "killed", "--kill-one"];
    let killed = summary(folder.path(), &arguments);
    for field in ["events_in", "events_written", "events_failed", "sessions"] {
        assert_eq!(killed[field], undisturbed[field], "{field}");
    }
    assert_each_line_once(&folder.path().join("killed"), 3000);
    let session_of = |data: &str| {
        let mut found: Vec<(u64, String)> = rows(&folder.path().join(data), "events")
            .iter()
            .map(|row| (row["line"].as_u64().expect("stamped"), row["session_id"].to_string()))
            .collect();
        found.sort();
        found
    };
    assert_eq!(session_of("killed"), session_of("out"));
}

#[test]
fn an_interrupted_run_is_resumed_to_the_same_end() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = ["local", "--records", "30000", "--workers", "2", "--data", "out"];
        let mut child = leasehold(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut progress = BufReader::new(child.stderr.take().expect("piped")).lines();
        let first = progress.next().expect("a line of progress").expect("text");
        assert!(first.contains("pumped"), "{first}");
        let id = i32::try_from(child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the signal is sent");
        drop(progress);
        child.wait().expect("it ends");

        let json = summary(
            folder.path(),
            &["local", "--records", "30000", "--workers", "2", "--data", "out", "--resume", "--json"],
        );
        assert_eq!(json["events_in"], 30_000, "after {signal}");
        assert_each_line_once(&folder.path().join("out"), 30_000);
    }
}

#[test]
fn a_resumed_run_must_be_the_same_run() {
    let folder = tempfile::tempdir().expect("a folder");
    summary(folder.path(), &SMALL);
    let other = ["local", "--records", "3000", "--shards", "2", "--data", "out", "--resume"];
    let output = leasehold(folder.path()).args(other).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("has shards 4, not 2"), "{}", text(&output));
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("out")).expect("made");
    std::fs::write(folder.path().join("out/mine.txt"), "mine").expect("written");
    for (option, expected) in [(None, "--fresh"), (Some("--fresh"), "no run of leasehold made")] {
        let output = leasehold(folder.path()).args(SMALL).args(option).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("out/mine.txt")).expect("still there"), "mine");
}

#[test]
fn a_fresh_run_replaces_an_earlier_one() {
    let folder = tempfile::tempdir().expect("a folder");
    summary(folder.path(), &SMALL);
    let again = ["local", "--records", "1000", "--workers", "1", "--json", "--data", "out", "--fresh"];
    assert_eq!(summary(folder.path(), &again)["events_in"], 1000);
    assert_each_line_once(&folder.path().join("out"), 1000);
}

#[test]
fn the_clicks_preset_runs_on_the_same_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = summary(
        folder.path(),
        &["local", "--preset", "clicks", "--records", "2000", "--workers", "1", "--json"],
    );
    assert_eq!(json["events_written"], 2000);
    let starts = rows(&folder.path().join("leasehold-data"), "sessions");
    assert_eq!(starts.len() as u64, json["sessions"].as_u64().expect("a number"));
    assert!(starts.iter().all(|row| row["session_id"].as_str().is_some_and(|id| id.starts_with("user"))));
}
