//! The leader lock as an item, in the format of the amazon-dynamodb-lock-client.

use kcl_core::{LeaderLock, LockCondition, LockVersion, Millis, WorkerId};

use super::expression::Rendered;
use super::item::{ENTITY_TYPE, InvalidItem, Item, KEY, parsed, required, s, text};

/// Hash key of the item.
pub(super) const LOCK_KEY: &str = "Leader";
pub(super) const ENTITY: &str = "LEADER";
const OWNER: &str = "ownerName";
const VERSION: &str = "recordVersionNumber";
/// Milliseconds, as a *string*.
const LEASE_DURATION: &str = "leaseDuration";
/// `"1"` if released without being deleted.
const IS_RELEASED: &str = "isReleased";

/// The item of a lock.
pub(super) fn encode(lock: &LeaderLock) -> Item {
    let mut item = Item::from([
        (KEY.to_owned(), s(LOCK_KEY)),
        (ENTITY_TYPE.to_owned(), s(ENTITY)),
        (OWNER.to_owned(), s(lock.owner.as_str())),
        (VERSION.to_owned(), s(lock.version.0.as_str())),
        (LEASE_DURATION.to_owned(), s(lock.lease_duration.0.to_string())),
    ]);
    if lock.is_released {
        item.insert(IS_RELEASED.to_owned(), s("1"));
    }
    item
}

/// The lock of an item.
pub(super) fn decode(item: &Item) -> Result<LeaderLock, InvalidItem> {
    let version = required(VERSION, text(item, VERSION)?)?;
    Ok(LeaderLock {
        owner: required(OWNER, parsed(item, OWNER, WorkerId::new)?)?,
        version: LockVersion(version.to_owned()),
        lease_duration: Millis(required(LEASE_DURATION, parsed(item, LEASE_DURATION, str::parse)?)?),
        is_released: text(item, IS_RELEASED)? == Some("1"),
    })
}

/// The condition of a write.
pub(super) fn condition(condition: &LockCondition) -> Rendered {
    let mut rendered = Rendered::default();
    let key = rendered.name(KEY);
    match condition {
        LockCondition::Absent => rendered.require(format!("attribute_not_exists({key})")),
        LockCondition::Released => {
            rendered.require(format!("attribute_exists({key})"));
            rendered.require_equal(IS_RELEASED, s("1"));
        }
        LockCondition::Version(version) => {
            rendered.require(format!("attribute_exists({key})"));
            rendered.require_equal(VERSION, s(version.0.as_str()));
        }
        LockCondition::VersionAndOwner(version, owner) => {
            rendered.require(format!("attribute_exists({key})"));
            rendered.require_equal(VERSION, s(version.0.as_str()));
            rendered.require_equal(OWNER, s(owner.as_str()));
        }
    }
    rendered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn locks_round_trip(owner in "[a-z0-9-]{1,20}", version in "[0-9a-f-]{1,36}", duration: u64, is_released: bool) {
            let lock = LeaderLock {
                owner: WorkerId::new(owner).expect("not empty"),
                version: LockVersion(version),
                lease_duration: Millis(duration),
                is_released,
            };
            prop_assert_eq!(decode(&encode(&lock)), Ok(lock));
        }
    }

    #[test]
    fn the_duration_is_a_string_as_the_lock_client_writes_it() {
        let lock = LeaderLock {
            owner: WorkerId::new("w").expect("valid"),
            version: LockVersion("v".to_owned()),
            lease_duration: Millis(120_000),
            is_released: false,
        };
        let item = encode(&lock);
        assert_eq!(item.get(LEASE_DURATION), Some(&s("120000")));
        assert_eq!(item.get(KEY), Some(&s("Leader")));
        assert!(!item.contains_key(IS_RELEASED));
    }
}
