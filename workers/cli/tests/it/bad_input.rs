//! What the binary says when it is used wrongly.

use std::net::TcpListener;

use crate::support::{leasehold, text};

fn refused(arguments: &[&str], code: i32, expected: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.toml"), BAD).expect("written");
    let output = leasehold(folder.path()).args(arguments).output().expect("the binary runs");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in expected {
        assert!(said.contains(part), "{arguments:?} does not say {part:?}: {said}");
    }
}

const BAD: &str = "[stream]\nnmae = \"x\"\n[session]\ngap = \"30m\"\n";

#[test]
fn wrong_settings_are_named_with_their_remedy() {
    refused(&["config", "check", "bad.toml"], 2, &["stream.nmae", "did you mean `name`?"]);
    refused(&["config", "check", "missing.toml"], 1, &["missing.toml cannot be read"]);
    refused(&["local", "--preset", "other"], 2, &["weblog", "clicks"]);
    refused(&["local", "--input", "missing.log"], 2, &["missing.log cannot be opened", "correct the path"]);
    refused(&["local", "--resume"], 2, &["nothing to resume"]);
    refused(&["leases", "list"], 2, &["--table"]);
}

#[test]
fn settings_from_init_are_valid_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let run =
        |arguments: &[&str]| leasehold(folder.path()).args(arguments).output().expect("the binary runs");
    assert!(run(&["init", "--preset", "weblog"]).status.success());
    let check = run(&["config", "check", "leasehold.toml"]);
    assert!(check.status.success(), "{}", text(&check));
    let again = run(&["init"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again).contains("--force"), "{}", text(&again));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    refused(&["local", "--port", &port], 1, &[&port, "in use"]);
}

#[test]
fn an_endpoint_that_does_not_answer_is_said_quickly() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let run =
        |arguments: &[&str]| leasehold(folder.path()).args(arguments).output().expect("the binary runs");
    assert!(run(&["init", "--preset", "weblog"]).status.success());
    let endpoint = format!("http://{free}");
    let output = run(&["run", "--config", "leasehold.toml", "--endpoint", &endpoint]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    assert!(text(&output).contains("check endpoint, network, credentials"), "{}", text(&output));
}
