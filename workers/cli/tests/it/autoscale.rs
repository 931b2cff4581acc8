//! `leasehold autoscale`, as a user types it.

use std::fmt::Write as _;

use crate::support::{leasehold, summary, text};

#[test]
fn own_traffic_is_replayed_against_every_autoscaler() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("requests.csv");
    let mut rows = String::from("timestamp,value\n");
    for minute in 0..24 * 60 {
        let value = if (600..900).contains(&minute) { 900 } else { 100 };
        writeln!(rows, "2026-03-02 {:02}:{:02}:00,{value}", minute / 60, minute % 60).expect("a string");
    }
    std::fs::write(&file, rows).expect("written");

    let comparison = summary(folder.path(), &["autoscale", "simulate", "--json", "--trace", "requests.csv"]);
    let rows = comparison["rows"].as_array().expect("rows");
    let hours = |name: &str| {
        let row =
            rows.iter().find(|row| row["scaler"] == name).unwrap_or_else(|| panic!("{name} is missing"));
        row["shard_hours"].as_f64().unwrap_or_else(|| panic!("no shard_hours in {row}"))
    };
    assert!(hours("leasehold") < hours("static at peak ÷ 0.9"), "{rows:?}");
}

#[test]
fn a_page_is_written_where_it_is_told_and_a_wrong_place_is_told_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = "timestamp,value\n2026-03-02 00:00:00,1\n2026-03-02 00:01:00,2\n2026-03-02 00:02:00,4\n";
    std::fs::write(folder.path().join("requests.csv"), trace).expect("written");
    let run = |html: &[&str]| {
        let arguments = ["autoscale", "simulate", "--trace", "requests.csv"];
        leasehold(folder.path()).args(arguments).args(html).output().expect("it runs")
    };
    std::fs::write(folder.path().join("simulation.html"), "x".repeat(1 << 20)).expect("written");
    let written = run(&["--html"]);
    assert!(written.status.success(), "{}", text(&written));
    assert!(text(&written).contains("simulation.html"), "{}", text(&written));
    let page = std::fs::read_to_string(folder.path().join("simulation.html")).expect("the default name");
    assert!(
        page.starts_with("<!doctype html>") && page.ends_with("</html>\n"),
        "nothing is left of the old page"
    );
    assert!(page.contains("\"telling\":\"requests\""), "the trace is in it");
    let refused = run(&["--html", "nowhere/simulation.html"]);
    assert!(!refused.status.success());
    assert!(text(&refused).contains("nowhere/simulation.html cannot be written"), "{}", text(&refused));
    assert!(!text(&refused).contains("replaying"), "{}", text(&refused));
}

#[test]
fn the_printed_policy_is_accepted_and_a_wrong_one_is_refused_by_its_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let printed = leasehold(folder.path()).args(["autoscale", "policy"]).output().expect("it runs").stdout;
    let printed = String::from_utf8(printed).expect("UTF-8");
    let wrong = printed.replace("aim = 0.62", "aim = 0.95");
    assert_ne!(wrong, printed);
    let trace = folder.path().join("trace.csv");
    std::fs::write(trace, "timestamp,value\n2026-03-02 00:00:00,1\n2026-03-02 00:01:00,2\n")
        .expect("written");
    let run = |policy: &str| {
        std::fs::write(folder.path().join("policy.toml"), policy).expect("written");
        let arguments = ["autoscale", "simulate", "--policy", "policy.toml", "--trace", "trace.csv"];
        leasehold(folder.path()).args(arguments).output().expect("it runs")
    };
    let accepted = run(&printed);
    assert!(accepted.status.success(), "{}", text(&accepted));
    let refused = run(&wrong);
    assert_eq!(refused.status.code(), Some(2));
    let message = text(&refused);
    assert!(message.contains("aim = 0.95"), "{message}");
}
