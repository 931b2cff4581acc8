//! Starting the binary, and reading what it wrote.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The binary, ready to be given arguments.
pub(crate) fn leasehold(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.current_dir(folder);
    command
}

/// Runs to the end; the JSON object on standard output.
pub(crate) fn summary(folder: &Path, arguments: &[&str]) -> Value {
    let output = leasehold(folder).args(arguments).output().expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

/// Both outputs, for messages.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every row below `<data>/s3/leasehold/<kind>`, object by object.
pub(crate) fn rows(data: &Path, kind: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for file in files(&data.join("s3/leasehold").join(kind)) {
        let mut text = String::new();
        let compressed = std::fs::File::open(&file).expect("the object opens");
        flate2::read::MultiGzDecoder::new(compressed).read_to_string(&mut text).expect("gzip of UTF-8");
        rows.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON Lines")));
    }
    rows
}

/// How often each line of the input was written, as an event or a failed one.
pub(crate) fn written_lines(data: &Path) -> BTreeMap<u64, usize> {
    let mut lines = BTreeMap::new();
    for row in rows(data, "events").iter().chain(&rows(data, "failed")) {
        *lines.entry(row["line"].as_u64().expect("every line is stamped")).or_default() += 1;
    }
    lines
}

/// Fails unless each of the lines 1 to `count` was written exactly once.
pub(crate) fn assert_each_line_once(data: &Path, count: u64) {
    let lines = written_lines(data);
    let expected: BTreeMap<u64, usize> = (1..=count).map(|line| (line, 1)).collect();
    let wrong: Vec<_> = (1..=count).filter(|line| lines.get(line) != Some(&1)).take(10).collect();
    assert!(lines == expected, "{} distinct lines of {count}; wrong: {wrong:?}", lines.len());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
