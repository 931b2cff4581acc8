//! The fixtures, and the settings under which they are read.

use std::fs;
use std::path::{Path, PathBuf};

use autoscaler::trigger::TriggerSettings;

/// Settings that pin everything that can be pinned.
pub(crate) fn settings() -> TriggerSettings {
    let settings: TriggerSettings = serde_json::from_str(
        r#"{
            "account": "111122223333",
            "region": "eu-west-1",
            "streams": ["clicks", "orders", "views"],
            "alarms": {"leasehold/wake/busy": ["clicks", "views"]}
        }"#,
    )
    .expect("settings");
    assert_eq!(settings.validate(), Ok(()));
    settings
}

/// The bytes of one fixture.
pub(crate) fn read(path: &str) -> Vec<u8> {
    let path = folder().join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The paths of all fixtures under a folder, sorted.
pub(crate) fn list(under: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&folder().join(under), &mut found);
    found.sort();
    assert!(!found.is_empty(), "no fixtures under {under}");
    found
}

fn collect(folder_path: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder_path).expect("a folder of fixtures") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let relative = path.strip_prefix(folder()).expect("within the folder");
            found.push(relative.to_str().expect("UTF-8").to_owned());
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/triggers/fixtures")
}
