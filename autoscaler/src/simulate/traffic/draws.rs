//! Random numbers that depend on a seed alone: the same on every platform, so that a trace is named by its family and seed.
//!
//! The generator is a named algorithm, and every distribution is computed here with the portable mathematics of `libm`:
//! the standard library's `exp` and `ln` differ between systems in their last bits.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};

/// One stream of random numbers.
pub(super) struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// The stream of `part` under `seed`.
    pub(super) fn of(part: &str, seed: u64) -> Self {
        let mixed = part.bytes().fold(seed, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// From 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * UNIT_STEP
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Between two positive numbers, their ratios equally likely.
    pub(super) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        low * libm::pow(high / low, self.unit())
    }

    /// A whole number of minutes, both ends included.
    pub(super) fn minutes(&mut self, low: usize, high: usize) -> usize {
        low + self.index(high - low + 1)
    }

    /// A place in a collection of `length`, which is not 0.
    pub(super) fn index(&mut self, length: usize) -> usize {
        ((self.unit() * length as f64) as usize).min(length - 1)
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// Of mean 0 and deviation 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Pareto's law, cut off at `high`.
    pub(super) fn pareto(&mut self, low: f64, high: f64, exponent: f64) -> f64 {
        let tail = 1.0 - libm::pow(low / high, exponent);
        low * libm::pow(1.0 - tail * self.unit(), -1.0 / exponent)
    }

    /// When something happens that comes `per_day` times a day by chance, within `minutes`: at least once.
    pub(super) fn arrivals(&mut self, per_day: f64, minutes: usize) -> Vec<usize> {
        let mut at = 0.0;
        let mut arrivals = Vec::new();
        loop {
            at += self.exponential(1_440.0 / per_day);
            if at >= minutes as f64 {
                break;
            }
            arrivals.push(at as usize);
        }
        if arrivals.is_empty() {
            arrivals.push(self.index(minutes));
        }
        arrivals
    }
}

/// Spreads the bytes of a name over the seed.
const FNV_PRIME: u64 = 0x100_0000_01b3;
/// 2^-53: the distance of two neighbours of which each is as likely.
const UNIT_STEP: f64 = 1.0 / (1_u64 << 53) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_their_means_and_bounds() {
        let mut draws = Draws::of("test", 7);
        let mut mean =
            |draw: fn(&mut Draws) -> f64| (0..50_000).map(|_| draw(&mut draws)).sum::<f64>() / 50_000.0;
        assert!(mean(Draws::normal).abs() < 0.02);
        let squared = mean(|draws| {
            let normal = draws.normal();
            normal * normal
        });
        assert!((squared - 1.0).abs() < 0.03, "{squared}");
        assert!((mean(|draws| draws.exponential(3.0)) - 3.0).abs() < 0.06);
        assert!((mean(|draws| draws.arrivals(8.0, 1_440).len() as f64) - 8.0).abs() < 0.1);
        assert!(mean(|draws| draws.arrivals(0.01, 1_440).len() as f64) >= 1.0);
        for _ in 0..1_000 {
            assert!((2.0..=20.0).contains(&draws.pareto(2.0, 20.0, 1.3)));
            assert!((2.0..=40.0).contains(&draws.log_between(2.0, 40.0)));
            assert!((3..=5).contains(&draws.minutes(3, 5)));
        }
    }

    #[test]
    fn a_seed_and_a_part_name_one_stream() {
        let first = |part, seed| Draws::of(part, seed).0.next_u64();
        assert_eq!(first("a", 1), first("a", 1));
        assert_ne!(first("a", 1), first("a", 2));
        assert_ne!(first("a", 1), first("b", 1));
    }
}
