//! How fast the model takes and gives records on one thread, and how much memory they need.
//!
//! `cargo run --release -p leasehold-kinesis-model --example throughput`

use std::time::Instant;

use kinesis_model::{
    CreateStreamRequest, EpochMillis, GetRecordsRequest, GetShardIteratorRequest, Kinesis, PutRecordsEntry,
    PutRecordsRequest, Settings, StartingPosition, StreamRef,
};

const REQUESTS: usize = 4_000;
const RECORDS_PER_REQUEST: usize = 500;
const DATA_BYTES: usize = 300;
const SHARDS: u32 = 4;

fn main() -> Result<(), kinesis_model::KinesisError> {
    let now = EpochMillis(1_700_000_000_000);
    let kinesis = Kinesis::new(Settings { stored_bytes_max: None, ..Settings::default() });
    kinesis.create_stream(CreateStreamRequest::provisioned("throughput", SHARDS), now)?;
    let stream = StreamRef::name("throughput");
    let data = bytes::Bytes::from(vec![b'x'; DATA_BYTES]);
    let resident_before = resident_bytes();

    let (mut spent, mut stored) = (std::time::Duration::ZERO, 0);
    for request in 0..REQUESTS {
        let records = (0..RECORDS_PER_REQUEST)
            .map(|index| PutRecordsEntry::new(format!("{request}-{index}"), data.clone()))
            .collect();
        let start = Instant::now();
        let response = kinesis.put_records(PutRecordsRequest { stream: stream.clone(), records }, now)?;
        spent += start.elapsed();
        stored += response.records.len() - response.failed_record_count;
    }
    println!("put   {:>12.0} records/s", stored as f64 / spent.as_secs_f64());
    if let (Some(before), Some(after)) = (resident_before, resident_bytes()) {
        let factor = (after.saturating_sub(before)) as f64 / kinesis.stored_bytes() as f64;
        println!("store {factor:>12.2} bytes resident per byte of data and key");
    }

    let start = Instant::now();
    let mut read = 0;
    for shard in kinesis.list_shards(kinesis_model::ListShardsRequest::all(stream.clone()), now)?.shards {
        let position = StartingPosition::TrimHorizon;
        let request = GetShardIteratorRequest { stream: stream.clone(), shard_id: shard.shard_id, position };
        let mut iterator = kinesis.get_shard_iterator(request, now)?;
        loop {
            let response = kinesis.get_records(GetRecordsRequest::new(iterator), now)?;
            let (count, next) = (response.records.len(), response.next_shard_iterator);
            read += count;
            match next {
                Some(next) if count > 0 => iterator = next,
                Some(_) | None => break,
            }
        }
    }
    println!("get   {:>12.0} records/s ({read} of {stored})", read as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

/// Resident memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
