//! The table of targets, for the driver that runs them all.

/// A target with its name and what one input may cost.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the function, of its folder in the corpus, and of the cargo-fuzz target.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Generated inputs of one replay, so that all targets together take less than 20 seconds in a debug build.
    pub cases: usize,
    /// Greatest heap of one run in bytes, beyond what is there before it, for inputs of up to 64 KiB.
    pub heap_bytes_max: usize,
}

/// Every target.
pub const TARGETS: [Target; 11] = [
    Target { name: "settings_toml", run: crate::settings_toml, cases: 2_000, heap_bytes_max: 32 * MEBIBYTE },
    Target { name: "log_line", run: crate::log_line, cases: 2_000, heap_bytes_max: 16 * MEBIBYTE },
    Target { name: "json_event", run: crate::json_event, cases: 3_000, heap_bytes_max: 16 * MEBIBYTE },
    Target { name: "sequence_number", run: crate::sequence_number, cases: 4_000, heap_bytes_max: MEBIBYTE },
    Target { name: "aggregate", run: crate::aggregate, cases: 4_000, heap_bytes_max: 8 * MEBIBYTE },
    Target { name: "server_request", run: crate::server_request, cases: 400, heap_bytes_max: 64 * MEBIBYTE },
    Target { name: "intent", run: crate::intent, cases: 4_000, heap_bytes_max: 8 * MEBIBYTE },
    Target { name: "manifest", run: crate::manifest, cases: 4_000, heap_bytes_max: 16 * MEBIBYTE },
    Target { name: "snapshot", run: crate::snapshot, cases: 3_000, heap_bytes_max: 16 * MEBIBYTE },
    Target { name: "lease_item", run: crate::lease_item, cases: 4_000, heap_bytes_max: 8 * MEBIBYTE },
    Target { name: "schedule", run: crate::schedule, cases: 300, heap_bytes_max: 32 * MEBIBYTE },
];

const MEBIBYTE: usize = 1024 * 1024;
