//! Sums over steps of any length, spread evenly over minutes.
//!
//! ```text
//!   row       ├──── 300 ────┤├──── 120 ────┤                 ├── …      sums from one timestamp to the next
//!   minutes   ├60┤60┤60┤60┤60┤24┤24┤24┤24┤24┤?┤?┤?┤?┤?┤?┤?┤?┤├──        ? gap: interpolated or held
//! ```
//!
//! When nine in ten steps are alike the file is regular, and a longer step is a row and a gap after it. In an irregular file
//! a row holds until the next, up to ten usual steps.

use std::time::Duration;

use super::Gaps;
use crate::EpochMillis;

/// Takes rows in order and keeps at most one sample a minute.
#[derive(Default)]
pub(super) struct Resampler {
    samples: Vec<Sample>,
    rows: u64,
    /// When the last row was, and how many rows the last sample has.
    last: Option<(EpochMillis, u64)>,
}

/// What all rows of one minute have together.
#[derive(Clone, Copy)]
struct Sample {
    at: u64,
    sums: [f64; 2],
}

/// Traffic by minute.
#[derive(Debug, PartialEq)]
pub(super) struct Resampled {
    pub(super) start: EpochMillis,
    /// What was summed in each minute.
    pub(super) minutes: Vec<[f64; 2]>,
    pub(super) rows: u64,
    pub(super) step: Duration,
    pub(super) gap_minutes: u32,
}

/// A row that does not follow the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misplaced {
    NotLater,
    TooLate,
}

impl Resampler {
    pub(super) fn add(&mut self, at: EpochMillis, sums: [f64; 2]) -> Result<(), Misplaced> {
        let rows = match (self.last, self.samples.last_mut()) {
            (Some((before, _)), _) if at <= before => return Err(Misplaced::NotLater),
            (Some((_, rows)), Some(sample)) if sample.at / MINUTE == at.0 / MINUTE => {
                sample.sums = [sample.sums[0] + sums[0], sample.sums[1] + sums[1]];
                rows + 1
            }
            _ => {
                let first = self.samples.first().map_or(at.0, |first| first.at);
                if at.0 - first >= MINUTES_MAX * MINUTE {
                    return Err(Misplaced::TooLate);
                }
                self.samples.push(Sample { at: at.0, sums });
                1
            }
        };
        self.rows += 1;
        self.last = Some((at, rows));
        Ok(())
    }

    /// `None` if not even half a minute is known.
    pub(super) fn finish(self, gaps: Gaps) -> Option<Resampled> {
        let first = self.samples.first()?.at / MINUTE;
        let step = self.usual_step();
        let spans = self.spans(step);
        let end = self.samples.last()?.at + spans.last()?;
        let mut known = vec![Known::default(); usize::try_from(end.div_ceil(MINUTE) - first).ok()?];
        for (sample, &span) in self.samples.iter().zip(&spans) {
            let until = sample.at + span;
            let mut at = sample.at;
            while at < until {
                let next = ((at / MINUTE + 1) * MINUTE).min(until);
                let part = (next - at) as f64 / span as f64;
                let minute = &mut known[usize::try_from(at / MINUTE - first).ok()?];
                minute.millis += next - at;
                minute.sums =
                    [minute.sums[0] + sample.sums[0] * part, minute.sums[1] + sample.sums[1] * part];
                at = next;
            }
        }
        let begin = known.iter().position(Known::is_enough)?;
        let last = known.iter().rposition(Known::is_enough)?;
        let (minutes, gap_minutes) = fill(&known[begin..=last], gaps);
        Some(Resampled {
            start: EpochMillis((first + begin as u64) * MINUTE),
            minutes,
            rows: self.rows,
            step: Duration::from_millis(step),
            gap_minutes,
        })
    }

    /// The median time between samples; a minute if there is but one.
    fn usual_step(&self) -> u64 {
        let mut steps: Vec<_> = self.samples.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(MINUTE)
    }

    /// For how long each sample holds.
    fn spans(&self, usual: u64) -> Vec<u64> {
        let steps = || self.samples.windows(2).map(|pair| pair[1].at - pair[0].at);
        let alike = steps().filter(|step| step.abs_diff(usual) * 10 <= usual).count();
        let is_regular = alike * 10 >= (self.samples.len() - 1) * 9;
        let mut spans: Vec<_> = steps()
            .map(|step| match (is_regular, step * 2 > usual * 3) {
                (true, true) => usual,
                (true, false) => step,
                (false, _) => step.min(usual * IRREGULAR_STEPS_MAX),
            })
            .collect();
        spans.push(self.last_span(usual));
        spans
    }

    /// The last sample ends as long after its last row as its rows lie apart.
    fn last_span(&self, usual: u64) -> u64 {
        match (self.last, self.samples.last()) {
            (Some((last, rows)), Some(sample)) if rows > 1 => (last.0 - sample.at) * rows / (rows - 1),
            _ => usual,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Known {
    millis: u64,
    sums: [f64; 2],
}

impl Known {
    /// Known for at least half, so that the rest of the minute may be taken to be the same.
    const fn is_enough(&self) -> bool {
        self.millis * 2 >= MINUTE
    }

    fn scaled(&self) -> [f64; 2] {
        self.sums.map(|sum| sum * MINUTE as f64 / self.millis as f64)
    }
}

/// The first and the last minute are known.
fn fill(known: &[Known], gaps: Gaps) -> (Vec<[f64; 2]>, u32) {
    let mut minutes: Vec<[f64; 2]> = Vec::with_capacity(known.len());
    let mut gap_minutes = 0;
    for (index, minute) in known.iter().enumerate().filter(|(_, minute)| minute.is_enough()) {
        let after = minute.scaled();
        let before = minutes.last().copied().unwrap_or(after);
        let missing = index - minutes.len();
        gap_minutes += u32::try_from(missing).expect("at most a year of minutes");
        for place in 1..=missing {
            let part = match gaps {
                Gaps::Interpolate => place as f64 / (missing + 1) as f64,
                Gaps::Hold => 0.0,
            };
            minutes.push([0, 1].map(|column| before[column] + (after[column] - before[column]) * part));
        }
        minutes.push(after);
    }
    (minutes, gap_minutes)
}

/// Milliseconds.
const MINUTE: u64 = 60_000;
/// A year of minutes: twenty megabytes while it is read.
const MINUTES_MAX: u64 = 366 * 24 * 60;
/// After so many usual steps a row of an irregular file tells nothing any more.
const IRREGULAR_STEPS_MAX: u64 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resampled(rows: &[(u64, f64)], gaps: Gaps) -> Resampled {
        let mut resampler = Resampler::default();
        for &(seconds, value) in rows {
            resampler.add(EpochMillis(seconds * 1_000), [value, value / 2.0]).expect("in order");
        }
        resampler.finish(gaps).expect("has rows")
    }

    fn first(resampled: &Resampled) -> Vec<f64> {
        resampled.minutes.iter().map(|values| values[0]).collect()
    }

    #[test]
    fn a_missing_row_of_a_regular_file_is_a_gap() {
        let rows = [(0, 60.0), (60, 60.0), (120, 30.0), (300, 90.0)].map(|(at, value)| (at, value));
        let long: Vec<_> = rows.into_iter().chain((6..40).map(|minute| (minute * 60, 90.0))).collect();
        let interpolated = resampled(&long, Gaps::Interpolate);
        assert_eq!(first(&interpolated)[..7], [60.0, 60.0, 30.0, 50.0, 70.0, 90.0, 90.0]);
        assert_eq!((interpolated.gap_minutes, interpolated.minutes.len()), (2, 40));
        assert_eq!(first(&resampled(&long, Gaps::Hold))[2..6], [30.0, 30.0, 30.0, 90.0]);
    }

    #[test]
    fn a_row_of_an_irregular_file_holds_until_the_next() {
        let irregular = resampled(&[(0, 60.0), (60, 40.0), (180, 90.0), (360, 20.0), (420, 7.0)], Gaps::Hold);
        assert_eq!(first(&irregular)[..7], [60.0, 20.0, 20.0, 30.0, 30.0, 30.0, 20.0]);
        assert_eq!(irregular.gap_minutes, 0);
    }

    #[test]
    fn rows_of_one_minute_are_added_and_the_last_minute_is_not_cut_short() {
        let rows: Vec<_> = (53..170).map(|second| (second, 2.0)).collect();
        let by_second = resampled(&rows, Gaps::Interpolate);
        assert_eq!(first(&by_second), [120.0, 120.0]);
        assert_eq!((by_second.start, by_second.rows), (EpochMillis(60_000), 117));
    }

    #[test]
    fn rows_that_do_not_follow_are_refused() {
        let mut resampler = Resampler::default();
        assert_eq!(resampler.add(EpochMillis(5), [1.0; 2]), Ok(()));
        assert_eq!(resampler.add(EpochMillis(5), [1.0; 2]), Err(Misplaced::NotLater));
        assert_eq!(resampler.add(EpochMillis(5 + MINUTES_MAX * MINUTE), [1.0; 2]), Err(Misplaced::TooLate));
        assert_eq!(Resampler::default().finish(Gaps::Hold), None);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_invented(
            steps in proptest::collection::vec((1..20_u64, 0.0..100.0_f64), 2..40), regular in any::<bool>(),
        ) {
            let mut at = 7 * 60;
            let rows: Vec<_> = steps.iter().map(|&(minutes, value)| {
                let row = (at, value);
                at += if regular { 300 } else { minutes * 60 };
                row
            }).collect();
            let resampled = resampled(&rows, Gaps::Hold);
            if resampled.gap_minutes == 0 {
                let expected: f64 = rows.iter().map(|(_, value)| value).sum();
                prop_assert!((first(&resampled).iter().sum::<f64>() - expected).abs() < 1e-6);
            }
            prop_assert!(!regular || resampled.gap_minutes == 0);
            for values in &resampled.minutes {
                prop_assert!(values[0] >= 0.0 && (values[0] / 2.0 - values[1]).abs() < 1e-9);
            }
        }

        #[test]
        fn gaps_are_counted_and_stay_between_their_ends(
            rows in proptest::collection::btree_map(0..400_u64, 1.0..100.0_f64, 2..60),
        ) {
            let rows: Vec<_> = (0..4_000).map(|minute| (minute * 60, 50.0))
                .chain(rows.iter().map(|(&minute, &value)| ((4_000 + minute) * 60, value))).collect();
            let end = rows.last().expect("not empty").0 / 60 + 1;
            let resampled = resampled(&rows, Gaps::Interpolate);
            prop_assert_eq!(resampled.minutes.len() as u64, end);
            prop_assert_eq!(u64::from(resampled.gap_minutes), end - rows.len() as u64);
            prop_assert!(first(&resampled).iter().all(|value| (1.0..=100.0).contains(value)));
        }
    }
}
