//! Settings with everything they refer to inlined, and the identity of what they mean.
//!
//! A batch cites the hash of the configuration it was made with, and the configuration itself lies in the bucket under
//! that hash, so that whoever finishes the batch finds the same one, whatever the settings file says by then.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::SettingsError;
use super::sections::{FetchSettings, LeaseSettings, PipelineSettings};
use crate::hex::hex;

/// Raised whenever the same settings and records would give other rows.
pub const SEMANTICS_VERSION: u32 = 1;
/// Raised whenever the same rows would give other bytes.
pub const WRITER_VERSION: u32 = 1;

/// Checked settings that depend on no file.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedSettings {
    settings: PipelineSettings,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical {
    semantics_version: u32,
    settings: PipelineSettings,
}

impl PipelineSettings {
    /// Checks the settings and inlines the schema; `read` fetches the text of a file they name.
    ///
    /// # Errors
    /// [`SettingsError`] with every problem, or the file that cannot be read.
    pub fn resolve(
        mut self,
        read: impl FnOnce(&str) -> std::io::Result<String>,
    ) -> Result<ResolvedSettings, SettingsError> {
        let problems = self.validate();
        if !problems.is_empty() {
            return Err(SettingsError::Invalid { problems });
        }
        if let Some(path) = self.validate.schema_path.take() {
            let text = read(&path).map_err(|error| SettingsError::File {
                field: "validate.schema_path",
                path,
                cause: error.to_string(),
            })?;
            self.validate.schema = Some(text);
        }
        Ok(ResolvedSettings { settings: self })
    }
}

impl ResolvedSettings {
    /// The settings, schema inlined.
    #[must_use]
    pub fn settings(&self) -> &PipelineSettings {
        &self.settings
    }

    /// What decides the output, as canonical JSON: everything but where services are, and how leases, fetches and telemetry are paced.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        let mut settings = self.settings.clone();
        settings.stream.region = None;
        settings.stream.endpoint = None;
        settings.lease = LeaseSettings::default();
        settings.fetch = FetchSettings::default();
        settings.telemetry = None;
        let canonical = Canonical { semantics_version: SEMANTICS_VERSION, settings };
        serde_json::to_string(&canonical).expect("settings hold only what JSON can express")
    }

    /// SHA-256 of [`canonical_json`](Self::canonical_json), in hexadecimal.
    #[must_use]
    pub fn config_hash(&self) -> String {
        hex(&Sha256::digest(self.canonical_json()))
    }

    /// Reads what [`canonical_json`](Self::canonical_json) wrote.
    ///
    /// # Errors
    /// What is wrong, if the text was written by a release with other semantics or is damaged.
    pub fn from_canonical_json(text: &str) -> Result<Self, String> {
        let canonical: Canonical = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if canonical.semantics_version != SEMANTICS_VERSION {
            let found = canonical.semantics_version;
            return Err(format!("semantics version {found}: this release has {SEMANTICS_VERSION}"));
        }
        Ok(Self { settings: canonical.settings })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn resolved(change: impl FnOnce(&mut PipelineSettings)) -> ResolvedSettings {
        let mut settings = PipelineSettings::default();
        settings.sink.bucket = "bucket".to_owned();
        change(&mut settings);
        settings.resolve(|_| Ok("{}".to_owned())).expect("valid")
    }

    #[test]
    fn pace_and_place_do_not_change_the_identity_and_meaning_does() {
        let base = resolved(|_| {}).config_hash();
        assert_eq!(base, resolved(|s| s.lease.failover = Duration::from_secs(3)).config_hash());
        assert_eq!(base, resolved(|s| s.stream.endpoint = Some("http://localhost".to_owned())).config_hash());
        assert_ne!(base, resolved(|s| s.sink.layout = "other".to_owned()).config_hash());
        assert_ne!(base, resolved(|s| s.validate.schema_path = Some("schema.json".to_owned())).config_hash());
    }

    #[test]
    fn the_canonical_text_reads_back() {
        let settings = resolved(|s| {
            s.session = Some(super::super::SessionSettings::default());
            s.stream.partition_key = vec!["user_id".to_owned()];
        });
        let read = ResolvedSettings::from_canonical_json(&settings.canonical_json()).expect("reads");
        assert_eq!(read.config_hash(), settings.config_hash());
    }
}
