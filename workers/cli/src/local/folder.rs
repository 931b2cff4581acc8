//! The data folder of a run: whose it is, and whether it may be used, resumed or removed.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use workers::PipelineSettings;

use crate::arguments::LocalArguments;
use crate::problem::Problem;

/// A prepared folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    marker: Marker,
}

/// What must be the same for a run to be resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    preset: String,
    shards: u16,
    input: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    leasehold_run: String,
    #[serde(flatten)]
    identity: Identity,
}

impl Identity {
    pub(crate) fn of(arguments: &LocalArguments) -> anyhow::Result<Self> {
        let input = match &arguments.input {
            None if arguments.autoscaling.autoscale => format!("paced generator, seed {}", arguments.seed),
            None if arguments.follow => format!("generator, seed {}", arguments.seed),
            None => format!("generator, seed {}, {} records", arguments.seed, arguments.records),
            Some(path) => {
                let shown = path.display();
                let mut file = fs::File::open(path).map_err(|error| {
                    Problem::usage(format!("input {shown} cannot be opened ({error}); correct the path"))
                })?;
                let mut digest = Sha256::new();
                let mut buffer = vec![0_u8; 1 << 16];
                loop {
                    let count = file
                        .read(&mut buffer)
                        .map_err(|error| Problem::usage(format!("input {shown} cannot be read ({error})")))?;
                    if count == 0 {
                        break;
                    }
                    digest.update(&buffer[..count]);
                }
                let hash: String =
                    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("file with SHA-256 {hash}…")
            }
        };
        Ok(Self { preset: arguments.preset.to_string(), shards: arguments.shards, input })
    }
}

impl Folder {
    /// Makes the folder ready for `identity`.
    pub(crate) fn prepare(arguments: &LocalArguments, identity: Identity) -> anyhow::Result<Self> {
        let path = arguments.data.clone();
        let shown = path.display().to_string();
        let is_empty = fs::read_dir(&path)
            .map_or(Ok(true), |mut entries| entries.next().transpose().map(|entry| entry.is_none()));
        let is_empty = is_empty.with_context(|| format!("data folder {shown} cannot be read"))?;
        if !is_empty {
            let marker = read_marker(&path);
            if arguments.resume {
                let marker = marker.ok_or_else(|| {
                    Problem::usage(format!("data folder {shown} holds no run; start one without --resume"))
                })?;
                check_same(&marker.identity, &identity)?;
                return Ok(Self { path, marker });
            }
            if !arguments.fresh {
                return Err(Problem::usage(format!(
                    "data folder {shown} is not empty; remove the earlier run with --fresh, go on with it with \
                     --resume, or name another folder with --data"
                )));
            }
            if marker.is_none() {
                return Err(Problem::usage(format!(
                    "data folder {shown} holds files that no run of leasehold made ({MARKER} is missing); name \
                     another folder with --data"
                )));
            }
            for part in PARTS {
                remove(&path.join(part)).with_context(|| format!("{shown}/{part} cannot be removed"))?;
            }
        } else if arguments.resume {
            return Err(Problem::usage(format!("data folder {shown} is empty: there is nothing to resume")));
        }
        let run = Uuid::new_v4().simple().to_string()[..8].to_owned();
        let folder = Self { path, marker: Marker { leasehold_run: run, identity } };
        fs::create_dir_all(folder.services())
            .with_context(|| format!("data folder {shown} cannot be made"))?;
        let text = serde_json::to_string_pretty(&folder.marker)?;
        fs::write(folder.path.join(MARKER), text)
            .with_context(|| format!("{shown}/{MARKER} cannot be written"))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the services keep streams and tables.
    pub(crate) fn services(&self) -> PathBuf {
        self.path.join("services")
    }

    /// Where the workers log.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// What the autoscaler decided, line by line.
    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("autoscaler.jsonl")
    }

    /// The settings that the workers run with.
    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("leasehold.toml")
    }

    pub(crate) fn run_id(&self) -> &str {
        &self.marker.leasehold_run
    }

    pub(crate) fn write_config(&self, settings: &PipelineSettings) -> anyhow::Result<()> {
        let file = self.config();
        fs::write(&file, settings.to_commented_toml())
            .with_context(|| format!("{} cannot be written", file.display()))
    }
}

fn check_same(earlier: &Identity, asked: &Identity) -> anyhow::Result<()> {
    let shards = (earlier.shards.to_string(), asked.shards.to_string());
    let differences = [
        ("preset", &earlier.preset, &asked.preset),
        ("shards", &shards.0, &shards.1),
        ("input", &earlier.input, &asked.input),
    ];
    match differences.iter().find(|(_, earlier, asked)| earlier != asked) {
        None => Ok(()),
        Some((name, earlier, asked)) => Err(Problem::usage(format!(
            "the run in this folder has {name} {earlier}, not {asked}; resume it with the same options, or start anew \
             with --fresh"
        ))),
    }
}

fn read_marker(path: &Path) -> Option<Marker> {
    serde_json::from_str(&fs::read_to_string(path.join(MARKER)).ok()?).ok()
}

fn remove(path: &Path) -> std::io::Result<()> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

const MARKER: &str = "leasehold-run.json";
/// Everything that a run makes in its folder; nothing else is ever removed.
const PARTS: [&str; 7] =
    ["s3", "services", "logs", "leasehold.toml", "autoscaler.jsonl", ".leasehold", MARKER];
