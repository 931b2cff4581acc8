//! Minutes in which something holds, as few spans of time.

use serde::Serialize;

use super::line::minutes;

/// Spans in order. Near ones are joined where there are too many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Spans {
    /// How many minutes it holds, exactly.
    minutes: u32,
    /// Pauses shorter than so many minutes are not shown.
    pauses_min: u32,
    /// Minutes since the end of the span before, minutes of the span, and so on.
    spans: Vec<u32>,
}

impl Spans {
    /// The minutes whose flag is up, in at most `spans_max` spans. At least one is allowed.
    pub(super) fn of(flags: &[bool], spans_max: usize) -> Self {
        let count = flags.iter().filter(|&&is_up| is_up).count();
        let mut pauses_min = 1;
        let mut joined = join(flags, pauses_min);
        while joined.len() > spans_max.max(1) {
            pauses_min *= 2;
            joined = join(flags, pauses_min);
        }
        let mut before = 0;
        let mut spans = Vec::with_capacity(2 * joined.len());
        for (start, end) in joined {
            spans.extend([minutes(start - before), minutes(end - start)]);
            before = end;
        }
        Self { minutes: minutes(count), pauses_min: minutes(pauses_min), spans }
    }
}

/// Spans from the first minute to the one after the last, with pauses of at least `pauses_min`.
fn join(flags: &[bool], pauses_min: usize) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (minute, _) in flags.iter().enumerate().filter(|&(_, &is_up)| is_up) {
        match spans.last_mut() {
            Some((_, end)) if minute - *end < pauses_min => *end = minute + 1,
            Some(_) | None => spans.push((minute, minute + 1)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(pattern: &str) -> Vec<bool> {
        pattern.chars().map(|is| is == 'x').collect()
    }

    #[test]
    fn spans_are_told_apart_until_there_are_too_many() {
        let flags = flags(".xx..x.x....x");
        assert_eq!(Spans::of(&flags, 4).spans, [1, 2, 2, 1, 1, 1, 4, 1]);
        let fewer = Spans::of(&flags, 3);
        assert_eq!((fewer.minutes, fewer.pauses_min, fewer.spans), (5, 2, vec![1, 2, 2, 3, 4, 1]));
        assert_eq!(Spans::of(&flags, 0).spans, [1, 12], "one at least");
        assert_eq!(Spans::of(&[false; 9], 1), Spans { minutes: 0, pauses_min: 1, spans: Vec::new() });
    }
}
