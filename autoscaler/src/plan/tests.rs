//! The planner by its answers.

use std::time::Duration;

use kcl_core::{HashKey, ShardId};

use super::*;
use crate::{Layout, Minute, OpenShard};

/// A stream of `count` equal shards that was asked for `recent[0]` shards for 70 minutes and then for `recent`.
pub(crate) fn observation(count: u32, recent: &[f64]) -> Observation {
    let before = std::iter::repeat_n(recent[0], 70);
    let minutes = before.chain(recent.iter().copied()).enumerate().map(|(index, shards)| Minute {
        start: EpochMillis(index as u64 * 60_000),
        bytes: Some(shards * 60_000_000.0),
        records: Some(shards * 30_000.0),
        ..Minute::default()
    });
    Observation {
        state: StreamState::Active,
        layout: layout(&Boundaries::uniform(count)),
        account_shards_left: Some(10_000),
        fan_out_consumers: 0,
        minutes: minutes.collect(),
        load_map: None,
        shards: std::collections::BTreeMap::new(),
        applications: vec![ApplicationLag {
            name: "reader".to_owned(),
            behind: Some(Duration::from_secs(1)),
            is_rising: false,
            undrained_parents: Some(0),
        }],
    }
}

/// A stream that was asked for the same all the time.
pub(super) fn steady(count: u32, shards: f64) -> Observation {
    observation(count, &[shards])
}

/// The moment at which CloudWatch shows the last minute.
pub(crate) fn seen_at(observation: &Observation) -> EpochMillis {
    observation.minutes.last().expect("there are minutes").start.after(Duration::from_secs(120))
}

fn layout(boundaries: &Boundaries) -> Layout {
    let shard = |(index, range)| OpenShard {
        id: ShardId::new(format!("shardId-{index:012}")).expect("valid"),
        range,
    };
    Layout::new(boundaries.ranges().enumerate().map(shard).collect()).expect("covers")
}

fn planned(observation: &Observation) -> Plan {
    planned_by(observation, &Ledger::default(), &Policy::default())
}

fn planned_by(observation: &Observation, ledger: &Ledger, policy: &Policy) -> Plan {
    plan(observation, ledger, policy, seen_at(observation))
}

fn used_up(observation: &Observation, calls: u32) -> Ledger {
    let mut ledger = Ledger::default();
    for _ in 0..calls {
        let at = seen_at(observation).before(Duration::from_secs(7200));
        ledger.note_call(LedgerCall { at, target: 8, origin: Origin::Own });
    }
    ledger
}

#[test]
fn a_stream_within_its_bounds_is_left_alone_and_says_why() {
    let plan = planned(&steady(8, 5.0));
    assert_eq!((plan.action, plan.decision.constraint), (Action::Nothing, Constraint::InBounds));
    assert!(plan.decision.rejected.is_some());
}

#[test]
fn an_overload_is_met_in_one_call_that_carries_it_at_the_aim() {
    let plan = planned(&observation(8, &[4.0, 8.2, 8.2]));
    assert_eq!(plan.decision.constraint, Constraint::Overload);
    assert_eq!(plan.action, Action::Scale { target: 12 });
}

/// The example of `autoscaler/docs/policy.md`.
#[test]
fn the_documented_example_is_decided_as_documented() {
    let plan = planned(&observation(8, &[5.0, 6.6, 6.6]));
    assert_eq!(plan.action, Action::Scale { target: 10 });
    let rejected = plan.decision.rejected.expect("some");
    assert_eq!(rejected.action, Action::Scale { target: 12 });
    assert_eq!(rejected.reason, "it costs 35.2 shard-hours, the chosen action 33.1");
}

#[test]
fn a_tenfold_surge_doubles() {
    let plan = planned(&observation(8, &[6.0, 60.0, 60.0]));
    assert_eq!(plan.action, Action::Scale { target: 16 });
}

#[test]
fn without_calls_left_shards_are_split() {
    let seen = observation(8, &[4.0, 8.2, 8.2]);
    let plan = planned_by(&seen, &used_up(&seen, 9), &Policy::default());
    let Action::Reshape { target, steps } = plan.action else { panic!("{:?}", plan.action) };
    let mut boundaries = seen.layout.boundaries();
    for step in steps {
        step.apply(&mut boundaries);
    }
    assert_eq!(boundaries, target);
    assert!(target.count() >= 12, "{}", target.count());
}

#[test]
fn a_surplus_is_merged_away_without_a_call() {
    let plan = planned(&steady(16, 2.0));
    assert_eq!(plan.decision.constraint, Constraint::Surplus);
    let Action::Reshape { target, steps } = plan.action else { panic!("{:?}", plan.action) };
    assert!(steps.iter().all(|step| matches!(step, Step::Merge { .. })), "{steps:?}");
    assert_eq!(target.count(), 4);
    let share_max = Policy::default().shrink_aim / 2.0 + 1e-9;
    assert!(LoadMap::even().greatest_share(&target) <= share_max, "the peak of 2 shards at the aim");
}

#[test]
fn growth_soon_after_capacity_was_taken_away_makes_the_planner_wait_longer() {
    let seen = steady(16, 2.0);
    let ago = |minutes: u64| seen_at(&seen).before(Duration::from_secs(60 * minutes));
    let mut ledger = Ledger::default();
    ledger.note_change(Change { at: ago(31), from: 8, to: 16 });
    assert_eq!(planned_by(&seen, &ledger, &Policy::default()).decision.constraint, Constraint::Surplus);
    let mut ledger = Ledger::default();
    ledger.note_change(Change { at: ago(60), from: 16, to: 8 });
    ledger.note_change(Change { at: ago(31), from: 8, to: 16 });
    let wait = Duration::from_secs(60 * (4 * 30 - 31));
    assert_eq!(
        planned_by(&seen, &ledger, &Policy::default()).decision.constraint,
        Constraint::TooSoon { wait }
    );
}

#[test]
fn a_surplus_beyond_the_change_of_an_hour_is_taken_away_as_far_as_an_hour_allows() {
    let plan = planned(&steady(200, 1.0));
    let Action::Reshape { target, .. } = plan.action else { panic!("{:?}", plan) };
    assert_eq!(target.count(), 13, "200 ÷ 16");
}

#[test]
fn a_surplus_of_hundreds_is_given_back_by_a_call_while_calls_are_plenty() {
    let seen = steady(600, 30.0);
    let action = |calls| planned_by(&seen, &used_up(&seen, calls), &Policy::default()).action;
    assert_eq!(action(4), Action::Scale { target: 300 }, "five are left");
    assert!(matches!(action(5), Action::Reshape { target, .. } if target.count() < 300), "four are left");
}

#[test]
fn what_is_expected_adds_capacity_and_keeps_it() {
    let seen = steady(8, 2.0);
    let expecting = |soon, later| {
        let learnt = Learnt { expected_soon: soon, expected_later: later, ..Learnt::default() };
        plan_knowing(&seen, &Ledger::default(), &Policy::default(), learnt, seen_at(&seen))
    };
    assert_eq!(expecting(0.0, 0.0).decision.constraint, Constraint::Surplus);
    assert_eq!(expecting(0.0, 5.0).decision.constraint, Constraint::InBounds);
    let grown = expecting(7.0, 7.0);
    assert_eq!(grown.decision.constraint, Constraint::Expected { shards: 7.0 });
    assert!(matches!(grown.action, Action::Scale { target } if target > 8), "{:?}", grown.action);
}

#[test]
fn a_small_saving_waits_for_calm() {
    let seen = steady(16, 9.8);
    let mut ledger = Ledger::default();
    ledger.note_change(Change { at: seen_at(&seen).before(Duration::from_secs(3 * 3600)), from: 20, to: 16 });
    assert_eq!(planned_by(&seen, &ledger, &Policy::default()).decision.constraint, Constraint::InBounds);
}

#[test]
fn nothing_is_merged_while_a_reader_is_late_or_unknown() {
    let mut seen = steady(16, 2.0);
    for behind in [None, Some(Duration::from_secs(3600))] {
        seen.applications[0].behind = behind;
        let plan = planned(&seen);
        assert_eq!(plan.action, Action::Nothing);
        assert_eq!(plan.decision.constraint, Constraint::Lag { application: "reader".to_owned() });
    }
    seen.applications[0].behind = Some(Duration::ZERO);
    seen.applications[0].undrained_parents = Some(1);
    assert_eq!(planned(&seen).action, Action::Nothing);
}

#[test]
fn nothing_is_merged_after_growth_in_a_freeze_or_on_a_gap() {
    let mut seen = steady(16, 2.0);
    let mut ledger = Ledger::default();
    ledger.note_change(Change { at: seen_at(&seen).before(Duration::from_secs(60)), from: 8, to: 16 });
    let constraint = planned_by(&seen, &ledger, &Policy::default()).decision.constraint;
    assert!(matches!(constraint, Constraint::TooSoon { .. }), "{constraint:?}");

    let always: crate::WeeklySpan =
        serde_json::from_str(r#"{"from": "00:00", "until": "00:00"}"#).expect("valid");
    let frozen = Policy { freezes: vec![always], ..Policy::default() };
    let constraint = planned_by(&seen, &Ledger::default(), &frozen).decision.constraint;
    assert_eq!(constraint, Constraint::Withheld { by: "freezes" });

    for minute in seen.minutes.iter_mut().skip(20).take(10) {
        (minute.bytes, minute.records) = (None, None);
    }
    assert!(matches!(planned(&seen).decision.constraint, Constraint::Unknown { .. }));
}

#[test]
fn a_hot_shard_is_cut_and_the_others_are_left_alone() {
    let mut seen = steady(8, 4.0);
    let half = |index: u128| HashKey(index << 125);
    seen.load_map =
        Some(LoadMap::new((0..8).map(|index| (half(index), if index == 3 { 7.0 } else { 3.0 })), []));
    let plan = planned(&seen);
    assert_eq!(plan.decision.constraint, Constraint::HotShard { at: half(3) });
    let Action::Reshape { target, steps } = plan.action else { panic!("{:?}", plan.action) };
    assert_eq!((target.count(), steps.len()), (9, 1));
}

#[test]
fn a_key_that_is_too_heavy_alone_is_named() {
    let mut seen = steady(4, 3.0);
    let hot = HashKey(5 << 125);
    seen.load_map = Some(LoadMap::new([(HashKey(0), 1.0)], [(hot, 1.0)]));
    let plan = planned(&seen);
    assert_eq!(plan.decision.constraint, Constraint::HotKey { at: hot, shards: 1.5 });
    let Action::Reshape { target, .. } = plan.action else { panic!("{:?}", plan.action) };
    assert!(target.contains(hot) && target.contains(HashKey(hot.0 + 2)), "{target:?}");
}

/// Makes each of the last `minutes` minutes reject this part of the offered records.
fn rejecting(mut seen: Observation, minutes: usize, share: f64) -> Observation {
    for minute in seen.minutes.iter_mut().rev().take(minutes) {
        minute.rejected_records = minute.records.map(|records| 3.0 * records * share / (1.0 - share));
    }
    seen
}

#[test]
fn beside_a_hot_key_the_others_are_merged_and_the_key_is_named() {
    let hot = HashKey(1 << 127);
    let map = LoadMap::new([(HashKey(0), 1.0)], [(hot, 1.5)]);
    let isolated = |count: u32| {
        let mut boundaries = Boundaries::uniform(count);
        boundaries.split(HashKey(hot.0 + 2));
        boundaries
    };
    let on = |boundaries: &Boundaries| {
        let mut seen = rejecting(steady(4, 2.5), 3, 0.2);
        seen.layout = layout(boundaries);
        seen.load_map = Some(map.clone());
        seen
    };
    let plan = planned(&on(&isolated(16)));
    assert_eq!(plan.decision.constraint, Constraint::Surplus);
    let Action::Reshape { target, steps } = plan.action else { panic!("{:?}", plan.action) };
    assert!(steps.iter().all(|step| matches!(step, Step::Merge { .. })), "{steps:?}");
    assert!(target.contains(hot) && target.contains(HashKey(hot.0 + 2)) && target.count() < 10, "{target:?}");

    let plan = planned(&on(&target));
    assert!(matches!(plan.decision.constraint, Constraint::HotKey { .. }), "{:?}", plan.decision);
    assert_eq!(plan.action, Action::Nothing);
}

/// Carries out one step after the other, hours apart, until nothing is left to do: no boundary is changed twice.
fn settled(mut seen: Observation) -> Boundaries {
    let (mut ledger, mut touched) = (used_up(&seen, 9), std::collections::BTreeSet::new());
    let hours_ago = seen_at(&seen).before(Duration::from_secs(3 * 3600));
    while let Action::Reshape { target, steps } = planned_by(&seen, &ledger, &Policy::default()).action {
        let mut boundaries = seen.layout.boundaries();
        steps[0].apply(&mut boundaries);
        let (Step::Split { at } | Step::Merge { at }) = steps[0];
        assert!(touched.insert(at), "the boundary at {at} is changed twice: {touched:?}");
        let (from, to) = (seen.layout.count(), boundaries.count());
        ledger.note_change(Change { at: hours_ago, from, to });
        ledger.reshaping = Some(target);
        seen.layout = layout(&boundaries);
    }
    seen.layout.boundaries()
}

#[test]
fn growth_beside_a_hot_key_comes_to_an_end() {
    let hot = HashKey(5 << 125);
    let mut seen = rejecting(steady(8, 9.0), 3, 0.05);
    let segments = (0..64).map(|index| (HashKey(index << 122), 1.0 + (index % 7) as f64));
    seen.load_map = Some(LoadMap::new(segments, [(hot, 40.0)]));
    assert!(settled(seen).count() > 12);
}

#[test]
fn a_key_that_rejects_within_its_seconds_makes_nothing_alternate() {
    let hot = HashKey(1 << 127);
    let mut boundaries = Boundaries::uniform(8);
    boundaries.split(HashKey(hot.0 + 2));
    let mut seen = rejecting(steady(8, 3.7), 70, 0.03);
    seen.layout = layout(&boundaries);
    seen.load_map = Some(LoadMap::new([(HashKey(0), 3.2)], [(hot, 0.5)]));
    assert!(settled(seen.clone()).count() > boundaries.count(), "the others have room for such bursts, too");
    seen.layout = layout(&settled(seen.clone()));
    assert_eq!(planned(&seen).decision.constraint, Constraint::Rejections);
}

#[test]
fn what_was_taken_away_within_the_hour_is_added_again_only_when_it_is_missing() {
    let planned_after = |minutes: u64, demand: f64| {
        let seen = observation(8, &[4.0, demand, demand]);
        let mut ledger = Ledger::default();
        let at = seen_at(&seen).before(Duration::from_secs(minutes * 60));
        ledger.note_change(Change { at, from: 12, to: 8 });
        planned_by(&seen, &ledger, &Policy::default()).action
    };
    assert_eq!(planned_after(59, 7.9), Action::Nothing);
    assert!(matches!(planned_after(61, 7.9), Action::Scale { .. }));
    assert!(matches!(planned_after(10, 8.1), Action::Scale { .. }));
}

#[test]
fn rejections_from_before_the_growth_are_no_reason_to_grow_again() {
    let seen = rejecting(observation(16, &[4.0, 9.0, 9.0]), 1, 0.1);
    let planned_grown = |seconds_ago: u64| {
        let mut ledger = Ledger::default();
        let at = seen_at(&seen).before(Duration::from_secs(seconds_ago));
        ledger.note_change(Change { at, from: 8, to: 16 });
        planned_by(&seen, &ledger, &Policy::default()).action
    };
    assert_eq!(planned_grown(60), Action::Nothing);
    assert!(matches!(planned_grown(180), Action::Scale { .. }));
}

#[test]
fn rejections_that_more_shards_do_not_mend_are_named() {
    let plan = planned(&rejecting(steady(8, 2.0), 5, 0.05));
    assert_eq!((plan.action, plan.decision.constraint), (Action::Nothing, Constraint::Rejections));
    let plan = planned(&rejecting(steady(8, 4.0), 5, 0.05));
    assert!(matches!(plan.action, Action::Scale { .. }), "a burst within the minute: {plan:?}");
}

#[test]
fn without_a_load_map_the_fullest_shard_is_as_full_as_was_learnt() {
    let seen = steady(8, 4.0);
    let planned_uneven = |seen: &Observation, unevenness| {
        let learnt = Learnt { unevenness, ..Learnt::default() };
        plan_knowing(seen, &Ledger::default(), &Policy::default(), learnt, seen_at(seen)).action
    };
    assert_eq!(planned_uneven(&seen, 1.5), Action::Nothing);
    assert!(matches!(planned_uneven(&seen, 2.0), Action::Scale { .. }));
    let mut mapped = seen;
    mapped.load_map = Some(LoadMap::even());
    assert_eq!(planned_uneven(&mapped, 2.0), Action::Nothing, "a map tells more");
}

#[test]
fn a_stream_that_cannot_be_changed_says_what_it_would_do() {
    let mut seen = observation(8, &[4.0, 8.2, 8.2]);
    seen.state = StreamState::Changing;
    let plan = planned(&seen);
    assert_eq!((plan.action, plan.decision.constraint), (Action::Nothing, Constraint::NotActive));
    assert_eq!(plan.decision.rejected.expect("some").action, Action::Scale { target: 12 });
}

#[test]
fn the_account_and_the_policy_bound_growth() {
    let mut seen = observation(8, &[4.0, 8.2, 8.2]);
    let bounded = Policy { shards_max: 8, ..Policy::default() };
    assert_eq!(planned_by(&seen, &Ledger::default(), &bounded).decision.constraint, Constraint::Bounds);
    seen.account_shards_left = Some(0);
    assert_eq!(planned(&seen).decision.constraint, Constraint::AccountLimit);
}

#[test]
fn a_floor_lifts_the_stream_before_the_load_does() {
    let seen = steady(2, 1.0);
    let floor = r#"{"shards_min": 4, "span": {"from": "00:00", "until": "00:00"}}"#;
    let floor = serde_json::from_str(floor).expect("valid");
    let plan = planned_by(&seen, &Ledger::default(), &Policy { floors: vec![floor], ..Policy::default() });
    assert!(matches!(plan.action, Action::Scale { target: 4 } | Action::Reshape { .. }), "{:?}", plan.action);
}
