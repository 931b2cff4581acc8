//! A figure by minute as few points: exact where it rarely changes, and otherwise the least and the greatest of each span.
//!
//! ```text
//!   values by minute ─▶ changes ─── few enough? ─▶ points
//!                          └─ too many ─▶ spans of equal length: least and greatest, in their order ─▶ points
//! ```
//!
//! A peak or a dip is never lost; only its minute may be off within the span, whose length the line carries.

use serde::Serialize;

/// A step function: each value holds until the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Line {
    /// Minutes of one span; 1 if every change is there.
    every: usize,
    /// Minutes since the point before, value in hundredths, and so on.
    points: Vec<u32>,
}

impl Line {
    /// The line through `hundredths`, one a minute, in at most `points_max` points. At least two are allowed.
    pub(super) fn of(hundredths: &[u32], points_max: usize) -> Self {
        let exact = changes(hundredths.iter().copied().enumerate());
        if exact.len() <= points_max {
            return Self { every: 1, points: flat(&exact) };
        }
        let every = hundredths.len().div_ceil((points_max / 2).max(1));
        let extremes = hundredths
            .chunks(every)
            .enumerate()
            .flat_map(|(span, values)| extremes(values).map(|(place, value)| (span * every + place, value)));
        Self { every, points: flat(&changes(extremes)) }
    }
}

/// A figure that is at least 0 in hundredths.
pub(super) fn hundredths(value: f64) -> u32 {
    (value * 100.0).round() as u32
}

/// Those that differ from the one before.
fn changes(values: impl Iterator<Item = (usize, u32)>) -> Vec<(usize, u32)> {
    let mut changes: Vec<(usize, u32)> = Vec::new();
    for (minute, value) in values {
        if changes.last().is_none_or(|&(_, last)| last != value) {
            changes.push((minute, value));
        }
    }
    changes
}

/// The first least and the first greatest of some values, in their order. The first of the two holds from the span's begin, so
/// that nothing of the span before reaches into it.
fn extremes(values: &[u32]) -> [(usize, u32); 2] {
    let (mut least, mut greatest) = ((0, values[0]), (0, values[0]));
    for (place, &value) in values.iter().enumerate() {
        if value < least.1 {
            least = (place, value);
        }
        if value > greatest.1 {
            greatest = (place, value);
        }
    }
    let [first, second] = if least.0 <= greatest.0 { [least, greatest] } else { [greatest, least] };
    [(0, first.1), second]
}

fn flat(points: &[(usize, u32)]) -> Vec<u32> {
    let mut before = 0;
    let mut flat = Vec::with_capacity(2 * points.len());
    for &(minute, value) in points {
        flat.extend([minutes(minute - before), value]);
        before = minute;
    }
    flat
}

/// A count of minutes. Eight thousand years fit.
pub(super) fn minutes(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(line: &Line) -> Vec<(usize, u32)> {
        let mut minute = 0;
        let point = |pair: &[u32]| {
            minute += pair[0] as usize;
            (minute, pair[1])
        };
        line.points.chunks(2).map(point).collect()
    }

    #[test]
    fn few_changes_are_all_there() {
        let line = Line::of(&[100, 100, 250, 250, 250, 100], 3);
        assert_eq!(line, Line { every: 1, points: vec![0, 100, 2, 250, 3, 100] });
        assert_eq!(Line::of(&[], 2).points, Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn no_peak_and_no_dip_is_lost(
            values in prop::collection::vec(0_u32..50, 1..400),
            points_max in 2_usize..60,
        ) {
            let line = Line::of(&values, points_max);
            let points = points(&line);
            prop_assert!(points.len() <= points_max, "{} of {points_max}", points.len());
            let mut held = points[0].1;
            for (span, chunk) in values.chunks(line.every).enumerate() {
                let within = span * line.every..span * line.every + chunk.len();
                let mut seen: Vec<_> =
                    points.iter().filter(|point| within.contains(&point.0)).map(|point| point.1).collect();
                if points.iter().all(|point| point.0 != within.start) {
                    seen.push(held);
                }
                held = points.iter().rfind(|point| point.0 < within.end).map_or(held, |point| point.1);
                prop_assert_eq!(seen.iter().min(), chunk.iter().min());
                prop_assert_eq!(seen.iter().max(), chunk.iter().max());
            }
        }
    }
}
