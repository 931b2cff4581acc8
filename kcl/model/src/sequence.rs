//! How sequence numbers are laid out, as far as the real ones show it.
//!
//! ```text
//! bit 184      148              144           80          72       36              4       0
//!     │ version │ creation second │ shard % 16 │ index     │ marker │ arrival second │ shard │ 2
//!     │ 2       │ 36 bits         │ 4 bits     │ 64 bits   │ 8 bits │ 36 bits        │ 32    │
//! ```
//!
//! A record's index is its offset in the shard plus one. The starting number has index 0, the ending one the greatest
//! signed 64-bit index. A child's creation second is greater than its parents', whatever the clock says, so its numbers
//! are greater than all of theirs. Nothing here is stored per record: a number follows from offset and arrival.

use kcl_core::SequenceNumber;

use crate::EpochMillis;

/// The sequence numbers of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceSpace {
    creation_second: u64,
    shard_number: u32,
}

impl SequenceSpace {
    /// The numbers of shard `shard_number`, made at `creation_second`.
    pub(crate) const fn new(shard_number: u32, creation_second: u64) -> Self {
        Self { creation_second: creation_second & SECOND_MASK, shard_number }
    }

    /// A creation second for a child made at `now`: the clock's, but greater than this shard's in any case.
    pub(crate) const fn child_creation_second(self, now: EpochMillis) -> u64 {
        let now = now.seconds();
        if now > self.creation_second { now } else { self.creation_second + 1 }
    }

    /// Less than every record's number.
    pub(crate) fn starting(self) -> SequenceNumber {
        self.number(0, MARKER_RECORD, self.creation_second)
    }

    /// Greater than every record's number.
    pub(crate) fn ending(self) -> SequenceNumber {
        self.number(INDEX_ENDING, MARKER_AFTER, self.creation_second)
    }

    /// The number of the record at `offset`.
    pub(crate) fn record(self, offset: u64, arrival: EpochMillis) -> SequenceNumber {
        self.number(offset + 1, MARKER_RECORD, arrival.seconds())
    }

    /// A number between the last record before `offset` and the one at `offset`.
    pub(crate) fn before(self, offset: u64) -> SequenceNumber {
        self.number(offset, MARKER_AFTER, SECOND_MASK)
    }

    /// The index in `number`: 0 before the first record, offset plus one otherwise. `None` if it is no number of this
    /// shard.
    pub(crate) fn index(self, number: SequenceNumber) -> Option<u64> {
        let index = ((number.high() & 0xffff) << 48) | (number.low() >> 80) as u64;
        let is_ours = self.starting() <= number
            && number <= self.ending()
            && number.low() & SHARD_FIELDS == self.shard_fields();
        is_ours.then_some(index)
    }

    fn number(self, index: u64, marker: u8, arrival_second: u64) -> SequenceNumber {
        let high = (VERSION << 56)
            | (self.creation_second << 20)
            | (u64::from(self.shard_number & 0xf) << 16)
            | (index >> 48);
        let low = (u128::from(index & 0xffff_ffff_ffff) << 80)
            | (u128::from(marker) << 72)
            | (u128::from(arrival_second & SECOND_MASK) << 36)
            | self.shard_fields();
        SequenceNumber::from_parts(high, low)
    }

    fn shard_fields(self) -> u128 {
        (u128::from(self.shard_number) << 4) | LOW_NIBBLE
    }
}

/// The index of a closed shard's ending number, which no record reaches.
pub(crate) const INDEX_ENDING: u64 = i64::MAX as u64;

const VERSION: u64 = 2;
const LOW_NIBBLE: u128 = 2;
const SECOND_MASK: u64 = (1 << 36) - 1;
const SHARD_FIELDS: u128 = (1 << 36) - 1;
const MARKER_RECORD: u8 = 0;
/// Makes a number greater than the record with the same index and less than the next record.
const MARKER_AFTER: u8 = 0xff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: EpochMillis = EpochMillis(1_700_000_000_123);

    #[test]
    fn fields_lie_where_the_real_ones_do() {
        let number = SequenceSpace::new(0x1234_5678, NOW.seconds()).record(41, NOW);
        assert_eq!(number.high() >> 56, 2, "version nibble at bit 184");
        assert_eq!(number.low() & 0xf, 2, "low nibble");
        assert_eq!((number.low() >> 4) as u32, 0x1234_5678, "shard number at bit 4");
        assert_eq!(number.to_string().len(), 56, "as long as a real one");
    }

    #[test]
    fn a_child_made_in_the_same_second_is_greater_than_its_parent() {
        let parent = SequenceSpace::new(31, NOW.seconds());
        let child = SequenceSpace::new(32, parent.child_creation_second(NOW));
        assert!(child.starting() > parent.ending());
    }

    #[test]
    fn numbers_of_other_shards_are_foreign() {
        let space = SequenceSpace::new(1, NOW.seconds());
        assert_eq!(space.index(SequenceSpace::new(2, NOW.seconds()).record(0, NOW)), None);
        assert_eq!(space.index(SequenceSpace::new(17, NOW.seconds()).record(0, NOW)), None);
        assert_eq!(space.index(SequenceNumber::default()), None);
        assert_eq!(space.index(space.ending()), Some(INDEX_ENDING));
        assert_eq!(space.index(space.starting()), Some(0));
    }

    proptest! {
        #[test]
        fn numbers_increase_with_the_offset(
            shard: u32,
            offset in 0_u64..(1 << 62),
            first in 0_u64..(1 << 40),
            later in 0_u64..(1 << 40),
        ) {
            let space = SequenceSpace::new(shard, NOW.seconds());
            let (record, next) = (space.record(offset, EpochMillis(first)), space.record(offset + 1, EpochMillis(later)));
            prop_assert!(space.starting() < space.before(0) && space.before(offset) < record);
            prop_assert!(record < space.before(offset + 1) && space.before(offset + 1) < next);
            prop_assert!(next < space.ending());
            prop_assert_eq!(space.index(record), Some(offset + 1));
        }
    }
}
