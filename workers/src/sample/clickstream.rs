//! Clicks as the published simulator makes them: a few users, a click each 2 seconds, a pause of 15 after each 60.

use bytes::Bytes;

use super::Random;

/// An endless series of click events as JSON lines.
#[derive(Clone, Debug)]
pub struct Clickstream {
    random: Random,
    clicks: u64,
    time_millis: u64,
}

impl Clickstream {
    /// The series of `seed`, beginning at 2024-02-17 16:00:00 UTC.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), clicks: 0, time_millis: 1_708_185_600_000 }
    }
}

impl Iterator for Clickstream {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.clicks += 1;
        let user = self.random.pick(&["user1", "user2", "user3", "user4"]);
        let name = self.random.pick(&["search", "navigate", "detail", "checkout"]);
        let line = format!(
            r#"{{"user_id":"{user}","event_timestamp":"{}","event_name":"{name}","event_type":"click","device_type":"desktop"}}"#,
            self.time_millis
        );
        self.time_millis += if self.clicks.is_multiple_of(60) { 15_000 } else { 2_000 };
        Some(Bytes::from(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_clicks_for_ever() {
        let first: Vec<Bytes> = Clickstream::new(7).take(200).collect();
        assert_eq!(first, Clickstream::new(7).take(200).collect::<Vec<_>>());
        assert_ne!(first, Clickstream::new(8).take(200).collect::<Vec<_>>());
        for line in &first {
            let event: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            assert_eq!(event["event_type"], "click");
        }
    }
}
