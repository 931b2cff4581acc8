//! Why a message wakes nothing: what was wrong, where, with which value, and what to do about it.
//!
//! Everything in a refusal that came from outside is bounded and escaped, so that it can go to a log as it is.

use std::fmt;

use serde_json::Value;
use thiserror::Error;

/// A message that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind} at {field}: {value}; {remedy}")]
pub struct Refusal {
    /// What is wrong: the label of the metric.
    pub kind: RefusalKind,
    /// Where, as a path through the envelopes: `Records[0].body.Message.AlarmArn`.
    pub field: String,
    /// What stands there.
    pub value: Excerpt,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Refusal {
    pub(super) fn new(
        kind: RefusalKind,
        field: impl Into<String>,
        value: &str,
        remedy: &'static str,
    ) -> Self {
        Self { kind, field: field.into(), value: Excerpt::of(value, VALUE_CHARS_MAX), remedy }
    }

    /// The same refusal, seen from outside of an envelope.
    pub(super) fn within(mut self, outer: &str) -> Self {
        self.field = match self.field.as_str() {
            WHOLE => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        self
    }
}

/// What can be wrong with a message. A kind is added only where an operator would do something else about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// More bytes, values, records or streams than any alarm has.
    TooLarge,
    /// Nested deeper than any alarm.
    TooDeep,
    /// Not JSON.
    NotJson,
    /// JSON, but none of the shapes in which alarms come.
    NotAnAlarm,
    /// A field that every alarm has is absent.
    MissingField,
    /// A field does not hold what AWS writes there.
    InvalidField,
    /// SNS asks to confirm a subscription or its end.
    Confirmation,
    /// A composite alarm, whose streams no setting names.
    CompositeAlarm,
    /// An alarm whose metrics name no stream, and neither does a setting.
    NoStream,
    /// None of the alarm's metrics is in a namespace of streams.
    ForeignNamespace,
    /// Another account than the settings pin.
    ForeignAccount,
    /// Another region than the settings pin.
    ForeignRegion,
    /// A stream that the settings do not list.
    ForeignStream,
}

impl RefusalKind {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Self; 13] = [
        Self::TooLarge,
        Self::TooDeep,
        Self::NotJson,
        Self::NotAnAlarm,
        Self::MissingField,
        Self::InvalidField,
        Self::Confirmation,
        Self::CompositeAlarm,
        Self::NoStream,
        Self::ForeignNamespace,
        Self::ForeignAccount,
        Self::ForeignRegion,
        Self::ForeignStream,
    ];

    /// The label of the metric. Stable: dashboards and alarms refer to it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::NotJson => "not_json",
            Self::NotAnAlarm => "not_an_alarm",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
            Self::Confirmation => "confirmation",
            Self::CompositeAlarm => "composite_alarm",
            Self::NoStream => "no_stream",
            Self::ForeignNamespace => "foreign_namespace",
            Self::ForeignAccount => "foreign_account",
            Self::ForeignRegion => "foreign_region",
            Self::ForeignStream => "foreign_stream",
        }
    }
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The beginning of a text from outside, without control characters: fit for a log line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// At most `chars_max` characters of `text`, escaped, and `…` if more follow.
    #[must_use]
    pub fn of(text: &str, chars_max: usize) -> Self {
        let mut shown = String::new();
        let mut left = chars_max;
        for character in text.chars() {
            let is_plain = matches!(character, '"' | '\'');
            let length = if is_plain { 1 } else { character.escape_debug().count() };
            if length > left {
                shown.push('…');
                break;
            }
            left -= length;
            if is_plain {
                shown.push(character);
            } else {
                shown.extend(character.escape_debug());
            }
        }
        Self(shown.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A JSON value as a refusal shows it: what a string holds, the kind and size of what cannot stand in a line.
pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => format!("a list of {}", items.len()),
        Some(Value::Object(fields)) => {
            let names: Vec<_> = fields.keys().take(KEYS_SHOWN_MAX).map(String::as_str).collect();
            match fields.len() - names.len() {
                0 => format!("an object with {}", names.join(", ")),
                more => format!("an object with {} and {more} more", names.join(", ")),
            }
        }
        Some(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value.to_string(),
    }
}

/// The path of a whole document.
pub(super) const WHOLE: &str = "message";
/// A refused value is for recognising the sender, not for reading the message.
const VALUE_CHARS_MAX: usize = 120;
/// Names of fields that tell one kind of message from another stand within the first few.
const KEYS_SHOWN_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_is_listed_once_under_a_name_of_its_own() {
        for (index, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
        }
        let names: BTreeSet<_> = RefusalKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), RefusalKind::ALL.len());
    }

    #[test]
    fn a_refusal_tells_its_place_from_the_outside_in() {
        let refusal = Refusal::new(RefusalKind::InvalidField, "AlarmArn", "x\ny", "let CloudWatch send it");
        let outer = refusal.within("Message").within("Records[0].body");
        assert_eq!(
            outer.to_string(),
            "invalid_field at Records[0].body.Message.AlarmArn: x\\ny; let CloudWatch send it"
        );
        let whole = Refusal::new(RefusalKind::NotJson, WHOLE, "", "").within("Message");
        assert_eq!(whole.field, "Message");
    }

    #[test]
    fn an_excerpt_keeps_what_is_harmless() {
        assert_eq!(Excerpt::of("[1.5] > \"x\" 'y' ü", 40).as_str(), "[1.5] > \"x\" 'y' ü");
        assert_eq!(Excerpt::of("a\u{202e}b\\n", 40).as_str(), "a\\u{202e}b\\\\n");
        assert_eq!(Excerpt::of("abc", 2).as_str(), "ab…");
        assert_eq!(Excerpt::of("ab\n", 3).as_str(), "ab…", "an escape is not cut in two");
    }

    proptest! {
        #[test]
        fn an_excerpt_is_bounded_and_printable(text in any::<String>(), chars_max in 0_usize..200) {
            let excerpt = Excerpt::of(&text, chars_max);
            prop_assert!(excerpt.as_str().chars().count() <= chars_max + 1);
            prop_assert!(!excerpt.as_str().chars().any(char::is_control));
        }
    }
}
