//! The leader lock: the `Leader` item of the amazon-dynamodb-lock-client.

use std::fmt;

use crate::id::{Nonce, WorkerId};
use crate::time::Millis;

/// The lock as stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderLock {
    /// `ownerName`.
    pub owner: WorkerId,
    /// `recordVersionNumber`: changes with every heartbeat.
    pub version: LockVersion,
    /// `leaseDuration`: the version must stand still for longer than this, by the observer's clock, to be expired.
    pub lease_duration: Millis,
    /// `isReleased`: left behind by a client that releases without deleting.
    pub is_released: bool,
}

/// A record version number: any text, a UUID in practice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockVersion(pub String);

impl From<Nonce> for LockVersion {
    fn from(nonce: Nonce) -> Self {
        Self(nonce.to_string())
    }
}

impl fmt::Display for LockVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What must hold for a write of the lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockCondition {
    /// There is no lock item.
    Absent,
    /// The lock was released without being deleted.
    Released,
    /// `recordVersionNumber` is still this one (taking an expired lock).
    Version(LockVersion),
    /// … and the owner too (heartbeat and release by the leader).
    VersionAndOwner(LockVersion, WorkerId),
}

impl LockCondition {
    /// Whether `current` satisfies the condition.
    #[must_use]
    pub fn holds(&self, current: Option<&LeaderLock>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Released => current.is_some_and(|lock| lock.is_released),
            Self::Version(version) => current.is_some_and(|lock| lock.version == *version),
            Self::VersionAndOwner(version, owner) => {
                current.is_some_and(|lock| lock.version == *version && lock.owner == *owner)
            }
        }
    }
}
