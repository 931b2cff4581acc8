//! The throughput a shard grants, as token buckets on the caller's clock.
//!
//! Owns the arithmetic only: a bucket holds one second's worth, fills evenly, and may be overdrawn by one request that
//! is greater than itself. Where the clock runs `time_scale` times as fast as those who write and read, a bucket takes
//! that many seconds of the clock to fill: they are granted what the same program would be granted at AWS. Where each record
//! stands for several, it takes what all of them would.

use std::num::NonZeroU32;

use crate::EpochMillis;
use crate::shard_log::ReadLimits;

/// So many units per second, saved up for one second at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    units_per_second: u64,
    /// Milliseconds of the clock in which an empty bucket fills.
    fill_millis: u64,
    /// A unit has `fill_millis` parts, so each millisecond brings `units_per_second` of them; negative when overdrawn.
    level: i64,
    updated: EpochMillis,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) const fn full(units_per_second: u64, time_scale: u32, now: EpochMillis) -> Self {
        let fill_millis = time_scale as u64 * 1000;
        Self { units_per_second, fill_millis, level: (units_per_second * fill_millis) as i64, updated: now }
    }

    /// Whether `units` may be taken: all of them are there, or the bucket is full and they are more than it holds.
    pub(crate) fn has(&mut self, units: u64, now: EpochMillis) -> bool {
        self.refill(now);
        self.level >= self.parts(units).min(self.capacity())
    }

    /// Takes `units`, even if that overdraws the bucket.
    pub(crate) fn take(&mut self, units: u64, now: EpochMillis) {
        self.refill(now);
        self.level = self.level.saturating_sub(self.parts(units));
    }

    /// The first moment at which the bucket is not overdrawn.
    pub(crate) fn solvent_at(&self) -> EpochMillis {
        let missing = u64::try_from(-self.level).unwrap_or(0);
        EpochMillis(self.updated.0.saturating_add(missing.div_ceil(self.units_per_second)))
    }

    fn refill(&mut self, now: EpochMillis) {
        let elapsed = now.millis_since(self.updated);
        let gained = i64::try_from(elapsed.saturating_mul(self.units_per_second)).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(gained).min(self.capacity());
        self.updated = self.updated.max(now);
    }

    const fn capacity(&self) -> i64 {
        (self.units_per_second * self.fill_millis) as i64
    }

    fn parts(&self, units: u64) -> i64 {
        i64::try_from(units.saturating_mul(self.fill_millis)).unwrap_or(i64::MAX)
    }
}

/// What may be written to one shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteBudget {
    bytes: TokenBucket,
    records: TokenBucket,
    record_weight: NonZeroU32,
}

impl WriteBudget {
    /// 1 MiB and 1000 records per second.
    pub(crate) const fn new(time_scale: u32, record_weight: NonZeroU32, now: EpochMillis) -> Self {
        Self {
            bytes: TokenBucket::full(WRITE_BYTES_PER_SECOND, time_scale, now),
            records: TokenBucket::full(WRITE_RECORDS_PER_SECOND, time_scale, now),
            record_weight,
        }
    }

    /// Takes one record of `bytes`, or nothing if it does not fit.
    pub(crate) fn admit(&mut self, bytes: usize, now: EpochMillis) -> bool {
        let records = u64::from(self.record_weight.get());
        let bytes = bytes as u64 * records;
        let is_admitted = self.records.has(records, now) && self.bytes.has(bytes, now);
        if is_admitted {
            self.records.take(records, now);
            self.bytes.take(bytes, now);
        }
        is_admitted
    }
}

/// What may be read from one shard by all its polling readers together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadBudget {
    calls: TokenBucket,
    bytes: TokenBucket,
    blocked_until: EpochMillis,
    record_weight: NonZeroU32,
}

impl ReadBudget {
    /// 5 calls and 2 MiB per second.
    pub(crate) const fn new(time_scale: u32, record_weight: NonZeroU32, now: EpochMillis) -> Self {
        Self {
            calls: TokenBucket::full(READ_CALLS_PER_SECOND, time_scale, now),
            bytes: TokenBucket::full(READ_BYTES_PER_SECOND, time_scale, now),
            blocked_until: EpochMillis(0),
            record_weight,
        }
    }

    /// What one answer may hold: what stands for no more than `limits`.
    pub(crate) fn weighed(&self, limits: ReadLimits) -> ReadLimits {
        let weight = self.record_weight.get() as usize;
        ReadLimits {
            records_max: limits.records_max.div_ceil(weight),
            bytes_max: limits.bytes_max.div_ceil(weight),
        }
    }

    /// Takes one call, or nothing if the shard has answered too much.
    pub(crate) fn admit_call(&mut self, now: EpochMillis) -> bool {
        let is_admitted = now >= self.blocked_until && self.calls.has(1, now);
        if is_admitted {
            self.calls.take(1, now);
        }
        is_admitted
    }

    /// Charges an answer. One that exceeds what is left blocks the shard for as long as its bytes take at the granted
    /// rate: 10 MiB for five seconds.
    pub(crate) fn charge(&mut self, bytes: usize, now: EpochMillis) {
        let bytes = bytes as u64 * u64::from(self.record_weight.get());
        if self.bytes.has(bytes, now) && bytes <= READ_BYTES_PER_SECOND {
            self.bytes.take(bytes, now);
        } else {
            let millis = (bytes * self.bytes.fill_millis).div_ceil(READ_BYTES_PER_SECOND);
            self.blocked_until = EpochMillis(now.0.saturating_add(millis));
            self.bytes = TokenBucket { level: 0, updated: self.blocked_until, ..self.bytes };
        }
    }
}

/// A bucket for one enhanced fan-out subscription: 2 MiB per second of its own.
pub(crate) const fn subscription_bucket(time_scale: u32, now: EpochMillis) -> TokenBucket {
    TokenBucket::full(READ_BYTES_PER_SECOND, time_scale, now)
}

const WRITE_BYTES_PER_SECOND: u64 = 1 << 20;
const WRITE_RECORDS_PER_SECOND: u64 = 1000;
const READ_BYTES_PER_SECOND: u64 = 2 << 20;
const READ_CALLS_PER_SECOND: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn at(millis: u64) -> EpochMillis {
        EpochMillis(1_000_000 + millis)
    }

    #[test]
    fn a_thousand_records_pass_and_the_next_waits_a_millisecond() {
        let mut budget = WriteBudget::new(1, NonZeroU32::MIN, at(0));
        assert!((0..1000).all(|_| budget.admit(10, at(0))));
        assert!(!budget.admit(10, at(0)));
        assert!(budget.admit(10, at(1)));
    }

    #[test]
    fn a_mebibyte_passes_and_the_next_waits_its_time() {
        let mut budget = WriteBudget::new(1, NonZeroU32::MIN, at(0));
        assert!(budget.admit(MIB, at(0)));
        assert!(!budget.admit(MIB / 2, at(499)));
        assert!(budget.admit(MIB / 2, at(500)));
    }

    #[test]
    fn a_record_greater_than_the_bucket_passes_when_it_is_full_and_is_paid_back() {
        let mut budget = WriteBudget::new(1, NonZeroU32::MIN, at(0));
        assert!(budget.admit(10 * MIB, at(0)));
        assert!(!budget.admit(1, at(8_999)));
        assert!(budget.admit(1, at(9_001)));
    }

    #[test]
    fn ten_mebibytes_block_reading_for_five_seconds() {
        let mut budget = ReadBudget::new(1, NonZeroU32::MIN, at(0));
        assert!(budget.admit_call(at(0)));
        budget.charge(10 * MIB, at(0));
        assert!(!budget.admit_call(at(4_999)));
        assert!(budget.admit_call(at(5_000)));
    }

    #[test]
    fn five_calls_pass_at_once_and_then_one_every_fifth_of_a_second() {
        let mut budget = ReadBudget::new(1, NonZeroU32::MIN, at(0));
        assert!((0..5).all(|_| budget.admit_call(at(0))));
        assert!(!budget.admit_call(at(199)));
        assert!(budget.admit_call(at(200)));
    }

    #[test]
    fn a_clock_that_steps_back_grants_nothing() {
        let mut bucket = TokenBucket::full(10, 1, at(1000));
        bucket.take(10, at(1000));
        assert!(!bucket.has(1, at(0)));
        assert!(!bucket.has(1, at(1000)));
        assert!(bucket.has(1, at(1100)));
    }

    #[test]
    fn an_overdrawn_bucket_says_when_it_is_solvent() {
        let mut bucket = TokenBucket::full(10, 1, at(0));
        bucket.take(15, at(0));
        assert_eq!(bucket.solvent_at(), at(500));
    }

    #[test]
    fn on_a_clock_that_runs_sixty_times_as_fast_a_second_is_a_minute_long() {
        let mut writes = WriteBudget::new(60, NonZeroU32::MIN, at(0));
        assert!((0..1000).all(|_| writes.admit(10, at(0))));
        assert!(!writes.admit(10, at(59)));
        assert!(writes.admit(10, at(60)));

        let mut reads = ReadBudget::new(60, NonZeroU32::MIN, at(0));
        assert!((0..5).all(|_| reads.admit_call(at(0))));
        // Asked at every millisecond, the bucket still gains what the milliseconds bring.
        assert!((1..12_000).all(|millis| !reads.admit_call(at(millis))));
        assert!(reads.admit_call(at(12_000)));
        reads.charge(10 * MIB, at(12_000));
        assert!(!reads.admit_call(at(311_999)));
        assert!(reads.admit_call(at(312_000)));
    }

    #[test]
    fn a_record_that_stands_for_five_takes_what_five_take() {
        let five = NonZeroU32::new(5).expect("not zero");
        let mut writes = WriteBudget::new(1, five, at(0));
        assert!((0..200).all(|_| writes.admit(10, at(0))));
        assert!(!writes.admit(10, at(4)));
        assert!(writes.admit(10, at(5)));

        let mut reads = ReadBudget::new(1, five, at(0));
        let limits = reads.weighed(ReadLimits { records_max: 10_000, bytes_max: 10 * MIB });
        assert_eq!((limits.records_max, limits.bytes_max), (2_000, 2 * MIB));
        reads.charge(2 * MIB, at(0));
        assert!(!reads.admit_call(at(4_999)));
        assert!(reads.admit_call(at(5_000)));
    }
}
