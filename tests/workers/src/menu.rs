//! Which faults strike in a run, and how often: drawn from the seed, so that each comes alone and together with others.

use std::collections::BTreeMap;

use crate::draws::Draws;
use crate::situation::Situation;

/// Faults of single calls with their chances.
#[derive(Clone, Debug, Default)]
pub struct Menu {
    chances_per_mille: BTreeMap<Situation, u32>,
}

impl Menu {
    /// No faults at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Some of the faults, each with its own chance.
    #[must_use]
    pub fn drawn(draws: &mut Draws) -> Self {
        let mut menu = Self::none();
        for (fault, chance_max) in FAULTS {
            let is_served = draws.per_mille(SERVED_PER_MILLE);
            let chance = 1 + u32::try_from(draws.below(u64::from(chance_max))).expect("a chance is small");
            if is_served {
                menu = menu.with(fault, chance);
            }
        }
        menu
    }

    /// The same with `fault` in `chance_per_mille` of the calls that it may strike.
    #[must_use]
    pub fn with(mut self, fault: Situation, chance_per_mille: u32) -> Self {
        self.chances_per_mille.insert(fault, chance_per_mille);
        self
    }

    /// Whether `fault` strikes this time.
    pub fn strikes(&self, fault: Situation, draws: &mut Draws) -> bool {
        self.chances_per_mille.get(&fault).is_some_and(|chance| draws.per_mille(*chance))
    }
}

/// Of each fault of single calls, the greatest chance per mille: rare enough that most tenures make progress.
const FAULTS: [(Situation, u32); 16] = [
    (Situation::RequestLost, 40),
    (Situation::ReplyLost, 60),
    (Situation::LandedLate, 40),
    (Situation::AnsweredLate, 12),
    (Situation::AppliedTwice, 60),
    (Situation::StoreThrottled, 80),
    (Situation::FetchThrottled, 60),
    (Situation::IteratorExpired, 40),
    (Situation::FetchFailed, 60),
    (Situation::FetchDelayed, 20),
    (Situation::ListingFailed, 300),
    (Situation::ChildrenUntold, 500),
    (Situation::ProcessSlow, 150),
    (Situation::ProcessStuck, 12),
    (Situation::ProcessFailed, 60),
    (Situation::ProcessPanicked, 25),
];
/// Of the faults, how many are served in a run.
const SERVED_PER_MILLE: u32 = 600;
