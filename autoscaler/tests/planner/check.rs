//! What every plan must hold, whatever it was shown.

use std::collections::BTreeMap;

use autoscaler::{
    Action, Boundaries, Constraint, EpochMillis, Ledger, LoadMap, Observation, Plan, Policy, Step,
    StreamState,
};
use kcl_core::HashKeyRange;

/// How often each kind of answer came up.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub(crate) fn note(&mut self, plan: &Plan) {
        *self.0.entry(action_name(&plan.action)).or_default() += 1;
        *self.0.entry(constraint_name(&plan.decision.constraint)).or_default() += 1;
    }

    pub(crate) fn assert_not_vacuous(&self) {
        for name in [
            "nothing",
            "scale",
            "split",
            "merge",
            "overload",
            "hot shard",
            "hot key",
            "surplus",
            "in bounds",
            "unknown",
            "not active",
            "too soon",
            "lag",
            "withheld",
            "bounds",
            "account limit",
        ] {
            assert!(self.0.contains_key(name), "{name} never came up: {self:?}");
        }
    }
}

/// Checks one plan.
pub(crate) fn check(
    observation: &Observation,
    ledger: &Ledger,
    policy: &Policy,
    now: EpochMillis,
    plan: &Plan,
) -> Result<(), String> {
    let current = observation.layout.boundaries();
    let ensure = |holds: bool, broken: &str| if holds { Ok(()) } else { Err(broken.to_owned()) };
    ensure(plan.decision.rejected.is_some(), "no alternative is named")?;
    if plan.action == Action::Nothing {
        return Ok(());
    }
    ensure(observation.state == StreamState::Active, "a stream that is not ACTIVE is changed")?;
    ensure(!policy.is_paused, "a paused stream is changed")?;
    ensure(observation.minutes.iter().any(|minute| minute.records.is_some()), "changed without a reading")?;
    let left = observation.account_shards_left.unwrap_or(u32::MAX);
    match &plan.action {
        Action::Nothing => {}
        Action::Scale { target } => {
            let count = current.count();
            ensure(*target != count, "a call that changes nothing")?;
            ensure((count.div_ceil(2)..=2 * count).contains(target), "beyond double or half")?;
            ensure(ledger.calls_used(now) < policy.calls_max, "a call beyond the quota")?;
            ensure((policy.shards_min..=policy.shards_max).contains(target), "a count beyond the bounds")?;
            let splits = Boundaries::uniform(*target).without(&current).len();
            ensure(splits <= left as usize, "intermediate shards beyond the account's limit")?;
        }
        Action::Reshape { target, steps } => {
            let is_late = observation.applications.iter().any(|lag| {
                lag.behind.is_none_or(|behind| behind > policy.lag_max)
                    || lag.undrained_parents.unwrap_or(0) > 0
            });
            let merges = steps.iter().any(|step| matches!(step, Step::Merge { .. }));
            ensure(!(merges && is_late), "a merge while an application is behind or has parents to drain")?;
            ensure(!steps.is_empty(), "a reshape without a step")?;
            let even = LoadMap::even();
            let map = observation.load_map.as_ref().unwrap_or(&even);
            let demand = plan.decision.demand_shards.ok_or("a reshape without a demand")?;
            let bearable = (policy.grow_above / demand)
                .max(map.greatest_share(&current))
                .max(map.greatest_share(target));
            let mut layout = current.clone();
            for step in steps {
                check_step(*step, &layout)?;
                step.apply(&mut layout);
                ensure(
                    layout.count() <= current.count().saturating_add(left),
                    "more shards than the account may open",
                )?;
                ensure(
                    map.greatest_share(&layout) <= bearable * (1.0 + 1e-6),
                    "an intermediate layout is too full",
                )?;
            }
            ensure(layout == *target, "the steps do not lead to the target")?;
            if plan.decision.constraint == Constraint::Surplus {
                check_surplus(&current, target, map, policy.grow_above / demand)?;
            }
        }
    }
    Ok(())
}

/// A surplus leaves no shard too full, but for those that a heavy key keeps so: they stay as they are, or the key gets the
/// least shard that Kinesis makes.
fn check_surplus(
    current: &Boundaries,
    target: &Boundaries,
    map: &LoadMap,
    share_max: f64,
) -> Result<(), String> {
    let is_kept = |range: HashKeyRange| {
        range.end().0 - range.start().0 == 1 || current.ranges().any(|shard| shard == range)
    };
    for (range, share) in target.ranges().zip(map.shares(target)) {
        let holds_heavy_key = || map.heavy_keys().any(|heavy| range.contains(heavy.hash));
        if share > share_max * (1.0 + 1e-6) && !(is_kept(range) && holds_heavy_key()) {
            return Err(format!("a surplus is taken that is none: {range} has {share}"));
        }
    }
    Ok(())
}

fn check_step(step: Step, layout: &Boundaries) -> Result<(), String> {
    match step {
        Step::Split { at } => {
            let range = layout.ranges().nth(layout.index_of(at)).expect("every key lies in a range");
            if at.0 <= range.start().0.saturating_add(1) || at >= range.end() {
                return Err(format!("Kinesis refuses to split {range} at {at}"));
            }
        }
        Step::Merge { at } => {
            if at.0 == 0 || !layout.contains(at) {
                return Err(format!("no shard begins at {at}, so none can be merged there"));
            }
        }
    }
    Ok(())
}

fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Nothing => "nothing",
        Action::Scale { .. } => "scale",
        Action::Reshape { steps, .. } if steps.iter().any(|step| matches!(step, Step::Merge { .. })) => {
            "merge"
        }
        Action::Reshape { .. } => "split",
    }
}

fn constraint_name(constraint: &Constraint) -> &'static str {
    match constraint {
        Constraint::Overload => "overload",
        Constraint::Expected { .. } => "expected",
        Constraint::HotShard { .. } => "hot shard",
        Constraint::HotKey { .. } => "hot key",
        Constraint::Rejections => "rejections",
        Constraint::Surplus => "surplus",
        Constraint::InBounds => "in bounds",
        Constraint::Requested => "requested",
        Constraint::Unknown { .. } => "unknown",
        Constraint::NotActive => "not active",
        Constraint::TooSoon { .. } => "too soon",
        Constraint::Quota => "quota",
        Constraint::Bounds => "bounds",
        Constraint::AccountLimit => "account limit",
        Constraint::Lag { .. } => "lag",
        Constraint::Withheld { .. } => "withheld",
    }
}
