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
    /// What is built before anything runs, if the layer does not build by itself.
    build: &'static [&'static str],
    command: &'static [&'static str],
    /// Environment of an ordinary and of a long run.
    environment: &'static [(&'static str, &'static str)],
    long_environment: &'static [(&'static str, &'static str)],
    long_arguments: Option<&'static [&'static str]>,
    pub(crate) properties: &'static [&'static str],
    /// It runs beside the others: it waits for clocks, not for cores.
    pub(crate) waits_most_of_its_time: bool,
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
    /// Builds what the layer needs while nothing else runs.
    pub(crate) fn build(&self, root: &Path) -> anyhow::Result<()> {
        if !self.build.is_empty() && !shell::run(root, self.build, &[], Some(self.name))?.is_success {
            bail!("layer {} cannot be built", self.name);
        }
        Ok(())
    }

    pub(crate) fn run(&self, root: &Path, is_long: bool) -> anyhow::Result<LayerRun> {
        let environment = if is_long { self.long_environment } else { self.environment };
        let program = shell::target_folder(root).join("debug").join(self.command[0]);
        let program = program.to_string_lossy();
        let mut words = self.command.to_vec();
        if !self.build.is_empty() {
            words[0] = &program;
        }
        if is_long && let Some(arguments) = self.long_arguments {
            words.truncate(1);
            words.extend(arguments);
        }
        let finished = shell::run(root, &words, environment, Some(self.name))?;
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

/// The safety properties of leases, as the oracles name them.
const LEASE_PROPERTIES: &[&str] = &[
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
    "liveness",
];

/// All layers, from the smallest world to real processes. They are chosen by target and not by package: so all of them share
/// the dependencies as `cargo test --workspace` has built them, where each package alone would build its own.
pub(crate) const LAYERS: &[Layer] = &[
    Layer {
        name: "exhaustive",
        build: &[],
        command: &["cargo", "test", "--workspace", "--test", "exhaustive", "--", "--nocapture"],
        environment: &[],
        long_environment: &[("LEASEHOLD_TICKS", "4")],
        long_arguments: None,
        properties: &["S1", "S2", "S4", "S5", "S6", "intent", "token", "nonce", "one write", "contract"],
        waits_most_of_its_time: false,
    },
    Layer {
        name: "schedules",
        build: &[],
        command: &[
            "cargo",
            "test",
            "--workspace",
            "--test",
            "schedules",
            "--test",
            "boundaries",
            "--",
            "--nocapture",
        ],
        environment: &[("LEASEHOLD_SCHEDULES", "5000")],
        long_environment: &[("LEASEHOLD_SCHEDULES", "100000")],
        long_arguments: None,
        properties: LEASE_PROPERTIES,
        waits_most_of_its_time: false,
    },
    Layer {
        name: "rules",
        build: &[],
        command: &["cargo", "test", "--workspace", "--lib", "coordinator"],
        environment: &[],
        long_environment: &[],
        long_arguments: None,
        properties: &["S1", "liveness", "hand-over"],
        waits_most_of_its_time: false,
    },
    Layer {
        name: "workers",
        build: &[],
        command: &[
            "cargo",
            "test",
            "--workspace",
            "--test",
            "seeds",
            "--test",
            "directed",
            "--test",
            "planted",
            "--",
            "--nocapture",
        ],
        environment: &[],
        long_environment: &[("LEASEHOLD_SEEDS", "2000")],
        long_arguments: None,
        properties: &["S1", "S2", "S3", "S4", "S5", "S6", "liveness", "hand-over"],
        waits_most_of_its_time: false,
    },
    Layer {
        name: "exactly once",
        build: &[],
        command: &["cargo", "test", "--workspace", "--lib", "process::tests", "--", "--nocapture"],
        environment: &[],
        long_environment: &[],
        long_arguments: None,
        properties: &["exactly once", "intent"],
        waits_most_of_its_time: false,
    },
    Layer {
        name: "hostile input",
        build: &[],
        command: &["cargo", "test", "--workspace", "--test", "replay"],
        environment: &[],
        long_environment: &[],
        long_arguments: None,
        properties: &["no panic, bounded memory"],
        waits_most_of_its_time: false,
    },
    Layer {
        name: "processes",
        build: &["cargo", "build", "--workspace", "--bin", "leasehold", "--bin", "leasehold-soak"],
        command: &["leasehold-soak", "3"],
        environment: &[],
        long_environment: &[],
        long_arguments: Some(&["30"]),
        properties: &["exactly once", "order per key"],
        waits_most_of_its_time: true,
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
