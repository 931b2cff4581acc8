//! What comes from a stream: sequence numbers and KPL aggregates.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use kcl::{
    AggregateBuilder, AggregatePolicy, HashKey, HashKeyRange, Position, Record, RecordPosition,
    SequenceNumber, deaggregate,
};
use md5::{Digest, Md5};

/// Lines of sequence numbers and checkpoint columns.
///
/// # Panics
/// If a text reads back as another number, or two numbers have another order than their digits.
pub fn sequence_number(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut last: Option<(SequenceNumber, &str)> = None;
    for line in text.lines() {
        if let Ok(position) = Position::from_columns(line, 7) {
            assert_eq!(
                Position::from_columns(&position.column(), position.sub_sequence_column()),
                Ok(position)
            );
        }
        let Ok(number) = line.parse::<SequenceNumber>() else { continue };
        let digits = match line.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        assert_eq!(number.to_string(), digits);
        assert_eq!(SequenceNumber::from_parts(number.high(), number.low()), number);
        assert!(number.next().is_none_or(|next| number < next));
        if let Some((other, other_digits)) = last {
            assert_eq!(number.cmp(&other), numeric_order(digits, other_digits));
        }
        last = Some((number, digits));
    }
}

fn numeric_order(one: &str, other: &str) -> Ordering {
    (one.len(), one).cmp(&(other.len(), other))
}

/// A record that may be a KPL aggregate: as it is, and as the body of an aggregate with the right digest.
///
/// # Panics
/// If de-aggregation invents or loses bytes or positions, or if packing its result gives other records.
pub fn aggregate(data: &[u8]) {
    taken_apart(&Bytes::copy_from_slice(data));
    let body = data.strip_prefix(&MAGIC).unwrap_or(data);
    let framed = [&MAGIC[..], body, &Md5::digest(body)[..]].concat();
    taken_apart(&Bytes::from(framed));
}

fn taken_apart(data: &Bytes) {
    let lower_half = HashKeyRange::new(HashKey(0), HashKey(u128::MAX / 2)).expect("ascending");
    let (all, dropped) = deaggregated(data, HashKeyRange::FULL, AggregatePolicy::KeepAll);
    assert_eq!(dropped, 0, "keep_all drops nothing");
    let payload_bytes: usize = all.iter().map(|record| record.data.len()).sum();
    assert!(payload_bytes <= data.len(), "{payload_bytes} bytes of payload in {} bytes", data.len());
    let is_ordered = all.windows(2).all(|pair| pair[0].position < pair[1].position);
    assert!(is_ordered && !all.is_empty());

    let (kept, dropped) = deaggregated(data, lower_half, AggregatePolicy::KeepInRange);
    assert_eq!(kept.len() + dropped, all.len());
    assert!(kept.iter().all(|record| all.contains(record)));
    let (strict, strict_dropped) = deaggregated(data, lower_half, AggregatePolicy::StrictKcl);
    match dropped {
        0 => assert_eq!((strict, strict_dropped), (all.clone(), 0)),
        _ => assert_eq!((strict, strict_dropped), (Vec::new(), all.len())),
    }

    let is_plain = matches!(all.as_slice(), [record] if record.data == *data);
    if !is_plain {
        let mut builder = AggregateBuilder::new();
        for record in &all {
            builder.push(&record.partition_key, None, &record.data);
        }
        let packed = deaggregated(&builder.finish(), HashKeyRange::FULL, AggregatePolicy::KeepAll).0;
        assert_eq!(packed, all);
    }
}

fn deaggregated(data: &Bytes, range: HashKeyRange, policy: AggregatePolicy) -> (Vec<Record>, usize) {
    let record = Record {
        position: RecordPosition::first_of(SequenceNumber::from_parts(1, 1)),
        partition_key: Arc::from("outer"),
        data: data.clone(),
        arrival_epoch_millis: 1,
    };
    let mut records = Vec::new();
    let dropped = deaggregate(record, range, policy, &mut records);
    (records, dropped)
}

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
