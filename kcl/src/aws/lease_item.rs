//! The lease row as an item: attribute names and types of the Java KCL, and our own.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use kcl_core::{
    BatchOrdinal, Generation, HashKey, HashKeyRange, Lease, LeaseCounter, LeaseKey, LeaseRowState, Millis,
    Nonce, PendingCheckpoint, Position, Resolution, ShardId, WorkerId,
};

use super::item::{ENTITY_TYPE, InvalidItem, Item, KEY, n, number, parsed, required, s, text, text_set};

pub(super) const ENTITY: &str = "LEASE";
pub(super) const OWNER: &str = "leaseOwner";
pub(super) const COUNTER: &str = "leaseCounter";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(super) const PENDING: &str = "pendingCheckpoint";
pub(super) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
pub(super) const PENDING_STATE: &str = "pendingCheckpointState";
pub(super) const PARENTS: &str = "parentShardId";
pub(super) const CHILDREN: &str = "childShardIds";
pub(super) const HASH_KEY_START: &str = "startingHashKey";
pub(super) const HASH_KEY_END: &str = "endingHashKey";
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(super) const NONCE: &str = "lhNonce";
pub(super) const HOLDER: &str = "lhHolder";
pub(super) const GENERATION: &str = "lhGeneration";
pub(super) const BATCH: &str = "lhBatch";
pub(super) const STATE: &str = "lhState";
pub(super) const FINAL_STATE: &str = "lhFinal";
pub(super) const FAILOVER: &str = "lhFailover";
pub(super) const START: &str = "lhStart";
pub(super) const BOUND: &str = "lhBound";
pub(super) const HALT: &str = "lhHalt";
pub(super) const RESOLUTION: &str = "lhResolution";

/// The item of a new row. Absent values and empty sets are left out: DynamoDB refuses them.
#[must_use]
pub fn encode(lease: &Lease) -> Item {
    let mut item = Item::from([
        (KEY.to_owned(), s(lease.key.as_str())),
        (ENTITY_TYPE.to_owned(), s(ENTITY)),
        (COUNTER.to_owned(), n(lease.counter.0)),
        (CHECKPOINT.to_owned(), s(lease.checkpoint.column())),
        (CHECKPOINT_SUB.to_owned(), n(lease.checkpoint.sub_sequence_column())),
        (OWNER_SWITCHES.to_owned(), n(lease.owner_switches)),
        (GENERATION.to_owned(), n(lease.own.generation.0)),
        (BATCH.to_owned(), n(lease.own.batch.0)),
    ]);
    let mut put = |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    put(OWNER, lease.owner.as_ref().map(worker));
    put(CHECKPOINT_OWNER, lease.checkpoint_owner.as_ref().map(worker));
    if let Some(pending) = &lease.pending {
        put(PENDING, Some(s(pending.position.column())));
        put(PENDING_SUB, Some(n(pending.position.sub_sequence_column())));
        put(PENDING_STATE, Some(binary(&pending.state)));
    }
    put(PARENTS, shard_set(&lease.parents));
    put(CHILDREN, shard_set(&lease.children));
    put(HASH_KEY_START, lease.hash_range.map(|range| s(range.start().to_string())));
    put(HASH_KEY_END, lease.hash_range.map(|range| s(range.end().to_string())));
    put(NONCE, lease.own.nonce.map(nonce));
    put(HOLDER, lease.own.holder.map(nonce));
    put(STATE, lease.own.state.clone().map(s));
    put(FINAL_STATE, lease.own.final_state.clone().map(s));
    put(FAILOVER, lease.own.failover.map(|failover| n(failover.0)));
    put(START, lease.own.start_epoch_millis.map(n));
    put(BOUND, lease.own.bound_to.map(|position| s(bound(position))));
    put(HALT, lease.own.halt.clone().map(s));
    put(RESOLUTION, lease.own.resolution.map(|resolution| s(resolution.column())));
    item
}

/// The row of an item, by whomever written. Unknown attributes are none of our business.
///
/// # Errors
/// [`InvalidItem`] with the attribute that is missing or malformed.
pub fn decode(item: &Item) -> Result<Lease, InvalidItem> {
    let checkpoint = required(CHECKPOINT, position(item, CHECKPOINT, CHECKPOINT_SUB)?)?;
    Ok(Lease {
        key: required(KEY, parsed(item, KEY, LeaseKey::new)?)?,
        owner: parsed(item, OWNER, WorkerId::new)?,
        counter: LeaseCounter(required(COUNTER, number(item, COUNTER)?)?),
        checkpoint,
        owner_switches: number(item, OWNER_SWITCHES)?.unwrap_or(0),
        pending: pending(item)?,
        parents: text_set(item, PARENTS, ShardId::new)?,
        children: text_set(item, CHILDREN, ShardId::new)?,
        hash_range: hash_range(item)?,
        checkpoint_owner: parsed(item, CHECKPOINT_OWNER, WorkerId::new)?,
        own: LeaseRowState {
            nonce: parsed(item, NONCE, parse_nonce)?,
            holder: parsed(item, HOLDER, parse_nonce)?,
            generation: Generation(number(item, GENERATION)?.unwrap_or(0)),
            batch: BatchOrdinal(number(item, BATCH)?.unwrap_or(0)),
            state: text(item, STATE)?.map(str::to_owned),
            final_state: text(item, FINAL_STATE)?.map(str::to_owned),
            failover: number(item, FAILOVER)?.map(Millis),
            start_epoch_millis: number(item, START)?,
            bound_to: parsed(item, BOUND, parse_bound)?,
            halt: text(item, HALT)?.map(str::to_owned),
            resolution: parsed(item, RESOLUTION, parse_resolution)?,
        },
    })
}

/// The value of `lhNonce` and `lhHolder`.
pub(super) fn nonce(nonce: Nonce) -> AttributeValue {
    s(nonce.to_string())
}

/// The value of the owner attributes.
pub(super) fn worker(worker: &WorkerId) -> AttributeValue {
    s(worker.as_str())
}

/// The value of `pendingCheckpointState`.
pub(super) fn binary(bytes: &Bytes) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes.to_vec()))
}

/// The value of the set attributes; `None` for an empty set, which cannot be stored.
pub(super) fn shard_set(shards: &BTreeSet<ShardId>) -> Option<AttributeValue> {
    let texts: Vec<String> = shards.iter().map(|shard| shard.as_str().to_owned()).collect();
    (!texts.is_empty()).then_some(AttributeValue::Ss(texts))
}

/// The value of `lhBound`: both checkpoint columns in one.
pub(super) fn bound(position: Position) -> String {
    format!("{}/{}", position.column(), position.sub_sequence_column())
}

fn parse_bound(text: &str) -> Result<Position, String> {
    let invalid = || format!("is {text:?} and not checkpoint/sub-sequence");
    let (checkpoint, sub_sequence) = text.split_once('/').ok_or_else(invalid)?;
    let sub_sequence = sub_sequence.parse().map_err(|_| invalid())?;
    Position::from_columns(checkpoint, sub_sequence).map_err(|error| error.to_string())
}

fn parse_resolution(text: &str) -> Result<Resolution, String> {
    let found = Resolution::ALL.into_iter().find(|resolution| resolution.column() == text);
    found.ok_or_else(|| format!("is {text:?} and not a resolution that this release knows"))
}

fn parse_nonce(text: &str) -> Result<Nonce, String> {
    let number = u128::from_str_radix(text, 16);
    number.map(Nonce).map_err(|_| format!("is {text:?} and not a hexadecimal number of 128 bits"))
}

fn position(item: &Item, column: &str, sub_column: &str) -> Result<Option<Position>, InvalidItem> {
    let sub_sequence = number(item, sub_column)?.unwrap_or(0);
    parsed(item, column, |checkpoint| Position::from_columns(checkpoint, sub_sequence))
}

/// The Java KCL writes a number into the state of a pending checkpoint when it creates a row; that is no state.
fn pending(item: &Item) -> Result<Option<PendingCheckpoint>, InvalidItem> {
    let Some(position) = position(item, PENDING, PENDING_SUB)? else {
        return Ok(None);
    };
    let state = match item.get(PENDING_STATE) {
        Some(AttributeValue::B(blob)) => Bytes::copy_from_slice(blob.as_ref()),
        Some(_) | None => Bytes::new(),
    };
    Ok(Some(PendingCheckpoint { position, state }))
}

fn hash_range(item: &Item) -> Result<Option<HashKeyRange>, InvalidItem> {
    let start = parsed(item, HASH_KEY_START, HashKey::parse)?;
    let end = parsed(item, HASH_KEY_END, HashKey::parse)?;
    match (start, end) {
        (Some(start), Some(end)) => {
            let range = HashKeyRange::new(start, end);
            range.map(Some).map_err(|error| InvalidItem::new(HASH_KEY_START, error))
        }
        (Some(_), None) | (None, Some(_)) => Err(InvalidItem::new(HASH_KEY_END, "lacks its counterpart")),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use kcl_core::{RecordPosition, SequenceNumber};
    use proptest::collection::btree_set;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn positions() -> impl Strategy<Value = Position> {
        let record = (any::<u64>(), any::<u128>(), any::<u64>()).prop_map(|(high, low, sub_sequence)| {
            Position::At(RecordPosition { sequence: SequenceNumber::from_parts(high, low), sub_sequence })
        });
        let sentinel = prop::sample::select(vec![
            Position::AtTimestamp,
            Position::TrimHorizon,
            Position::Latest,
            Position::ShardEnd,
        ]);
        prop_oneof![record, sentinel]
    }

    fn workers() -> impl Strategy<Value = WorkerId> {
        "[a-z0-9.:-]{1,20}".prop_map(|id| WorkerId::new(id).expect("not empty"))
    }

    fn shards() -> impl Strategy<Value = BTreeSet<ShardId>> {
        btree_set("shardId-[0-9]{12}".prop_map(|id| ShardId::new(id).expect("not empty")), 0..3)
    }

    fn pendings() -> impl Strategy<Value = PendingCheckpoint> {
        let state = prop::collection::vec(any::<u8>(), 0..50);
        (positions(), state).prop_map(|(position, state)| PendingCheckpoint { position, state: state.into() })
    }

    fn own_states() -> impl Strategy<Value = LeaseRowState> {
        let pointers = || option::of("[a-z/]{1,9}");
        let numbers = (any::<u64>(), any::<u64>(), option::of(any::<u64>()), option::of(any::<u64>()));
        let nonces = (option::of(any::<u128>()), option::of(any::<u128>()));
        let decisions = (pointers(), option::of(prop::sample::select(Resolution::ALL.to_vec())));
        (nonces, numbers, pointers(), pointers(), option::of(positions()), decisions).prop_map(
            |(
                (nonce, holder),
                (generation, batch, failover, start),
                state,
                final_state,
                bound_to,
                (halt, resolution),
            )| {
                LeaseRowState {
                    nonce: nonce.map(Nonce),
                    holder: holder.map(Nonce),
                    generation: Generation(generation),
                    batch: BatchOrdinal(batch),
                    state,
                    final_state,
                    failover: failover.map(Millis),
                    start_epoch_millis: start,
                    bound_to,
                    halt,
                    resolution,
                }
            },
        )
    }

    fn leases() -> impl Strategy<Value = Lease> {
        let owners = (option::of(workers()), option::of(workers()));
        let numbers = (any::<u64>(), any::<u64>());
        let ranges = option::of((any::<u128>(), any::<u128>()));
        (owners, numbers, positions(), option::of(pendings()), shards(), shards(), ranges, own_states())
            .prop_map(
                |(
                    (owner, checkpoint_owner),
                    (counter, switches),
                    checkpoint,
                    pending,
                    parents,
                    children,
                    range,
                    own,
                )| {
                    let key = LeaseKey::new("shardId-000000000000").expect("not empty");
                    let hash_range = range.map(|(a, b)| {
                        HashKeyRange::new(HashKey(a.min(b)), HashKey(a.max(b))).expect("ordered")
                    });
                    Lease {
                        owner,
                        counter: LeaseCounter(counter),
                        owner_switches: switches,
                        pending,
                        parents,
                        children,
                        hash_range,
                        checkpoint_owner,
                        own,
                        ..Lease::new(key, checkpoint, Generation(0))
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn rows_round_trip(lease in leases()) {
            prop_assert_eq!(decode(&encode(&lease)), Ok(lease));
        }
    }

    #[test]
    fn a_row_of_the_java_kcl_is_read() {
        let item = Item::from([
            (KEY.to_owned(), s("shardId-000000000000")),
            (COUNTER.to_owned(), n(7)),
            (CHECKPOINT.to_owned(), s("LATEST")),
            (CHECKPOINT_SUB.to_owned(), n(0)),
            (OWNER_SWITCHES.to_owned(), n(0)),
            (PENDING.to_owned(), s("TRIM_HORIZON")),
            (PENDING_STATE.to_owned(), n(0)),
            ("throughputKBps".to_owned(), AttributeValue::N("1.5".to_owned())),
        ]);
        let lease = decode(&item).expect("valid");
        assert_eq!((lease.counter, lease.checkpoint), (LeaseCounter(7), Position::Latest));
        assert_eq!(lease.pending.expect("pending").state, Bytes::new());
        assert_eq!(lease.own, LeaseRowState::default());
    }

    #[test]
    fn a_damaged_row_names_its_attribute() {
        let mut item =
            encode(&Lease::new(LeaseKey::new("k").expect("valid"), Position::Latest, Generation(1)));
        item.insert(CHECKPOINT.to_owned(), s("latest"));
        let error = decode(&item).expect_err("must be refused").to_string();
        assert!(error.starts_with("attribute checkpoint "), "{error}");
        item.remove(CHECKPOINT);
        assert_eq!(
            decode(&item).expect_err("must be refused").to_string(),
            "attribute checkpoint is missing"
        );
    }
}
