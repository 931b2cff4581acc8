//! Positions in JSON, as the lease table would show them: `"TRIM_HORIZON"`, `"495…026/0"`.

use kcl_core::{Position, RecordPosition};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(position)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no position")))
}

/// A list of record positions, for `#[serde(with = "…")]`.
pub(crate) mod list {
    use serde::Serialize;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        positions: &[RecordPosition],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        positions.iter().map(ToString::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<RecordPosition>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let record = |text: &String| match parse(text) {
            Some(Position::At(record)) => Ok(record),
            Some(
                Position::AtTimestamp | Position::TrimHorizon | Position::Latest | Position::ShardEnd,
            )
            | None => Err(D::Error::custom(format!("{text:?} is no record position"))),
        };
        texts.iter().map(record).collect()
    }
}

fn parse(text: &str) -> Option<Position> {
    match text.split_once('/') {
        Some((sequence, sub_sequence)) => {
            let sequence = sequence.parse().ok()?;
            Some(Position::At(RecordPosition { sequence, sub_sequence: sub_sequence.parse().ok()? }))
        }
        None => Position::from_columns(text, 0).ok().filter(|position| !matches!(position, Position::At(_))),
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::SequenceNumber;

    use super::*;

    #[test]
    fn positions_round_trip() {
        let record = RecordPosition { sequence: SequenceNumber::from_parts(3, 9), sub_sequence: 4 };
        let all = [Position::AtTimestamp, Position::TrimHorizon, Position::Latest, Position::At(record)];
        for position in all.into_iter().chain([Position::ShardEnd]) {
            assert_eq!(parse(&position.to_string()), Some(position));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "17", "17/", "/3", "17/x", "NOWHERE", "17/3/4", "TRIM_HORIZON/0"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
