//! Parses a layout template and renders it for one row.

use std::fmt::Write;

use jiff::civil::DateTime;
use serde_json::Value;
use thiserror::Error;

use super::value;
use crate::event::EventTime;

/// A checked template: literal text, formatted event times and field values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    EventTime(String),
    Field(String),
}

impl LayoutTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`InvalidLayout`] if the folder could be empty, leave its place, be too long, or depend on anything but the row.
    pub fn parse(template: &str) -> Result<Self, InvalidLayout> {
        let mut parts = Vec::new();
        let mut rest = template;
        while !rest.is_empty() {
            match rest.find(['{', '}']) {
                Some(0) => {
                    let close =
                        rest.find('}').filter(|_| rest.starts_with('{')).ok_or(InvalidLayout::Unbalanced)?;
                    parts.push(placeholder(&rest[1..close])?);
                    rest = &rest[close + 1..];
                }
                Some(brace) => {
                    parts.push(Part::Literal(rest[..brace].to_owned()));
                    rest = &rest[brace..];
                }
                None => {
                    parts.push(Part::Literal(rest.to_owned()));
                    rest = "";
                }
            }
        }
        check_shape(&parts)?;
        Ok(Self { parts })
    }

    /// The folder of a row with this event time and these fields, without a slash at either end.
    pub fn render<'v>(&self, time: EventTime, field: impl Fn(&str) -> Option<&'v Value>) -> String {
        let mut folder = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => folder.push_str(text),
                Part::EventTime(format) => push_time(&mut folder, format, time.to_civil()),
                Part::Field(name) => folder.push_str(&value::encoded(field(name))),
            }
        }
        folder
    }

    /// Names of the fields that the template shows.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Literal(_) | Part::EventTime(_) => None,
        })
    }
}

/// Appends `time` in a checked format: literals and the specifiers of [`TIME_SPECIFIERS`].
fn push_time(folder: &mut String, format: &str, time: DateTime) {
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            folder.push(character);
            continue;
        }
        let (number, width) = match characters.next() {
            Some('Y') => (i32::from(time.year()), 4),
            Some('m') => (i32::from(time.month()), 2),
            Some('d') => (i32::from(time.day()), 2),
            Some('H') => (i32::from(time.hour()), 2),
            Some('M') => (i32::from(time.minute()), 2),
            Some('S') => (i32::from(time.second()), 2),
            Some('j') => (i32::from(time.day_of_year()), 3),
            Some(_) | None => unreachable!("the format was checked when it was parsed"),
        };
        for place in (0..width).rev() {
            folder.push(char::from(b'0' + (number / 10_i32.pow(place) % 10) as u8));
        }
    }
}

fn placeholder(text: &str) -> Result<Part, InvalidLayout> {
    let (name, format) = match text.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (text, None),
    };
    if IMPURE_NAMES.contains(&name) {
        return Err(InvalidLayout::Impure { name: name.to_owned() });
    }
    match (name, format) {
        ("event_time", Some(format)) => time_format(format).map(Part::EventTime),
        ("event_time", None) => Err(InvalidLayout::TimeFormat { format: String::new() }),
        (_, Some(_)) => Err(InvalidLayout::Placeholder { text: shown(text) }),
        (name, None) => {
            let is_name = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
            if !is_name {
                return Err(InvalidLayout::Placeholder { text: shown(text) });
            }
            Ok(Part::Field(name.to_owned()))
        }
    }
}

fn time_format(format: &str) -> Result<String, InvalidLayout> {
    let invalid = || InvalidLayout::TimeFormat { format: shown(format) };
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        let is_allowed = match character {
            '%' => characters.next().is_some_and(|specifier| TIME_SPECIFIERS.contains(specifier)),
            other => other.is_ascii_alphanumeric() || "-_/".contains(other),
        };
        if !is_allowed {
            return Err(invalid());
        }
    }
    if format.is_empty() { Err(invalid()) } else { Ok(format.to_owned()) }
}

/// Checks the folder with an `x` in the place of everything that is filled in, since a filled-in value is never empty
/// and never contains a slash.
fn check_shape(parts: &[Part]) -> Result<(), InvalidLayout> {
    let mut shape = String::new();
    let mut values = 0;
    for part in parts {
        match part {
            Part::Literal(text) => shape.push_str(text),
            Part::EventTime(format) => {
                let mut specifier = false;
                for character in format.chars() {
                    match (specifier, character) {
                        (false, '%') => specifier = true,
                        (true, _) => {
                            specifier = false;
                            shape.push('x');
                        }
                        (false, other) => shape.push(other),
                    }
                }
            }
            Part::Field(_) => {
                values += 1;
                write!(shape, "x").expect("writing to a String never fails");
            }
        }
    }
    if let Some(character) =
        shape.chars().find(|character| !(character.is_ascii_alphanumeric() || "-_=./".contains(*character)))
    {
        return Err(InvalidLayout::Character { character });
    }
    if shape.split('/').any(|segment| segment.is_empty() || segment.bytes().all(|byte| byte == b'.')) {
        return Err(InvalidLayout::Segment);
    }
    let first = shape.split('/').next().unwrap_or_default();
    if first.starts_with('_') || RESERVED_FOLDERS.contains(&first) {
        return Err(InvalidLayout::Reserved { folder: shown(first) });
    }
    if shape.len() > SHAPE_BYTES_MAX || values > VALUES_MAX {
        return Err(InvalidLayout::Length { bytes: shape.len(), values });
    }
    Ok(())
}

/// The start of a text, for an error: a template may be of any length.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// A template that cannot be used, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidLayout {
    /// A brace without its partner.
    #[error("a brace has no partner; write placeholders as `{{name}}`")]
    Unbalanced,
    /// No field name.
    #[error(
        "`{{{text}}}` is no placeholder; write `{{event_time:%Y-%m-%d}}` or `{{field}}` with letters, digits, `_`, `-`"
    )]
    Placeholder {
        /// What stands between the braces.
        text: String,
    },
    /// A time format outside the supported ones.
    #[error(
        "time format {format:?}: use at least one of %Y %m %d %H %M %S %j with letters, digits, `-`, `_` and `/` between"
    )]
    TimeFormat {
        /// The format found.
        format: String,
    },
    /// A part that a replay would fill in otherwise.
    #[error(
        "`{{{name}}}` depends on clock, worker or chance, so a replay would write the event again under another name; use `{{event_time:…}}` or a field of the event"
    )]
    Impure {
        /// Name of the placeholder.
        name: String,
    },
    /// Literal text that is unsafe in a key.
    #[error("character {character:?} is not allowed; use letters, digits and `-_=./`")]
    Character {
        /// The first such character.
        character: char,
    },
    /// An empty segment, `.` or `..`.
    #[error("a folder is empty, `.` or `..`; write `a/b` without slashes at the ends")]
    Segment,
    /// A folder of the pipeline's own.
    #[error(
        "folder {folder:?} is reserved for manifests, configuration and state; choose a name such as `events`"
    )]
    Reserved {
        /// The first folder.
        folder: String,
    },
    /// Keys could pass the 1024 bytes of S3.
    #[error(
        "{bytes} bytes of text and {values} fields: at most 200 bytes and 8 fields keep keys within S3's limit"
    )]
    Length {
        /// Bytes with each value counted as one.
        bytes: usize,
        /// Field placeholders.
        values: usize,
    },
}

/// Placeholders of other tools that a replay would fill in otherwise.
const IMPURE_NAMES: [&str; 17] = [
    "now",
    "clock",
    "time",
    "wall_time",
    "wall_clock",
    "processing_time",
    "ingestion_time",
    "arrival_time",
    "worker",
    "worker_id",
    "host",
    "hostname",
    "pid",
    "uuid",
    "random",
    "rand",
    "nonce",
];
const TIME_SPECIFIERS: &str = "YmdHMSj";
const RESERVED_FOLDERS: [&str; 1] = ["state"];
const SHOWN_CHARS_MAX: usize = 80;
const SHAPE_BYTES_MAX: usize = 200;
const VALUES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str, fields: &Value) -> String {
        let time = EventTime::from_millis(1_431_857_103_250).expect("in range");
        LayoutTemplate::parse(template).expect("valid").render(time, |name| fields.get(name))
    }

    #[test]
    fn times_and_fields_are_filled_in() {
        let folder = render(
            "events/date={event_time:%Y-%m-%d}/hour={event_time:%H}/type={type}",
            &json!({ "type": "page/view" }),
        );
        assert_eq!(folder, "events/date=2015-05-17/hour=10/type=page%2Fview");
        assert_eq!(
            render("e/{event_time:%Y/%j}/{a}{b}", &json!({ "a": "" })),
            "e/2015/137/__empty____missing__"
        );
    }

    #[test]
    fn every_specifier_is_written_as_the_library_writes_it() {
        for millis in [631_152_000_000, 1_431_857_103_250, 1_709_164_799_000, 4_102_444_799_999] {
            let time = EventTime::from_millis(millis).expect("in range");
            let format = "%Y-%m-%d/%H_%M/%S%j";
            let folder = LayoutTemplate::parse(&format!("{{event_time:{format}}}"))
                .expect("valid")
                .render(time, |_| None);
            assert_eq!(folder, time.to_civil().strftime(format).to_string());
        }
    }

    #[test]
    fn impure_parts_are_refused() {
        for template in ["e/{now}", "e/{now:%Y}", "e/{worker_id}", "e/{uuid}", "e/{random}", "{hostname}/e"] {
            assert!(
                matches!(LayoutTemplate::parse(template), Err(InvalidLayout::Impure { .. })),
                "{template} must be refused"
            );
        }
    }

    #[test]
    fn unsafe_shapes_are_refused() {
        for template in [
            "",
            "/e",
            "e/",
            "e//f",
            "..",
            "e/../f",
            "e/./f",
            "e/{",
            "e/}",
            "e/{a",
            "e/{a b}",
            "e/{}",
            "e f",
            "e\\f",
            "e/{event_time}",
            "e/{event_time:}",
            "e/{event_time:%s}",
            "e/{event_time:%}",
            "e/{event_time:%Y/}",
            "e/{event_time:%Y..}",
            "_manifest/e",
            "state/e",
            "e/{type:%Y}",
        ] {
            assert!(LayoutTemplate::parse(template).is_err(), "{template:?} must be refused");
        }
        for template in [
            format!("{{{}", "a{".repeat(999) + "}"),
            "_".repeat(999),
            format!("{{event_time:{}}}", "%".repeat(999)),
        ] {
            let error = LayoutTemplate::parse(&template).expect_err("must be refused");
            assert!(error.to_string().len() < 300, "{error}");
        }
        assert!(LayoutTemplate::parse(&"e".repeat(201)).is_err());
        assert!(LayoutTemplate::parse(&"{a}".repeat(9)).is_err());
        assert!(LayoutTemplate::parse(&"{a}".repeat(8)).is_ok());
    }
}
