//! The minutes before those that a look shows: what the planner learns from, read at first and after a gap, and kept up to date.

use std::time::Duration;

use parking_lot::Mutex;

use crate::aws::AwsObserver;
use crate::{EpochMillis, Learner, Minute, Observation, Policy};

/// The latest minutes of one stream.
#[derive(Debug, Default)]
pub struct Past(Mutex<Vec<Minute>>);

impl Past {
    /// Puts what is known of earlier minutes before those of `observation`: what a plan under `policy` may look back on, and the
    /// last days, as CloudWatch has them, the first time and after a gap. Days that cannot be read are not known, and are told
    /// in the log.
    pub async fn complete(&self, observation: &mut Observation, observer: &AwsObserver, policy: &Policy) {
        let Some(first) = observation.minutes.first().map(|minute| minute.start) else { return };
        if !policy.learns {
            self.0.lock().clear();
            return;
        }
        let known = std::mem::take(&mut *self.0.lock());
        let mut minutes = if leads_to(&known, first) {
            known
        } else {
            observer.history(first, DAYS).await.unwrap_or_else(|error| {
                tracing::warn!(%error, cause = ?error.source, "the last days are unknown: learning goes on from here");
                known
            })
        };
        minutes.retain(|minute| minute.start < first);
        minutes.append(&mut observation.minutes);
        *self.0.lock() = latest(&minutes, Learner::window_max(policy) + SETTLING).to_vec();
        observation.minutes = minutes;
    }
}

/// Whether no minute is missing between those known and `first`.
fn leads_to(known: &[Minute], first: EpochMillis) -> bool {
    known.last().is_some_and(|last| first <= last.start.after(MINUTE))
}

fn latest(minutes: &[Minute], window: Duration) -> &[Minute] {
    let Some(last) = minutes.last() else { return minutes };
    let begin: EpochMillis = last.start.before(window);
    &minutes[minutes.partition_point(|minute| minute.start < begin)..]
}

const MINUTE: Duration = Duration::from_secs(60);
/// So that the same day of the week before is known, with the hours around it: 69,120 of the 100,800 points of one request.
const DAYS: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// What CloudWatch may be late by.
const SETTLING: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plan_looks_back_on_is_kept() {
        let minutes: Vec<_> =
            (0..100).map(|at| Minute { start: EpochMillis(at * 60_000), ..Minute::default() }).collect();
        let kept = latest(&minutes, Duration::from_secs(600));
        assert_eq!((kept.len(), kept[0].start), (11, EpochMillis(89 * 60_000)));
        assert!(latest(&[], Duration::from_secs(600)).is_empty());
    }

    #[test]
    fn a_gap_is_seen() {
        let known = [Minute { start: EpochMillis(60_000), ..Minute::default() }];
        let leads = |first| leads_to(&known, EpochMillis(first));
        assert_eq!([leads(0), leads(120_000), leads(180_000)], [true, true, false]);
        assert!(!leads_to(&[], EpochMillis(0)));
    }
}
