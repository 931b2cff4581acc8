//! Numbers that depend on nothing but a seed: each worker, port and processor has a stream of its own, so that one more
//! draw in one place does not disturb the others.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// The stream of `part` number `number` under `seed`.
    #[must_use]
    pub fn of(seed: u64, part: &str, number: u64) -> Self {
        let mixed = part.bytes().fold(seed ^ number.rotate_left(32), |mixed, byte| {
            (mixed ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.random_range(0..bound)
    }

    /// An index of a collection of `length`, or `None` if it is empty.
    pub fn index(&mut self, length: usize) -> Option<usize> {
        (length > 0).then(|| self.0.random_range(0..length))
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&mut self, chance: u32) -> bool {
        self.0.random_range(0..1000) < chance
    }

    /// One of `choices`, which is not empty.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }

    /// A span of whole milliseconds, both ends included.
    pub fn between(&mut self, min_millis: u64, max_millis: u64) -> Duration {
        Duration::from_millis(self.0.random_range(min_millis..=max_millis))
    }

    /// A number that is as good as unique.
    pub fn seed(&mut self) -> u64 {
        self.0.random()
    }
}

/// Of the FNV-1a hash, which is enough to tell parts apart.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
