//! How unevenly load lies on the shards where nothing tells: neither metrics by shard nor workers' reports.
//!
//! Records that are rejected while the shards are half full on the mean show that one of them asks for twice the mean, all
//! the time or within seconds. That is remembered for days, because keys keep their places; where each of them lies it does
//! not tell, so only more shards of the same size can be planned for.

/// How many times the mean the fullest shard asks for, at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unevenness(f64);

impl Default for Unevenness {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Unevenness {
    pub(super) const fn factor(self) -> f64 {
        self.0
    }

    /// Records were rejected at this mean utilisation.
    pub(super) fn note(&mut self, utilisation: f64) {
        self.0 = (1.0 / utilisation).clamp(self.0, self.0.max(FACTOR_MAX));
    }

    /// A minute passes.
    pub(super) fn fade(&mut self) {
        self.0 = 1.0 + (self.0 - 1.0) * KEPT_OF_EXCESS;
    }
}

/// What lies beyond is a single key, which more shards do not divide.
const FACTOR_MAX: f64 = 2.5;
/// Half of what was learnt is forgotten after two days.
const KEPT_OF_EXCESS: f64 = 0.999_76;

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
}
