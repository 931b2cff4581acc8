//! Positions in JSON, as the lease table would show them: `"TRIM_HORIZON"`, `"495…026/0"`.

use kcl::{Position, RecordPosition};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(position)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no position")))
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
    use kcl::SequenceNumber;

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
