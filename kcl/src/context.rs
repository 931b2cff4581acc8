//! What a processor can ask of the framework about the shard it consumes.

use kcl_core::{FencingToken, Lease};

/// The lease under which a processor runs.
#[derive(Debug)]
pub struct ShardContext {
    lease: Lease,
    token: FencingToken,
}

impl ShardContext {
    /// The lease row as last written: checkpoint, pending intent, generation, batch ordinal and state pointer.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Token of this tenure, for sinks that can refuse an older one.
    #[must_use]
    pub fn token(&self) -> FencingToken {
        self.token
    }
}
