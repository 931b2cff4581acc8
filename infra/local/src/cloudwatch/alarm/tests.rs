use kinesis_model::{Kinesis, Settings};
use serde_json::{Value, json};

use super::super::metric::{MetricId, Samples};
use super::super::store::Store;
use super::super::streams::Streams;
use super::*;

const MINUTE: u64 = 60_000;

/// Metrics that a test puts, and the clock that it moves.
struct World {
    store: Store,
    kinesis: Kinesis,
    minute: u64,
}

impl World {
    fn new() -> Self {
        Self { store: Store::default(), kinesis: Kinesis::new(Settings::default()), minute: 1_000 }
    }

    fn now(&self) -> EpochMillis {
        EpochMillis(self.minute * MINUTE)
    }

    /// Lets a minute pass in which `metric` is `value`.
    fn pass(&mut self, metric: &str, value: f64) {
        let (metric, now) = (MetricId::new("Leasehold", metric, Vec::new()), self.now());
        self.store.put(metric, "None", now, &Samples::repeated(value, 1.0), now).expect("room");
        self.minute += 1;
    }

    fn view(&self) -> View<'_> {
        View { store: &self.store, streams: Streams::at(&self.kinesis, self.now(), Duration::ZERO, 1) }
    }

    fn put(&self, definition: Value, old: Option<&Alarm>) -> Result<Alarm, Refusal> {
        let definition = serde_json::from_value(definition).expect("well formed");
        Alarm::put(definition, old, &mut self.view(), self.now())
    }

    fn evaluate(&self, alarm: &mut Alarm) -> Option<(State, State)> {
        let transition = alarm.evaluate(&mut self.view(), self.now())?;
        Some((transition.before.state, transition.alarm.condition.state))
    }
}

fn single(changes: Value) -> Value {
    let definition = json!({
        "AlarmName": "busy",
        "Namespace": "Leasehold",
        "MetricName": "load",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 2,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:wake"],
    });
    changed(definition, changes)
}

fn several(metrics: Value) -> Value {
    json!({
        "AlarmName": "busy",
        "Metrics": metrics,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
    })
}

fn stat(id: &str, metric: &str, period: u32) -> Value {
    let metric = json!({"Namespace": "Leasehold", "MetricName": metric});
    json!({"Id": id, "ReturnData": false, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}})
}

fn changed(mut definition: Value, changes: Value) -> Value {
    let members = definition.as_object_mut().expect("an object");
    for (member, value) in changes.as_object().expect("an object") {
        members.insert(member.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    definition
}

#[test]
fn it_tells_changes_only() {
    let mut world = World::new();
    let mut alarm = world.put(single(json!({})), None).expect("as it must be");
    assert_eq!(alarm.condition.state, State::InsufficientData);
    assert_eq!(world.evaluate(&mut alarm), None);
    world.pass("load", 1.0);
    assert_eq!(world.evaluate(&mut alarm), Some((State::InsufficientData, State::Ok)));
    assert_eq!(world.evaluate(&mut alarm), None);
    world.pass("load", 9.0);
    assert_eq!(world.evaluate(&mut alarm), None);
    world.pass("load", 9.0);
    assert_eq!(world.evaluate(&mut alarm), Some((State::Ok, State::Alarm)));
    assert_eq!(alarm.actions(), ["arn:aws:sns:us-east-1:000000000000:wake"]);
    world.pass("load", 9.0);
    assert_eq!(world.evaluate(&mut alarm), None);
    world.pass("load", 2.0);
    assert_eq!(world.evaluate(&mut alarm), Some((State::Alarm, State::Ok)));
    assert!(alarm.actions().is_empty());
    world.minute += 10;
    assert_eq!(world.evaluate(&mut alarm), Some((State::Ok, State::InsufficientData)));
}

#[test]
fn the_minute_that_has_not_ended_does_not_count() {
    let mut world = World::new();
    let mut alarm = world.put(single(json!({"EvaluationPeriods": 1})), None).expect("as it must be");
    world.pass("load", 9.0);
    world.minute -= 1;
    assert_eq!(world.evaluate(&mut alarm), None);
    world.minute += 1;
    assert_eq!(world.evaluate(&mut alarm), Some((State::InsufficientData, State::Alarm)));
}

#[test]
fn longer_periods_slide_minute_by_minute() {
    let mut world = World::new();
    let changes = json!({"EvaluationPeriods": 1, "Period": 180, "Statistic": "Sum", "TreatMissingData": "notBreaching"});
    let mut alarm = world.put(single(changes), None).expect("as it must be");
    let mut states = Vec::new();
    for value in [2.0, 2.0, 2.0, 0.0, 0.0] {
        world.pass("load", value);
        world.evaluate(&mut alarm);
        states.push(alarm.condition.state);
    }
    assert_eq!(states, [State::Ok, State::Ok, State::Alarm, State::Ok, State::Ok]);
}

#[test]
fn it_watches_the_one_result_of_an_expression() {
    let mut world = World::new();
    let ratio = json!({"Id": "ratio", "Expression": "MAX([refused / all * 100, FILL(refused, 0)])", "ReturnData": true});
    let metrics = json!([ratio, stat("refused", "refused", 60), stat("all", "all", 60)]);
    let mut alarm = world.put(several(metrics), None).expect("as it must be");
    world.pass("all", 100.0);
    assert_eq!(world.evaluate(&mut alarm), Some((State::InsufficientData, State::Ok)));
    world
        .store
        .put(
            MetricId::new("Leasehold", "refused", Vec::new()),
            "None",
            world.now(),
            &Samples::repeated(4.0, 1.0),
            world.now(),
        )
        .expect("room");
    world.pass("all", 40.0);
    assert_eq!(world.evaluate(&mut alarm), Some((State::Ok, State::Alarm)));
}

#[test]
fn to_put_it_again_leaves_its_state() {
    let mut world = World::new();
    let mut alarm = world.put(single(json!({"EvaluationPeriods": 1})), None).expect("as it must be");
    world.pass("load", 9.0);
    world.evaluate(&mut alarm);
    world.minute += 1;
    let again = world.put(single(json!({"Threshold": 100})), Some(&alarm)).expect("as it must be");
    assert_eq!(again.condition, alarm.condition);
    assert!(again.configured > alarm.configured);
}

#[test]
fn switched_off_it_names_no_actions() {
    let mut world = World::new();
    let changes = json!({"EvaluationPeriods": 1, "ActionsEnabled": false});
    let mut alarm = world.put(single(changes), None).expect("as it must be");
    world.pass("load", 9.0);
    assert_eq!(world.evaluate(&mut alarm), Some((State::InsufficientData, State::Alarm)));
    assert!(alarm.actions().is_empty());
}

#[test]
fn what_can_never_work_is_refused_when_it_is_put() {
    let world = World::new();
    let returned = |mut query: Value| {
        query["ReturnData"] = true.into();
        query
    };
    let circle = json!({"Id": "e", "Expression": "m + e"});
    let unknown = json!({"Id": "e", "Expression": "m + other"});
    for (definition, expected) in [
        (single(json!({"AlarmName": ""})), "AlarmName"),
        (single(json!({"MetricName": null})), "needs Namespace, MetricName"),
        (single(json!({"Threshold": null})), "Threshold is missing"),
        (single(json!({"DatapointsToAlarm": 3})), "3 of 2 periods"),
        (single(json!({"EvaluationPeriods": 0})), "0 of 0 periods"),
        (single(json!({"EvaluationPeriods": 2000})), "long together"),
        (single(json!({"Period": 10})), "multiple of 60"),
        (single(json!({"Period": 0, "EvaluationPeriods": u32::MAX})), "multiple of 60"),
        (single(json!({"ExtendedStatistic": "p99"})), "p99"),
        (single(json!({"TreatMissingData": "zero"})), "zero"),
        (single(json!({"ComparisonOperator": "LessThanLowerThreshold"})), "LessThanLowerThreshold"),
        (several(json!([stat("m", "load", 60)])), "exactly one"),
        (several(json!([returned(stat("m", "load", 60)), stat("n", "load", 120)])), "different periods"),
        (several(json!([circle, stat("m", "load", 60)])), "depends on itself"),
        (several(json!([unknown, stat("m", "load", 60)])), "no query has the id"),
        (several(json!([{"Id": "e", "Expression": "1"}])), "0 metrics"),
    ] {
        let refusal = world.put(definition, None).expect_err(expected);
        assert!(refusal.message().contains(expected), "{}", refusal.message());
    }
}
