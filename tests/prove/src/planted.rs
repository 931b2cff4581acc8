//! Planted bugs: each patch breaks one rule of the protocol in a copy of the tree, and the suite must notice.
//!
//! ```text
//! Breaks: what the bug does
//! Property: the property that it breaks
//! Run: the command that must fail
//! Caught: what its output must contain; alternatives are separated by " | "
//!
//! diff …
//! ```
//!
//! The file name begins with the number of the rule, in the order in which the protocol states them: `1.05-…` breaks rule
//! 5 of leases, `2.03-…` step 3 of batches, `2.06-…` and on what is said of recovery and after it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::shell;

/// One patch.
#[derive(Debug)]
pub(crate) struct PlantedBug {
    pub(crate) name: String,
    pub(crate) breaks: String,
    pub(crate) property: String,
    command: String,
    caught: Vec<String>,
    file: PathBuf,
}

/// What became of a bug.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The suite failed, and said this.
    Caught { said: String, took: Duration },
    /// The suite passed, or failed without the words that it should have used.
    Missed { output: String },
}

/// A copy of the tree in which bugs are planted one after another.
#[derive(Debug)]
pub(crate) struct Planting {
    copy: PathBuf,
    target: String,
}

impl PlantedBug {
    /// Every patch of the tree at `root`, in the order of the rules.
    pub(crate) fn all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let mut bugs = Vec::new();
        for entry in std::fs::read_dir(root.join("tests/planted"))? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "patch") {
                bugs.push(Self::read(file)?);
            }
        }
        bugs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(bugs)
    }

    fn read(file: PathBuf) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&file)?;
        let header = |name: &str| -> anyhow::Result<String> {
            let lines = text.lines().take_while(|line| !line.starts_with("diff "));
            let value = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).next();
            value.map(str::to_owned).with_context(|| format!("{} has no line `{name}: …`", file.display()))
        };
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let caught = header("Caught")?.split(" | ").map(str::to_owned).collect();
        let (breaks, property, command) = (header("Breaks")?, header("Property")?, header("Run")?);
        Ok(Self { name, breaks, property, command, caught, file: file.clone() })
    }
}

impl Verdict {
    pub(crate) const fn is_caught(&self) -> bool {
        matches!(self, Self::Caught { .. })
    }
}

impl Planting {
    /// Copies what git knows of the tree at `root`, changed files as they are. Files of an earlier copy that are the same
    /// stay untouched, so that cargo does not build them again; those that the tree no longer has are removed.
    pub(crate) fn in_copy_of(root: &Path) -> anyhow::Result<Self> {
        let target = shell::target_folder(root);
        let copy = target.join("planted");
        let words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let listed = shell::run(root, &words, &[], None)?;
        ensure!(listed.is_success, "git does not list the files of {}: {}", root.display(), listed.output);
        let mut kept = BTreeSet::new();
        for name in listed.output.trim_end().split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (root.join(name), copy.join(name));
            let Ok(content) = std::fs::read(&from) else { continue };
            if std::fs::read(&to).ok().as_ref() != Some(&content) {
                std::fs::create_dir_all(to.parent().expect("a file is in a folder"))?;
                std::fs::write(&to, content)
                    .with_context(|| format!("{} cannot be written", to.display()))?;
            }
            kept.insert(to);
        }
        remove_others(&copy, &kept).with_context(|| format!("{} cannot be cleaned", copy.display()))?;
        Ok(Self { copy, target: target.to_string_lossy().into_owned() })
    }

    pub(crate) fn judge_all(&self, bugs: &[PlantedBug]) -> anyhow::Result<Vec<Verdict>> {
        let mut verdicts = Vec::new();
        for bug in bugs {
            let verdict = self.judge(bug).with_context(|| format!("planted bug {}", bug.name))?;
            match &verdict {
                Verdict::Caught { said, took } => {
                    println!("planted │ {} caught in {} s: {said}", bug.name, took.as_secs());
                }
                Verdict::Missed { output } => println!("{output}\nplanted │ {} was NOT CAUGHT", bug.name),
            }
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    fn judge(&self, bug: &PlantedBug) -> anyhow::Result<Verdict> {
        let patch = bug.file.to_string_lossy();
        self.apply(&["git", "apply", "--whitespace=nowarn", &patch])?;
        let words: Vec<&str> = ["timeout", SECONDS_MAX].into_iter().chain(bug.command.split(' ')).collect();
        let environment = [
            ("CARGO_TARGET_DIR", self.target.as_str()),
            ("CARGO_PROFILE_DEV_DEBUG", "false"),
            // That a bug is found matters here, not the shortest way to it.
            ("PROPTEST_MAX_SHRINK_ITERS", "0"),
        ];
        let finished = shell::run(&self.copy, &words, &environment, None);
        self.apply(&["git", "apply", "--whitespace=nowarn", "--reverse", &patch])?;
        let finished = finished?;
        if finished.output.contains("error: could not compile") {
            bail!("it does not compile, so that nothing is shown:\n{}", finished.output);
        }
        let said =
            finished.output.lines().find(|line| bug.caught.iter().any(|words| line.contains(words.as_str())));
        Ok(match said {
            Some(said) if !finished.is_success => {
                Verdict::Caught { said: said.trim().to_owned(), took: finished.took }
            }
            Some(_) | None => Verdict::Missed { output: finished.output },
        })
    }

    /// Outside of any repository, `git apply` changes the files and nothing else.
    fn apply(&self, words: &[&str]) -> anyhow::Result<()> {
        let nowhere = [("GIT_CEILING_DIRECTORIES", self.target.as_str())];
        let applied = shell::run(&self.copy, words, &nowhere, None)?;
        ensure!(applied.is_success, "the patch does not apply, so adapt it to the code:\n{}", applied.output);
        Ok(())
    }
}

/// Removes the files below `folder` that are not among `kept`.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_others(&entry.path(), kept)?;
        } else if !kept.contains(&entry.path()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A bug may also show as a test that never ends.
const SECONDS_MAX: &str = "240";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_tree_no_longer_has_leaves_the_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let (stays, goes) = (folder.path().join("a/stays"), folder.path().join("a/goes"));
        std::fs::create_dir_all(folder.path().join("a")).expect("a folder");
        for file in [&stays, &goes] {
            std::fs::write(file, "x").expect("a file");
        }
        remove_others(folder.path(), &BTreeSet::from([stays.clone()])).expect("removed");
        assert_eq!((stays.exists(), goes.exists()), (true, false));
    }
}
