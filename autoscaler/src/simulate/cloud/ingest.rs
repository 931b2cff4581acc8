//! The write side: what producers offer to each shard, what its limits let through, what is tried again, what is lost.
//!
//! A fluid: a slice of a minute with one layout is computed at once. What a shard refuses waits for the next minute and is
//! offered again to whichever shards hold its range then.
//!
//! ```text
//!   new × share ──┐                ┌─▶ accepted
//!                 ├─▶ shard's two ─┤
//!   again ────────┘    limits      └─▶ refused ─┬─▶ again in the next minute, at most `minutes_max` times
//!     ▲                                         └─▶ lost
//!     └──────────────────────────────────────────┘
//! ```
//!
//! New records = accepted + waiting + lost, exactly.

use super::burst::BurstShape;
use super::mass::Mass;
use super::overlap::Overlap;
use super::settings::RetrySettings;
use crate::ShardLimits;

/// The write side of all shards.
#[derive(Clone, Debug)]
pub(super) struct Ingest {
    limits: ShardLimits,
    retries: RetrySettings,
    shape: BurstShape,
    /// Each shard's part of the new load.
    shares: Vec<f64>,
    greatest_share: f64,
    /// What is offered again in this minute, by how often it was before and by shard.
    waiting: Vec<Vec<Mass>>,
    /// What will be in the next one.
    gathering: Vec<Vec<Mass>>,
    has_waiting: bool,
    has_gathering: bool,
    /// What each shard did in the last slice; out of date if [`Slice::is_calm`].
    shards: Vec<ShardFlow>,
}

/// What all shards did in a slice of a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slice {
    /// New load of the producers.
    pub(super) offered: Mass,
    pub(super) accepted: Mass,
    /// Refused, tried again or not.
    pub(super) refused: Mass,
    /// Refused for the last time.
    pub(super) lost: Mass,
    /// Length in seconds.
    pub(super) seconds: f64,
    /// Nothing was waiting and nothing refused: each shard accepted its share.
    pub(super) is_calm: bool,
    burst: f64,
}

/// What one shard did in a slice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardFlow {
    pub(super) accepted: Mass,
    pub(super) refused: Mass,
    /// Refused for the last time.
    pub(super) lost: Mass,
    /// What the busiest second let through.
    pub(super) second_max: Mass,
}

impl Ingest {
    /// Shards with these parts of the new load.
    pub(super) fn new(limits: ShardLimits, retries: RetrySettings, shares: Vec<f64>) -> Self {
        let nothing = vec![vec![Mass::NONE; shares.len()]; retries.minutes_max as usize];
        let mut ingest = Self {
            limits,
            retries,
            shape: BurstShape::new(),
            shares: Vec::new(),
            greatest_share: 0.0,
            waiting: nothing.clone(),
            gathering: nothing,
            has_waiting: false,
            has_gathering: false,
            shards: vec![ShardFlow::default(); shares.len()],
        };
        ingest.set_shares(shares);
        ingest
    }

    /// The load lies otherwise from now on, on the same shards.
    pub(super) fn set_shares(&mut self, shares: Vec<f64>) {
        self.greatest_share = shares.iter().copied().fold(0.0, f64::max);
        self.shares = shares;
    }

    /// Other shards from now on.
    pub(super) fn reshard(&mut self, shares: Vec<f64>, overlaps: &[Overlap]) {
        for pool in self.waiting.iter_mut().chain(&mut self.gathering) {
            let mut moved = vec![Mass::NONE; shares.len()];
            for overlap in overlaps {
                moved[overlap.new] += pool[overlap.old] * overlap.part;
            }
            *pool = moved;
        }
        self.shards = vec![ShardFlow::default(); shares.len()];
        self.set_shares(shares);
    }

    /// Each shard's part of the new load.
    pub(super) fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The fullest shard's part.
    pub(super) const fn greatest_share(&self) -> f64 {
        self.greatest_share
    }

    /// Lets the part `fraction` of a minute pass whose new load is `load`, the busiest second having `burst` times the mean.
    pub(super) fn pass(&mut self, load: Mass, burst: f64, fraction: f64) -> Slice {
        let seconds = 60.0 * fraction;
        let mut slice = Slice { offered: load * fraction, seconds, burst, ..Slice::default() };
        let fullest = slice.offered.shards(&self.limits, seconds) * self.greatest_share;
        if !self.has_waiting && fullest * burst.max(1.0) <= 1.0 {
            slice.accepted = slice.offered;
            slice.is_calm = true;
            return slice;
        }
        for shard in 0..self.shares.len() {
            let flow = self.pass_shard(shard, &slice, fraction);
            slice.accepted += flow.accepted;
            slice.refused += flow.refused;
            slice.lost += flow.lost;
            self.shards[shard] = flow;
        }
        slice
    }

    /// What a shard did in `slice`, which must be the last one.
    pub(super) fn flow(&self, slice: &Slice, shard: usize) -> ShardFlow {
        if !slice.is_calm {
            return self.shards[shard];
        }
        let accepted = slice.accepted * self.shares[shard];
        let second_max = accepted * (slice.burst.max(1.0) / slice.seconds);
        ShardFlow { accepted, second_max, ..ShardFlow::default() }
    }

    /// Ends the minute: what was refused in it is offered again in the next one.
    pub(super) fn end_minute(&mut self) {
        std::mem::swap(&mut self.waiting, &mut self.gathering);
        std::mem::swap(&mut self.has_waiting, &mut self.has_gathering);
        if self.has_gathering {
            self.gathering.iter_mut().for_each(|pool| pool.fill(Mass::NONE));
            self.has_gathering = false;
        }
    }

    fn pass_shard(&mut self, shard: usize, slice: &Slice, fraction: f64) -> ShardFlow {
        let fresh = slice.offered * self.shares[shard];
        let again = self.waiting.iter().fold(Mass::NONE, |sum, pool| sum + pool[shard] * fraction);
        let offered = fresh + again;
        let utilisation = offered.shards(&self.limits, slice.seconds);
        if utilisation <= 0.0 {
            return ShardFlow::default();
        }
        let burst = self.shape.burst(slice.burst);
        let accepted_part = burst.accepted(utilisation) / utilisation;
        let refused_part = 1.0 - accepted_part;
        let mut flow = ShardFlow {
            accepted: offered * accepted_part,
            refused: offered * refused_part,
            lost: Mass::NONE,
            second_max: offered * (burst.greatest().min(1.0 / utilisation) / slice.seconds),
        };
        if refused_part > 0.0 {
            self.has_gathering = true;
            let mut refuse = |mass: Mass, tried: usize| match self.gathering.get_mut(tried) {
                Some(pool) => {
                    pool[shard] += mass * self.retries.share;
                    flow.lost += mass * (1.0 - self.retries.share);
                }
                None => flow.lost += mass,
            };
            refuse(fresh * refused_part, 0);
            for (tried, pool) in self.waiting.iter().enumerate() {
                refuse(pool[shard] * (fraction * refused_part), tried + 1);
            }
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::simulate::cloud::overlap::overlaps;
    use crate::{Boundaries, LoadMap};

    /// What carries `shards` shards by bytes for a minute, in records of 10,000 bytes.
    fn load(shards: f64) -> Mass {
        Mass { bytes: shards * 60e6, records: shards * 6_000.0 }
    }

    fn ingest(retries: RetrySettings, shares: &[f64]) -> Ingest {
        Ingest::new(ShardLimits::default(), retries, shares.to_vec())
    }

    fn gathered(ingest: &Ingest) -> f64 {
        ingest.gathering.iter().flatten().map(|mass| mass.records).sum()
    }

    const NO_RETRIES: RetrySettings = RetrySettings { share: 0.0, minutes_max: 0, tries_per_minute: 1.0 };

    #[test]
    fn each_shard_takes_its_limit_and_the_first_limit_binds() {
        let mut ingest = ingest(NO_RETRIES, &[0.25, 0.25, 0.5]);
        let slice = ingest.pass(load(4.0), 1.0, 1.0);
        assert_eq!((slice.accepted, slice.refused), (load(3.0), load(1.0)));
        assert_eq!(slice.lost, slice.refused);
        assert_eq!(ingest.flow(&slice, 0).accepted, load(1.0));
        assert_eq!(ingest.flow(&slice, 2).second_max, Mass { bytes: 1e6, records: 100.0 });

        let small_records = Mass { bytes: 1e6, records: 240_000.0 };
        let slice = ingest.pass(small_records, 1.0, 1.0);
        assert_eq!(slice.accepted.records, 180_000.0, "60,000 each, though 120,000 want into the last");
    }

    #[test]
    fn retries_come_back_for_as_many_minutes_as_they_may() {
        let mut ingest = ingest(RetrySettings { share: 0.5, minutes_max: 2, tries_per_minute: 1.0 }, &[1.0]);
        let slice = ingest.pass(load(4.0), 1.0, 1.0);
        assert_eq!((slice.refused, slice.lost), (load(3.0), load(1.5)));
        ingest.end_minute();
        let slice = ingest.pass(load(0.5), 1.0, 1.0);
        assert_eq!(
            slice.refused,
            load(1.0),
            "one of two: half a new one, one and a half for the second time"
        );
        assert_eq!(slice.lost, load(0.5));
        ingest.end_minute();
        let slice = ingest.pass(load(0.0), 1.0, 1.0);
        assert_eq!((slice.accepted, slice.is_calm), (load(0.5), false));
        ingest.end_minute();
        assert!(ingest.pass(load(1.0), 1.0, 1.0).is_calm);
    }

    #[test]
    fn what_waits_moves_with_its_range() {
        let keys = LoadMap::even();
        let (one, two) = (Boundaries::uniform(1), Boundaries::uniform(2));
        let mut ingest = ingest(RetrySettings { share: 1.0, minutes_max: 1, tries_per_minute: 1.0 }, &[1.0]);
        ingest.pass(load(2.0), 1.0, 1.0);
        ingest.end_minute();
        ingest.reshard(keys.shares(&two), &overlaps(&one, &two, &keys));
        let slice = ingest.pass(load(1.0), 1.0, 0.5);
        assert_eq!(slice.accepted, load(1.0), "half of a minute of one new and one waiting shard's worth");
        assert_eq!(slice.refused, Mass::NONE);
    }

    proptest! {
        #[test]
        fn new_records_are_accepted_waiting_or_lost(
            loads in proptest::collection::vec((0.0..6.0_f64, 1.0..5.0_f64, 0.1..0.9_f64), 1..20),
            share in 0.0..1.0_f64,
            minutes_max in 0..4_u32,
            cut in 0.0..1.0_f64,
        ) {
            let retries = RetrySettings { share, minutes_max, tries_per_minute: 1.0 };
            let mut ingest = ingest(retries, &[cut, 1.0 - cut]);
            let (mut offered, mut accepted, mut lost) = (0.0, 0.0, 0.0);
            for (shards, burst, first) in loads {
                for part in [first, 1.0 - first] {
                    let slice = ingest.pass(load(shards), burst, part);
                    offered += slice.offered.records;
                    accepted += slice.accepted.records;
                    lost += slice.lost.records;
                    prop_assert!(slice.accepted.bytes <= 2.0 * 60e6 * part * (1.0 + 1e-9));
                }
                prop_assert!((offered - accepted - lost - gathered(&ingest)).abs() < 1e-6 * offered.max(1.0));
                ingest.end_minute();
            }
        }
    }
}
