//! The roster item: a counter of joining and leaving workers, and whose table it is.

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{ENTITY_TYPE, InvalidItem, Item, n, number, s, text};
use crate::port::{Application, StreamIdentity};

/// Hash key of the item.
pub(super) const ROSTER_KEY: &str = "lhRoster";
pub(super) const ENTITY: &str = "LH_ROSTER";
/// The counter.
pub(super) const COUNT: &str = "lhCount";
const APPLICATION: &str = "lhApplication";
/// ARN of the stream.
pub(super) const STREAM: &str = "lhStream";
/// Epoch seconds at which the stream was created.
const STREAM_CREATED: &str = "lhStreamCreated";

/// The attributes that claim the table, without the key.
pub(super) fn claim(application: &Application) -> [(&'static str, AttributeValue); 4] {
    [
        (ENTITY_TYPE, s(ENTITY)),
        (APPLICATION, s(application.name.as_str())),
        (STREAM, s(application.stream.arn.as_str())),
        (STREAM_CREATED, n(application.stream.created_epoch_seconds)),
    ]
}

/// The counter of the item.
pub(super) fn count(item: &Item) -> Result<u64, InvalidItem> {
    Ok(number(item, COUNT)?.unwrap_or(0))
}

/// Whose table it is, if it was claimed.
pub(super) fn owner(item: &Item) -> Result<Option<Application>, InvalidItem> {
    let (Some(name), Some(arn)) = (text(item, APPLICATION)?, text(item, STREAM)?) else {
        return Ok(None);
    };
    let created_epoch_seconds = number(item, STREAM_CREATED)?.unwrap_or(0);
    let stream = StreamIdentity { arn: arn.to_owned(), created_epoch_seconds };
    Ok(Some(Application { name: name.to_owned(), stream }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_read_back_and_a_bare_counter_claims_nothing() {
        let stream = StreamIdentity { arn: "arn:aws:kinesis:x".to_owned(), created_epoch_seconds: 12 };
        let application = Application { name: "app".to_owned(), stream };
        let mut item: Item = claim(&application).map(|(name, value)| (name.to_owned(), value)).into();
        item.insert(COUNT.to_owned(), n(4));
        assert_eq!((owner(&item), count(&item)), (Ok(Some(application)), Ok(4)));
        let bare = Item::from([(COUNT.to_owned(), n(1))]);
        assert_eq!((owner(&bare), count(&Item::new())), (Ok(None), Ok(0)));
    }
}
