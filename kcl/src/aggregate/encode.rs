//! Packs user records into an aggregate, for producers and tests.

use std::collections::HashMap;

use bytes::Bytes;
use kcl_core::HashKey;
use md5::{Digest, Md5};

use super::{DIGEST_BYTES, MAGIC};

/// Collects user records for one Kinesis record.
///
/// The caller puts the result under a partition or hash key of the shard that all of them belong to, and stops
/// before [`AggregateBuilder::bytes`] passes the stream's record size.
#[derive(Debug, Default)]
pub struct AggregateBuilder {
    partition_keys: Table,
    explicit_hash_keys: Table,
    records: Vec<u8>,
    count: usize,
}

impl AggregateBuilder {
    /// An aggregate without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one user record.
    pub fn push(&mut self, partition_key: &str, explicit_hash_key: Option<HashKey>, data: &[u8]) {
        let mut record = Vec::with_capacity(data.len() + 12);
        write_integer(&mut record, 1, self.partition_keys.index_of(1, partition_key));
        if let Some(hash_key) = explicit_hash_key {
            write_integer(&mut record, 2, self.explicit_hash_keys.index_of(2, &hash_key.to_string()));
        }
        write_bytes(&mut record, 3, data);
        write_bytes(&mut self.records, 3, &record);
        self.count += 1;
    }

    /// Number of user records.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no user record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the Kinesis record as it stands.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        let body =
            self.partition_keys.encoded.len() + self.explicit_hash_keys.encoded.len() + self.records.len();
        MAGIC.len() + body + DIGEST_BYTES
    }

    /// The data of the Kinesis record.
    #[must_use]
    pub fn finish(self) -> Bytes {
        let mut data = Vec::with_capacity(self.bytes());
        data.extend_from_slice(&MAGIC);
        data.extend_from_slice(&self.partition_keys.encoded);
        data.extend_from_slice(&self.explicit_hash_keys.encoded);
        data.extend_from_slice(&self.records);
        let digest = Md5::digest(&data[MAGIC.len()..]);
        data.extend_from_slice(&digest);
        data.into()
    }
}

/// A table of distinct texts, encoded as it grows.
#[derive(Debug, Default)]
struct Table {
    indexes: HashMap<String, u64>,
    encoded: Vec<u8>,
}

impl Table {
    fn index_of(&mut self, field: u64, text: &str) -> u64 {
        if let Some(index) = self.indexes.get(text) {
            return *index;
        }
        let index = self.indexes.len() as u64;
        write_bytes(&mut self.encoded, field, text.as_bytes());
        self.indexes.insert(text.to_owned(), index);
        index
    }
}

fn write_integer(out: &mut Vec<u8>, field: u64, value: u64) {
    write_varint(out, field << 3);
    write_varint(out, value);
}

fn write_bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    write_varint(out, (field << 3) | 2);
    write_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
