//! How unevenly the seconds of a minute are loaded, and what a limit per second lets through.
//!
//! Sixty multipliers of mean 1, greatest first. The shape is that of sixty draws of an exponential distribution, stretched
//! until its greatest multiplier is the minute's burst; beyond the stretch at which the calmest second would be empty, the
//! greatest second takes the rest. What a limit lets through then is a sum over a sorted list, read off from sums kept for
//! the shape:
//!
//! ```text
//!   multiplier │█                       load per second = utilisation × multiplier
//!            1 ┼─█▄──────── limit       let through     = Σ min(limit, load)
//!              │  ▀██▄▄▄▄▄▄▄                            = seconds above the limit × limit + load of the others
//!              └────────────── 60 s
//! ```

/// The shape, shared by all minutes.
#[derive(Clone, Debug)]
pub(super) struct BurstShape {
    /// Deviation from the mean of each second, greatest first, scaled so that the first is 1.
    deviations: [f64; SECONDS],
    /// Sum of the deviations from each second on.
    tails: [f64; SECONDS + 1],
    /// The burst at which the calmest second is empty.
    stretch_max: f64,
}

/// The seconds of one minute: second `k` carries `flat + slope × deviation(k)`, the first one `spike` more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst<'shape> {
    shape: &'shape BurstShape,
    greatest: f64,
    flat: f64,
    slope: f64,
}

impl BurstShape {
    pub(super) fn new() -> Self {
        let draw = |second: usize| -((second as f64 + 0.5) / SECONDS as f64).ln();
        let mean = (0..SECONDS).map(draw).sum::<f64>() / SECONDS as f64;
        let deviations: [f64; SECONDS] =
            std::array::from_fn(|second| (draw(second) - mean) / (draw(0) - mean));
        let mut tails = [0.0; SECONDS + 1];
        for second in (0..SECONDS).rev() {
            tails[second] = tails[second + 1] + deviations[second];
        }
        Self { deviations, tails, stretch_max: 1.0 - 1.0 / deviations[SECONDS - 1] }
    }

    /// A minute whose busiest second carries `greatest` times the mean; from 1 up to 60, which is all in one second.
    pub(super) fn burst(&self, greatest: f64) -> Burst<'_> {
        let greatest = greatest.clamp(1.0, SECONDS as f64);
        let stretch = greatest.min(self.stretch_max);
        let in_spike = (greatest - stretch) / (SECONDS as f64 - self.stretch_max);
        let flat = 1.0 - in_spike;
        Burst { shape: self, greatest, flat, slope: flat * (stretch - 1.0) }
    }
}

impl Burst<'_> {
    /// The busiest second's load over the mean second's.
    pub(super) const fn greatest(&self) -> f64 {
        self.greatest
    }

    /// What is let through of a load of `utilisation` limits in the mean second, in limits per second: at most 1.
    pub(super) fn accepted(&self, utilisation: f64) -> f64 {
        if utilisation * self.greatest <= 1.0 {
            return utilisation;
        }
        // The first second is above the limit, so the spike is cut off and only the stretched shape is left. A slope of 0
        // makes the bound negative infinity: all seconds are above the limit.
        let bound = (1.0 / utilisation - self.flat) / self.slope;
        let above = self.shape.deviations.partition_point(|&deviation| deviation > bound).max(1);
        let others = self.flat * (SECONDS - above) as f64 + self.slope * self.shape.tails[above];
        (above as f64 + utilisation * others) / SECONDS as f64
    }
}

const SECONDS: usize = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn even_seconds_are_cut_at_the_limit() {
        let shape = BurstShape::new();
        assert_eq!(shape.burst(1.0).accepted(0.75), 0.75);
        assert_eq!(shape.burst(1.0).accepted(1.0), 1.0);
        assert_eq!(shape.burst(1.0).accepted(4.0), 1.0);
        assert!((shape.burst(60.0).accepted(0.5) - 1.0 / 60.0).abs() < 1e-12, "one second of sixty");
    }

    proptest! {
        #[test]
        fn the_closed_form_is_the_sum_over_the_seconds(greatest in 1.0..60.0_f64, utilisation in 0.0..5.0_f64) {
            let shape = BurstShape::new();
            let burst = shape.burst(greatest);
            let spike = greatest - (burst.flat + burst.slope);
            let seconds: Vec<f64> = (0..SECONDS)
                .map(|second| burst.flat + burst.slope * shape.deviations[second] + if second == 0 { spike } else { 0.0 })
                .collect();
            prop_assert!((seconds.iter().sum::<f64>() / 60.0 - 1.0).abs() < 1e-9, "the mean is 1");
            prop_assert!(seconds.iter().all(|&load| load > -1e-9) && spike > -1e-9);
            prop_assert!((seconds[0] - greatest).abs() < 1e-9);
            let summed = seconds.iter().map(|load| (load * utilisation).min(1.0)).sum::<f64>() / 60.0;
            prop_assert!((burst.accepted(utilisation) - summed).abs() < 1e-9);
        }
    }
}
