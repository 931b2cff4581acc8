//! What makes a session: the gap, what the first event does, and how sessions are named.

use uuid::Uuid;

/// Rules of one pipeline; all times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRules {
    /// Pause that ends a session.
    pub gap_millis: i64,
    /// Whether a pause of exactly the gap ends it too (`>=`).
    pub gap_included: bool,
    /// How far the watermark stays behind the greatest event time.
    pub lateness_millis: i64,
    /// Whether a key's very first event opens session 1. If not, it begins session 0, which is never reported as started.
    pub first_event_opens: bool,
    /// Whether sessions are named by key and running number, which remembers every key, and not by UUID.
    pub is_numbered: bool,
    /// Fields of a session's first event that its rows show.
    pub carry: Vec<String>,
    /// Most bytes of state, as [`SessionState::bytes`](super::SessionState::bytes) counts them.
    pub state_bytes_max: usize,
}

impl SessionRules {
    /// Whether a pause from `last` to `next` ends a session.
    #[must_use]
    pub fn is_break(&self, last: i64, next: i64) -> bool {
        let pause = next.saturating_sub(last);
        if self.gap_included { pause >= self.gap_millis } else { pause > self.gap_millis }
    }

    /// Name of the session of `key` that `first_event_id` opens as number `number`.
    #[must_use]
    pub fn session_id(&self, key: &str, first_event_id: &str, number: u64) -> String {
        if self.is_numbered {
            format!("{key}_{number}")
        } else {
            session_uuid(key, first_event_id).to_string()
        }
    }
}

/// The key of a session: the values of its fields with the byte 0x1F between them. A value that holds 0x1F or 0x1B has
/// 0x1B before each, so that no two lists of equal length have the same key.
#[must_use]
pub fn session_key<'v>(values: impl IntoIterator<Item = &'v str>) -> String {
    let mut key = String::new();
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            key.push(char::from(UNIT_SEPARATOR));
        }
        for part in value.split_inclusive(MARKS) {
            match part.char_indices().next_back() {
                Some((at, mark)) if MARKS.contains(&mark) => {
                    key.push_str(&part[..at]);
                    key.extend([char::from(ESCAPE), mark]);
                }
                Some(_) | None => key.push_str(part),
            }
        }
    }
    key
}

/// UUIDv5 of a session: namespace `6c656173-6568-6f6c-642d-73657373696f` (`leasehold-sessio` in ASCII), name = the key,
/// the byte 0x1F, and the id of the first event.
#[must_use]
pub fn session_uuid(key: &str, first_event_id: &str) -> Uuid {
    let mut name = Vec::with_capacity(key.len() + 1 + first_event_id.len());
    name.extend_from_slice(key.as_bytes());
    name.push(UNIT_SEPARATOR);
    name.extend_from_slice(first_event_id.as_bytes());
    Uuid::new_v5(&NAMESPACE, &name)
}

const NAMESPACE: Uuid = Uuid::from_bytes(*b"leasehold-sessio");
const UNIT_SEPARATOR: u8 = 0x1f;
const ESCAPE: u8 = 0x1b;
const MARKS: [char; 2] = [UNIT_SEPARATOR as char, ESCAPE as char];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_readable_and_tells_its_values_apart() {
        assert_eq!(session_key(["1.2.3.4", "Mozilla \\ 5"]), "1.2.3.4\u{1f}Mozilla \\ 5");
        assert_ne!(session_key(["a\u{1f}b", "c"]), session_key(["a", "b\u{1f}c"]));
        assert_ne!(session_key(["a\u{1b}", "b"]), session_key(["a", "\u{1b}b"]));
    }

    proptest! {
        #[test]
        fn two_lists_of_values_have_two_keys(
            one in prop::collection::vec("[a\u{1b}\u{1f}]{0,4}", 2),
            other in prop::collection::vec("[a\u{1b}\u{1f}]{0,4}", 2),
        ) {
            let key = |values: &[String]| session_key(values.iter().map(String::as_str));
            prop_assert_eq!(key(&one) == key(&other), one == other);
        }
    }

    #[test]
    fn the_separator_keeps_key_and_event_apart() {
        assert_ne!(session_uuid("ab", "c"), session_uuid("a", "bc"));
        assert_eq!(session_uuid("a", "b"), session_uuid("a", "b"));
        assert_eq!(NAMESPACE.to_string(), "6c656173-6568-6f6c-642d-73657373696f");
    }
}
