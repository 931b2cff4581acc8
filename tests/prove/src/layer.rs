//! The layers of the safety suite: what each runs, for which properties, and how much.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use crate::shell;

/// One way to look for violations.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) name: &'static str,
    how: How,
    pub(crate) properties: &'static [&'static str],
}

/// What a layer runs.
#[derive(Debug)]
enum How {
    /// Tests of the workspace, chosen by target and not by package: so all layers share the dependencies as `cargo test
    /// --workspace` has built them, where each package alone would build its own.
    Tests { selection: &'static [&'static str], size: Option<Size> },
    /// Real processes, for so many minutes.
    Processes { minutes: &'static str, long_minutes: &'static str },
}

/// How much a layer runs, by a variable of the environment.
#[derive(Debug)]
struct Size {
    variable: &'static str,
    ordinary: &'static str,
    long: &'static str,
}

/// What a layer found.
#[derive(Debug)]
pub(crate) struct LayerRun {
    pub(crate) name: &'static str,
    pub(crate) properties: &'static [&'static str],
    /// How much was run, in the layer's own unit.
    pub(crate) amount: String,
    pub(crate) took: Duration,
    has_passed: bool,
}

impl Layer {
    /// Whether it runs beside the others: it waits for clocks, not for cores.
    pub(crate) const fn waits_most_of_its_time(&self) -> bool {
        matches!(self.how, How::Processes { .. })
    }

    /// Builds what runs outside of cargo, while nothing else runs.
    pub(crate) fn build(&self, root: &Path) -> anyhow::Result<()> {
        if self.waits_most_of_its_time()
            && !shell::run(root, &BUILD_PROCESSES, &[], Some(self.name))?.is_success
        {
            bail!("layer {} cannot be built", self.name);
        }
        Ok(())
    }

    pub(crate) fn run(&self, root: &Path, is_long: bool) -> anyhow::Result<LayerRun> {
        let finished = match &self.how {
            How::Tests { selection, size } => {
                let words = [&["cargo", "test", "--workspace"], *selection].concat();
                let size = size
                    .as_ref()
                    .map(|size| (size.variable, if is_long { size.long } else { size.ordinary }));
                shell::run(root, &words, size.as_slice(), Some(self.name))?
            }
            How::Processes { minutes, long_minutes } => {
                let program = shell::target_folder(root).join("debug/leasehold-soak");
                let minutes = if is_long { long_minutes } else { minutes };
                shell::run(root, &[&program.to_string_lossy(), minutes], &[], Some(self.name))?
            }
        };
        Ok(LayerRun {
            name: self.name,
            properties: self.properties,
            amount: amount(&finished.output),
            took: finished.took,
            has_passed: finished.is_success,
        })
    }
}

impl LayerRun {
    pub(crate) const fn holds(&self) -> bool {
        self.has_passed
    }
}

/// What the output says was run: the sums of what follows [`RAN`], by unit, or else the number of tests that passed.
fn amount(output: &str) -> String {
    let mut said: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, amount) in output.lines().filter_map(|line| line.split_once(RAN)) {
        let (number, unit) = amount.trim().split_once(' ').unwrap_or((amount, "runs"));
        *said.entry(unit).or_default() += number.parse().unwrap_or(0);
    }
    if !said.is_empty() {
        let said: Vec<String> = said.iter().map(|(unit, number)| format!("{number} {unit}")).collect();
        return said.join(", ");
    }
    let passed = output.lines().filter_map(|line| {
        line.strip_prefix("test result: ")?.split_once(". ")?.1.split_once(" passed")?.0.parse::<u64>().ok()
    });
    format!("{} tests", passed.sum::<u64>())
}

/// By these words a test says how much it ran.
const RAN: &str = "proof: ran ";

const BUILD_PROCESSES: [&str; 7] =
    ["cargo", "build", "--workspace", "--bin", "leasehold", "--bin", "leasehold-soak"];

/// All layers, from the smallest world to real processes.
pub(crate) const LAYERS: &[Layer] = &[
    Layer {
        name: "exhaustive",
        how: How::Tests {
            selection: &["--test", "exhaustive", "--", "--nocapture"],
            size: Some(Size { variable: "LEASEHOLD_TICKS", ordinary: "3", long: "4" }),
        },
        properties: &["S1", "S2", "S4", "S5", "S6", "intent", "token", "nonce", "one write", "contract"],
    },
    Layer {
        name: "schedules",
        how: How::Tests {
            selection: &["--test", "schedules", "--test", "boundaries", "--", "--nocapture"],
            size: Some(Size { variable: "LEASEHOLD_SCHEDULES", ordinary: "5000", long: "100000" }),
        },
        properties: &[
            "S1",
            "S2",
            "S3",
            "S4",
            "S5",
            "S6",
            "intent",
            "token",
            "nonce",
            "one write",
            "plan",
            "trace",
            "contract",
            "outcome",
            "liveness",
        ],
    },
    Layer {
        name: "rules",
        how: How::Tests { selection: &["--lib", "coordinator"], size: None },
        properties: &["S1", "liveness", "hand-over"],
    },
    Layer {
        name: "workers",
        how: How::Tests {
            selection: &["--test", "seeds", "--test", "directed", "--test", "planted", "--", "--nocapture"],
            size: Some(Size { variable: "LEASEHOLD_SEEDS", ordinary: "64", long: "2000" }),
        },
        properties: &["S1", "S2", "S3", "S4", "S5", "S6", "liveness", "hand-over"],
    },
    Layer {
        name: "exactly once",
        how: How::Tests { selection: &["--lib", "process::tests", "--", "--nocapture"], size: None },
        properties: &["exactly once", "intent"],
    },
    Layer {
        name: "hostile input",
        how: How::Tests { selection: &["--test", "replay"], size: None },
        properties: &["no panic, bounded memory"],
    },
    Layer {
        name: "processes",
        how: How::Processes { minutes: "3", long_minutes: "30" },
        properties: &["exactly once", "order per key"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_from_what_tests_say_or_counted() {
        let said = "test a ... proof: ran 12 schedules\nok\nproof: ran 3 seeds\nproof: ran 5 schedules";
        assert_eq!(amount(said), "17 schedules, 3 seeds");
        let counted = "test result: ok. 4 passed; 0 failed\nx\ntest result: FAILED. 2 passed; 1 failed\n";
        assert_eq!(amount(counted), "6 tests");
    }
}
