//! Each route brings each kind of alarm as the same wakes.

use autoscaler::EpochMillis;
use autoscaler::trigger::{
    AlarmChange, AlarmState, Delivery, Excerpt, RefusalKind, TriggerSettings, Wake, WakeSource, read_event,
    read_message,
};

use crate::fixture;

/// A kind of alarm, and what it is to be read as.
struct Kind {
    name: &'static str,
    alarm: &'static str,
    state: AlarmState,
    changed_at: u64,
    reason: &'static str,
    streams: &'static [&'static str],
}

impl Kind {
    fn wakes(&self) -> Vec<Wake> {
        let arn = format!("arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{}", self.alarm);
        let change = AlarmChange {
            arn: arn.parse().expect("an ARN"),
            state: self.state,
            changed_at: EpochMillis(self.changed_at),
            reason: Excerpt::of(self.reason, 256),
        };
        let wake = |stream: &&str| Wake {
            stream: stream.parse().expect("a name"),
            region: Some("eu-west-1".parse().expect("a region")),
            source: WakeSource::Alarm(change.clone()),
        };
        self.streams.iter().map(wake).collect()
    }
}

const KINDS: [Kind; 9] = [
    Kind {
        name: "single-metric",
        alarm: "leasehold/wake/clicks/bytes",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "Threshold Crossed: 2 out of the last 3 datapoints [7.4E7 (20/11/26 17:02:00), 6.1E7 (20/11/26 17:01:00)] were greater than the threshold (4.8E7).",
        streams: &["clicks"],
    },
    Kind {
        name: "metric-math",
        alarm: "leasehold/wake/clicks/share",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "Threshold Crossed: 2 out of the last 3 datapoints [0.91 (20/11/26 17:02:00), 0.86 (20/11/26 17:01:00)] were greater than the threshold (0.8).",
        streams: &["clicks"],
    },
    Kind {
        name: "composite",
        alarm: "leasehold/wake/busy",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:leasehold/wake/clicks/bytes transitioned to ALARM at Friday 20 November, 2026 17:03:40 UTC",
        streams: &["clicks", "views"],
    },
    Kind {
        name: "ok",
        alarm: "leasehold/wake/clicks/bytes",
        state: AlarmState::Ok,
        changed_at: 1_795_200_101_207,
        reason: "Threshold Crossed: 2 out of the last 3 datapoints [1.9E7 (20/11/26 18:40:00), 2.0E7 (20/11/26 18:39:00)] were not greater than the threshold (4.8E7).",
        streams: &["clicks"],
    },
    Kind {
        name: "insufficient-data",
        alarm: "leasehold/wake/clicks/lag",
        state: AlarmState::InsufficientData,
        changed_at: 1_795_201_212_930,
        reason: "Insufficient Data: 3 datapoints were unknown.",
        streams: &["clicks"],
    },
    Kind {
        name: "no-previous-state",
        alarm: "leasehold/wake/clicks/bytes",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "Threshold Crossed: 1 out of the last 1 datapoints [7.4E7 (20/11/26 17:02:00)] was greater than the threshold (4.8E7).",
        streams: &["clicks"],
    },
    Kind {
        name: "several-streams",
        alarm: "leasehold/wake/both",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "Threshold Crossed: 2 out of the last 3 datapoints were greater than the threshold (0.8).",
        streams: &["clicks", "views"],
    },
    Kind {
        name: "own-metric",
        alarm: "leasehold/wake/clicks/fullest-shard",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "Threshold Crossed: 1 datapoint [0.93 (20/11/26 17:02:00)] was greater than the threshold (0.8).",
        streams: &["clicks"],
    },
    Kind {
        name: "fan-out-consumer",
        alarm: "leasehold/wake/clicks/behind",
        state: AlarmState::Alarm,
        changed_at: 1_795_194_221_204,
        reason: "Threshold Crossed: 1 datapoint [912000.0 (20/11/26 17:02:00)] was greater than the threshold (300000.0).",
        streams: &["clicks"],
    },
];

/// What Lambda is invoked with, but for the batches of SQS.
const EVENT_ROUTES: [&str; 3] = ["sns-to-lambda", "eventbridge", "lambda-action"];
/// What lies in a queue.
const MESSAGE_ROUTES: [&str; 4] = ["sns-to-sqs", "sns-to-sqs-raw", "eventbridge", "lambda-action"];

#[test]
fn every_route_brings_every_kind_as_the_same_wakes() {
    for kind in &KINDS {
        for route in EVENT_ROUTES {
            let event = fixture::read(&format!("accepted/{route}/{}.json", kind.name));
            let deliveries = read_event(&event, &fixture::settings()).expect("accepted");
            let expected = Delivery { message_id: None, wakes: Ok(kind.wakes()) };
            assert_eq!(deliveries, [expected], "{route}, {}", kind.name);
        }
        for route in MESSAGE_ROUTES {
            let body = fixture::read(&format!("accepted/{route}/{}.json", kind.name));
            let wakes = read_message(&body, &fixture::settings());
            assert_eq!(wakes, Ok(kind.wakes()), "{route}, {}", kind.name);
        }
    }
}

#[test]
fn a_batch_of_a_queue_brings_each_envelope_under_its_message_id() {
    for kind in &KINDS {
        let event = fixture::read(&format!("accepted/sqs-to-lambda/{}.json", kind.name));
        let deliveries = read_event(&event, &fixture::settings()).expect("accepted");
        let delivery = |id: &str| Delivery { message_id: Some(id.to_owned()), wakes: Ok(kind.wakes()) };
        assert_eq!(deliveries, ["m-1", "m-2", "m-3"].map(delivery), "{}", kind.name);
    }
}

#[test]
fn every_fixture_of_a_route_is_read_by_a_test() {
    let routes =
        ["eventbridge", "lambda-action", "sns-to-lambda", "sns-to-sqs", "sns-to-sqs-raw", "sqs-to-lambda"];
    let mut expected: Vec<_> = routes
        .iter()
        .flat_map(|route| KINDS.iter().map(move |kind| format!("accepted/{route}/{}.json", kind.name)))
        .collect();
    let others = OTHERS.iter().map(|(name, _)| format!("accepted/other/{name}.json"));
    expected.extend(others);
    expected.sort();
    assert_eq!(fixture::list("accepted"), expected);
}

/// Documents that wake and are of no route above, with the streams that they wake.
const OTHERS: [(&str, &[&str]); 6] = [
    ("operator", &["clicks"]),
    ("operator-with-region", &["clicks"]),
    ("schedule-of-a-rule", &["clicks", "orders", "views"]),
    ("schedule-of-the-scheduler", &["clicks", "orders", "views"]),
    ("event-through-sns", &["clicks"]),
    ("event-in-lambda-clothes", &["clicks"]),
];

#[test]
fn operators_schedules_and_unusual_routes_wake_too() {
    for (name, streams) in OTHERS {
        let document = fixture::read(&format!("accepted/other/{name}.json"));
        let wakes = read_message(&document, &fixture::settings()).expect("accepted");
        let woken: Vec<_> = wakes.iter().map(|wake| wake.stream.as_str()).collect();
        assert_eq!(woken, streams, "{name}");
        let expected = vec![Delivery { message_id: None, wakes: Ok(wakes.clone()) }];
        assert_eq!(read_event(&document, &fixture::settings()), Ok(expected), "{name}");
        for wake in wakes {
            let is_right = match wake.source {
                WakeSource::Alarm(change) => name.starts_with("event") && change.state == AlarmState::Alarm,
                WakeSource::Schedule => name.starts_with("schedule") && wake.region.is_none(),
                WakeSource::Operator => {
                    name.starts_with("operator") && wake.region.is_some() == name.ends_with("region")
                }
            };
            assert!(is_right, "{name}");
        }
    }
}

#[test]
fn the_default_settings_take_the_same_alarms_but_for_composites_and_schedules() {
    let settings = TriggerSettings::default();
    for kind in KINDS.iter().filter(|kind| kind.name != "composite") {
        let body = fixture::read(&format!("accepted/sns-to-sqs/{}.json", kind.name));
        assert_eq!(read_message(&body, &settings), Ok(kind.wakes()), "{}", kind.name);
    }
    let refused = |path: &str| read_message(&fixture::read(path), &settings).expect_err("refused").kind;
    assert_eq!(refused("accepted/sns-to-sqs/composite.json"), RefusalKind::CompositeAlarm);
    assert_eq!(refused("accepted/other/schedule-of-a-rule.json"), RefusalKind::NoStream);
}

#[test]
fn what_is_wrong_with_one_record_concerns_that_record_only() {
    let deliveries = read_event(&fixture::read("batches/mixed.json"), &fixture::settings()).expect("a batch");
    let seen: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            let wakes =
                delivery.wakes.as_ref().map(|wakes| wakes.iter().map(|wake| wake.stream.as_str()).collect());
            let wakes: Result<Vec<_>, _> = wakes.map_err(ToString::to_string);
            (delivery.message_id.as_deref().expect("of a queue"), wakes)
        })
        .collect();
    let refusal = "not_an_alarm at Records[1].body: an object with hello; \
        send alarms by SNS, EventBridge or as a Lambda action, or {\"stream\": …}";
    let expected = [
        ("m-1", Ok(vec!["clicks"])),
        ("m-2", Err(refusal.to_owned())),
        ("m-3", Ok(vec!["clicks"])),
        ("m-4", Ok(vec!["clicks", "views"])),
        ("m-5", Ok(vec!["orders"])),
    ];
    assert_eq!(seen, expected);
    assert_eq!(read_event(b"{\"Records\": []}", &fixture::settings()), Ok(vec![]));
}
