//! Reads an aggregate without copying payloads. Anything malformed is no aggregate: the caller passes it through.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use kcl_core::HashKey;
use md5::{Digest, Md5};

use super::{DIGEST_BYTES, MAGIC};

/// An aggregate taken apart; every index of an entry is within its table.
pub(super) struct Aggregate {
    pub(super) partition_keys: Vec<Arc<str>>,
    explicit_hash_keys: Vec<HashKey>,
    pub(super) entries: Vec<Entry>,
}

/// One user record.
pub(super) struct Entry {
    pub(super) partition_key: usize,
    explicit_hash_key: Option<usize>,
    pub(super) data: Bytes,
}

impl Aggregate {
    /// Where Kinesis would have put the entry on its own.
    pub(super) fn hash_key(&self, entry: &Entry) -> HashKey {
        match entry.explicit_hash_key {
            Some(index) => self.explicit_hash_keys[index],
            None => HashKey::of_partition_key(&self.partition_keys[entry.partition_key]),
        }
    }
}

/// The aggregate in `data`, or `None` if it is something else, or holds no record.
pub(super) fn decode(data: &Bytes) -> Option<Aggregate> {
    if data.len() <= MAGIC.len() + DIGEST_BYTES || data[..MAGIC.len()] != MAGIC {
        return None;
    }
    let (body, digest) = data.split_at(data.len() - DIGEST_BYTES);
    let body_range = MAGIC.len()..body.len();
    if Md5::digest(&body[body_range.clone()])[..] != *digest {
        return None;
    }
    let mut aggregate =
        Aggregate { partition_keys: Vec::new(), explicit_hash_keys: Vec::new(), entries: Vec::new() };
    let mut fields = Fields { data, range: body_range };
    while let Some(field) = fields.next()? {
        match field {
            Field { number: 1, value: Value::Bytes(range) } => {
                aggregate.partition_keys.push(Arc::from(std::str::from_utf8(&data[range]).ok()?));
            }
            Field { number: 2, value: Value::Bytes(range) } => {
                let text = std::str::from_utf8(&data[range]).ok()?;
                aggregate.explicit_hash_keys.push(HashKey::parse(text).ok()?);
            }
            Field { number: 3, value: Value::Bytes(range) } => {
                aggregate.entries.push(decode_entry(data, range)?);
            }
            Field { .. } => {}
        }
    }
    let is_sound = |entry: &Entry| {
        entry.partition_key < aggregate.partition_keys.len()
            && entry.explicit_hash_key.is_none_or(|index| index < aggregate.explicit_hash_keys.len())
    };
    (!aggregate.entries.is_empty() && aggregate.entries.iter().all(is_sound)).then_some(aggregate)
}

fn decode_entry(data: &Bytes, range: Range<usize>) -> Option<Entry> {
    let (mut partition_key, mut explicit_hash_key, mut payload) = (None, None, None);
    let mut fields = Fields { data, range };
    while let Some(field) = fields.next()? {
        match field {
            Field { number: 1, value: Value::Integer(index) } => {
                partition_key = Some(usize::try_from(index).ok()?);
            }
            Field { number: 2, value: Value::Integer(index) } => {
                explicit_hash_key = Some(usize::try_from(index).ok()?);
            }
            Field { number: 3, value: Value::Bytes(range) } => payload = Some(data.slice(range)),
            Field { .. } => {}
        }
    }
    Some(Entry { partition_key: partition_key?, explicit_hash_key, data: payload? })
}

struct Field {
    number: u64,
    value: Value,
}

enum Value {
    Integer(u64),
    Bytes(Range<usize>),
    Fixed,
}

/// The fields of a protobuf message at `range` of `data`.
struct Fields<'a> {
    data: &'a Bytes,
    range: Range<usize>,
}

impl Fields<'_> {
    /// The next field: `None` if the message is malformed, `Some(None)` at its end.
    fn next(&mut self) -> Option<Option<Field>> {
        if self.range.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Integer(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some(Some(Field { number: tag >> 3, value }))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.data[self.take(1)?.start];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let taken = self.range.start..self.range.start.checked_add(length)?;
        if taken.end > self.range.end {
            return None;
        }
        self.range.start = taken.end;
        Some(taken)
    }
}
