//! Names that may come from strangers: a value of these types has passed AWS's rules.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Excerpt;

/// Declares a checked name with the traits that all of them have.
macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(text) {
                    return Ok(Self(text.into()));
                }
                Err(InvalidName { kind: $kind, value: Excerpt::of(text, VALUE_CHARS_MAX), rule: $rule })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", self.as_str())
            }
        }
    };
}

checked_name!(
    /// The name of a stream, by Kinesis' rule.
    StreamName,
    "stream name",
    "1 to 128 of a-z A-Z 0-9 _ . -",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
);

checked_name!(
    /// The code of an AWS region, such as `eu-west-1`.
    Region,
    "region",
    "1 to 32 of a-z 0-9 -",
    |text| (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
);

checked_name!(
    /// The number of an AWS account.
    AccountId,
    "account id",
    "12 digits",
    |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
);

/// A name that AWS would not give.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{value} is no {kind}: give {rule}")]
pub struct InvalidName {
    /// What it was to be.
    pub kind: &'static str,
    /// What was given, bounded.
    pub value: Excerpt,
    /// What may be given.
    pub rule: &'static str,
}

/// Enough to recognise a wrong name.
const VALUE_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_follow_the_rule_of_kinesis() {
        let longest = "a".repeat(128);
        for name in ["a", "clicks-1.raw_A", "..", longest.as_str()] {
            assert_eq!(name.parse::<StreamName>().expect("valid").as_str(), name);
        }
        let too_long = "a".repeat(129);
        for name in ["", "a b", "a/b", "a\n", "ä", "a:b", "a*", too_long.as_str()] {
            assert!(name.parse::<StreamName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn regions_and_accounts_are_codes_and_not_titles() {
        assert!("us-gov-west-1".parse::<Region>().is_ok());
        assert!("US East (Ohio)".parse::<Region>().is_err());
        assert!("123456789012".parse::<AccountId>().is_ok());
        assert!("12345678901".parse::<AccountId>().is_err());
        assert!("12345678901a".parse::<AccountId>().is_err());
    }

    #[test]
    fn a_refused_name_is_shown_bounded_and_escaped() {
        let problem =
            format!("evil\u{1b}[2J\n{}", "x".repeat(200)).parse::<StreamName>().expect_err("refused");
        let shown = problem.to_string();
        assert!(shown.starts_with("evil\\u{1b}[2J\\nxxx"), "{shown}");
        assert!(shown.ends_with("… is no stream name: give 1 to 128 of a-z A-Z 0-9 _ . -"), "{shown}");
    }

    #[test]
    fn settings_cannot_hold_an_invalid_name() {
        assert!(serde_json::from_str::<StreamName>("\"a b\"").is_err());
        let name: StreamName = serde_json::from_str("\"clicks\"").expect("valid");
        assert_eq!(serde_json::to_string(&name).expect("a string"), "\"clicks\"");
    }
}
