//! The cheapest shard counts over time under a limit on changes, by an exact dynamic program.
//!
//! The state is the count held and how many changes its day has had. In each run of equal minutes it holds its count, or takes
//! the cheapest state with one change fewer and moves it to another count:
//!
//! ```text
//!   changes k ─┬─ hold ───▶ cost + count             for counts that suffice
//!              └─ move ───▶ k + 1: least cost of k + new count, and a node (count left, node before) to find the way back
//! ```
//!
//! Only counts that some minute asks for need be tried: any other one could be lowered to the most that is asked for while
//! it is held. Costs count from the day's least, which bounds them, so that they fit 32 bits for any length of trace.

/// How changes are limited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Days {
    /// The minute at which the first whole day begins.
    pub(super) begin: usize,
    /// Minutes of a day.
    pub(super) length: usize,
    pub(super) changes_max: usize,
}

/// Counts of the least sum, each at least what is required, with no day of more changes than allowed.
pub(super) fn cheapest(required: &[u32], days: Days) -> Vec<u32> {
    let runs = runs(required, days);
    let mut program = Program::new(required, runs.len(), days.changes_max);
    for run in &runs {
        if run.from > 0 && days.begin_at(run.from) {
            program.begin_day();
        }
        program.step(run.required, run.length);
    }
    program.schedule(&runs)
}

/// Minutes of one requirement, within which no change is worth while: one that adds is made as late as it may be, one that
/// takes away as early, but in either case perhaps on the other side of midnight.
struct Run {
    from: usize,
    length: u32,
    required: u32,
}

fn runs(required: &[u32], days: Days) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (minute, &required) in required.iter().enumerate() {
        let is_at_midnight = days.begin_at(minute) || days.begin_at(minute + 1);
        match runs.last_mut() {
            Some(run) if run.required == required && !is_at_midnight => run.length += 1,
            _ => runs.push(Run { from: minute, length: 1, required }),
        }
    }
    runs
}

impl Days {
    const fn begin_at(self, minute: usize) -> bool {
        minute % self.length == self.begin % self.length
    }
}

struct Program {
    counts: Vec<u32>,
    /// By number of changes, then by count.
    rows: Vec<Row>,
    /// The moves of all runs, as many for each as there may be changes in a day.
    nodes: Vec<Node>,
}

struct Row {
    costs: Vec<u32>,
    /// The move by which each state's count was taken.
    entered: Vec<u32>,
}

/// What was held before a move.
#[derive(Clone, Copy)]
struct Node {
    place: u32,
    entered: u32,
}

impl Program {
    fn new(required: &[u32], runs: usize, changes_max: usize) -> Self {
        let mut counts = required.to_vec();
        counts.sort_unstable();
        counts.dedup();
        let row = |cost| Row { costs: vec![cost; counts.len()], entered: vec![FROM_START; counts.len()] };
        let mut rows = vec![row(0)];
        rows.extend((0..changes_max).map(|_| row(IMPOSSIBLE)));
        Self { rows, nodes: Vec::with_capacity(runs * changes_max), counts }
    }

    /// Merges all rows into that of no change.
    fn begin_day(&mut self) {
        let (first, others) = self.rows.split_first_mut().expect("the row of no change");
        for row in others {
            for place in 0..self.counts.len() {
                if row.costs[place] < first.costs[place] {
                    first.costs[place] = row.costs[place];
                    first.entered[place] = row.entered[place];
                }
                row.costs[place] = IMPOSSIBLE;
            }
        }
        let least = first.costs.iter().copied().min().unwrap_or_default();
        for cost in &mut first.costs {
            *cost = if *cost < IMPOSSIBLE { *cost - least } else { IMPOSSIBLE };
        }
    }

    fn step(&mut self, required: u32, minutes: u32) {
        let sufficient = self.counts.partition_point(|&count| count < required);
        let is_first = self.nodes.is_empty();
        for changes in (1..self.rows.len()).rev() {
            let node = u32::try_from(self.nodes.len()).expect("ten moves for each minute of a year are few");
            let left = &self.rows[changes - 1];
            let least = left.costs.iter().copied().min().unwrap_or(IMPOSSIBLE);
            let place = left.costs.iter().position(|&cost| cost == least).unwrap_or_default();
            self.nodes.push(Node { place: place as u32, entered: left.entered[place] });
            let least = if is_first { IMPOSSIBLE } else { least };
            self.rows[changes].hold_or_enter(&self.counts[sufficient..], minutes, least, node);
        }
        self.rows[0].hold_or_enter(&self.counts[sufficient..], minutes, IMPOSSIBLE, FROM_START);
    }

    fn schedule(&self, runs: &[Run]) -> Vec<u32> {
        let states = self.rows.iter().flat_map(|row| (0..self.counts.len()).map(move |place| (row, place)));
        let Some((row, place)) = states.min_by_key(|(row, place)| row.costs[*place]) else {
            return Vec::new();
        };
        let minutes = runs.last().map_or(0, |run| run.from + run.length as usize);
        let mut schedule = vec![0; minutes];
        let (mut place, mut entered, mut until) = (place, row.entered[place], minutes);
        let moves = self.rows.len() - 1;
        loop {
            let from = if entered == FROM_START { 0 } else { runs[entered as usize / moves].from };
            schedule[from..until].fill(self.counts[place]);
            if entered == FROM_START {
                return schedule;
            }
            let node = self.nodes[entered as usize];
            (place, entered, until) = (node.place as usize, node.entered, from);
        }
    }
}

impl Row {
    /// Takes the state of each of the last `counts.len()` counts on by some minutes, either held or entered at the cost
    /// `least`. The lower counts do not suffice.
    fn hold_or_enter(&mut self, counts: &[u32], minutes: u32, least: u32, node: u32) {
        let (insufficient, costs) = self.costs.split_at_mut(self.entered.len() - counts.len());
        let (_, entered) = self.entered.split_at_mut(insufficient.len());
        insufficient.fill(IMPOSSIBLE);
        for ((cost, entered), count) in costs.iter_mut().zip(entered).zip(counts) {
            let is_entered = least < *cost;
            *entered = if is_entered { node } else { *entered };
            *cost = if is_entered { least } else { *cost } + count * minutes;
        }
    }
}

/// A cost that no schedule has: far above a day of the most shards, and far enough below the greatest number to add one.
const IMPOSSIBLE: u32 = u32::MAX / 2;
/// Instead of a move: held since the first minute.
const FROM_START: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(schedule: &[u32]) -> Vec<usize> {
        (1..schedule.len()).filter(|&minute| schedule[minute] != schedule[minute - 1]).collect()
    }

    /// All schedules of counts up to 3.
    fn schedules(minutes: u32) -> impl Iterator<Item = Vec<u32>> {
        (0..3_u32.pow(minutes))
            .map(move |code| (0..minutes).map(|place| code / 3_u32.pow(place) % 3 + 1).collect())
    }

    fn is_within_days(schedule: &[u32], days: Days) -> bool {
        let day = |minute: usize| (minute + days.length - days.begin) / days.length;
        let days_of_changes: Vec<_> = changes(schedule).into_iter().map(day).collect();
        days_of_changes
            .iter()
            .all(|one| days_of_changes.iter().filter(|other| one == *other).count() <= days.changes_max)
    }

    fn is_within_any_window(schedule: &[u32], days: Days) -> bool {
        let changes = changes(schedule);
        changes.iter().all(|&first| {
            changes.iter().filter(|&&other| other >= first && other < first + days.length).count()
                <= days.changes_max
        })
    }

    #[test]
    fn without_a_change_the_greatest_count_is_held() {
        let days = Days { begin: 0, length: 4, changes_max: 0 };
        assert_eq!(cheapest(&[1, 4, 2, 1, 1, 1], days), [4; 6]);
        assert_eq!(cheapest(&[], days), [0; 0]);
    }

    #[test]
    fn a_long_trace_does_not_overflow() {
        let required: Vec<u32> =
            (0..100_000).map(|minute| if minute % 50_000 == 7 { 10_000 } else { 9_000 }).collect();
        let days = Days { begin: 0, length: 1_440, changes_max: 2 };
        let sum: u64 = cheapest(&required, days).into_iter().map(u64::from).sum();
        assert_eq!(sum, 100_000 * 9_000 + 2 * 1_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_schedule_is_cheaper_and_none_under_the_stricter_rule(
            required in proptest::collection::vec((1..4_u32, 1..4_usize), 8).prop_map(|runs| {
                runs.into_iter().flat_map(|(count, length)| std::iter::repeat_n(count, length)).take(8).collect::<Vec<_>>()
            }),
            begin in 0..4_usize,
            changes_max in 0..4_usize,
        ) {
            let days = Days { begin, length: 4, changes_max };
            let schedule = cheapest(&required, days);
            let suffices = |schedule: &[u32]| schedule.iter().zip(&required).all(|(count, least)| count >= least);
            prop_assert!(suffices(&schedule) && is_within_days(&schedule, days), "{:?}", schedule);
            let best = |is_allowed: fn(&[u32], Days) -> bool| {
                schedules(8).filter(|other| suffices(other) && is_allowed(other, days))
                    .map(|other| other.iter().sum::<u32>()).min().expect("the greatest count always is")
            };
            let cost = schedule.iter().sum::<u32>();
            prop_assert_eq!(cost, best(is_within_days));
            prop_assert!(cost <= best(is_within_any_window));
        }

        #[test]
        fn within_one_day_both_rules_are_one(
            required in proptest::collection::vec(1..4_u32, 7), changes_max in 0..4_usize,
        ) {
            let days = Days { begin: 0, length: 7, changes_max };
            let best = schedules(7)
                .filter(|other| other.iter().zip(&required).all(|(count, least)| count >= least))
                .filter(|other| is_within_any_window(other, days))
                .map(|other| other.iter().sum::<u32>()).min();
            prop_assert_eq!(Some(cheapest(&required, days).iter().sum::<u32>()), best);
        }
    }
}
