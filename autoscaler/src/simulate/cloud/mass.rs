//! An amount of data: bytes and records together.

use std::ops::{Add, AddAssign, Mul};

use crate::ShardLimits;

/// Bytes and records. A fluid: both may be fractions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Mass {
    pub(super) bytes: f64,
    pub(super) records: f64,
}

impl Mass {
    pub(super) const NONE: Self = Self { bytes: 0.0, records: 0.0 };

    /// How many shards this needs if it comes evenly within `seconds`: whichever limit binds first.
    pub(super) fn shards(self, limits: &ShardLimits, seconds: f64) -> f64 {
        let bytes = self.bytes / (limits.write_bytes_per_second * seconds);
        let records = self.records / (limits.write_records_per_second * seconds);
        bytes.max(records)
    }
}

impl Add for Mass {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, records: self.records + other.records }
    }
}

impl AddAssign for Mass {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Mass {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self { bytes: self.bytes * factor, records: self.records * factor }
    }
}
