//! Cuts bytes into lines or CSV rows, exactly, with their numbers.
//!
//! Owns the rule for where a line ends; never decodes, trims or drops one. A line longer than the limit is reported with
//! its number and length, and the next line follows.

use std::io::{self, BufRead};

use bytes::Bytes;

/// One line as it stands in the input, without its line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLine {
    /// 1-based number of the (first) line.
    pub number: u64,
    /// The bytes, valid UTF-8 or not.
    pub bytes: Bytes,
}

/// What the reader found next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line that fits.
    Whole(InputLine),
    /// A line longer than the limit; its bytes were passed over.
    TooLong {
        /// 1-based number of the line.
        number: u64,
        /// Its length.
        bytes: u64,
    },
    /// No line for the moment: what was read before is not to wait for more.
    Pause,
}

/// Where one row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowRule {
    /// At each line feed.
    Line,
    /// At each line feed outside of double quotes.
    Csv,
}

/// Reads rows one after the other.
#[derive(Debug)]
pub struct LineReader<R> {
    input: R,
    rule: RowRule,
    bytes_max: usize,
    next_number: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Reads `input` by `rule`; rows longer than `bytes_max` are reported and passed over.
    pub fn new(input: R, rule: RowRule, bytes_max: usize) -> Self {
        Self { input, rule, bytes_max, next_number: 1 }
    }

    /// The next row, or `None` at the end. The last row need not end with a line feed.
    ///
    /// # Errors
    /// What the input says.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let number = self.next_number;
        let mut row = Row::default();
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            let line_end = available.iter().position(|byte| *byte == b'\n');
            let taken = line_end.map_or(available.len(), |at| at + 1);
            row.take(&available[..line_end.unwrap_or(taken)], self.bytes_max);
            self.input.consume(taken);
            if line_end.is_none() {
                continue;
            }
            self.next_number += 1;
            let goes_on = match self.rule {
                RowRule::Line => false,
                RowRule::Csv => row.is_quoted && row.length <= self.bytes_max as u64,
            };
            if !goes_on {
                return Ok(Some(row.finish(number, self.bytes_max)));
            }
            row.take(b"\n", self.bytes_max);
        }
        if row.length == 0 {
            return Ok(None);
        }
        self.next_number += 1;
        Ok(Some(row.finish(number, self.bytes_max)))
    }
}

#[derive(Default)]
struct Row {
    bytes: Vec<u8>,
    length: u64,
    is_quoted: bool,
    is_too_long: bool,
}

impl Row {
    fn take(&mut self, part: &[u8], bytes_max: usize) {
        self.length += part.len() as u64;
        // A doubled quote inside quotes closes and opens again, which leaves the same state.
        self.is_quoted ^= part.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        // One byte more, because a carriage return before the line feed does not count.
        if self.length > bytes_max as u64 + 1 {
            self.is_too_long = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(part);
        }
    }

    fn finish(mut self, number: u64, bytes_max: usize) -> Line {
        if self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
        if self.is_too_long || self.bytes.len() > bytes_max {
            return Line::TooLong { number, bytes: self.length };
        }
        Line::Whole(InputLine { number, bytes: Bytes::from(self.bytes) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8], rule: RowRule, bytes_max: usize) -> Vec<Line> {
        let mut reader = LineReader::new(io::BufReader::with_capacity(3, text), rule, bytes_max);
        std::iter::from_fn(|| reader.next_line().expect("memory does not fail")).collect()
    }

    fn whole(number: u64, text: &'static str) -> Line {
        Line::Whole(InputLine { number, bytes: Bytes::from_static(text.as_bytes()) })
    }

    #[test]
    fn lines_keep_their_bytes_and_lose_their_ends() {
        let found = rows(b"one\n\r\n\ntwo \xff\r\nlast", RowRule::Line, 100);
        assert_eq!(found[..3], [whole(1, "one"), whole(2, ""), whole(3, "")]);
        assert_eq!(found[3], Line::Whole(InputLine { number: 4, bytes: Bytes::from_static(b"two \xff") }));
        assert_eq!(found[4..], [whole(5, "last")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_and_the_next_one_follows() {
        let found = rows(b"12345\n123456\n12345\r\nend", RowRule::Line, 5);
        let too_long = Line::Whole(InputLine { number: 2, bytes: Bytes::from_static(b"123456") });
        assert_ne!(found[1], too_long);
        assert_eq!(
            found,
            [whole(1, "12345"), Line::TooLong { number: 2, bytes: 6 }, whole(3, "12345"), whole(4, "end")]
        );
    }

    #[test]
    fn a_quoted_line_feed_does_not_end_a_csv_row() {
        let found = rows(b"a,\"b\nc\"\nd,\"\"\"e\"\"\"\n\"f", RowRule::Csv, 100);
        assert_eq!(found, [whole(1, "a,\"b\nc\""), whole(3, "d,\"\"\"e\"\"\""), whole(4, "\"f")]);
    }

    #[test]
    fn a_quote_that_never_closes_ends_at_the_limit() {
        let found = rows(b"\"aaa\nbbb\nccc\nddd\n", RowRule::Csv, 6);
        assert_eq!(found.len(), 3);
        assert!(matches!(found[0], Line::TooLong { number: 1, bytes: 8 }), "{:?}", found[0]);
        assert_eq!(found[1], whole(3, "ccc"));
    }

    proptest! {
        #[test]
        fn joined_lines_are_the_input(text in "[ab\n]{0,200}") {
            let joined: Vec<u8> = rows(text.as_bytes(), RowRule::Line, 1000)
                .into_iter()
                .enumerate()
                .flat_map(|(index, line)| match line {
                    Line::Whole(line) => {
                        assert_eq!(line.number, index as u64 + 1);
                        [line.bytes.to_vec(), b"\n".to_vec()].concat()
                    }
                    Line::TooLong { .. } | Line::Pause => panic!("no line is too long, and a file does not pause"),
                })
                .collect();
            let expected = if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" };
            prop_assert_eq!(joined, expected.into_bytes());
        }
    }
}
