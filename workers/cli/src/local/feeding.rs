//! Filling the stream while the workers run, and knowing after a restart what lies on it already.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use tokio::task::JoinHandle;
use workers::{
    END_MARK, EndMark, Envelope, Input, KinesisTarget, Ordering, Pipeline, PipelineSettings, Pump, PumpError,
    PumpProgress, PumpSettings, PumpSummary, Target as _,
};

use crate::arguments::LocalArguments;
use crate::command::{Feed, encoder, generated};
use crate::problem::Problem;

/// A pump at work.
pub(crate) struct Feeding {
    task: Option<JoinHandle<Result<PumpSummary, PumpError>>>,
    progress: Arc<PumpProgress>,
    shards: BTreeSet<String>,
    present: u64,
    summary: Option<PumpSummary>,
}

/// What an interrupted run had put on the stream.
#[derive(Default)]
struct Present {
    lines: HashSet<u64>,
    ended_shards: HashSet<String>,
}

impl Feeding {
    /// Starts to pump what is not on the stream yet.
    pub(crate) async fn start(
        arguments: &LocalArguments,
        settings: &PipelineSettings,
        sdk: &SdkConfig,
    ) -> anyhow::Result<Self> {
        let client = Client::new(sdk);
        let target = Arc::new(KinesisTarget::new(client.clone(), &settings.stream.name));
        let shards: BTreeSet<String> =
            target.open_shards().await?.into_iter().map(|shard| shard.shard).collect();
        let present = if arguments.resume {
            present(&client, &settings.stream.name, &shards).await?
        } else {
            Present::default()
        };
        let feed = match &arguments.input {
            Some(path) => Feed::open(&Input::File(path.clone()), settings.parse.format)?,
            None => {
                let records = (!arguments.follow).then_some(arguments.records);
                generated(settings.parse.format, arguments.seed, records)
            }
        };
        let resolved = settings.clone().resolve(|path| std::fs::read_to_string(path))?;
        let pipeline = Pipeline::compile(&resolved).map_err(|error| Problem::usage(error.to_string()))?;
        // One request at a time, filled in the order of the input: what lies on a shard is as much in order as the input.
        let pace = PumpSettings {
            lanes: 1,
            ordering: Ordering::Batched,
            records_per_second: arguments.follow.then_some(FOLLOW_RATE).and_then(std::num::NonZeroU64::new),
            ..PumpSettings::default()
        };
        let found = present.lines.len() as u64;
        let mut pump = Pump::new(target, pace);
        if !arguments.follow {
            pump = pump.with_end_mark(EndMark { data: END_MARK.into(), except: present.ended_shards });
        }
        let lines = present.lines;
        let pump = pump.skipping(move |line| lines.contains(&line));
        let progress = pump.progress();
        let encoder = encoder(pipeline, feed.source);
        let task = tokio::spawn(pump.run(feed.lines, encoder, std::future::pending()));
        Ok(Self { task: Some(task), progress, shards, present: found, summary: None })
    }

    /// Notices the end of the pump.
    pub(crate) async fn check(&mut self) -> anyhow::Result<()> {
        if let Some(task) = self.task.take_if(|task| task.is_finished()) {
            self.summary = Some(task.await.context("the pump broke down")??);
        }
        Ok(())
    }

    /// Whether everything is on the stream.
    pub(crate) fn is_done(&self) -> bool {
        self.summary.is_some()
    }

    /// Records on the stream so far, those of an earlier part of the run included.
    pub(crate) fn records(&self) -> u64 {
        self.present + self.progress.records()
    }

    /// Lines that no record can hold.
    pub(crate) fn refused(&self) -> u64 {
        self.summary.as_ref().map_or(0, |summary| summary.refused)
    }

    /// The open shards of the stream.
    pub(crate) fn shards(&self) -> &BTreeSet<String> {
        &self.shards
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Reads the whole stream for the lines and end marks on it.
async fn present(client: &Client, stream: &str, shards: &BTreeSet<String>) -> anyhow::Result<Present> {
    let mut present = Present::default();
    for shard in shards {
        let first = client
            .get_shard_iterator()
            .stream_name(stream)
            .shard_id(shard)
            .shard_iterator_type(ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let mut next = first.shard_iterator;
        while let Some(iterator) = next.take() {
            let answer = client.get_records().shard_iterator(iterator).send().await?;
            for record in &answer.records {
                match Envelope::read(&record.data.as_ref().to_vec().into()) {
                    Envelope::Line { line, .. } => {
                        present.lines.insert(line);
                    }
                    Envelope::EndOfInput => {
                        present.ended_shards.insert(shard.clone());
                    }
                    Envelope::Plain(_) => {}
                }
            }
            let is_at_tip = answer.records.is_empty() && answer.millis_behind_latest == Some(0);
            next = answer.next_shard_iterator.filter(|_| !is_at_tip);
        }
    }
    Ok(present)
}

/// Enough to see something happen, little enough to follow it.
const FOLLOW_RATE: u64 = 200;
