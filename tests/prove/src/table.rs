//! The table: each property with the layers that looked for it, and each planted bug with what caught it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::layer::LayerRun;
use crate::planted::{PlantedBug, Verdict};

/// What was run and found, for people.
pub(crate) fn of(runs: &[LayerRun], bugs: &[PlantedBug], verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a string takes everything");
    line(String::new());
    line(format!("{:<16} {:>6}  {:<8} RAN", "LAYER", "TIME", "RESULT"));
    for run in runs {
        let result = if run.holds() { "holds" } else { "BROKEN" };
        line(format!("{:<16} {:>4} s  {result:<8} {}", run.name, run.took.as_secs(), run.amount));
    }
    line(String::new());
    line(format!("{:<26} {:>11}  LAYERS", "PROPERTY", "BUGS CAUGHT"));
    let properties: Vec<&str> = runs.iter().flat_map(|run| run.properties).copied().collect();
    let mut seen = BTreeSet::new();
    for property in properties.into_iter().filter(|property| seen.insert(*property)) {
        let layers = runs.iter().filter(|run| run.properties.contains(&property));
        let layers: Vec<&str> = layers.map(|run| run.name).collect();
        let planted: Vec<&Verdict> = bugs
            .iter()
            .zip(verdicts)
            .filter(|(bug, _)| bug.property == *property)
            .map(|(_, verdict)| verdict)
            .collect();
        let caught = planted.iter().filter(|verdict| verdict.is_caught()).count();
        let caught = format!("{caught} of {}", planted.len());
        line(format!("{property:<26} {caught:>11}  {}", layers.join(", ")));
    }
    line(String::new());
    line(format!("{:<36} CAUGHT BY", "PLANTED BUG"));
    for (bug, verdict) in bugs.iter().zip(verdicts) {
        let said = match verdict {
            Verdict::Caught { said, .. } => said.chars().take(SAID_SHOWN_MAX).collect(),
            Verdict::Missed { .. } => format!("NOTHING, although {}", bug.breaks),
        };
        line(format!("{:<36} {said}", bug.name));
    }
    let caught = verdicts.iter().filter(|verdict| verdict.is_caught()).count();
    line(String::new());
    line(format!("{caught} of {} planted bugs caught", bugs.len()));
    text
}

const SAID_SHOWN_MAX: usize = 100;
