//! Commands in the workspace, with their output both shown and kept.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) is_success: bool,
    pub(crate) output: String,
    pub(crate) took: Duration,
}

/// The folder of the workspace that this program was built from, or the one it is started in.
pub(crate) fn workspace_root() -> anyhow::Result<PathBuf> {
    let folder = std::env::current_dir().context("the current folder cannot be read")?;
    let mut candidates = folder.ancestors();
    let root = candidates.find(|candidate| candidate.join("tests/planted").is_dir());
    root.map(Path::to_path_buf)
        .context("start this within the workspace: there is no tests/planted above here")
}

/// Where cargo puts what it builds for the workspace at `root`.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// Runs `words` in `folder`; each line of its output is shown behind `label` if there is one.
pub(crate) fn run(
    folder: &Path,
    words: &[&str],
    environment: &[(&str, &str)],
    label: Option<&str>,
) -> anyhow::Result<Finished> {
    let [program, arguments @ ..] = words else { bail!("a command has a name") };
    let begun = Instant::now();
    let (reader, writer) = std::io::pipe().context("a pipe cannot be made")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).envs(environment.iter().copied());
    command.env("RUST_BACKTRACE", "0").env("CARGO_TERM_COLOR", "never").stdin(Stdio::null());
    command.stdout(writer.try_clone().context("a pipe cannot be made")?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
    drop(command);
    let mut output = String::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.with_context(|| format!("the output of {program} cannot be read"))?;
        let line = String::from_utf8_lossy(&line);
        if let Some(label) = label {
            println!("{label} │ {line}");
        }
        output.push_str(&line);
        output.push('\n');
    }
    let status = child.wait().with_context(|| format!("{program} was lost"))?;
    Ok(Finished { is_success: status.success(), output, took: begun.elapsed() })
}
