//! awslabs/amazon-kinesis-scaling-utils: polls, votes with the minutes of a quarter of an hour, scales by percent or count.
//!
//! Source: `auto/StreamMonitor.java`, `auto/StreamMetricManager.java`, `StreamScalingUtils.java` and `StreamScaler.java` of that
//! repository at commit 23ba220 (2022-06-06). The settings are the examples of its README: up above 75 % in 5 of the last 15
//! minutes, cool-off 15; down below 25 % in all 15, cool-off 60; by 150 and 25 percent, or by one shard.
//!
//! ```text
//!   minutes ─▶ high and low samples of bytes, of records ─▶ the more used of the two votes ─▶ UpdateShardCount
//!              a minute without data is low                                                   │ refused by a limit
//!                                                                                             └▶ splits and merges
//! ```
//!
//! Modelled: a missing datapoint as a low sample; the percentage that multiplies (100 does nothing) upwards and subtracts
//! downwards, rounded so that a quarter of three shards is nothing; waiting for `ACTIVE`; the cool-off that begins when a
//! change is complete; a capacity that is read again after a minute without a vote or after five; the fallback to splits and
//! merges, during which nothing else is looked at.
//! Not modelled: votes of the read side (one reader that keeps up uses half of what the writers use, so its votes change
//! nothing), the samples' average in the order of a hash map (taken in the order of time), retries of a refused split.
//! Favourable: it looks once a minute (its code says 45 seconds, its README 5 minutes), and has no greatest count (16 in its
//! README), and votes only when a window has passed since its start, or the empty past would cost a quarter of the shards.

use std::time::Duration;

use kinesis_model::KinesisError;

use super::math_alarm::{BYTES_PER_SHARD_SECOND, RECORDS_PER_SHARD_SECOND};
use super::repartition::Repartition;
use crate::simulate::{Cloud, Scaler};
use crate::{EpochMillis, Minute, Step, StreamState};

/// The monitor of one stream.
#[derive(Debug)]
pub(super) struct ScalingUtils {
    name: &'static str,
    amounts: Amounts,
    started_at: Option<EpochMillis>,
    /// The shard count that utilisation is computed with, and when it was read.
    capacity: Option<(u32, EpochMillis)>,
    /// What is under way, and whether it adds shards.
    running: Option<(Work, bool)>,
    grown_at: Option<EpochMillis>,
    shrunk_at: Option<EpochMillis>,
}

/// By how much to scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amounts {
    Percent { up: u32, down: u32 },
    Count { up: u32, down: u32 },
}

/// What the monitor waits for.
#[derive(Clone, Copy, Debug)]
enum Work {
    Update,
    Fallback(Repartition),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vote {
    Up,
    Down,
    None,
}

impl ScalingUtils {
    /// By 150 percent up and 25 down.
    pub(super) fn percent() -> Self {
        Self::new("scaling-utils 150/25", Amounts::Percent { up: 150, down: 25 })
    }

    /// By one shard up and down.
    pub(super) fn count() -> Self {
        Self::new("scaling-utils ±1", Amounts::Count { up: 1, down: 1 })
    }

    fn new(name: &'static str, amounts: Amounts) -> Self {
        Self {
            name,
            amounts,
            started_at: None,
            capacity: None,
            running: None,
            grown_at: None,
            shrunk_at: None,
        }
    }

    /// Goes on with what is under way. Whether the monitor is free again.
    fn go_on(&mut self, cloud: &mut Cloud) -> bool {
        let Some((work, is_up)) = &mut self.running else { return true };
        let is_up = *is_up;
        if let Work::Fallback(repartition) = work {
            while cloud.state() == StreamState::Active {
                let reply = match repartition.next(&cloud.layout().boundaries()) {
                    None => break,
                    Some(Step::Split { at }) => cloud.split(at),
                    Some(Step::Merge { at }) => cloud.merge(at),
                };
                if reply.is_err() {
                    self.running = None;
                    return true;
                }
            }
        }
        if cloud.state() != StreamState::Active {
            return false;
        }
        if let Some((Work::Fallback(_), _)) = self.running.take() {
            self.capacity = Some((cloud.layout().count(), cloud.now()));
        }
        *(if is_up { &mut self.grown_at } else { &mut self.shrunk_at }) = Some(cloud.now());
        true
    }

    fn scale(&mut self, is_up: bool, cloud: &mut Cloud) {
        let now = cloud.now();
        let (last, cool_off) =
            if is_up { (self.grown_at, UP_COOL_OFF) } else { (self.shrunk_at, DOWN_COOL_OFF) };
        if last.is_some_and(|last| now < last.after(cool_off)) {
            return;
        }
        let count = cloud.layout().count();
        let target = if is_up { self.amounts.grown(count) } else { self.amounts.shrunk(count) };
        if target == count || target == 0 {
            return;
        }
        match cloud.update_shard_count(target) {
            Ok(()) => self.running = Some((Work::Update, is_up)),
            Err(KinesisError::LimitExceeded(_) | KinesisError::InvalidArgument(_)) => {
                self.running = Some((Work::Fallback(Repartition::new(target)), is_up));
                self.go_on(cloud);
            }
            Err(_) => {}
        }
    }
}

impl Scaler for ScalingUtils {
    fn name(&self) -> &str {
        self.name
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        let now = cloud.now();
        let (capacity, read_at) = *self.capacity.get_or_insert((cloud.layout().count(), now));
        let started_at = *self.started_at.get_or_insert(now);
        if !self.go_on(cloud) || now < started_at.after(WINDOW) {
            return;
        }
        let vote = vote(cloud.minutes(WINDOW), now, capacity);
        match vote {
            Vote::Up => self.scale(true, cloud),
            Vote::Down => self.scale(false, cloud),
            Vote::None => {}
        }
        if vote == Vote::None || read_at.after(CAPACITY_REFRESH) < now {
            self.capacity = Some((cloud.layout().count(), now));
        }
    }

    fn reshard_done(&mut self, cloud: &mut Cloud) {
        self.go_on(cloud);
    }
}

impl Amounts {
    fn grown(self, count: u32) -> u32 {
        match self {
            Self::Percent { up, .. } => {
                let factor = if up < 100 { 100 + up } else { up };
                count.saturating_mul(factor).div_ceil(100)
            }
            Self::Count { up, .. } => count + up,
        }
    }

    fn shrunk(self, count: u32) -> u32 {
        match self {
            Self::Percent { down, .. } if down > 100 => (count * 100 / down).max(1),
            Self::Percent { down, .. } => (count - count * down / 100).max(1),
            Self::Count { down, .. } => count.saturating_sub(down),
        }
    }
}

/// Counts the samples of the window before `now`. The metric with the greater recent use decides.
fn vote(minutes: &[Minute], now: EpochMillis, capacity: u32) -> Vote {
    let first = now.before(WINDOW);
    let newest = minutes.iter().skip_while(|minute| minute.start < first);
    let (mut bytes, mut records) = (Samples::default(), Samples::default());
    for minute in newest {
        let seconds = 60.0 * f64::from(capacity);
        bytes.take(minute.bytes.map(|sum| sum / (seconds * BYTES_PER_SHARD_SECOND)));
        records.take(minute.records.map(|sum| sum / (seconds * RECORDS_PER_SHARD_SECOND)));
    }
    let deciding = if bytes.recent >= records.recent { bytes } else { records };
    let low = deciding.low + WINDOW_MINUTES.saturating_sub(deciding.known);
    if deciding.high >= UP_AFTER_MINUTES {
        Vote::Up
    } else if low >= DOWN_AFTER_MINUTES {
        Vote::Down
    } else {
        Vote::None
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Samples {
    known: u32,
    high: u32,
    low: u32,
    /// Each sample counts as much as all before it.
    recent: f64,
}

impl Samples {
    fn take(&mut self, utilisation: Option<f64>) {
        let Some(utilisation) = utilisation else { return };
        self.known += 1;
        self.high += u32::from(utilisation > UP_ABOVE);
        self.low += u32::from(utilisation < DOWN_BELOW);
        self.recent = if self.recent == 0.0 { utilisation } else { f64::midpoint(self.recent, utilisation) };
    }
}

const UP_ABOVE: f64 = 0.75;
const UP_AFTER_MINUTES: u32 = 5;
const UP_COOL_OFF: Duration = Duration::from_secs(15 * 60);
const DOWN_BELOW: f64 = 0.25;
const DOWN_AFTER_MINUTES: u32 = 15;
const DOWN_COOL_OFF: Duration = Duration::from_secs(60 * 60);
/// The longer of the two evidences.
const WINDOW_MINUTES: u32 = DOWN_AFTER_MINUTES;
const WINDOW: Duration = Duration::from_secs(60 * WINDOW_MINUTES as u64);
/// `refreshShardsNumberAfterMin` of the README's examples.
const CAPACITY_REFRESH: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::super::replay::{SIGHT_MINUTES, calls, minute_of, replay, step, trace};
    use super::*;
    use crate::simulate::OperationKind;

    const HOUR: EpochMillis = EpochMillis(3_600_000);

    /// The minutes before [`HOUR`], newest last, in shards of records.
    fn minutes(shards: &[Option<f64>]) -> Vec<Minute> {
        let start = HOUR.0 - 60_000 * shards.len() as u64;
        let minute = |(place, shards): (usize, &Option<f64>)| Minute {
            start: EpochMillis(start + 60_000 * place as u64),
            records: shards.map(|shards| shards * 60_000.0),
            bytes: shards.map(|_| 0.0),
            ..Minute::default()
        };
        shards.iter().enumerate().map(minute).collect()
    }

    #[test]
    fn five_high_minutes_of_fifteen_vote_up_wherever_they_lie() {
        let with_high = |high: &[usize]| {
            let shards: Vec<_> =
                (0..15).map(|place| Some(if high.contains(&place) { 8.0 } else { 4.0 })).collect();
            vote(&minutes(&shards), HOUR, 10)
        };
        assert_eq!(with_high(&[0, 3, 6, 9, 12]), Vote::Up);
        assert_eq!(with_high(&[0, 3, 6, 9]), Vote::None);
    }

    #[test]
    fn a_missing_datapoint_votes_for_fewer_shards() {
        assert_eq!(vote(&minutes(&[Some(2.0); 15]), HOUR, 10), Vote::Down);
        assert_eq!(vote(&minutes(&[None; 15]), HOUR, 10), Vote::Down);
        assert_eq!(vote(&[], HOUR, 10), Vote::Down);
        let half_blind: Vec<_> = (0..15).map(|place| (place < 10).then_some(2.0)).collect();
        assert_eq!(vote(&minutes(&half_blind), HOUR, 10), Vote::Down);
        let busy_and_late: Vec<_> = (0..15).map(|place| (place < 13).then_some(5.0)).collect();
        assert_eq!(vote(&minutes(&busy_and_late), HOUR, 10), Vote::None);
    }

    #[test]
    fn the_more_used_metric_decides_alone() {
        let mut high_bytes = minutes(&[Some(1.0); 15]);
        for minute in &mut high_bytes {
            minute.bytes = Some(9.0 * 60.0 * BYTES_PER_SHARD_SECOND);
        }
        assert_eq!(vote(&high_bytes, HOUR, 10), Vote::Up);
        assert_eq!(vote(&high_bytes, HOUR, 30), Vote::None, "30 % of bytes against 3 % of records");
    }

    #[test]
    fn a_percentage_multiplies_upwards_and_subtracts_downwards() {
        let percent = |up, down| Amounts::Percent { up, down };
        assert_eq!(percent(100, 25).grown(8), 8, "100 percent is no change");
        let up = |up, count| percent(up, 25).grown(count);
        assert_eq!(
            [up(150, 75), up(15, 1), up(70, 10), up(110, 5), up(200, 7), up(1_100, 8)],
            [113, 2, 17, 6, 14, 88]
        );
        let down = |down, count| percent(150, down).shrunk(count);
        assert_eq!(
            [down(25, 75), down(25, 3), down(50, 6), down(200, 6), down(500, 1), down(110, 5)],
            [57, 3, 3, 3, 1, 4]
        );
    }

    #[test]
    fn one_shard_less_than_one_is_not_asked_for() {
        let one = Amounts::Count { up: 1, down: 1 };
        assert_eq!((one.grown(1), one.shrunk(2), one.shrunk(1)), (2, 1, 0));
    }

    #[test]
    fn a_surge_is_answered_after_five_minutes_and_again_after_the_cool_off() {
        let run = replay(ScalingUtils::percent(), &step(4.0, 20.0, 60), 8);
        let calls = calls(&run);
        assert_eq!(calls[0], (60 + 4 + SIGHT_MINUTES, 12));
        let done = run.operations[0].done.expect("done within the hour");
        assert_eq!(calls[1], (minute_of(done.after(UP_COOL_OFF)) + 1, 18));
    }

    #[test]
    fn a_quarter_goes_after_a_quiet_quarter_of_an_hour_and_never_the_last_three() {
        let run = replay(ScalingUtils::percent(), &trace([0.2; 1440]), 8);
        assert_eq!(calls(&run).iter().map(|&(_, target)| target).collect::<Vec<_>>(), [6, 5, 4, 3]);
    }

    #[test]
    fn the_eleventh_change_of_a_day_is_made_by_splits() {
        let run = replay(ScalingUtils::count(), &step(4.0, 30.0, 8 * 60), 8);
        assert_eq!(
            calls(&run).iter().map(|&(_, target)| target).collect::<Vec<_>>(),
            (9..=18).collect::<Vec<_>>()
        );
        assert!(!run.refused.is_empty());
        let manual: Vec<_> = run.operations[10..].iter().map(|operation| operation.kind).collect();
        assert!(manual.contains(&OperationKind::Split) && manual.contains(&OperationKind::Merge));
        let fallback = &run.operations[10..12];
        let first_done = fallback[0].done.expect("done");
        assert_eq!(fallback[1].at, first_done, "the next operation begins when the last is done");
    }
}
