//! Sequence numbers: the 186-bit integers that order the records of a stream.
//!
//! Kinesis writes them as decimal strings without leading zeros; comparing the strings is wrong as soon as their
//! lengths differ, so they are parsed once and compared as integers.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A sequence number of at most 192 bits, ordered as an integer.
///
/// ```
/// use kcl_core::SequenceNumber;
/// let first: SequenceNumber = "49590221985993876996108612573478580168307040747492737026".parse()?;
/// let later: SequenceNumber = "149590221985993876996108612573478580168307040747492737026".parse()?;
/// assert!(first < later);
/// assert_eq!(first.to_string(), "49590221985993876996108612573478580168307040747492737026");
/// # Ok::<(), kcl_core::InvalidSequenceNumber>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    high: u64,
    low: u128,
}

impl SequenceNumber {
    /// The number `high * 2^128 + low`.
    #[must_use]
    pub const fn from_parts(high: u64, low: u128) -> Self {
        Self { high, low }
    }

    /// Bits 128 and up.
    #[must_use]
    pub const fn high(self) -> u64 {
        self.high
    }

    /// The lowest 128 bits.
    #[must_use]
    pub const fn low(self) -> u128 {
        self.low
    }

    /// The number one greater, or `None` at the very end of the range.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.low.checked_add(1) {
            Some(low) => Some(Self { high: self.high, low }),
            None => match self.high.checked_add(1) {
                Some(high) => Some(Self { high, low: 0 }),
                None => None,
            },
        }
    }

    /// `self * factor + digits`, or `None` if that passes 192 bits.
    fn shift_in(self, factor: u64, digits: u64) -> Option<Self> {
        let low_half = (self.low & MASK_64) * u128::from(factor) + u128::from(digits);
        let middle = (self.low >> 64) * u128::from(factor) + (low_half >> 64);
        let high = u128::from(self.high) * u128::from(factor) + (middle >> 64);
        Some(Self { high: u64::try_from(high).ok()?, low: (middle << 64) | (low_half & MASK_64) })
    }

    /// Quotient and remainder by `CHUNK`.
    fn split_off_chunk(self) -> (Self, u64) {
        let divide = |carry: u64, limb: u64| {
            let wide = (u128::from(carry) << 64) | u128::from(limb);
            ((wide / u128::from(CHUNK)) as u64, (wide % u128::from(CHUNK)) as u64)
        };
        let (high, carry) = divide(0, self.high);
        let (middle, carry) = divide(carry, (self.low >> 64) as u64);
        let (low, rest) = divide(carry, (self.low & MASK_64) as u64);
        (Self { high, low: (u128::from(middle) << 64) | u128::from(low) }, rest)
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSequenceNumber { text: text.chars().take(TEXT_SHOWN_MAX).collect() };
        if text.is_empty() || text.len() > DIGITS_MAX || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let mut number = Self::default();
        for chunk in text.as_bytes().chunks(CHUNK_DIGITS) {
            let (mut digits, mut factor) = (0_u64, 1_u64);
            for byte in chunk {
                digits = digits * 10 + u64::from(byte - b'0');
                factor *= 10;
            }
            number = number.shift_in(factor, digits).ok_or_else(invalid)?;
        }
        Ok(number)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut start = DIGITS_MAX;
        let mut rest = *self;
        while rest != Self::default() {
            let mut chunk;
            (rest, chunk) = rest.split_off_chunk();
            // Of an odd number of digits the last pair has a zero too many, in the place of the next chunk's last digit.
            for pair in digits[..start].rchunks_mut(2).take(CHUNK_DIGITS.div_ceil(2)) {
                let two = (chunk % 100) as u8;
                chunk /= 100;
                for (digit, value) in pair.iter_mut().rev().zip([two % 10, two / 10]) {
                    *digit = b'0' + value;
                }
            }
            start = start.saturating_sub(CHUNK_DIGITS);
        }
        let is_leading = |digit: &&u8| **digit == b'0';
        let zeros = digits[..DIGITS_MAX - 1].iter().take_while(is_leading).count();
        formatter.write_str(std::str::from_utf8(&digits[zeros..]).expect("digits are text"))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is not a decimal integer of at most 192 bits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("sequence number {text:?}: it must be a decimal integer of at most 192 bits")]
pub struct InvalidSequenceNumber {
    text: String,
}

const MASK_64: u128 = u64::MAX as u128;
/// The greatest power of ten that fits 64 bits: one division yields 19 digits.
const CHUNK: u64 = 10_u64.pow(19);
const CHUNK_DIGITS: usize = 19;
/// 2^192 has 58 digits.
const DIGITS_MAX: usize = 58;
const TEXT_SHOWN_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_is_no_number_or_too_great_is_refused() {
        let too_great = "6277101735386680763835789423207666416102355444464034512896";
        for text in ["", "-1", "+1", "1.0", "0x1", " 1", "TRIM_HORIZON", too_great, &"9".repeat(59)] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn the_greatest_number_survives() {
        let greatest = "6277101735386680763835789423207666416102355444464034512895";
        let number: SequenceNumber = greatest.parse().expect("fits 192 bits");
        assert_eq!(number, SequenceNumber::from_parts(u64::MAX, u128::MAX));
        assert_eq!(number.to_string(), greatest);
        assert_eq!(number.next(), None);
    }

    proptest! {
        #[test]
        fn display_and_parse_agree(high: u64, low: u128) {
            let number = SequenceNumber::from_parts(high, low);
            prop_assert_eq!(number.to_string().parse::<SequenceNumber>(), Ok(number));
        }

        #[test]
        fn small_numbers_print_like_integers(value: u128) {
            prop_assert_eq!(SequenceNumber::from_parts(0, value).to_string(), value.to_string());
        }

        #[test]
        fn order_is_numeric(a: (u64, u128), b: (u64, u128)) {
            let (first, second) = (SequenceNumber::from_parts(a.0, a.1), SequenceNumber::from_parts(b.0, b.1));
            let text = (first.to_string(), second.to_string());
            let by_text = (text.0.len(), &text.0).cmp(&(text.1.len(), &text.1));
            prop_assert_eq!(first.cmp(&second), by_text);
        }
    }
}
