//! Names and numbers that must not be swapped by mistake, each with its own type.
//!
//! Owns no rule beyond what makes a value well formed; parsing happens once, at the edge.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps `text`, which must not be empty: DynamoDB refuses empty key attributes.
            ///
            /// # Errors
            /// [`InvalidId`] if `text` is empty or longer than 1024 bytes.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                if text.is_empty() || text.len() > ID_BYTES_MAX {
                    return Err(InvalidId { kind: stringify!($name), bytes: text.len() });
                }
                Ok(Self(Arc::from(text)))
            }

            /// The text as it is stored.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }
    };
}

text_id! {
    /// A shard of one stream, such as `shardId-000000000003`.
    ShardId
}
text_id! {
    /// The hash key of a lease row: the shard id of a single-stream application.
    LeaseKey
}
text_id! {
    /// One run of one worker process. It carries a per-process suffix, so that a restarted worker is another one.
    WorkerId
}

impl From<&ShardId> for LeaseKey {
    fn from(shard: &ShardId) -> Self {
        Self(shard.0.clone())
    }
}

impl LeaseKey {
    /// The shard that a single-stream lease stands for.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        ShardId(self.0.clone())
    }
}

/// The optimistic lock of a lease row; every own write raises it by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseCounter(pub u64);

impl LeaseCounter {
    /// The counter after one more write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Minted whenever the history of a row starts anew (creation, seek, import, or a foreign checkpoint), so that object
/// names and fencing tokens never repeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// A generation that no row had before: the wall clock in milliseconds and, below it, 11 bits of the process's random
    /// `seed`, but always more than `after`.
    ///
    /// The clock alone does not do: a row may be deleted and created again, or created by two leaders, within a millisecond.
    /// The value stays below 2^53, which every reader of JSON keeps exactly, until the year 2109.
    #[must_use]
    pub fn minted(epoch_millis: u64, seed: u64, after: Self) -> Self {
        let seed = seed & ((1 << Self::SEED_BITS) - 1);
        let clock = epoch_millis.saturating_mul(1 << Self::SEED_BITS);
        Self((clock | seed).max(after.0.saturating_add(1)))
    }

    const SEED_BITS: u32 = 11;
}

/// Number of a batch within a generation: one more per commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchOrdinal(pub u64);

impl BatchOrdinal {
    /// The ordinal of the batch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Identity of one write, set as `lhNonce`; a read that shows it proves that the write was applied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u128);

impl fmt::Debug for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// Grows with every change of holder: a sink that remembers the greatest token seen can refuse an older holder.
///
/// Ordered by generation first, then by the lease counter at adoption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken {
    /// Generation of the lease row at adoption.
    pub generation: Generation,
    /// Lease counter that the adopting write left in the row.
    pub counter: LeaseCounter,
}

impl fmt::Display for FencingToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.generation.0, self.counter.0)
    }
}

/// An identifier that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} of {bytes} bytes: it must have 1 to 1024 bytes")]
pub struct InvalidId {
    kind: &'static str,
    bytes: usize,
}

/// DynamoDB allows 2048 bytes in a hash key and 1024 in a range key; lease keys and owners are range and hash key of the index.
const ID_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_overlong_id_is_refused() {
        assert!(ShardId::new("").is_err());
        assert!(WorkerId::new("w".repeat(1025)).is_err());
        assert_eq!(ShardId::new("shardId-000000000000").expect("valid").as_str(), "shardId-000000000000");
    }

    #[test]
    fn a_generation_rises_and_differs_between_processes_of_one_millisecond() {
        let now = 1_800_000_000_000;
        let first = Generation::minted(now, 0xffff_0001, Generation::default());
        assert_ne!(first, Generation::minted(now, 0xffff_0002, Generation::default()));
        assert!(Generation::minted(now + 1, 0, Generation::default()) > first);
        let again = Generation::minted(now, 0xffff_0001, first);
        assert_eq!(again.0, first.0 + 1);
        assert!(Generation::minted(4_000_000_000_000, u64::MAX, first).0 < 1 << 53);
        assert_eq!(Generation::minted(u64::MAX, 0, first).0, u64::MAX);
    }

    #[test]
    fn fencing_tokens_order_by_generation_then_counter() {
        let token = |generation, counter| FencingToken {
            generation: Generation(generation),
            counter: LeaseCounter(counter),
        };
        assert!(token(1, 99) < token(2, 0));
        assert!(token(2, 0) < token(2, 1));
    }
}
