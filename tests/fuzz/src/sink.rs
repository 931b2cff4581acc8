//! What a worker leaves for the next owner: the intent in the lease row, manifest and snapshot in the bucket.

use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::FutureExt;
use kcl::{HashKey, HashKeyRange, PendingCheckpoint, Position};
use sha2::{Digest, Sha256};
use workers::{
    Intent, Manifest, ManifestSummary, MemoryStore, ObjectMetadata, Pipeline, PipelineState, Preset,
    SessionState, StepOutput, StoredObject,
};

/// The state of a pending checkpoint: as it is, and after the header of an intent.
///
/// # Panics
/// If an intent that was read is written as another.
pub fn intent(data: &[u8]) {
    for state in [data.to_vec(), [INTENT_HEADER, data].concat()] {
        // An intent must end where its checkpoint does.
        let json = state.get(INTENT_HEADER.len()..).unwrap_or_default();
        let position =
            serde_json::from_slice::<Intent>(json).map_or(Position::TrimHorizon, |intent| intent.last);
        let pending = PendingCheckpoint { position, state: Bytes::from(state) };
        if let Ok(intent) = Intent::decode(&pending) {
            let again = PendingCheckpoint { position: intent.last, state: intent.encode() };
            assert_eq!(Intent::decode(&again), Ok(intent));
        }
    }
}

/// A manifest; and the sum over a stream that has it twice.
///
/// # Panics
/// If a manifest that was read is written as another, or the sum does not hold it.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(data) else { return };
    let written = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
    assert_eq!(serde_json::from_slice::<Manifest>(&written).expect("what was written is read"), manifest);

    let store = MemoryStore::new();
    for name in ["one", "two"] {
        let object = StoredObject { body: Bytes::copy_from_slice(data), metadata: ObjectMetadata::new() };
        store.replace(&format!("_manifest/{}-{}/{name}.json", manifest.stream, manifest.shard), Some(object));
    }
    let mut summary = ManifestSummary::default();
    let collected = summary.collect(&store, &manifest.stream).now_or_never();
    collected.expect("a store in memory answers at once").expect("it does not fail");
    assert_eq!(summary.objects, 2 * manifest.objects.len() as u64);
    assert!(summary.totals.records >= manifest.totals.records);
}

/// A session snapshot: as it is, as its compressed body, and as its content; the last two under the right checksum.
///
/// # Panics
/// If a state that was read is written as another, or cannot be used.
pub fn snapshot(data: &[u8]) {
    usable(data);
    usable(&with_header(data));
    let compressed = zstd::bulk::compress(data, 1).expect("memory does not fail");
    usable(&with_header(&compressed));
}

fn with_header(body: &[u8]) -> Vec<u8> {
    [SNAPSHOT_HEADER, &Sha256::digest(body)[..], body].concat()
}

fn usable(bytes: &[u8]) {
    let Ok(sessions) = SessionState::decode(bytes, SNAPSHOT_BYTES_MAX) else { return };
    let written = sessions.encode().expect("a state is JSON");
    assert_eq!(
        SessionState::decode(&written, 8 * SNAPSHOT_BYTES_MAX).expect("what was written is read"),
        sessions
    );

    let half = HashKey(u128::MAX / 2);
    let lower = sessions.filter(HashKeyRange::new(HashKey(0), half).expect("ascending"));
    let upper =
        sessions.filter(HashKeyRange::new(HashKey(half.0 + 1), HashKey(u128::MAX)).expect("ascending"));
    assert_eq!(lower.held_events() + upper.held_events(), sessions.held_events());
    assert_eq!(lower.open_sessions() + upper.open_sessions(), sessions.open_sessions());
    assert_eq!(lower.bytes() + upper.bytes(), sessions.bytes());

    let held = sessions.held_events() as u64;
    let (mut state, mut output) = (PipelineState { sessions }, StepOutput::default());
    PIPELINE.advance(&mut state, i64::MAX, &mut output);
    assert_eq!((output.events, state.sessions.held_events()), (held, 0));
}

static PIPELINE: LazyLock<Pipeline> = LazyLock::new(|| {
    let settings = Preset::Weblog.settings().resolve(|_| Ok(String::new())).expect("a preset is valid");
    Pipeline::compile(&settings).expect("a preset compiles")
});
const INTENT_HEADER: &[u8] = b"LHIN\x01";
const SNAPSHOT_HEADER: &[u8] = b"LHSS\x00\x01";
const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024;
