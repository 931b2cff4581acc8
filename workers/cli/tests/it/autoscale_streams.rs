//! `leasehold autoscale` on streams: what it sees, plans and changes.

use std::fmt::Write as _;
use std::process::Command;

use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, StateValue, Statistic};
use aws_sdk_kinesis::types::{MetricsName, Shard};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::autoscale_bed::{Bed, Followed, evenly, fast, get, until};
use crate::support::text;

/// Nine of ten records in the lower half.
fn unevenly(number: u64) -> u128 {
    evenly(number) >> 1 | if number.is_multiple_of(10) { 1 << 127 } else { 0 }
}

fn json(mut command: Command) -> Value {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

fn done(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_stream_is_seen_planned_held_and_scaled() {
    let bed = Bed::start(fast);
    bed.create("orders", 1).await;
    let idle = json(bed.autoscale("observe", &["--json"]));
    assert_eq!((&idle[0]["state"], &idle[0]["demand_shards"]), (&"active".into(), &Value::Null));
    let plan = json(bed.autoscale("plan", &["--json"]));
    assert_eq!(
        (&plan[0]["action"]["action"], &plan[0]["is_history_known"]),
        (&"nothing".into(), &false.into())
    );

    let feed = bed.feed("orders", 40, evenly);
    let plan = until(
        async || json(bed.autoscale("plan", &["--json"])),
        |plan| plan[0]["action"]["action"] != "nothing",
    )
    .await;
    assert!(plan[0]["shards_after"].as_u64() > Some(1), "{plan}");
    assert_eq!(plan[0]["constraint"], "the fullest shard is above its target");
    assert!(plan[0]["rejected_because"].is_string(), "{plan}");
    let seen = json(bed.autoscale("observe", &["--json"]));
    let records = &seen[0]["readings"][1];
    assert_eq!(records["metric"], "IncomingRecords");
    assert!(records["newest_per_second"].as_f64() >= Some(1_000.0), "{records}");
    assert!(seen[0]["demand_shards"].as_f64() >= Some(1.0), "{seen}");

    let dry = done(bed.autoscale("apply", &["--once", "--dry-run"]));
    assert!(
        dry.contains("withheld by a run that only observes; otherwise: the fullest shard is above"),
        "{dry}"
    );
    let unknown = json(bed.autoscale("plan", &["--json"]));
    assert_eq!(unknown[0]["is_history_known"], false, "a dry run leaves no trace: {unknown}");
    assert_eq!(bed.shards("orders").await, 1);

    std::fs::write(bed.path().join("paused.toml"), "is_paused = true\n").expect("written");
    let held = done(bed.autoscale("apply", &["--once", "--policy", "paused.toml"]));
    assert!(held.contains("withheld by is_paused"), "{held}");
    done(bed.autoscale("pause", &["--reason", "a drill"]));
    let held = done(bed.autoscale("apply", &["--once"]));
    assert!(held.contains("withheld by the pause switch") && held.contains("a drill"), "{held}");
    assert!(done(bed.autoscale("observe", &[])).contains("a drill"));
    assert_eq!(bed.shards("orders").await, 1);
    done(bed.autoscale("resume", &[]));

    let audit = ["--audit", "audit.jsonl", "--audit-table", "audit", "--once"];
    done(bed.autoscale("apply", &audit));
    assert_eq!(bed.shards("orders").await, 2);
    drop(feed);

    let lines = std::fs::read_to_string(bed.path().join("audit.jsonl")).expect("written");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let entries: Vec<_> = lines.iter().map(|line| line["entry"].as_str().expect("an entry")).collect();
    assert_eq!(entries, ["decided", "called"], "{lines:?}");
    let call = lines[1]["call"].as_str().expect("a call");
    assert!(
        call == "UpdateShardCount to 2" || call.starts_with("SplitShard shardId-000000000000 at"),
        "{call}"
    );
    assert_eq!(lines[1]["result"], "accepted");
    let items =
        aws_sdk_dynamodb::Client::new(&bed.sdk).scan().table_name("audit").send().await.expect("there");
    let records: Vec<Value> = items
        .items()
        .iter()
        .map(|item| serde_json::from_str(item["record"].as_s().expect("a string")).expect("JSON"))
        .collect();
    assert_eq!(records, lines);
    assert!(items.items().iter().all(|item| item["expires"].as_n().is_ok()));
    let plan = json(bed.autoscale("plan", &["--json"]));
    assert_eq!(plan[0]["is_history_known"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_wakes_it_and_what_is_not_meant_for_it_is_refused_and_counted() {
    let bed = Bed::start(|_| {});
    bed.create("orders", 1).await;
    let sqs = aws_sdk_sqs::Client::new(&bed.sdk);
    let url = sqs.create_queue().queue_name("wake").send().await.expect("made").queue_url.expect("a URL");
    let mut apply = Followed::start(bed.autoscale("apply", &["--queue", &url, "--metrics", "127.0.0.1:0"]));
    let line = apply.line_with("metrics are served");
    let address = line.split("address=").nth(1).expect("an address").trim().to_owned();
    apply.line_with("decision=\"1.1\"");

    let told =
        async |body: &str| sqs.send_message().queue_url(&url).message_body(body).send().await.expect("sent");
    told("rm -rf {").await;
    assert!(apply.line_with("message refused").contains("not_json at message"));
    told(r#"{"stream": "somebody-elses"}"#).await;
    assert!(apply.line_with("message refused").contains("foreign_stream at stream: somebody-elses"));

    alarm(&bed, "busy", "orders").await;
    assert!(apply.line_with("woken").contains("orders: alarm busy went to ALARM: a drill"));
    apply.line_with("decision=\"1.2\"");
    let metrics = get(&address, "/metrics");
    for line in [
        "autoscaler_trigger_refused_messages_total{kind=\"not_json\"} 1",
        "autoscaler_trigger_refused_messages_total{kind=\"foreign_stream\"} 1",
        "autoscaler_trigger_wakes_total 1",
        "autoscaler_shards{stream=\"orders\"} 1",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.contains("autoscaler_heartbeat_timestamp_seconds{stream=\"orders\"}"), "{metrics}");
    assert_eq!(apply.end(Signal::SIGTERM), Some(0));
}

/// An alarm on the stream's bytes that goes off, by a topic that sends to the queue `wake`.
async fn alarm(bed: &Bed, name: &str, stream: &str) {
    let sns = aws_sdk_sns::Client::new(&bed.sdk);
    let topic = sns.create_topic().name("wake").send().await.expect("made").topic_arn.expect("an ARN");
    let queue = "arn:aws:sqs:us-east-1:000000000000:wake";
    sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue).send().await.expect("subscribed");
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&bed.sdk);
    let alarm =
        cloudwatch.put_metric_alarm().alarm_name(name).namespace("AWS/Kinesis").metric_name("IncomingBytes");
    let alarm = alarm.dimensions(Dimension::builder().name("StreamName").value(stream).build());
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(1e9);
    let alarm =
        alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).treat_missing_data("ignore");
    alarm.alarm_actions(topic).send().await.expect("put");
    let set = cloudwatch.set_alarm_state().alarm_name(name).state_value(StateValue::Alarm);
    set.state_reason("a drill").send().await.expect("set");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_acts_and_the_other_follows_when_it_ends() {
    let bed = Bed::start(|_| {});
    bed.create("orders", 1).await;
    let mut first = Followed::start(bed.autoscale("apply", &[]));
    first.line_with("acts for the stream");
    let mut second = Followed::start(bed.autoscale("apply", &["--log", "json"]));
    second.line_with("another controller acts for the stream");
    assert_eq!(first.end(Signal::SIGINT), Some(0));
    let line: Value = serde_json::from_str(&second.line_with("\"acts for the stream\"")).expect("JSON");
    assert_eq!(line["fields"]["term"], 2, "{line}");
    assert_eq!(second.end(Signal::SIGTERM), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skewed_stream_is_cut_anew_under_the_same_lock() {
    let bed = Bed::start(fast);
    bed.create("orders", 2).await;
    let unknown = bed.autoscale("rebalance", &[]).output().expect("it runs");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown).contains("how the load lies on orders is unknown"), "{}", text(&unknown));
    let kinesis = aws_sdk_kinesis::Client::new(&bed.sdk);
    let enable = kinesis.enable_enhanced_monitoring().stream_name("orders");
    enable.shard_level_metrics(MetricsName::All).send().await.expect("enabled");

    let feed = bed.feed("orders", 40, unevenly);
    // The first minute may have seen a few records only.
    let is_skewed =
        |way: &Value| way["fullest_share"].as_f64().is_some_and(|share| share > 0.8 && share < 1.0);
    let way = until(
        async || {
            let shown = bed.autoscale("rebalance", &["--json"]).output().expect("it runs");
            serde_json::from_slice::<Value>(&shown.stdout).unwrap_or(Value::Null)
        },
        is_skewed,
    )
    .await;
    assert!(way["fullest_share_after"].as_f64() < Some(0.6), "{way}");
    assert_eq!(way["steps"].as_array().map(Vec::len), Some(2), "a split and a merge: {way}");
    let layout = async || {
        let shards = kinesis.list_shards().stream_name("orders").send().await.expect("listed");
        let open = shards.shards().iter().filter(|shard| {
            shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none())
        });
        let begins = |shard: &Shard| {
            shard.hash_key_range().expect("a range").starting_hash_key().parse::<u128>().expect("a key")
        };
        let mut keys: Vec<_> = open.map(begins).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(layout().await, [0, 1 << 127], "nothing is changed without --yes");
    done(bed.autoscale("rebalance", &["--yes"]));
    let keys = layout().await;
    assert!(keys.len() == 2 && keys[0] == 0 && (1 << 125..1 << 127).contains(&keys[1]), "{keys:?}");
    drop(feed);
}

#[test]
fn the_modes_are_priced_beside_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rows = String::from("minute,bytes,records\n");
    for minute in 0..24 * 60 {
        let records = if (600..720).contains(&minute) { 480_000 } else { 48_000 };
        let (hour, minute, bytes) = (minute / 60, minute % 60, records * 1_000);
        writeln!(rows, "2026-03-02T{hour:02}:{minute:02}:00Z,{bytes},{records}").expect("a string");
    }
    std::fs::write(folder.path().join("bytes.csv"), rows).expect("written");
    std::fs::write(folder.path().join("prices.toml"), "shard_hour = 0.03\n").expect("written");
    let advise = |more: &[&str]| {
        let mut command = crate::support::leasehold(folder.path());
        command.args(["autoscale", "advise-mode", "--trace", "bytes.csv"]).args(more);
        command
    };
    let advice = json(advise(&["--json"]));
    let modes = advice["modes"].as_array().expect("modes");
    assert_eq!((modes.len(), &modes[0]["mode"]), (4, &"planned".into()), "{advice}");
    assert!(
        modes[3]["dollars"].as_f64() > modes[0]["dollars"].as_f64().map(|dollars| 5.0 * dollars),
        "{advice}"
    );
    let dearer = json(advise(&["--json", "--prices", "prices.toml"]));
    let fixed = |advice: &Value| advice["modes"][0]["fixed"].as_f64().expect("a price");
    assert!((fixed(&dearer) / fixed(&advice) - 2.0).abs() < 1e-9, "{dearer}");
    assert!(done(advise(&["--consumers", "2"])).contains("fan-out: each consumer adds $0.015"));
    let neither = crate::support::leasehold(folder.path()).args(["autoscale", "advise-mode"]).output();
    assert_eq!(neither.expect("it runs").status.code(), Some(2));
}

#[test]
fn what_cannot_be_reached_or_found_is_named_with_its_exit_code() {
    let bed = Bed::start(|_| {});
    let refused = |mut command: Command, code: i32, expected: &str| {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(expected), "{}", text(&output));
    };
    for mode in ["observe", "plan", "apply"] {
        refused(bed.autoscale(mode, &[]), 3, "stream orders does not exist");
    }
    refused(bed.autoscale("pause", &[]), 1, "table leasehold_autoscaler does not exist");
    refused(bed.autoscale("plan", &["--policy", "missing.toml"]), 1, "missing.toml cannot be read");
    let nobody = |mode: &str| {
        let mut command = crate::support::leasehold(bed.path());
        command.args(["autoscale", mode, "--stream", "orders", "--endpoint", "http://127.0.0.1:1"]);
        command
    };
    refused(nobody("plan"), 5, "check region, endpoint and credentials");
    let mut name = crate::support::leasehold(bed.path());
    name.args(["autoscale", "plan", "--stream", "a/b"]);
    refused(name, 2, "a/b is no stream name");
}

#[test]
fn alarms_are_rendered_with_the_bounds_of_the_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("policy.toml"), "shards_min = 4\nshards_max = 64\n").expect("written");
    let render = |more: &[&str]| {
        let mut command = crate::support::leasehold(folder.path());
        command.args(["autoscale", "alarms", "render", "--stream", "orders", "--policy", "policy.toml"]);
        command.args(more);
        done(command)
    };
    render(&["--form", "cloudformation", "--out", "deploy"]);
    let values = std::fs::read_to_string(folder.path().join("deploy/orders.alarms.json")).expect("written");
    assert!(values.contains("\"ShardsMin\"") && values.contains("\"64\""), "{values}");
    assert!(folder.path().join("deploy/alarms.yaml").is_file());
    let printed = render(&["--form", "terraform", "--deployment", "prod"]);
    assert!(printed.contains("==> alarms.tf <==") && printed.contains("orders"), "{printed}");

    let sections = "shards_max = 64\n[streams.clicks]\nshards_max = 96\n";
    std::fs::write(folder.path().join("policy.toml"), sections).expect("written");
    render(&["--form", "cloudformation", "--stream", "clicks", "--out", "both"]);
    for (stream, most) in [("orders", "\"64\""), ("clicks", "\"96\"")] {
        let file = folder.path().join("both").join(format!("{stream}.alarms.json"));
        let values = std::fs::read_to_string(file).expect("written");
        assert!(values.contains(most), "{stream}: {values}");
    }
}
