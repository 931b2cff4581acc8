//! Every target on its corpus, then on generated inputs and mutations of the corpus, within a bound on memory.
//!
//! `LEASEHOLD_FUZZ_CASES` sets the number of generated inputs of each target, `LEASEHOLD_FUZZ_SEED` begins another series.

mod generated;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use leasehold_fuzz::{TARGETS, Target};
use peak_alloc::PeakAlloc;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The heap is measured per process, so that one input runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

macro_rules! replayed {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), replayed);
            let folders: Vec<_> = entries(&corpus()).into_iter().map(|path| name_of(&path)).collect();
            let mut expected = replayed.map(str::to_owned).to_vec();
            expected.sort_unstable();
            assert_eq!(folders, expected);
        }
    };
}

replayed!(
    settings_toml,
    log_line,
    json_event,
    sequence_number,
    aggregate,
    server_request,
    intent,
    manifest,
    snapshot,
    lease_item,
    schedule,
);

fn replay(name: &str) {
    let target = TARGETS.into_iter().find(|target| target.name == name).expect("it is in the table");
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let inputs: Vec<Vec<u8>> = entries(&corpus().join(name))
        .into_iter()
        .map(|path| {
            let input = std::fs::read(&path).expect("a file of the corpus");
            checked(target, &input, &path.display().to_string());
            input
        })
        .collect();
    assert!(!inputs.is_empty(), "the corpus of {name} is empty");

    let config = Config { failure_persistence: None, ..Config::default() };
    let series = from_environment("LEASEHOLD_FUZZ_SEED").unwrap_or(0) as u64;
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[&SEED[..], &series.to_be_bytes()].concat());
    let mut runner = TestRunner::new_with_rng(config, random);
    let strategy = generated::inputs(name, inputs);
    for case in 0..from_environment("LEASEHOLD_FUZZ_CASES").unwrap_or(target.cases) {
        let tree = strategy.new_tree(&mut runner).expect("every strategy yields");
        checked(target, &tree.current(), &format!("generated input {case}"));
    }
}

/// Runs one input; says which one it was if it panics or takes more memory than the target may.
fn checked(target: Target, input: &[u8], label: &str) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        panic!("{} panics on {label}: {}\n{}", target.name, message_of(panic.as_ref()), shown(input));
    }
    let heap_bytes = HEAP.peak_usage().saturating_sub(before);
    assert!(
        heap_bytes <= target.heap_bytes_max,
        "{} takes {heap_bytes} bytes of heap on {label}, more than {}:\n{}",
        target.name,
        target.heap_bytes_max,
        shown(input)
    );
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn shown(input: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(input).chars().take(INPUT_SHOWN_MAX).collect();
    format!("{} bytes: {text:?}", input.len())
}

fn from_environment(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} = {text:?} is no number")))
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// What lies in `folder`, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort_unstable();
    paths
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

const INPUT_SHOWN_MAX: usize = 2000;
/// Fixed: a run that fails, fails again.
const SEED: [u8; 24] = *b"leasehold fuzz replay: 1";
