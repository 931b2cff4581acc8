//! `leasehold local --autoscale --surge`: shards that follow traffic there and back while workers consume.

use serde_json::Value;

use crate::support::{assert_each_line_once, leasehold, summary, text};

/// Two hours of the loop in a minute and a half, with a tenth of the records.
const SURGE: [&str; 12] = [
    "local",
    "--autoscale",
    "--surge",
    "--time-scale",
    "90",
    "--record-weight",
    "10",
    "--workers",
    "2",
    "--json",
    "--data",
    "out",
];

#[test]
fn the_shards_follow_a_surge_there_and_back_and_nothing_is_lost_doubled_or_reordered() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = summary(folder.path(), &SURGE);
    let number = |field: &str| json[field].as_u64().unwrap_or_else(|| panic!("{field} of {json}"));

    assert_eq!((number("shards_at_start"), json["shards"][0]["shards"].as_u64()), (4, Some(4)));
    assert!(number("shards_most") > 4, "{}", json["shards"]);
    assert!(number("shards_at_end") < number("shards_most"), "{}", json["shards"]);

    let throttled = &json["throttled"];
    assert!(throttled["records"].as_f64() > Some(0.0) && number("retries") > 0, "{throttled}");
    let (last, end) = (throttled["last_minute"].as_f64(), json["run_minutes"].as_f64());
    assert!(last.zip(end).is_some_and(|(last, end)| last + 30.0 < end), "it has not ended: {throttled}");

    let verification = &json["verification"];
    assert_eq!(json["holds"], true, "{verification}");
    assert_eq!(verification["lines"], json["events_in"]);
    assert!(verification["keys_over_several_shards"].as_u64() > Some(100), "{verification}");
    assert_each_line_once(&folder.path().join("out"), number("events_in"));

    assert!(number("looks_by_alarm") > 0 && number("looks") > number("looks_by_alarm"));
    let decisions = json["decisions"].as_array().expect("an array");
    assert!(decisions.len() as u64 >= number("looks"));
    for decision in decisions {
        let is_told = |field: &str| decision[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_told("constraint") && is_told("rejected_because"), "{decision}");
        assert!(decision["rejected"]["action"].is_string(), "{decision}");
    }
    let grew = |decision: &&Value| decision["action"]["action"] == "scale" && was_done(decision);
    assert!(decisions.iter().any(|decision| grew(&decision)), "{decisions:?}");
    let merged = |decision: &&Value| decision["action"]["first"]["change"] == "merge" && was_done(decision);
    assert!(decisions.iter().any(|decision| merged(&decision)), "{decisions:?}");
    let audit = std::fs::read_to_string(folder.path().join("out/autoscaler.jsonl")).expect("the audit");
    assert!(audit.lines().count() >= decisions.len());
}

#[test]
fn options_that_do_not_fit_are_refused_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, expected) in [
        (&["local", "--surge"][..], "--autoscale"),
        (&["local", "--autoscale", "--records", "5"], "--records"),
        (&["local", "--autoscale", "--resume"], "--resume"),
        (&["local", "--autoscale", "--time-scale", "0"], "give a number from 1 to 240"),
        (&["local", "--time-scale", "60"], "--autoscale"),
        (&["services", "--time-scale", "2000"], "time_scale = 2000: set it to 1000 or less"),
    ] {
        let output = leasehold(folder.path()).args(arguments).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(expected), "{arguments:?}: {}", text(&output));
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
}

fn was_done(decision: &Value) -> bool {
    let told = |text: &str| {
        let outcomes = decision["outcome"].as_array().into_iter().flatten();
        outcomes.filter_map(Value::as_str).any(|outcome| outcome.contains(text))
    };
    told("accepted") && told("done at minute")
}
