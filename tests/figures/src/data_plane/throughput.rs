//! A worker against the bare loop: records per second, CPU time per record, memory.
//!
//! Both read the same stream in turns, each in a process of its own; a ratio is that of one turn.

use std::time::Duration;

use aws_sdk_kinesis::Client;

use super::consume::{ConsumeTask, Consumed, Reader};
use super::stream::FullStream;
use crate::child::{Child, Task};
use crate::figure::{Bar, Figure};
use crate::measurement::{Context, median};
use crate::services::{Services, sdk_config};

/// Fills a stream of `shards` shards with records of `record_bytes`, and reads it by both.
pub(crate) async fn measure(
    context: &Context,
    record_bytes: usize,
    shards: usize,
) -> anyhow::Result<Vec<Figure>> {
    let services = Services::start(context).await?;
    let stream =
        FullStream { name: "full".to_owned(), shards, records_per_shard: RECORDS / shards, record_bytes };
    stream.create(&Client::new(&sdk_config(services.endpoint()))).await?;
    let mut turns = Vec::with_capacity(context.runs);
    for run in 0..context.runs {
        turns.push(Turn::take(&services, &stream, run).await?);
    }
    services.stop().await?;
    let detail: Vec<String> = turns.iter().map(|turn| turn.detail(stream.records())).collect();
    let detail = detail.join("\n  ");
    let figure = |quantity: &str, bar, unit, peer, value: fn(&Turn) -> f64| Figure {
        quantity: format!("{quantity}, {record_bytes} B × {shards} shards"),
        bar,
        value: median(turns.iter().map(value).collect()),
        unit,
        peer: Some(peer),
        detail: detail.clone(),
    };
    let mut figures = vec![
        figure("records/s of Worker ÷ bare loop", Bar::AtLeast(0.95), "", "0.5–0.7 (kcl-rs)", Turn::speed),
        figure("CPU per record of Worker ÷ bare loop", Bar::AtMost(1.15), "", "2.8–3.1 (kcl-rs)", Turn::cpu),
    ];
    if (record_bytes, shards) == MEMORY_CASE {
        let peer = "263–275 MB (kcl-rs)";
        figures.push(figure("peak RSS of Worker − bare loop", Bar::AtMost(40.0), "MB", peer, Turn::memory));
    }
    Ok(figures)
}

/// The same stream read by both, one after the other.
#[derive(Debug)]
struct Turn {
    worker: Side,
    bare_loop: Side,
}

/// One of them, and what the server used meanwhile.
#[derive(Debug)]
struct Side {
    consumed: Consumed,
    server_cpu_time: Duration,
}

impl Turn {
    /// Who begins alternates, so that a load that grows does not always fall on the same one.
    async fn take(services: &Services, stream: &FullStream, run: usize) -> anyhow::Result<Self> {
        let worker = Reader::Worker { application: format!("reader-{run}") };
        if run.is_multiple_of(2) {
            let bare_loop = Side::measure(services, stream, Reader::BareLoop).await?;
            Ok(Self { worker: Side::measure(services, stream, worker).await?, bare_loop })
        } else {
            let worker = Side::measure(services, stream, worker).await?;
            Ok(Self { worker, bare_loop: Side::measure(services, stream, Reader::BareLoop).await? })
        }
    }

    fn speed(&self) -> f64 {
        self.bare_loop.consumed.span.as_secs_f64() / self.worker.consumed.span.as_secs_f64()
    }

    fn cpu(&self) -> f64 {
        self.worker.consumed.cpu_time.as_secs_f64() / self.bare_loop.consumed.cpu_time.as_secs_f64()
    }

    fn memory(&self) -> f64 {
        self.worker.megabytes() - self.bare_loop.megabytes()
    }

    fn detail(&self, records: usize) -> String {
        format!("Worker {}; bare loop {}", self.worker.detail(records), self.bare_loop.detail(records))
    }
}

impl Side {
    async fn measure(services: &Services, stream: &FullStream, reader: Reader) -> anyhow::Result<Self> {
        let before = services.cpu_time()?;
        let task = ConsumeTask { endpoint: services.endpoint().to_owned(), stream: stream.clone(), reader };
        let mut child = Child::spawn(&Task::DataPlane(super::Task::Consume(task)))?;
        let consumed = child.next().await?;
        child.stop().await?;
        Ok(Self { consumed, server_cpu_time: services.cpu_time()? - before })
    }

    fn megabytes(&self) -> f64 {
        self.consumed.resident_bytes_max as f64 / 1e6
    }

    /// Who is the narrow place shows in the cores that reader and server keep busy.
    fn detail(&self, records: usize) -> String {
        let Consumed { span, cpu_time, .. } = self.consumed;
        let seconds = span.as_secs_f64();
        format!(
            "{:.0} k/s, {:.2} CPU-s/M, {:.0} MB, {:.1} cores + server {:.1}",
            records as f64 / seconds / 1e3,
            cpu_time.as_secs_f64() / records as f64 * 1e6,
            self.megabytes(),
            cpu_time.as_secs_f64() / seconds,
            self.server_cpu_time.as_secs_f64() / seconds
        )
    }
}

/// Some seconds of reading.
const RECORDS: usize = 800_000;
/// Bytes and shards of the bar for memory.
const MEMORY_CASE: (usize, usize) = (600, 4);
