//! How unevenly load lies on the shards where nothing tells: neither metrics by shard nor workers' reports.
//!
//! Records that are rejected while the shards are half full on the mean show that one of them asks for twice the mean, all
//! the time or within seconds. That is remembered for days, because keys keep their places; where each of them lies it does
//! not tell, so only more shards of the same size can be planned for. A load map that is missing for a while, as when workers
//! start anew, changes nothing: what it showed before is nearer the truth.

use std::time::Duration;

use crate::EpochMillis;

/// How many times the mean the fullest shard asks for, at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unevenness {
    factor: f64,
    mapped_at: Option<EpochMillis>,
    is_blind: bool,
}

impl Default for Unevenness {
    fn default() -> Self {
        Self { factor: 1.0, mapped_at: None, is_blind: true }
    }
}

impl Unevenness {
    pub(super) const fn factor(self) -> f64 {
        self.factor
    }

    /// The stream is looked at, with a load map or without.
    pub(super) fn look(&mut self, has_map: bool, now: EpochMillis) {
        if has_map {
            *self = Self { mapped_at: Some(now), is_blind: false, ..Self::default() };
        } else {
            self.is_blind = self.mapped_at.is_none_or(|mapped_at| mapped_at.after(MAP_KEPT) <= now);
        }
    }

    /// Records were rejected at this utilisation.
    pub(super) fn note(&mut self, utilisation: f64) {
        if self.is_blind {
            self.factor = (1.0 / utilisation).clamp(self.factor, self.factor.max(FACTOR_MAX));
        }
    }

    /// A minute passes.
    pub(super) fn fade(&mut self) {
        self.factor = 1.0 + (self.factor - 1.0) * KEPT_OF_EXCESS;
    }
}

/// What lies beyond is a single key, which more shards do not divide.
const FACTOR_MAX: f64 = 2.5;
/// Half of what was learnt is forgotten after two days.
const KEPT_OF_EXCESS: f64 = 0.999_76;
/// A map that was there so lately comes back.
const MAP_KEPT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_show_how_full_one_shard_is() {
        let mut unevenness = Unevenness::default();
        unevenness.note(1.2);
        assert_eq!(unevenness.factor(), 1.0);
        unevenness.note(0.5);
        assert_eq!(unevenness.factor(), 2.0);
        unevenness.note(0.8);
        assert_eq!(unevenness.factor(), 2.0, "a fuller stream shows less");
        unevenness.note(0.01);
        assert_eq!(unevenness.factor(), FACTOR_MAX);
        (0..2 * 1_440).for_each(|_| unevenness.fade());
        assert!((unevenness.factor() - 1.75).abs() < 0.01, "{}", unevenness.factor());
    }

    #[test]
    fn a_map_tells_more_and_is_missed_for_an_hour_before_rejections_count() {
        let mut unevenness = Unevenness::default();
        unevenness.note(0.5);
        unevenness.look(true, EpochMillis(0));
        assert_eq!(unevenness.factor(), 1.0);
        unevenness.look(false, EpochMillis(3_599_999));
        unevenness.note(0.5);
        assert_eq!(unevenness.factor(), 1.0);
        unevenness.look(false, EpochMillis(3_600_000));
        unevenness.note(0.5);
        assert_eq!(unevenness.factor(), 2.0);
    }
}
