//! Malformed, hostile and foreign messages, each with the refusal that it gets, word for word.

use std::fmt::Write as _;

use autoscaler::trigger::{Delivery, Refusal, RefusalKind, TriggerSettings, read_event, read_message};

use crate::fixture;

#[test]
fn every_fixture_is_refused_with_its_reason_field_value_and_remedy() {
    let mut listing = String::new();
    for path in fixture::list("refused") {
        let refusal = refusal(&fixture::read(&path), &fixture::settings());
        writeln!(listing, "{}\n  {refusal}", path.trim_start_matches("refused/")).expect("a string takes it");
    }
    let expected = String::from_utf8(fixture::read("refused/expected.txt")).expect("UTF-8");
    assert_eq!(listing, expected, "compare with refused/expected.txt");
}

#[test]
fn every_kind_of_refusal_has_a_fixture() {
    let mut missing: Vec<_> = RefusalKind::ALL.to_vec();
    for path in fixture::list("refused") {
        let refused = refusal(&fixture::read(&path), &fixture::settings());
        missing.retain(|kind| *kind != refused.kind);
    }
    assert_eq!(missing, [RefusalKind::TooLarge, RefusalKind::TooDeep], "the tests below write those");
}

#[test]
fn the_same_messages_are_refused_in_a_queue() {
    for path in fixture::list("refused") {
        let in_queue = read_message(&fixture::read(&path), &fixture::settings());
        assert!(in_queue.is_err(), "{path}: {in_queue:?}");
    }
}

#[test]
fn an_alarm_over_more_streams_than_cloudwatch_allows_metrics_is_refused() {
    let event = fixture::read("refused/hostile/eleven-streams.json");
    let refusal = refusal(&event, &TriggerSettings::default());
    assert_eq!(
        refusal.to_string(),
        "too_large at resources[0]: 11 streams; let an alarm watch at most 10 streams"
    );
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_unread() {
    let settings = TriggerSettings::default();
    let kind = |event: String| refusal(event.as_bytes(), &settings).kind;
    let padded = |bytes: usize| format!("{{\"stream\":\"clicks\",\"pad\":\"{}\"}}", "x".repeat(bytes));
    assert!(read_message(padded(1024 * 1024 - 64).as_bytes(), &settings).is_ok());
    assert_eq!(kind(padded(1024 * 1024)), RefusalKind::TooLarge);
    assert_eq!(kind(padded(6 * 1024 * 1024)), RefusalKind::TooLarge);
    let deep = |levels: usize| {
        format!("{{\"stream\":\"clicks\",\"deep\":{}{}}}", "[".repeat(levels), "]".repeat(levels))
    };
    assert!(read_message(deep(31).as_bytes(), &settings).is_ok());
    assert_eq!(kind(deep(32)), RefusalKind::TooDeep);
    assert_eq!(kind(deep(500_000)), RefusalKind::TooDeep);
    let unclosed = format!("{{\"Records\":[{{\"body\":{}", "[".repeat(2_000_000));
    assert_eq!(kind(unclosed), RefusalKind::NotJson);
    let bomb = format!("{{\"stream\":\"clicks\",\"many\":[{}0]}}", "0,".repeat(200_000));
    assert_eq!(kind(bomb), RefusalKind::TooLarge);
    let records = |count: usize| format!("{{\"Records\":[{}]}}", vec!["{}"; count].join(","));
    assert_eq!(read_event(records(10_000).as_bytes(), &settings).expect("a batch").len(), 10_000);
    assert_eq!(kind(records(10_001)), RefusalKind::TooLarge);
}

/// The one refusal of an event.
fn refusal(event: &[u8], settings: &TriggerSettings) -> Refusal {
    match read_event(event, settings) {
        Err(refusal) => refusal,
        Ok(deliveries) => match <[Delivery; 1]>::try_from(deliveries) {
            Ok([Delivery { wakes: Err(refusal), .. }]) => refusal,
            other => panic!("accepted: {} {other:?}", String::from_utf8_lossy(event)),
        },
    }
}
