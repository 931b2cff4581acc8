//! The stamp that `pump` puts around a line: where it comes from, and its bytes exactly.
//!
//! ```text
//! {"leasehold":1,"source":"access.log","line":17,"raw":"…"}          a line of valid UTF-8
//! {"leasehold":1,"source":"access.log","line":18,"raw_base64":"…"}   any other line
//! {"leasehold":1,"control":"end_of_input"}                           nothing follows on this shard
//! ```
//!
//! A record that does not begin like this is taken as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The control record that ends a finite input on one shard.
pub const END_MARK: &[u8] = br#"{"leasehold":1,"control":"end_of_input"}"#;

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// A line with its stamp.
    Line {
        /// Name of the source.
        source: String,
        /// 1-based number of the line in it.
        line: u64,
        /// The line.
        raw: Bytes,
    },
    /// Nothing follows.
    EndOfInput,
    /// A record without a stamp.
    Plain(Bytes),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp<'a> {
    leasehold: u8,
    source: std::borrow::Cow<'a, str>,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

/// The payload of a stamped line.
#[must_use]
pub fn stamped(source: &str, line: u64, raw: &[u8]) -> Bytes {
    let text = std::str::from_utf8(raw).ok();
    let stamp = Stamp {
        leasehold: 1,
        source: source.into(),
        line,
        raw: text.map(Into::into),
        raw_base64: text.is_none().then(|| STANDARD.encode(raw)),
    };
    Bytes::from(serde_json::to_vec(&stamp).expect("texts and numbers are JSON"))
}

impl Envelope {
    /// Reads a record.
    #[must_use]
    pub fn read(data: &Bytes) -> Self {
        if data.as_ref() == END_MARK {
            return Self::EndOfInput;
        }
        if !data.starts_with(PREFIX) {
            return Self::Plain(data.clone());
        }
        Self::line_of(data).unwrap_or_else(|| Self::Plain(data.clone()))
    }

    fn line_of(data: &Bytes) -> Option<Self> {
        let stamp: Stamp<'_> = serde_json::from_slice(data).ok()?;
        let raw = match (stamp.raw, stamp.raw_base64) {
            (Some(text), None) => Bytes::from(text.into_owned()),
            (None, Some(text)) => Bytes::from(STANDARD.decode(text).ok()?),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(Self::Line { source: stamp.source.into_owned(), line: stamp.line, raw })
    }
}

const PREFIX: &[u8] = br#"{"leasehold":1,"#;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_without_a_stamp_are_taken_as_they_are() {
        for text in ["", "plain", "{\"leasehold\":1,", "{\"leasehold\":1,\"x\":2}", "{\"leasehold\":2}"] {
            let data = Bytes::from(text);
            assert_eq!(Envelope::read(&data), Envelope::Plain(data.clone()));
        }
        assert_eq!(Envelope::read(&Bytes::from_static(END_MARK)), Envelope::EndOfInput);
    }

    proptest! {
        #[test]
        fn any_bytes_survive(source in "\\PC{0,20}", line: u64, raw in prop::collection::vec(any::<u8>(), 0..60)) {
            let read = Envelope::read(&stamped(&source, line, &raw));
            prop_assert_eq!(read, Envelope::Line { source, line, raw: Bytes::from(raw) });
        }
    }
}
