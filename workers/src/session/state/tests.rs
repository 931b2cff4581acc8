use proptest::prelude::*;

use super::*;

/// A time that an event can have.
const T0: i64 = 1_431_857_100_000;

fn rules() -> SessionRules {
    SessionRules {
        gap_millis: 30,
        gap_included: false,
        lateness_millis: 10,
        first_event_opens: true,
        is_numbered: false,
        carry: vec!["path".to_owned()],
        state_bytes_max: 1 << 20,
    }
}

fn event(key: &str, time: i64, id: &str) -> SessionEvent {
    let mut row = Fields::new();
    row.insert("path", Value::from(format!("/{id}")));
    SessionEvent {
        key: key.into(),
        hash_key: HashKey::of_partition_key(key),
        event_time_millis: time,
        event_id: id.into(),
        row,
    }
}

/// Pushes all, releasing after each, and ends the input.
fn sessionize(events: &[SessionEvent], rules: &SessionRules) -> Vec<Released> {
    let mut state = SessionState::new();
    let mut released = Vec::new();
    for event in events {
        assert_eq!(state.push(event.clone(), rules), Pushed::Held);
        released.extend(state.release(rules));
    }
    released.extend(state.end_of_input(rules));
    assert_eq!((state.held_events(), state.open_sessions()), (0, 0));
    released
}

fn starts(released: &[Released]) -> Vec<(String, i64)> {
    let start = |released: &Released| match released {
        Released::SessionStarted { session_id, start_millis, .. } => {
            Some((session_id.to_string(), *start_millis))
        }
        Released::Event { .. } | Released::SessionClosed { .. } => None,
    };
    released.iter().filter_map(start).collect()
}

fn membership(released: &[Released]) -> BTreeMap<Arc<str>, String> {
    let tagged = |released: &Released| match released {
        Released::Event { event, session_id } => Some((event.event_id.clone(), session_id.to_string())),
        Released::SessionStarted { .. } | Released::SessionClosed { .. } => None,
    };
    released.iter().filter_map(tagged).collect()
}

#[test]
fn an_event_waits_until_the_watermark_has_passed_it() {
    let mut state = SessionState::new();
    state.push(event("a", 100, "1"), &rules());
    assert!(state.release(&rules()).is_empty());
    state.push(event("a", 110, "2"), &rules());
    assert!(
        state.release(&rules()).is_empty(),
        "an event at the watermark may still be preceded by an equal one"
    );
    state.push(event("a", 111, "3"), &rules());
    assert_eq!(membership(&state.release(&rules())).len(), 1);
}

#[test]
fn an_event_behind_the_watermark_is_given_back() {
    let mut state = SessionState::new();
    state.push(event("a", 100, "1"), &rules());
    assert_eq!(state.push(event("a", 89, "0"), &rules()), Pushed::Late(event("a", 89, "0")));
    assert_eq!(state.push(event("a", 90, "0"), &rules()), Pushed::Held);
}

#[test]
fn the_boundary_decides_about_a_pause_of_exactly_the_gap() {
    let events = [event("a", 0, "1"), event("a", 30, "2"), event("a", 61, "3")];
    assert_eq!(starts(&sessionize(&events, &rules())).len(), 2);
    let including = SessionRules { gap_included: true, ..rules() };
    assert_eq!(starts(&sessionize(&events, &including)).len(), 3);
}

#[test]
fn the_published_clicks_vector_holds() {
    let clicks = SessionRules {
        gap_millis: 10_000,
        gap_included: true,
        lateness_millis: 5_000,
        first_event_opens: false,
        is_numbered: true,
        ..rules()
    };
    let seconds = [(1, 0), (2, 4), (1, 2), (1, 11), (1, 21), (1, 30), (2, 14), (2, 25), (1, 40)];
    let mut events: Vec<_> = seconds
        .iter()
        .map(|(user, second)| event(&format!("u{user}"), second * 1000, &format!("{user}-{second}")))
        .collect();
    events.sort_by_key(|event| event.event_time_millis);
    let mut rows = starts(&sessionize(&events, &clicks));
    rows.sort();
    let expected = [("u1_1", 21), ("u1_2", 40), ("u2_1", 14), ("u2_2", 25)];
    assert_eq!(rows, expected.map(|(id, second)| (id.to_owned(), second * 1000)));

    let opening = SessionRules { first_event_opens: true, ..clicks.clone() };
    let of_first: Vec<i64> = starts(&sessionize(&events, &opening))
        .into_iter()
        .filter(|(id, _)| id.starts_with("u1"))
        .map(|(_, start)| start)
        .collect();
    assert_eq!(of_first, [0, 21_000, 40_000]);

    let strict = SessionRules { gap_included: false, ..opening };
    let mut rows = starts(&sessionize(&events, &strict));
    rows.sort();
    let expected = [("u1_1", 0), ("u2_1", 4), ("u2_2", 25)];
    assert_eq!(rows, expected.map(|(id, second)| (id.to_owned(), second * 1000)));
}

#[test]
fn an_idle_advance_releases_and_closes_without_records() {
    let mut state = SessionState::new();
    state.push(event("a", 100, "1"), &rules());
    let watermark = state.idle_watermark(60, &rules()).expect("time moves");
    assert_eq!(watermark, 150);
    state.advance(watermark);
    let released = state.release(&rules());
    assert!(matches!(&released[2], Released::SessionClosed { reason: CloseReason::Timeout, events: 1, .. }));
    assert_eq!(state.idle_watermark(60, &rules()), None);
    assert_eq!(state.bytes(), 0);
}

#[test]
fn a_full_state_gives_the_event_back() {
    let tight = SessionRules { state_bytes_max: 600, ..rules() };
    let mut state = SessionState::new();
    let mut held = 0;
    while state.push(event("a", held, &held.to_string()), &tight) == Pushed::Held {
        held += 1;
        assert!(held < 100, "the limit must be reached");
    }
    assert!(state.bytes() <= 600 && held > 0);
}

prop_compose! {
    /// Events in an order of arrival that is never later than the lateness allows.
    fn arrivals()(
        steps in prop::collection::vec((0_usize..4, 0_i64..40, 0_i64..10), 1..80),
    ) -> Vec<SessionEvent> {
        let mut base = T0;
        steps.iter().enumerate().map(|(index, (key, step, back))| {
            base += step;
            event(&format!("key-{key}"), base - back, &format!("{index:04}"))
        }).collect()
    }
}

proptest! {
    #[test]
    fn any_arrival_order_within_lateness_gives_the_sessions_of_the_sorted_events(events in arrivals()) {
        let rules = rules();
        let released = sessionize(&events, &rules);
        let mut sorted = events.clone();
        sorted.sort_by_key(|event| (event.event_time_millis, event.event_id.clone()));
        let mut open: BTreeMap<Arc<str>, (i64, Arc<str>)> = BTreeMap::new();
        let mut expected = BTreeMap::new();
        for event in &sorted {
            let time = event.event_time_millis;
            let first = match open.get(&event.key) {
                Some((last, first)) if time - last <= rules.gap_millis => first.clone(),
                Some(_) | None => event.event_id.clone(),
            };
            open.insert(event.key.clone(), (time, first.clone()));
            let id = super::super::session_uuid(&event.key, &first).to_string();
            expected.insert(event.event_id.clone(), id);
        }
        prop_assert_eq!(membership(&released), expected);
    }

    #[test]
    fn a_snapshot_in_the_middle_changes_nothing(events in arrivals(), cut in 0_usize..80) {
        let rules = rules();
        let cut = cut.min(events.len());
        let mut state = SessionState::new();
        let mut released = Vec::new();
        for (index, event) in events.iter().enumerate() {
            if index == cut {
                let bytes = state.encode().expect("encodes");
                let decoded = SessionState::decode(&bytes, 1 << 24).expect("decodes");
                prop_assert_eq!(&decoded, &state);
                prop_assert_eq!(decoded.encode().expect("encodes"), bytes);
                state = decoded;
            }
            state.push(event.clone(), &rules);
            released.extend(state.release(&rules));
        }
        released.extend(state.end_of_input(&rules));
        prop_assert_eq!(released, sessionize(&events, &rules));
    }

    #[test]
    fn garbage_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SessionState::decode(&bytes, 1 << 20).is_err());
    }

    #[test]
    fn a_damaged_snapshot_is_refused(events in arrivals(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut state = SessionState::new();
        for event in events {
            state.push(event, &rules());
        }
        let mut bytes = state.encode().expect("encodes").to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(SessionState::decode(&bytes, 1 << 24).is_err());
    }
}
