//! The 128-bit hash space of a stream: where a partition key falls and which part of it a shard holds.

use std::fmt;

use md5::{Digest, Md5};
use thiserror::Error;

/// A point of the hash space, 0 to 2^128 − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl HashKey {
    /// Where Kinesis puts a record without an explicit hash key: MD5 of the UTF-8 key, read as a big-endian integer.
    #[must_use]
    pub fn of_partition_key(partition_key: &str) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into()))
    }

    /// Reads the decimal text that Kinesis and the lease table use.
    ///
    /// # Errors
    /// [`InvalidHashKey`] if `text` is no decimal integer below 2^128.
    pub fn parse(text: &str) -> Result<Self, InvalidHashKey> {
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| is_decimal)
            .map(Self)
            .ok_or_else(|| InvalidHashKey::Key { text: text.chars().take(80).collect() })
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// An inclusive range of the hash space, as a shard holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKeyRange {
    start: HashKey,
    end: HashKey,
}

impl HashKeyRange {
    /// The whole hash space.
    pub const FULL: Self = Self { start: HashKey(0), end: HashKey(u128::MAX) };

    /// The range from `start` to `end`, both included.
    ///
    /// # Errors
    /// [`InvalidHashKey::Range`] if `start` is greater than `end`.
    pub fn new(start: HashKey, end: HashKey) -> Result<Self, InvalidHashKey> {
        if start > end {
            return Err(InvalidHashKey::Range { start, end });
        }
        Ok(Self { start, end })
    }

    /// The lowest key of the range.
    #[must_use]
    pub const fn start(self) -> HashKey {
        self.start
    }

    /// The greatest key of the range.
    #[must_use]
    pub const fn end(self) -> HashKey {
        self.end
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// Whether `other` begins right after this range ends.
    #[must_use]
    pub fn is_followed_by(self, other: Self) -> bool {
        self.end.0.checked_add(1) == Some(other.start.0)
    }

    /// Whether the two ranges share a key.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

impl fmt::Display for HashKeyRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{}, {}]", self.start, self.end)
    }
}

/// Whether `ranges` cover the whole hash space without a hole; overlaps are allowed.
#[must_use]
pub fn covers_hash_space(ranges: impl IntoIterator<Item = HashKeyRange>) -> bool {
    let mut ranges: Vec<_> = ranges.into_iter().collect();
    ranges.sort_unstable();
    let mut next = Some(0_u128);
    for range in ranges {
        match next {
            Some(next_start) if range.start.0 > next_start => return false,
            Some(next_start) if range.end.0 >= next_start => next = range.end.0.checked_add(1),
            Some(_) | None => {}
        }
    }
    next.is_none()
}

/// A hash key or a range of them that cannot exist.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidHashKey {
    /// Not a decimal integer below 2^128.
    #[error("hash key {text:?}: it must be a decimal integer below 2^128")]
    Key {
        /// What was read, at most 80 characters of it.
        text: String,
    },
    /// A range that ends before it starts.
    #[error("hash key range from {start} to {end}: it must not end before it starts")]
    Range {
        /// Its lowest key.
        start: HashKey,
        /// Its greatest key.
        end: HashKey,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u128, end: u128) -> HashKeyRange {
        HashKeyRange::new(HashKey(start), HashKey(end)).expect("start before end")
    }

    #[test]
    fn a_partition_key_hashes_as_kinesis_does() {
        // MD5("1") = c4ca4238a0b923820dcc509a6f75849b
        assert_eq!(HashKey::of_partition_key("1").0, 0xc4ca_4238_a0b9_2382_0dcc_509a_6f75_849b);
    }

    #[test]
    fn holes_are_found_and_overlaps_allowed() {
        let half = u128::MAX / 2;
        assert!(covers_hash_space([HashKeyRange::FULL]));
        assert!(covers_hash_space([range(half + 1, u128::MAX), range(0, half)]));
        assert!(covers_hash_space([range(0, half + 5), range(half, u128::MAX)]));
        assert!(!covers_hash_space([range(0, half), range(half + 2, u128::MAX)]));
        assert!(!covers_hash_space([range(1, u128::MAX)]));
        assert!(!covers_hash_space([]));
    }

    #[test]
    fn text_is_checked() {
        assert_eq!(HashKey::parse("340282366920938463463374607431768211455"), Ok(HashKey(u128::MAX)));
        for text in ["", "+1", "-1", "340282366920938463463374607431768211456", "0x10"] {
            assert!(HashKey::parse(text).is_err(), "{text:?} must be refused");
        }
    }
}
