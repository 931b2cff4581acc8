//! What the local server does beyond HTTP: its calls per second over those of a server with canned answers.
//!
//! The canned answers are real ones of the local server to the same requests, and the callers are the same.

use anyhow::Context as _;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::calls::Calls;
use super::canned::CannedServer;
use super::stream::FullStream;
use crate::figure::{Bar, Figure};
use crate::measurement::{Context, median};
use crate::services::{Services, sdk_config};

/// Compares PutRecords and GetRecords.
pub(crate) async fn measure(context: &Context) -> anyhow::Result<Vec<Figure>> {
    let services = Services::start(context).await?;
    let client = Client::new(&sdk_config(services.endpoint()));
    let address = services.endpoint().trim_start_matches("http://");
    let full = FullStream {
        name: "read".to_owned(),
        shards: CALLERS,
        records_per_shard: RECORDS_PER_GET,
        record_bytes: RECORD_BYTES,
    };
    full.create(&client).await?;
    let gets = gets(&client, &full).await?;
    let probe = PutStream::create(&client, "probe").await?;
    let answers =
        [("PutRecords", probe.puts.answer(address).await?), ("GetRecords", gets.answer(address).await?)];
    probe.delete(&client).await?;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let canned = CannedServer::start(folder.path(), &answers).await?;
    let (mut puts_compared, mut gets_compared) = (Vec::new(), Vec::new());
    for run in 0..context.runs {
        let written = PutStream::create(&client, &format!("written-{run}")).await?;
        puts_compared.push(Compared::of(&written.puts, address, canned.address(), run).await?);
        written.delete(&client).await?;
        gets_compared.push(Compared::of(&gets, address, canned.address(), run).await?);
    }
    canned.stop().await?;
    services.stop().await?;
    Ok(vec![
        figure("PutRecords", Bar::AtLeast(0.2), RECORDS_PER_PUT, &puts_compared),
        figure("GetRecords", Bar::AtLeast(0.4), RECORDS_PER_GET, &gets_compared),
    ])
}

fn figure(operation: &str, bar: Bar, records: usize, compared: &[Compared]) -> Figure {
    let runs = compared.iter().map(|compared| {
        format!(
            "{:.0} and {:.0} calls/s ({:.0} k records/s)",
            compared.server,
            compared.canned,
            compared.server * records as f64 / 1e3
        )
    });
    Figure {
        quantity: format!("local server: {operation} ÷ canned answers"),
        bar,
        value: median(compared.iter().map(|compared| compared.server / compared.canned).collect()),
        unit: "",
        peer: None,
        detail: format!(
            "{CALLERS} connections, {records} records of {RECORD_BYTES} B a call: {}",
            runs.collect::<Vec<_>>().join("; ")
        ),
    }
}

/// Calls per second of both servers in the same run.
#[derive(Clone, Copy, Debug)]
struct Compared {
    server: f64,
    canned: f64,
}

impl Compared {
    async fn of(calls: &Calls, server: &str, canned: &str, run: usize) -> anyhow::Result<Self> {
        if run.is_multiple_of(2) {
            let server = calls.rate(server).await?;
            Ok(Self { server, canned: calls.rate(canned).await? })
        } else {
            let canned = calls.rate(canned).await?;
            Ok(Self { server: calls.rate(server).await?, canned })
        }
    }
}

/// Each caller reads a whole shard again and again.
async fn gets(client: &Client, stream: &FullStream) -> anyhow::Result<Calls> {
    let listing = client.list_shards().stream_name(&stream.name).send().await?;
    let mut bodies = Vec::with_capacity(CALLERS);
    for shard in listing.shards() {
        let opened = client
            .get_shard_iterator()
            .stream_name(&stream.name)
            .shard_id(shard.shard_id())
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let iterator = opened.shard_iterator.context("an answer without an iterator")?;
        bodies.push(Bytes::from(json!({ "ShardIterator": iterator, "Limit": RECORDS_PER_GET }).to_string()));
    }
    Ok(Calls { operation: "GetRecords", bodies, times: GETS_PER_CALLER })
}

/// A stream, and what each caller puts on it.
#[derive(Debug)]
struct PutStream {
    name: String,
    puts: Calls,
}

impl PutStream {
    async fn create(client: &Client, name: &str) -> anyhow::Result<Self> {
        client.create_stream().stream_name(name).shard_count(i32::try_from(CALLERS)?).send().await?;
        let bodies = (0..CALLERS).map(|caller| put_body(name, caller)).collect();
        let puts = Calls { operation: "PutRecords", bodies, times: PUTS_PER_CALLER };
        Ok(Self { name: name.to_owned(), puts })
    }

    async fn delete(self, client: &Client) -> anyhow::Result<()> {
        client.delete_stream().stream_name(self.name).send().await?;
        Ok(())
    }
}

fn put_body(stream: &str, caller: usize) -> Bytes {
    let records = (0..RECORDS_PER_PUT).map(|record| {
        let number = caller * RECORDS_PER_PUT + record;
        let data = STANDARD.encode(FullStream::data(number, RECORD_BYTES));
        json!({ "Data": data, "PartitionKey": FullStream::partition_key(number) })
    });
    let records: Vec<_> = records.collect();
    Bytes::from(json!({ "StreamName": stream, "Records": records }).to_string())
}

/// As many as the cores of a small machine.
const CALLERS: usize = 4;
const RECORD_BYTES: usize = 300;
/// The quotas of both calls.
const RECORDS_PER_PUT: usize = 500;
const RECORDS_PER_GET: usize = 10_000;
/// What all callers put in a run stays below the cap of the server's memory.
const PUTS_PER_CALLER: usize = 500;
const GETS_PER_CALLER: usize = 50;
