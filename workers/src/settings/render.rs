//! Writes settings as a TOML file in which every field carries its documentation.

use toml::Table;

use super::section::{Section, SectionDoc};
use super::sections::{PipelineSettings, SessionSettings, TelemetrySettings};

impl PipelineSettings {
    /// These settings as a commented file; reading it gives the same settings again.
    ///
    /// Unset fields appear as comments, so that the file shows everything that can be set.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let values = table_of(self);
        let mut text = String::new();
        comment(&mut text, "", Self::DOC.doc);
        for field in Self::DOC.fields {
            let section = field.table.expect("every field of the pipeline is a section");
            text.push('\n');
            comment(&mut text, "", section.doc);
            match values.get(field.name).and_then(toml::Value::as_table) {
                Some(values) => section_text(&mut text, "", field.name, section, values),
                None => {
                    comment(&mut text, "", &[" Not used; to use it, remove the leading `# ` below."]);
                    section_text(&mut text, "# ", field.name, section, &unused(field.name));
                }
            }
        }
        text
    }
}

/// The defaults of a section that is left out.
fn unused(name: &str) -> Table {
    match name {
        "session" => table_of(&SessionSettings::default()),
        "telemetry" => table_of(&TelemetrySettings::default()),
        other => unreachable!("section {other} is never left out"),
    }
}

fn section_text(text: &mut String, margin: &str, name: &str, section: &SectionDoc, values: &Table) {
    text.push_str(&format!("{margin}[{name}]\n"));
    for field in section.fields {
        comment(text, margin, field.doc);
        match values.get(field.name) {
            Some(value) => text.push_str(&format!("{margin}{} = {value}\n", field.name)),
            None => text.push_str(&format!("{margin}# {} = (not set)\n", field.name)),
        }
    }
}

fn comment(text: &mut String, margin: &str, lines: &[&str]) {
    for line in lines {
        text.push_str(format!("{margin}#{line}").trim_end());
        text.push('\n');
    }
}

fn table_of(settings: &impl serde::Serialize) -> Table {
    Table::try_from(settings).expect("settings hold only what TOML can express")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rendered_file_reads_back_as_the_same_settings() {
        let without_session = PipelineSettings::default();
        let mut with_session =
            PipelineSettings { session: Some(SessionSettings::default()), ..Default::default() };
        with_session.validate.schema = Some("{\n  \"type\": \"object\"\n}".to_owned());
        with_session.stream.region = Some("eu-central-1".to_owned());
        with_session.telemetry = Some(TelemetrySettings::default());
        for settings in [without_session, with_session] {
            let text = settings.to_commented_toml();
            assert_eq!(PipelineSettings::from_toml(&text), Ok(settings), "{text}");
        }
    }

    #[test]
    fn the_part_that_is_commented_out_can_be_used_by_removing_the_margin() {
        let text = PipelineSettings::default().to_commented_toml();
        let uncommented = |name: &str| {
            let start = text.find(&format!("# [{name}]")).expect("shown as a comment");
            let section = text[start..].split("\n\n").next().expect("a section");
            let lines = section.lines().map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n");
            PipelineSettings::from_toml(&lines.collect::<String>()).expect("the uncommented section is TOML")
        };
        assert_eq!(uncommented("session").session, Some(SessionSettings::default()));
        assert_eq!(uncommented("telemetry").telemetry, Some(TelemetrySettings::default()));
    }

    #[test]
    fn every_field_is_documented() {
        for section in PipelineSettings::DOC.fields {
            for field in section.table.expect("a section").fields {
                assert!(!field.doc.is_empty(), "{}.{}", section.name, field.name);
            }
        }
    }
}
