//! The cloud as a scaler meets it: through runs of small traces, with exact expectations.

use super::*;
use crate::simulate::{KeySchedule, Run, Scaler, Trace, run};

/// Does what it is told in each minute, and when a reshard is done.
struct Script<M, D> {
    minute: M,
    done: D,
}

impl<M: FnMut(&mut Cloud), D: FnMut(&mut Cloud)> Scaler for Script<M, D> {
    fn name(&self) -> &str {
        "script"
    }

    fn minute(&mut self, cloud: &mut Cloud) {
        (self.minute)(cloud);
    }

    fn reshard_done(&mut self, cloud: &mut Cloud) {
        (self.done)(cloud);
    }
}

/// Offers so many shards' worth in each minute, by bytes, in records of 10,000 bytes.
fn trace(shards: &[f64]) -> Trace {
    let minute = |&shards: &f64| MinuteLoad { bytes: shards * 60e6, records: shards * 6_000.0, burst: 1.0 };
    Trace {
        name: "test".to_owned(),
        start: EpochMillis(0),
        minutes: shards.iter().map(minute).collect(),
        keys: KeySchedule::constant(LoadMap::even()),
    }
}

fn exact(shards: u32) -> CloudSettings {
    CloudSettings { shards: Some(shards), ..CloudSettings::exact() }
}

fn play(trace: &Trace, settings: &CloudSettings, minute: impl FnMut(&mut Cloud)) -> Run {
    run(trace, settings, &mut Script { minute, done: |_: &mut Cloud| {} })
}

/// The number of the minute that begins.
fn number(cloud: &Cloud) -> u64 {
    cloud.now().0 / 60_000
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_throttled_stream_shows_its_capacity_and_not_its_demand() {
    let mut seen = Vec::new();
    let run = play(&trace(&[3.0; 5]), &exact(2), |cloud| seen = cloud.minutes(HOUR).to_vec());
    let shown = Minute {
        start: EpochMillis(0),
        bytes: Some(120e6),
        records: Some(12_000.0),
        rejected_records: Some(6_000.0),
        read_bytes: Some(120e6),
        rejected_reads: None,
    };
    assert_eq!(
        seen,
        [shown, Minute { start: EpochMillis(60_000), ..shown }],
        "at minute 4, two minutes late"
    );
    assert!((run.scores.lost_share - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(run.scores.throttled_minutes_per_day, 1_440.0);
    assert_eq!(run.scores.shard_hours, 10.0 / 60.0);
    assert_eq!(run.minutes[0].offered_shards, 3.0);
}

#[test]
fn what_is_offered_is_accepted_or_lost_once_all_retries_are_over() {
    let mut loads = vec![3.0, 7.0, 1.0, 0.5, 4.5, 9.0];
    loads.resize(20, 0.5);
    let settings = CloudSettings {
        retries: RetrySettings { share: 0.7, minutes_max: 3, tries_per_minute: 4.0 },
        ..exact(2)
    };
    let run = play(&trace(&loads), &settings, |cloud| {
        if number(cloud) == 1 {
            cloud.update_shard_count(3).expect("allowed");
        }
    });
    let sum = |records: fn(&RunMinute) -> f64| run.minutes.iter().map(records).sum::<f64>();
    let offered = sum(|minute| minute.offered_records);
    let kept = sum(|minute| minute.accepted_records) + sum(|minute| minute.lost_records);
    assert!((offered - kept).abs() < 1e-6 * offered, "{offered} {kept}");
    assert!(sum(|minute| minute.throttled_records) > sum(|minute| minute.lost_records));
    assert_eq!(run.minutes[19].throttled_records, 0.0);
}

#[test]
fn each_try_counts_as_a_refused_record() {
    let settings = CloudSettings {
        retries: RetrySettings { share: 0.0, minutes_max: 0, tries_per_minute: 4.0 },
        ..exact(1)
    };
    let mut refused = None;
    let run = play(&trace(&[2.0; 4]), &settings, |cloud| {
        refused = cloud.minutes(HOUR).first().and_then(|minute| minute.rejected_records);
    });
    assert_eq!((refused, run.minutes[0].throttled_records), (Some(24_000.0), 6_000.0));
}

#[test]
fn a_reshard_changes_the_capacity_at_the_moment_it_completes() {
    let mut states = Vec::new();
    let run = play(&trace(&[8.0; 5]), &exact(4), |cloud| {
        states.push((cloud.state(), cloud.layout().count()));
        if number(cloud) == 0 {
            cloud.update_shard_count(8).expect("doubles");
        }
    });
    let done = EpochMillis(134_400);
    assert_eq!(run.operations.len(), 1);
    let operation = run.operations[0];
    assert_eq!((operation.at, operation.done, operation.created), (EpochMillis(0), Some(done), 8));
    assert!((operation.capacity_before - 4.0).abs() < 1e-9 && (operation.capacity_after - 8.0).abs() < 1e-9);
    let accepted: Vec<_> = run.minutes.iter().map(|minute| minute.accepted_records.round()).collect();
    let between = (14.4 * 4.0 + 45.6 * 8.0) * 100.0;
    assert_eq!(accepted, [24_000.0, 24_000.0, between, 48_000.0, 48_000.0]);
    assert!((run.scores.shard_hours - (134.4 * 4.0 + 165.6 * 8.0) / 3_600.0).abs() < 1e-9);
    use StreamState::{Active, Changing};
    assert_eq!(states, [(Active, 4), (Changing, 4), (Changing, 4), (Active, 8), (Active, 8)]);
    assert_eq!(run.scores.minutes_to_absorb_max, 2, "whole minutes");
    assert_eq!(run.layouts, [(EpochMillis(0), Boundaries::uniform(4)), (done, Boundaries::uniform(8))]);
}

#[test]
fn the_eleventh_call_of_a_day_is_refused_and_the_next_day_begins_when_the_first_call_leaves() {
    let mut codes = Vec::new();
    let run = play(&trace(&vec![1.0; 1_450]), &exact(4), |cloud| {
        if number(cloud).is_multiple_of(120) {
            let target = if cloud.layout().count() == 4 { 5 } else { 4 };
            codes.push(cloud.update_shard_count(target).err().map(|error| error.code()));
        }
    });
    let limit = Some("LimitExceededException");
    let ten = [None; 10].into_iter().chain([limit, limit, None]);
    assert_eq!(codes, ten.collect::<Vec<_>>());
    assert_eq!((run.scores.calls_in_24h_max, run.scores.refused), (10, 2));
    assert_eq!(run.refused[0].at, EpochMillis(20 * 3_600_000));
}

#[test]
fn calls_are_refused_as_kinesis_refuses_them() {
    let mut codes = Vec::new();
    let settings = CloudSettings { account_shards_max: 14, ..exact(10) };
    let run = play(&trace(&[1.0; 2]), &settings, |cloud| {
        if number(cloud) == 0 {
            assert_eq!(cloud.observe(HOUR).account_shards_left, Some(4));
            let middle = HashKey(1 << 127);
            let mut note =
                |outcome: Result<(), KinesisError>| codes.push(outcome.map_err(|error| error.code()));
            note(cloud.update_shard_count(21));
            note(cloud.update_shard_count(4));
            note(cloud.update_shard_count(13));
            note(cloud.split(middle));
            note(cloud.merge(HashKey(5)));
            note(cloud.merge(HashKey(0)));
            note(cloud.merge(middle));
            note(cloud.split(HashKey(17)));
        }
    });
    let (argument, limit) = (Err("InvalidArgumentException"), Err("LimitExceededException"));
    let in_use = Err("ResourceInUseException");
    // 10 to 13 makes 12 splits before it merges; the middle is a boundary already.
    assert_eq!(codes, [argument, argument, limit, argument, argument, argument, Ok(()), in_use]);
    assert_eq!((run.operations.len(), run.scores.refused), (1, 7));
    assert_eq!((run.operations[0].kind, run.operations[0].to), (OperationKind::Merge, 9));
}

#[test]
fn who_waits_for_active_takes_two_steps_a_minute() {
    let mut keys = vec![3, 5, 7].into_iter().map(|eighth: u128| HashKey(eighth << 125));
    let first = HashKey(1 << 125);
    let done = |cloud: &mut Cloud| {
        if let Some(key) = keys.next() {
            cloud.split(key).expect("active again");
        }
    };
    let minute = |cloud: &mut Cloud| {
        if number(cloud) == 0 {
            cloud.split(first).expect("active");
        }
    };
    let run = run(&trace(&[1.0; 3]), &exact(4), &mut Script { minute, done });
    let counts: Vec<_> = run.minutes.iter().map(|minute| minute.shards).collect();
    assert_eq!(counts, [6, 8, 8]);
    let done: Vec<_> = run.operations.iter().filter_map(|operation| operation.done).collect();
    assert_eq!(done, [30_000, 60_000, 90_000, 120_000].map(EpochMillis));
    assert_eq!((run.scores.shards_created, run.scores.moves), (8, 1), "capacity doubles with the last split");
}

#[test]
fn a_slower_control_plane_takes_its_time() {
    let settings = CloudSettings { operation_percent: 400, ..exact(2) };
    let run = play(&trace(&[1.0; 4]), &settings, |cloud| {
        if number(cloud) == 0 {
            cloud.merge(HashKey(1 << 127)).expect("neighbours");
        }
    });
    assert_eq!(run.operations[0].done, Some(EpochMillis(120_000)));
}

#[test]
fn a_hot_shard_throttles_below_the_streams_capacity_until_it_is_split() {
    let quarter = HashKey(1 << 126);
    // Half of the load lies evenly in the first quarter of the hash space.
    let keys = LoadMap::new([(HashKey(0), 3.0), (quarter, 3.0)], []);
    let hot = Trace { keys: KeySchedule::constant(keys), ..trace(&[3.0; 3]) };
    let run = play(&hot, &exact(4), |cloud| {
        if number(cloud) == 0 {
            cloud.split(HashKey(1 << 125)).expect("active");
        }
    });
    assert!((run.minutes[0].capacity_shards - 4.0).abs() < 1e-9);
    assert!(
        (run.minutes[0].throttled_records - 1_500.0).abs() < 1e-6,
        "half a shard's worth for half a minute"
    );
    assert_eq!(run.minutes[1].throttled_records, 0.0);
}

#[test]
fn keys_move_the_load_in_their_minute() {
    let upper = LoadMap::new([(HashKey(0), 0.0), (HashKey(1 << 127), 1.0)], []);
    let moving = Trace { keys: KeySchedule::new(LoadMap::even(), [(2, upper)]), ..trace(&[2.0; 4]) };
    let settings = CloudSettings { telemetry: Some(TelemetrySettings::default()), ..exact(2) };
    let halves = Boundaries::uniform(2);
    let mut seen = Vec::new();
    let run = play(&moving, &settings, |cloud| {
        seen.push(cloud.load_map().expect("workers report").shares(&halves)[1]);
    });
    let refused: Vec<_> = run.minutes.iter().map(|minute| minute.throttled_records).collect();
    assert_eq!(refused, [0.0, 0.0, 6_000.0, 6_000.0]);
    assert_eq!(seen, [0.5, 0.5, 0.5, 1.0], "seen once workers have read it");
}

#[test]
fn single_shards_are_seen_if_switched_on() {
    let upper_heavy = LoadMap::new([(HashKey(0), 1.0), (HashKey(1 << 127), 3.0)], []);
    let uneven = Trace { keys: KeySchedule::constant(upper_heavy), ..trace(&[2.0; 4]) };
    let look = |settings: CloudSettings| {
        let mut seen = BTreeMap::new();
        play(&uneven, &settings, |cloud| seen = cloud.shard_minutes(HOUR));
        seen.into_values().collect::<Vec<_>>()
    };
    assert!(look(exact(2)).is_empty());
    let metrics = look(CloudSettings { shard_metrics: true, ..exact(2) });
    assert_eq!(metrics.len(), 2);
    assert_eq!(
        (metrics[1].len(), metrics[1][0].bytes, metrics[1][0].rejected_records),
        (1, Some(60e6), Some(3_000.0))
    );
    assert_eq!(metrics[0][0].rejected_records, None);
    let workers = look(CloudSettings { telemetry: Some(TelemetrySettings::default()), ..exact(2) });
    assert_eq!((workers[0].len(), workers[0][1].bytes_second_max), (2, Some(0.5e6)));
    let cut_off = workers[1][1].bytes_second_max.expect("seen");
    assert!((cut_off - 1e6).abs() < 1e-3, "{cut_off}");
}

#[test]
fn a_reshard_under_lag_leaves_parents_to_drain() {
    let slowdowns = vec![Slowdown { after: Duration::ZERO, lasts: MINUTE * 4, rate: 0.0 }];
    let applications = vec![ApplicationSettings { slowdowns, ..ApplicationSettings::polling("reader") }];
    let settings = CloudSettings { applications, ..exact(2) };
    let mut lags = Vec::new();
    let run = play(&trace(&[2.0; 8]), &settings, |cloud| {
        if number(cloud) == 0 {
            cloud.split(HashKey(1 << 126)).expect("active");
        }
        lags.push(cloud.applications().remove(0).undrained_parents.expect("known"));
    });
    assert_eq!(lags, [0, 1, 1, 1, 1, 0, 0, 0]);
    // The children's first records came at half a minute and are read once the parent is, which takes the fifth minute.
    assert_eq!(run.scores.behind_max, MINUTE * 9 / 2);
}

#[test]
fn one_seed_gives_one_run_and_the_faults_do_not_depend_on_the_scaler() {
    let loads: Vec<_> = (0..600).map(|minute| 2.0 + f64::from(minute % 7) / 2.0).collect();
    let look = |seed, target: u32| {
        let mut seen = Vec::new();
        let settings = CloudSettings {
            seed,
            shards: Some(4),
            metrics: MetricSettings { lost: 0.05, partial: 0.0, ..MetricSettings::default() },
            ..CloudSettings::default()
        };
        let run = play(&trace(&loads), &settings, |cloud| {
            if number(cloud) == 60 {
                cloud.update_shard_count(target).expect("allowed");
            }
            seen = cloud.minutes(HOUR * 24).to_vec();
        });
        (run, seen)
    };
    let lost = |seen: &[Minute]| {
        seen.iter().filter(|minute| minute.bytes.is_none()).map(|minute| minute.start).collect::<Vec<_>>()
    };
    let (first, other_scaler, other_seed) = (look(1, 8), look(1, 5), look(2, 8));
    assert_eq!(first, look(1, 8));
    assert_ne!(first.0, other_scaler.0);
    assert_eq!(lost(&first.1), lost(&other_scaler.1));
    assert_ne!(lost(&first.1), lost(&other_seed.1));
}
