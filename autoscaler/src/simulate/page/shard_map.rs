//! Which shard held which part of the hash space when, and which part of the load.
//!
//! ```text
//!   layouts, key maps ─▶ states (shards: begin, share) ─▶ frame: what differs from the state before
//! ```
//!
//! A split or a merge changes a few shards of many, so a frame names the place, how many shards go and which come.

use serde::Serialize;

use super::line::minutes;
use crate::simulate::{Run, Trace};

/// A run's shards as frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ShardMap {
    /// Minutes of one frame: of several changes within them only the last state is there.
    every: usize,
    frames: Vec<Frame>,
}

/// What changed: the minute, the place of the first shard that goes, how many go, where the new ones begin (in [`SPACE`] parts
/// of the hash space) and which part of the load they hold (in [`LOAD`] parts).
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Frame(u32, usize, usize, Vec<u32>, Vec<u32>);

/// Where each shard begins, and its share of the load.
type State = Vec<(u32, u32)>;

impl ShardMap {
    /// The map of a run, in at most about `shards_max` entries: frames are made longer until it fits.
    pub(super) fn of(run: &Run, trace: &Trace, shards_max: usize) -> Self {
        let changes = changes(run, trace);
        let mut every = 1;
        loop {
            let map = Self::with_frames(run, trace, &changes, every);
            if map.entries() <= shards_max || every >= trace.minutes.len() {
                return map;
            }
            every *= 2;
        }
    }

    fn with_frames(run: &Run, trace: &Trace, changes: &[usize], every: usize) -> Self {
        let mut map = Self { every, frames: Vec::new() };
        let mut before = State::new();
        for (place, &minute) in changes.iter().enumerate() {
            let is_last_of_frame = changes.get(place + 1).is_none_or(|next| next / every > minute / every);
            if is_last_of_frame {
                let state = state(run, trace, minute);
                map.push(minute / every * every, &before, &state);
                before = state;
            }
        }
        map
    }

    fn push(&mut self, minute: usize, before: &State, state: &State) {
        let same = |left: &mut dyn Iterator<Item = &(u32, u32)>,
                    right: &mut dyn Iterator<Item = &(u32, u32)>| {
            left.zip(right).take_while(|(left, right)| left == right).count()
        };
        let first = same(&mut before.iter(), &mut state.iter());
        let last = same(&mut before[first..].iter().rev(), &mut state[first..].iter().rev());
        let new = &state[first..state.len() - last];
        let goes = before.len() - last - first;
        if goes > 0 || !new.is_empty() {
            let (begins, shares) = new.iter().copied().unzip();
            self.frames.push(Frame(minutes(minute), first, goes, begins, shares));
        }
    }

    fn entries(&self) -> usize {
        self.frames.iter().map(|Frame(.., begins, _)| begins.len() + 1).sum()
    }
}

/// The minutes in which the shards or the keys' weights change, in order.
fn changes(run: &Run, trace: &Trace) -> Vec<usize> {
    let layouts = run.layouts.iter().map(|&(at, _)| (at.millis_since(trace.start) / MINUTE) as usize);
    let keys = trace.keys.entries().iter().map(|&(minute, _)| minute);
    let mut changes: Vec<_> = layouts.chain(keys).filter(|&minute| minute < trace.minutes.len()).collect();
    changes.sort_unstable();
    changes.dedup();
    changes
}

fn state(run: &Run, trace: &Trace, minute: usize) -> State {
    let end = MINUTE * (minute as u64 + 1);
    let next = run.layouts.partition_point(|&(at, _)| at.millis_since(trace.start) < end);
    let boundaries = &run.layouts[next.saturating_sub(1)].1;
    let shares = trace.keys.at(minute).shares(boundaries);
    let begin = |key: u128| ((key >> 64) as f64 / HALF_SPACE * SPACE) as u32;
    let share = |share: f64| (share * LOAD).round() as u32;
    boundaries.keys().iter().zip(shares).map(|(key, part)| (begin(key.0), share(part))).collect()
}

/// Milliseconds.
const MINUTE: u64 = 60_000;
/// 2^64.
const HALF_SPACE: f64 = 18_446_744_073_709_551_616.0;
/// Finer than a pixel of a plot.
pub(super) const SPACE: f64 = 100_000.0;
/// A hundredth of a percent.
pub(super) const LOAD: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use kcl_core::HashKey;

    use super::*;
    use crate::simulate::{KeySchedule, MinuteLoad, Scores};
    use crate::{Boundaries, EpochMillis, LoadMap};

    fn trace(keys: KeySchedule) -> Trace {
        let minute = MinuteLoad { bytes: 60e6, records: 1.0, burst: 1.0 };
        Trace { name: "t".to_owned(), start: EpochMillis(1_000), minutes: vec![minute; 100], keys }
    }

    fn run(layouts: &[(u64, Boundaries)]) -> Run {
        let at = |minute: u64| EpochMillis(1_000 + minute * MINUTE + 30_000);
        Run {
            scaler: "s".to_owned(),
            trace: "t".to_owned(),
            minutes: Vec::new(),
            operations: Vec::new(),
            refused: Vec::new(),
            layouts: layouts.iter().map(|(minute, layout)| (at(*minute), layout.clone())).collect(),
            judgements: Vec::new(),
            scores: Scores::default(),
        }
    }

    fn split(boundaries: &Boundaries, at: u128) -> Boundaries {
        let mut boundaries = boundaries.clone();
        boundaries.split(HashKey(at));
        boundaries
    }

    #[test]
    fn a_split_replaces_one_shard_by_two_and_a_merge_two_by_one() {
        let uniform = Boundaries::uniform(4);
        let layouts = [(0, uniform.clone()), (7, split(&uniform, 3 << 125)), (9, uniform)];
        let map = ShardMap::of(&run(&layouts), &trace(KeySchedule::constant(LoadMap::even())), 100);
        let expected = [
            Frame(0, 0, 0, vec![0, 25_000, 50_000, 75_000], vec![2_500; 4]),
            Frame(7, 1, 1, vec![25_000, 37_500], vec![1_250; 2]),
            Frame(9, 1, 2, vec![25_000], vec![2_500]),
        ];
        assert_eq!((map.every, map.frames), (1, expected.to_vec()));
    }

    #[test]
    fn the_load_moves_under_shards_that_stay() {
        let lump = LoadMap::new([(HashKey(0), 0.0)], [(HashKey(1 << 127), 1.0)]);
        let keys = KeySchedule::new(LoadMap::even(), [(50, lump)]);
        let map = ShardMap::of(&run(&[(0, Boundaries::uniform(2))]), &trace(keys), 100);
        assert_eq!(map.frames[1], Frame(50, 0, 2, vec![0, 50_000], vec![0, 10_000]));
    }

    #[test]
    fn too_many_frames_are_made_longer() {
        let uniform = Boundaries::uniform(2);
        let layouts: Vec<_> = (0..100)
            .map(|minute| {
                let is_split = minute % 2 == 1;
                (minute, if is_split { split(&uniform, 1 << 126) } else { uniform.clone() })
            })
            .collect();
        let trace = trace(KeySchedule::constant(LoadMap::even()));
        let exact = ShardMap::of(&run(&layouts), &trace, 1_000);
        assert_eq!((exact.every, exact.frames.len()), (1, 100));
        let coarse = ShardMap::of(&run(&layouts), &trace, 40);
        assert!(coarse.every > 1 && coarse.entries() <= 40, "{coarse:?}");
    }
}
