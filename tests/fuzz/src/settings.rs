//! Settings as an operator writes them, and as a bucket keeps them.

use workers::{Pipeline, PipelineSettings, ResolvedSettings};

/// TOML settings, printed and read back; and the same text as a stored configuration.
///
/// # Panics
/// If something printed reads back as something else, or settings without a problem cannot be compiled.
pub fn settings_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(stored) = ResolvedSettings::from_canonical_json(text)
        && let Err(error) = keep_their_meaning(&stored)
    {
        let is_named = ["validate.schema", "sink.layout", "sink.sessions_layout"]
            .iter()
            .any(|name| error.contains(name));
        assert!(is_named, "{error}");
    }
    let Ok(settings) = PipelineSettings::from_toml(text) else { return };
    let printed = settings.to_commented_toml();
    assert_eq!(PipelineSettings::from_toml(&printed).as_ref(), Ok(&settings), "{printed}");
    let problems = settings.validate();
    let shown: usize = problems.iter().map(|problem| problem.to_string().len()).sum();
    assert!(shown <= problems.len() * PROBLEM_BYTES_MAX, "{problems:?}");
    match settings.resolve(|_| Ok("{}".to_owned())) {
        // A schema may be unusable; anything else was checked.
        Ok(resolved) => {
            assert!(keep_their_meaning(&resolved).is_ok() || resolved.settings().validate.schema.is_some())
        }
        Err(_) => assert_ne!(problems, []),
    }
}

fn keep_their_meaning(settings: &ResolvedSettings) -> Result<(), String> {
    let text = settings.canonical_json();
    let read = ResolvedSettings::from_canonical_json(&text).expect("what was written is read");
    assert_eq!(read.canonical_json(), text);
    assert_eq!(read.config_hash(), settings.config_hash());
    Pipeline::compile(settings).map(drop).map_err(|error| error.to_string())
}

/// Field, shortened value and remedy.
const PROBLEM_BYTES_MAX: usize = 2048;
