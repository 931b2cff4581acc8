//! Inputs that no corpus holds: edited entries, entries with one JSON value replaced, and texts in the target's shape.

use bytes::Bytes;
use kcl::{AggregateBuilder, HashKey};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use workers::{Clickstream, WebLog};

/// Inputs for the target `name` whose corpus is `corpus`.
pub(super) fn inputs(name: &str, corpus: Vec<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let edited = (select(corpus.clone()), vec(edit(corpus.clone()), 1..6))
        .prop_map(|(entry, edits)| edits.into_iter().fold(entry, Edit::apply));
    let replaced = (select(corpus), vec((any::<Index>(), odd_value()), 1..3)).prop_map(|(entry, values)| {
        values.into_iter().fold(entry, |entry, (at, value)| with_value(&entry, at, value))
    });
    prop_oneof![
        1 => vec(any::<u8>(), 0..200),
        3 => edited,
        3 => replaced,
        3 => shaped(name),
    ]
    .boxed()
}

/// Texts in the shape that the target reads.
fn shaped(name: &str) -> BoxedStrategy<Vec<u8>> {
    let bytes = |text: String| text.into_bytes();
    match name {
        "settings_toml" => {
            let line =
                (select(&FIELDS[..]), toml_value()).prop_map(|(field, value)| format!("{field} = {value}\n"));
            vec(line, 0..6).prop_map(|lines| lines.concat().into_bytes()).boxed()
        }
        "log_line" => {
            let csv = vec(r#"[ab"",;\n0-9.]{0,8}|143185710[0-9]"#, 1..5)
                .prop_map(|values| values.join(",").into_bytes());
            let log = (any::<u64>(), 1..8_usize)
                .prop_map(|(seed, lines)| WebLog::new(seed).take(lines).collect::<Vec<Bytes>>().join(&b'\n'));
            let quoted = r#"[a1.]{0,3} [-u] [-u] \[1[0-9]/May/2015:10:0[0-9]:03 [+-][0-9]{4}\] "[A-Z]{0,4} [/?=a]{0,5}\\?"?" [0-9]{1,3} [0-9-]{1,3} "[-/:@.a]{0,9}" "\\?[a"]{0,3}""#;
            prop_oneof![csv, log, quoted.prop_map(bytes)].boxed()
        }
        "json_event" => {
            let log = (any::<u64>(), 1..8_usize).prop_map(|(seed, lines)| {
                Clickstream::new(seed).take(lines).collect::<Vec<Bytes>>().join(&b'\n')
            });
            let members = vec(("[a-z_]{1,6}|line|original|event_time", json_value()), 0..5);
            let event = (members, 1_400_000_000_000_u64..1_500_000_000_000).prop_map(|(members, time)| {
                let mut event: serde_json::Map<String, Value> = members.into_iter().collect();
                event.insert("timestamp".to_owned(), Value::from(time));
                Value::Object(event).to_string().into_bytes()
            });
            prop_oneof![log, event].boxed()
        }
        "sequence_number" => vec("[0-9]{1,60}|0{1,9}[0-9]{1,57}|627710173538668076[0-9]{40}", 1..5)
            .prop_map(|lines| lines.join("\n").into_bytes())
            .boxed(),
        "aggregate" => {
            let entries = vec(("[a-z]{0,4}", option::of(any::<u128>()), vec(any::<u8>(), 0..9)), 0..8);
            (entries, any::<Index>(), any::<u8>())
                .prop_map(|(entries, at, byte)| {
                    let mut builder = AggregateBuilder::new();
                    for (key, hash_key, data) in &entries {
                        builder.push(key, hash_key.map(HashKey), data);
                    }
                    let packed = builder.finish();
                    let mut body = packed[..packed.len() - DIGEST_BYTES].to_vec();
                    let place = at.index(body.len());
                    body[place] ^= byte & 0x11;
                    body
                })
                .boxed()
        }
        "server_request" => {
            let operation = select(&OPERATIONS[..]);
            let members = vec(
                (select(&MEMBERS[..]), prop_oneof![json_value(), select(&TEXTS[..]).prop_map(Value::from)]),
                0..5,
            );
            let call = (operation, members).prop_map(|(operation, members)| {
                let mut input: serde_json::Map<String, Value> =
                    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                input.entry("StreamName").or_insert_with(|| Value::from("s"));
                let body = Value::Object(input);
                format!("POST /\nx-amz-target: Kinesis_20131202.{operation}\n\n{body}\n%%\n")
            });
            let object = (select(&["GET", "PUT", "HEAD", "DELETE", "POST"][..]), "/b(/[a./%25F]{0,9})?(\\?(list-type=2|prefix=[a/]{0,3}|uploads|delimiter=/|partNumber=[0-9]|&){0,4})?")
                .prop_map(|(method, uri)| format!("{method} {uri}\n\nbody\n%%\n"));
            vec(prop_oneof![3 => call, 1 => object], 1..8)
                .prop_map(|calls| (START.to_owned() + &calls.concat()).into_bytes())
                .boxed()
        }
        "lease_item" => {
            vec((select(&ATTRIBUTES[..]), json_value(), select(&["S", "N", "B", "SS"][..])), 0..9)
                .prop_map(|attributes| {
                    let mut item: Value = serde_json::from_str(LEASE).expect("JSON");
                    for (name, value, kind) in attributes {
                        item[name] = serde_json::json!({ kind: value });
                    }
                    item.to_string().into_bytes()
                })
                .boxed()
        }
        "schedule" => vec(any::<u8>(), 0..1600).boxed(),
        "intent" | "manifest" | "snapshot" => {
            json_value().prop_map(|value| value.to_string().into_bytes()).boxed()
        }
        other => panic!("{other} has no shape"),
    }
}

/// A change of an input's bytes.
#[derive(Clone, Debug)]
enum Edit {
    Flip { at: Index, bits: u8 },
    Remove { at: Index, bytes: usize },
    Insert { at: Index, bytes: Vec<u8> },
    Repeat { at: Index, bytes: usize, times: usize },
}

fn edit(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Edit> {
    let piece = (select(corpus), any::<Index>(), 1..40_usize).prop_map(|(entry, at, bytes)| {
        let start = at.index(entry.len() + 1);
        entry[start..entry.len().min(start + bytes)].to_vec()
    });
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Edit::Flip { at, bits }),
        (any::<Index>(), 1..20_usize).prop_map(|(at, bytes)| Edit::Remove { at, bytes }),
        (any::<Index>(), prop_oneof![piece, vec(any::<u8>(), 1..8)])
            .prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        (any::<Index>(), 1..30_usize, 1..200_usize).prop_map(|(at, bytes, times)| Edit::Repeat {
            at,
            bytes,
            times
        }),
    ]
}

impl Edit {
    fn apply(mut input: Vec<u8>, edit: Self) -> Vec<u8> {
        let range = |input: &[u8], at: Index, bytes: usize| {
            let start = at.index(input.len() + 1);
            start..input.len().min(start + bytes)
        };
        match edit {
            Self::Flip { at, bits } => {
                if !input.is_empty() {
                    let place = at.index(input.len());
                    input[place] ^= bits;
                }
            }
            Self::Remove { at, bytes } => drop(input.drain(range(&input, at, bytes))),
            Self::Insert { at, bytes } => drop(input.splice(range(&input, at, 0), bytes)),
            Self::Repeat { at, bytes, times } => {
                let range = range(&input, at, bytes);
                let repeated = input[range.clone()].repeat(times);
                drop(input.splice(range, repeated));
            }
        }
        input
    }
}

/// `entry` with one of its JSON values replaced; as it is if it is no JSON.
fn with_value(entry: &[u8], at: Index, new: Value) -> Vec<u8> {
    let Ok(mut root) = serde_json::from_slice::<Value>(entry) else { return entry.to_vec() };
    let place = at.index(count(&root));
    let mut place = place;
    replace(&mut root, &mut place, &new);
    root.to_string().into_bytes()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Replaces the value that is `place` values further on in depth-first order; `usize::MAX` once it is done.
fn replace(value: &mut Value, place: &mut usize, new: &Value) {
    if *place == 0 {
        *value = new.clone();
        *place = usize::MAX;
        return;
    }
    *place -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for child in children {
        if *place == usize::MAX {
            return;
        }
        replace(child, place, new);
    }
}

/// Values at the edges of what a field may hold.
fn odd_value() -> impl Strategy<Value = Value> {
    let numbers = select(vec![
        Value::from(0),
        Value::from(-1),
        Value::from(1),
        Value::from(u64::MAX),
        Value::from(i64::MAX),
        Value::from(i64::MIN),
        Value::from(0.1),
        Value::from(1e300),
        Value::from(4_102_444_800_000_u64),
        Value::from(u32::MAX),
        Value::from(1_431_857_103_000_u64),
    ]);
    let others = select(vec![
        Value::Null,
        Value::from(true),
        Value::from(""),
        Value::from("\u{1f}"),
        Value::from("x".repeat(5000)),
        Value::from("g1-b1"),
        Value::from("TRIM_HORIZON"),
        Value::from("49/0"),
        Value::Array(Vec::new()),
    ]);
    prop_oneof![numbers, others, json_value()]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z]{0,3}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn toml_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "\"[ -~]{0,9}\"",
        select(
            &[
                "true",
                "[]",
                "[\"a\"]",
                "{ a = 1 }",
                "\"30m\"",
                "\"1ns\"",
                "\"\\u0000\"",
                "'\"'",
                "2015-05-17T10:05:03Z",
                "\"2015-05-17T10:05:03.5Z\""
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

const DIGEST_BYTES: usize = 16;
const FIELDS: [&str; 18] = [
    "application.name",
    "stream.name",
    "stream.initial_position",
    "stream.partition_key",
    "parse.format",
    "parse.csv_columns",
    "parse.csv_delimiter",
    "parse.record_bytes_max",
    "parse.ahead_max",
    "validate.schema",
    "derive.steps",
    "session.gap",
    "session.key",
    "session.state_bytes_max",
    "sink.bucket",
    "sink.layout",
    "sink.batch_rows_max",
    "unknown.field",
];
const OPERATIONS: [&str; 14] = [
    "CreateStream",
    "PutRecord",
    "PutRecords",
    "GetShardIterator",
    "GetRecords",
    "ListShards",
    "SplitShard",
    "MergeShards",
    "UpdateShardCount",
    "DescribeStream",
    "ListStreams",
    "SubscribeToShard",
    "DeleteStream",
    "AddTagsToStream",
];
const MEMBERS: [&str; 18] = [
    "StreamName",
    "StreamARN",
    "ShardCount",
    "Data",
    "PartitionKey",
    "ExplicitHashKey",
    "Records",
    "ShardId",
    "ShardIteratorType",
    "StartingSequenceNumber",
    "Timestamp",
    "ShardIterator",
    "Limit",
    "ShardToSplit",
    "NewStartingHashKey",
    "TargetShardCount",
    "ScalingType",
    "NextToken",
];
const TEXTS: [&str; 12] = [
    "s",
    "shardId-000000000000",
    "shardId-000000000001",
    "TRIM_HORIZON",
    "AT_TIMESTAMP",
    "AT_SEQUENCE_NUMBER",
    "$ShardIterator",
    "$NextShardIterator",
    "$SequenceNumber",
    "UNIFORM_SCALING",
    "aGk=",
    "170141183460469231731687303715884105728",
];
/// A stream with a record, an iterator, and a bucket.
const START: &str = "POST /\nx-amz-target: Kinesis_20131202.CreateStream\n\n{\"ShardCount\":2,\"StreamName\":\"s\"}\n%%\n\
    POST /\nx-amz-target: Kinesis_20131202.PutRecord\n\n{\"Data\":\"aGk=\",\"PartitionKey\":\"k\",\"StreamName\":\"s\"}\n%%\n\
    POST /\nx-amz-target: Kinesis_20131202.GetShardIterator\n\n{\"ShardId\":\"shardId-000000000000\",\"ShardIteratorType\":\"TRIM_HORIZON\",\"StreamName\":\"s\"}\n%%\n\
    PUT /b\n\n\n%%\n";
const LEASE: &str =
    r#"{"leaseKey":{"S":"shardId-000000000000"},"leaseCounter":{"N":"1"},"checkpoint":{"S":"TRIM_HORIZON"}}"#;
const ATTRIBUTES: [&str; 16] = [
    "leaseKey",
    "leaseCounter",
    "checkpoint",
    "checkpointSubSequenceNumber",
    "leaseOwner",
    "pendingCheckpoint",
    "pendingCheckpointState",
    "parentShardId",
    "childShardIds",
    "startingHashKey",
    "endingHashKey",
    "checkpointOwner",
    "lhNonce",
    "lhGeneration",
    "lhBound",
    "lhFailover",
];
