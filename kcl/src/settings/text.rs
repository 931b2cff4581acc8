//! How settings are written: durations as `200ms`, `5s`, `2m`, `1h`; initial positions by name.

use std::time::Duration;

use kcl_core::InitialPosition;
use serde::{Deserialize, Deserializer, Serializer, de};

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "ms" => number,
        "s" => number.checked_mul(1000)?,
        "m" => number.checked_mul(60_000)?,
        "h" => number.checked_mul(3_600_000)?,
        _ => return None,
    };
    Some(Duration::from_millis(millis))
}

fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

fn duration_of<E: de::Error>(text: &str) -> Result<Duration, E> {
    let expected = "a duration such as 200ms, 5s, 2m or 1h";
    parse_duration(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &expected))
}

/// A duration.
pub(super) mod duration {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        duration_of(&String::deserialize(deserializer)?)
    }
}

/// A duration that may be left out.
pub(super) mod optional_duration {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_some(&format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| duration_of(&text)).transpose()
    }
}

/// An initial position, which may be missing until it is validated.
pub(super) mod initial_position {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        value: &Option<InitialPosition>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(InitialPosition::TrimHorizon) => serializer.serialize_some("trim_horizon"),
            Some(InitialPosition::Latest) => serializer.serialize_some("latest"),
            Some(InitialPosition::AtTimestamp(epoch_millis)) => {
                serializer.serialize_some(&format!("at_timestamp:{epoch_millis}"))
            }
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<InitialPosition>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let position = match text.as_str() {
            "trim_horizon" => Some(InitialPosition::TrimHorizon),
            "latest" => Some(InitialPosition::Latest),
            other => other
                .strip_prefix("at_timestamp:")
                .and_then(|millis| millis.parse().ok())
                .map(InitialPosition::AtTimestamp),
        };
        let expected = "trim_horizon, latest or at_timestamp:<epoch milliseconds>";
        position.map(Some).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [("200ms", 200), ("5s", 5_000), ("2m", 120_000), ("1h", 3_600_000)] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Some(duration), "{text}");
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        for text in ["", "5", "5 s", "-1s", "1.5s", "s", "99999999999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
