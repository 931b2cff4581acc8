//! The documented bounds of request members, refused in the words of AWS.

use std::collections::BTreeMap;

use crate::{KinesisError, Result};

/// A stream's or consumer's name: 1 to 128 of `a-z A-Z 0-9 _ . -`.
pub(crate) fn name(member: &str, name: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_allowed) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(KinesisError::constraint(
            member,
            shown,
            "Member must have 1 to 128 characters and satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ));
    }
    Ok(())
}

/// A number of things: at least one.
pub(crate) fn at_least_one(member: &str, value: u32) -> Result<()> {
    if value == 0 {
        return Err(KinesisError::constraint(
            member,
            value,
            "Member must have value greater than or equal to 1",
        ));
    }
    Ok(())
}

/// A page size or limit between 1 and `max`; `default` if absent.
pub(crate) fn page(member: &str, value: Option<u32>, default: usize, max: usize) -> Result<usize> {
    let Some(value) = value else { return Ok(default) };
    at_least_one(member, value)?;
    if value as usize > max {
        let constraint = format!("Member must have value less than or equal to {max}");
        return Err(KinesisError::constraint(member, value, &constraint));
    }
    Ok(value as usize)
}

/// `MaxRecordSizeInKiB`: 1024 to 10 240.
pub(crate) fn record_kibibytes(value: u32) -> Result<()> {
    if !(1_024..=10_240).contains(&value) {
        return Err(KinesisError::constraint(
            "maxRecordSizeInKiB",
            value,
            "Member must have value between 1024 and 10240",
        ));
    }
    Ok(())
}

/// Tags of one stream: at most 50, keys of 1 to 128 characters, values of up to 256.
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(KinesisError::InvalidArgument(format!(
            "A stream can have {TAGS_MAX} tags, and {} were given.",
            tags.len()
        )));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(KinesisError::constraint("tags", key, "Map keys must have 1 to 128 characters"));
        }
        if value.chars().count() > 256 {
            return Err(KinesisError::constraint("tags", value, "Map values must have up to 256 characters"));
        }
    }
    Ok(())
}

const NAME_BYTES_MAX: usize = 128;
const TAGS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_alphabet() {
        assert!(name("streamName", "clicks-1.raw_A").is_ok());
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(name("streamName", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pages_have_their_bounds() {
        assert_eq!(page("limit", None, 100, 10_000), Ok(100));
        assert_eq!(page("limit", Some(10_000), 100, 10_000), Ok(10_000));
        assert!(page("limit", Some(0), 100, 10_000).is_err());
        assert!(page("limit", Some(10_001), 100, 10_000).is_err());
    }
}
