//! Seeded input for demonstrations and tests: clicks of a few users, and lines of an access log.
//!
//! The same seed gives the same lines for ever; nothing here reads a clock.

mod clickstream;
mod weblog;

pub use clickstream::Clickstream;
pub use weblog::WebLog;

/// SplitMix64 (Steele, Lea, Flood 2014): tiny, and its sequence never changes with a dependency.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices[at]
    }
}
