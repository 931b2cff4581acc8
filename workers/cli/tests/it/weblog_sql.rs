//! The sample log, its sessions computed a second time by SQL window functions over rows parsed here.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use rusqlite::Connection;
use uuid::Uuid;

use crate::support::{assert_each_line_once, rows, summary};

fn sample() -> PathBuf {
    let data = std::env::var("LEASEHOLD_SAMPLE_DATA")
        .expect("LEASEHOLD_SAMPLE_DATA names the folder of sample data");
    PathBuf::from(data).join("weblog/semicomplete-2015-05.log.gz")
}

/// Line number to session id, by SQL: a new session begins after more than 30 minutes, ties go by event id.
fn sessions_by_sql() -> BTreeMap<u64, String> {
    let database = Connection::open_in_memory().expect("SQLite");
    database
        .execute("CREATE TABLE views (line INTEGER, address TEXT, agent TEXT, millis INTEGER)", [])
        .expect("created");
    let file = std::fs::File::open(sample()).expect("the sample log");
    for (index, line) in BufReader::new(flate2::read::GzDecoder::new(file)).lines().enumerate() {
        let line = line.expect("the sample log is UTF-8");
        let parts: Vec<&str> = line.split('"').collect();
        if parts.len() != 7 {
            continue;
        }
        let address = parts[0].split(' ').next().expect("an address");
        let time = parts[0].split(['[', ']']).nth(1).expect("a time");
        let time = jiff::Zoned::strptime("%d/%b/%Y:%H:%M:%S %z", time).expect("a time of the log");
        let millis = time.timestamp().as_millisecond();
        database
            .execute(
                "INSERT INTO views VALUES (?1, ?2, ?3, ?4)",
                (index as i64 + 1, address, parts[5], millis),
            )
            .expect("inserted");
    }
    let mut query = database
        .prepare(
            "WITH ordered AS (
               SELECT *, LAG(millis) OVER by_visitor AS earlier FROM views
               WINDOW by_visitor AS (PARTITION BY address, agent ORDER BY millis, line)),
             numbered AS (
               SELECT *, SUM(earlier IS NULL OR millis - earlier > 1800000)
                 OVER (PARTITION BY address, agent ORDER BY millis, line) AS number FROM ordered)
             SELECT line, address, agent,
               FIRST_VALUE(line) OVER (PARTITION BY address, agent, number ORDER BY millis, line) FROM numbered",
        )
        .expect("prepared");
    let namespace = Uuid::from_bytes(*b"leasehold-sessio");
    let row = |row: &rusqlite::Row<'_>| {
        let (line, address, agent, first): (i64, String, String, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let name = format!("{address}\u{1f}{agent}\u{1f}semicomplete-2015-05.log.gz:{first:012}");
        Ok((line as u64, Uuid::new_v5(&namespace, name.as_bytes()).to_string()))
    };
    query.query_map([], row).expect("queried").map(|row| row.expect("a row")).collect()
}

fn check(extra: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let input = sample();
    let input = input.to_str().expect("a path of text");
    let mut arguments =
        vec!["local", "--preset", "weblog", "--input", input, "--shards", "4", "--workers", "3"];
    arguments.extend(["--data", "out", "--json"]);
    arguments.extend(extra);
    let json = summary(folder.path(), &arguments);
    assert_eq!((&json["events_in"], &json["events_failed"]), (&10_000.into(), &1.into()));
    let data = folder.path().join("out");
    assert_each_line_once(&data, 10_000);
    let found: BTreeMap<u64, String> = rows(&data, "events")
        .iter()
        .map(|row| {
            let id = row["session_id"].as_str().expect("every event has a session").to_owned();
            (row["line"].as_u64().expect("stamped"), id)
        })
        .collect();
    let expected = sessions_by_sql();
    assert_eq!(expected.len(), 9_999);
    let differing = expected.iter().filter(|(line, id)| found.get(line) != Some(id)).count();
    assert_eq!(differing, 0, "lines in another session than SQL says");
    let sessions: std::collections::BTreeSet<&String> = expected.values().collect();
    assert_eq!(json["sessions"], sessions.len());
}

#[test]
#[ignore = "needs LEASEHOLD_SAMPLE_DATA"]
fn sample_sessions_equal_those_of_sql() {
    check(&[]);
}

#[test]
#[ignore = "needs LEASEHOLD_SAMPLE_DATA"]
fn sample_sessions_equal_those_of_sql_when_a_worker_is_killed() {
    check(&["--kill-one"]);
}
