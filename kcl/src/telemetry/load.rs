//! Bytes and records side by side: a shard has a limit for each, and either may be the one that binds.

use std::ops::{Add, AddAssign, Sub};

/// An amount of both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    pub(super) bytes: f64,
    pub(super) records: f64,
}

impl Load {
    /// This many records of `bytes` each.
    pub(super) fn of_records(count: f64, bytes: usize) -> Self {
        Self { bytes: count * bytes as f64, records: count }
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self { bytes: self.bytes * factor, records: self.records * factor }
    }

    /// The time a shard needs for it, both limits added: linear, and great for whatever is great in either.
    pub(super) fn shard_seconds(self) -> f64 {
        self.bytes / BYTES_PER_SECOND + self.records / RECORDS_PER_SECOND
    }

    /// What part of `whole` this is, in both.
    pub(super) fn share_of(self, whole: Self) -> LoadShare {
        LoadShare {
            bytes: Share::of(self.bytes, whole.bytes),
            records: Share::of(self.records, whole.records),
        }
    }
}

impl Add for Load {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, records: self.records + other.records }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Load {
    type Output = Self;

    /// Never below zero, where rounding would lead.
    fn sub(self, other: Self) -> Self {
        Self { bytes: (self.bytes - other.bytes).max(0.0), records: (self.records - other.records).max(0.0) }
    }
}

/// A part of a whole, in steps of 1/65535: finer than anything that is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u16);

impl Share {
    /// The part that `part` is of `whole`; of nothing, nothing.
    #[must_use]
    pub fn of(part: f64, whole: f64) -> Self {
        let share = if whole > 0.0 { part / whole } else { 0.0 };
        Self((share.clamp(0.0, 1.0) * f64::from(u16::MAX)).round() as u16)
    }

    /// From 0 to 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(u16::MAX)
    }
}

/// A part of a shard's bytes, and a part of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadShare {
    /// Of the bytes.
    pub bytes: Share,
    /// Of the records.
    pub records: Share,
}

/// What a shard takes in a second, by the AWS quotas page; here only to weigh the two against each other.
const BYTES_PER_SECOND: f64 = 1e6;
/// The same in records.
const RECORDS_PER_SECOND: f64 = 1e3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_bounded_whatever_it_is_taken_of() {
        assert_eq!(Share::of(1.0, 0.0), Share(0));
        assert_eq!(Share::of(f64::NAN, 1.0), Share(0));
        assert_eq!(Share::of(2.0, 1.0), Share(u16::MAX));
        assert!((Share::of(1.0, 3.0).as_f64() - 1.0 / 3.0).abs() < 1e-4);
    }
}
