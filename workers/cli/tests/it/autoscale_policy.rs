//! One policy file for several streams: what it says about each, and what is wrong with it.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::autoscale_bed::{Bed, Followed, evenly, fast, until};
use crate::support::{leasehold, text};

#[tokio::test(flavor = "multi_thread")]
async fn streams_under_one_file_have_bounds_of_their_own_and_follow_its_changes() {
    let bed = Bed::start(fast);
    for stream in ["orders", "clicks"] {
        bed.create(stream, 1).await;
    }
    let _feeds = ["orders", "clicks"].map(|stream| bed.feed(stream, 2, evenly));
    let both = ["--stream", "clicks", "--policy", "policy.toml"];
    // By another name first: half a file is a policy, too.
    let write = |policy: &str| {
        std::fs::write(bed.path().join("next.toml"), policy).expect("written");
        std::fs::rename(bed.path().join("next.toml"), bed.path().join("policy.toml")).expect("renamed");
    };

    write("[streams.orders]\nshards_min = 2\n[streams.elsewhere]\nshards_max = 1\n");
    let constraints = |plans: &Value| -> Vec<Value> {
        plans.as_array().into_iter().flatten().map(|plan| plan["constraint"].clone()).collect()
    };
    let plans = until(
        async || {
            let output = bed.autoscale("plan", &both).arg("--json").output().expect("it runs");
            assert!(output.status.success(), "{}", text(&output));
            serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
        },
        |plans| constraints(plans).iter().all(|constraint| !constraint.to_string().contains("unknown")),
    )
    .await;
    assert_eq!((&plans[0]["stream"], &plans[0]["shards_after"]), (&"orders".into(), &2.into()), "{plans}");
    assert_eq!((&plans[1]["stream"], &plans[1]["shards_after"]), (&"clicks".into(), &1.into()), "{plans}");

    write("shards_min = 2\nis_paused = true\n[streams.elsewhere]\nshards_max = 2\n");
    let mut apply = Followed::start(bed.autoscale("apply", &both));
    assert!(apply.line_with("not looked after here").contains("streams=\"elsewhere\""));
    apply.line_with("withheld by is_paused");
    write("shards_min = 2\nis_paused = true\n[streams.orders]\nis_paused = false\n");
    assert!(apply.line_with("the policy has changed").contains("stream=\"orders\""));
    until(async || bed.shards("orders").await, |&shards| shards == 2).await;
    write("[streams.clicks]\nshards_min = 0\n");
    let line = apply.line_with("the policy cannot be read");
    assert!(line.contains("streams.clicks.shards_min = 0: give at least 1"), "{line}");
    assert_eq!(apply.end(Signal::SIGTERM), Some(0));
    assert_eq!(bed.shards("clicks").await, 1, "it was paused all the time");
}

#[test]
fn a_wrong_section_is_refused_by_every_mode_with_its_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |policy: &str, expected: &str| {
        std::fs::write(folder.path().join("policy.toml"), policy).expect("written");
        let modes: [&[&str]; 7] = [
            &["observe", "--stream", "orders"],
            &["plan", "--stream", "orders"],
            &["apply", "--stream", "orders", "--dry-run"],
            &["rebalance", "--stream", "orders"],
            &["advise-mode", "--stream", "orders"],
            &["alarms", "render", "--form", "terraform"],
            &["simulate"],
        ];
        for mode in modes {
            let mut command = leasehold(folder.path());
            let output = command.arg("autoscale").args(mode).args(["--policy", "policy.toml"]).output();
            let output = output.expect("it runs");
            assert_eq!(output.status.code(), Some(2), "{mode:?}: {}", text(&output));
            assert!(text(&output).contains(expected), "{mode:?}: {}", text(&output));
        }
    };
    refused(
        "shards_max = 9\n[streams.clicks]\nshards_min = 10\n",
        "policy.toml: streams.clicks: shards_max = 9, as outside the section: give at least shards_min",
    );
    refused("[streams.orders]\nshard_min = 10\n", "unknown field `shard_min`, expected one of `shards_min`");
    refused("[streams.\"a/b\"]\n", "policy.toml: streams: a/b is no stream name: give 1 to 128 of");
}
