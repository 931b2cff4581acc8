//! How soon to look again: seldom at a calm stream, often near a bound.

use std::time::Duration;

use super::settings::ReconcileSettings;
use crate::{Action, Constraint, Plan};

/// The pause after a plan of which nothing is carried out.
pub(super) fn after_plan(plan: &Plan, settings: &ReconcileSettings) -> Duration {
    if let Constraint::TooSoon { wait } = plan.decision.constraint {
        return wait.clamp(settings.look_gap, settings.look_busy);
    }
    let waits_for_something = matches!(
        plan.decision.constraint,
        Constraint::Unknown { .. }
            | Constraint::NotActive
            | Constraint::Quota
            | Constraint::AccountLimit
            | Constraint::Rejections
            | Constraint::Lag { .. }
    );
    if waits_for_something || plan.action != Action::Nothing {
        return settings.look_busy;
    }
    by_utilisation(plan.decision.utilisation.map(|(before, _)| before), settings)
}

/// The pause while something runs that has run for `elapsed`: a quarter of it, within bounds.
pub(super) fn in_flight(elapsed: Duration, settings: &ReconcileSettings) -> Duration {
    (elapsed / 4).clamp(settings.look_in_flight, settings.look_busy.max(settings.look_in_flight))
}

fn by_utilisation(utilisation: Option<f64>, settings: &ReconcileSettings) -> Duration {
    let Some(utilisation) = utilisation.filter(|value| value.is_finite()) else { return settings.look_busy };
    let busy = (utilisation - settings.calm_below) / (settings.busy_above - settings.calm_below);
    let spread = settings.look_calm.saturating_sub(settings.look_busy);
    settings.look_busy + spread.mul_f64(1.0 - busy.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decision;

    #[test]
    fn what_a_reader_holds_up_is_looked_at_soon() {
        let pause = |constraint| {
            let decision = Decision {
                constraint,
                demand_shards: Some(1.0),
                utilisation: Some((0.1, 0.1)),
                quota_left: None,
                rejected: None,
            };
            after_plan(&Plan { action: Action::Nothing, decision }, &ReconcileSettings::default()).as_secs()
        };
        // Between two merges a reader drains the parents of the first: seconds, at a stream that is calm.
        assert_eq!(pause(Constraint::Lag { application: "a".to_owned() }), 60);
        assert_eq!(pause(Constraint::InBounds), 300);
    }

    #[test]
    fn the_fuller_the_sooner() {
        let settings = ReconcileSettings::default();
        let pause = |utilisation| by_utilisation(utilisation, &settings).as_secs();
        assert_eq!((pause(Some(0.1)), pause(Some(0.4))), (300, 300));
        assert_eq!((pause(Some(0.56)), pause(Some(0.72)), pause(Some(3.0))), (180, 60, 60));
        assert_eq!((pause(None), pause(Some(f64::NAN))), (60, 60));
    }

    #[test]
    fn what_runs_for_long_is_looked_at_more_seldom() {
        let settings = ReconcileSettings::default();
        let pause = |secs| in_flight(Duration::from_secs(secs), &settings).as_secs();
        assert_eq!((pause(0), pause(40), pause(80), pause(3_600)), (10, 10, 20, 60));
    }
}
