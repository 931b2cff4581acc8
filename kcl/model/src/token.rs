//! Opaque texts that callers hand back: shard iterators and page tokens.
//!
//! A token is a few numbers and perhaps a name, with a checksum, in hexadecimal. What was not made here does not open.

use std::fmt::Write as _;

/// What a token is for; one kind never opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    ShardIterator,
    ListShards,
    ListStreams,
    ListStreamConsumers,
}

/// Packs `numbers` and `name`.
pub(crate) fn seal(kind: TokenKind, numbers: &[u64], name: &str) -> String {
    let mut bytes = vec![kind as u8];
    bytes.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&checksum(&bytes).to_be_bytes());
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

/// Unpacks what [`seal`] packed with `N` numbers; `None` if it did not.
pub(crate) fn open<const N: usize>(kind: TokenKind, text: &str) -> Option<([u64; N], String)> {
    let bytes = unhex(text)?;
    let (content, sum) = bytes.split_last_chunk::<8>()?;
    if checksum(content) != u64::from_be_bytes(*sum) {
        return None;
    }
    let mut content = content.strip_prefix(&[kind as u8])?;
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (head, rest) = content.split_first_chunk::<8>()?;
        *number = u64::from_be_bytes(*head);
        content = rest;
    }
    Some((numbers, String::from_utf8(content.to_vec()).ok()?))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if text.len() > TOKEN_CHARACTERS_MAX || !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// FNV-1a: tells a damaged or made-up token from a real one; it is no protection against forgery.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Kinesis allows 512 characters in an iterator; a stream name of 128 bytes fits.
const TOKEN_CHARACTERS_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_as_what_it_is_only() {
        let token = seal(TokenKind::ListStreams, &[1, u64::MAX], "näme");
        assert_eq!(open::<2>(TokenKind::ListStreams, &token), Some(([1, u64::MAX], "näme".to_owned())));
        assert_eq!(open::<2>(TokenKind::ShardIterator, &token), None);
        let damaged = format!("{}{}", &token[..10], token[10..].replace('f', "e"));
        for bogus in ["", "bogus", "00", "é0", &token[2..], &damaged, &"0".repeat(1000)] {
            assert_eq!(open::<2>(TokenKind::ListStreams, bogus), None, "{bogus}");
        }
    }
}
