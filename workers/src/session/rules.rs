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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_keeps_key_and_event_apart() {
        assert_ne!(session_uuid("ab", "c"), session_uuid("a", "bc"));
        assert_eq!(session_uuid("a", "b"), session_uuid("a", "b"));
        assert_eq!(NAMESPACE.to_string(), "6c656173-6568-6f6c-642d-73657373696f");
    }
}
