//! Reads settings from TOML and names every unknown field at once, each with the field that was probably meant.

use toml::{Table, Value};

use super::problem::{Problem, SettingsError};
use super::section::{Section, SectionDoc};
use super::sections::PipelineSettings;

impl PipelineSettings {
    /// Reads settings; fields that are left out have their defaults. The result is not validated yet.
    ///
    /// # Errors
    /// [`SettingsError::Syntax`] for text that is no TOML or a value of the wrong type; [`SettingsError::Invalid`] for
    /// unknown fields.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let syntax = |error: toml::de::Error| SettingsError::Syntax { text: error.to_string() };
        let table: Table = toml::from_str(text).map_err(syntax)?;
        let mut problems = Vec::new();
        unknown_fields(&table, &Self::DOC, "", &mut problems);
        if !problems.is_empty() {
            return Err(SettingsError::Invalid { problems });
        }
        toml::from_str(text).map_err(syntax)
    }
}

fn unknown_fields(table: &Table, section: &SectionDoc, path: &str, problems: &mut Vec<Problem>) {
    for (name, value) in table {
        let field_path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match section.fields.iter().find(|field| field.name == name) {
            Some(field) => {
                if let (Some(section), Value::Table(table)) = (field.table, value) {
                    unknown_fields(table, section, &field_path, problems);
                }
            }
            None => problems.push(Problem::new(field_path, value, meant_instead(name, section))),
        }
    }
}

fn meant_instead(name: &str, section: &SectionDoc) -> String {
    let nearest = section
        .fields
        .iter()
        .map(|field| (strsim::normalized_damerau_levenshtein(name, field.name), field.name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((_, meant)) => format!("unknown field; did you mean `{meant}`?"),
        None => {
            let names: Vec<_> = section.fields.iter().map(|field| field.name).collect();
            format!("unknown field; the fields here are {}", names.join(", "))
        }
    }
}

/// Half of the letters in place catches slips and wrong word order, and does not suggest unrelated names.
const SIMILARITY_MIN: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unknown_field_is_named_with_the_field_that_was_meant() {
        let text = "[stream]\nnmae = \"a\"\n[sesion]\ngap = \"1m\"\n[sink]\nzzz = 1\n";
        let Err(SettingsError::Invalid { problems }) = PipelineSettings::from_toml(text) else {
            panic!("unknown fields must be refused");
        };
        let found: Vec<_> =
            problems.iter().map(|problem| (problem.field.as_str(), problem.remedy.as_str())).collect();
        assert!(found.contains(&("stream.nmae", "unknown field; did you mean `name`?")), "{found:?}");
        assert!(found.contains(&("sesion", "unknown field; did you mean `session`?")), "{found:?}");
        assert!(
            found
                .iter()
                .any(|(field, remedy)| *field == "sink.zzz" && remedy.contains("the fields here are bucket")),
            "{found:?}"
        );
    }

    #[test]
    fn wrong_types_and_unknown_choices_say_what_is_expected() {
        for (text, expected) in [
            ("[parse]\nformat = \"jsonn\"", "combined_log"),
            ("[session]\ngap = 30", "string"),
            ("[session]\ngap = \"soon\"", "30m"),
            ("[session]\nboundary = \"<\"", ">="),
            ("[stream]\ninitial_position = \"oldest\"", "trim_horizon"),
            ("[stream", "TOML"),
        ] {
            let error = PipelineSettings::from_toml(text).expect_err("must be refused").to_string();
            assert!(error.contains(expected), "{text:?} gave {error}");
        }
    }
}
