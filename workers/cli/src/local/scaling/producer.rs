//! The producer of a run: paced lines, each key's records in their order whatever the stream refuses.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_kinesis::Client;
use kcl_core::HashKey;
use local::{Clock, EpochMillis};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use workers::{
    END_MARK, EndMark, KinesisTarget, Pipeline, PipelineSettings, Pump, PumpError, PumpProgress,
    PumpSettings, PumpSummary, WebLog,
};

use super::traffic::{PacedLines, Profile};
use crate::command::encoder;
use crate::problem::Problem;

/// A pump at work on paced lines.
pub(crate) struct Producer {
    task: Option<JoinHandle<Result<PumpSummary, PumpError>>>,
    progress: Arc<PumpProgress>,
    is_over: Arc<AtomicBool>,
    keys: Arc<Mutex<Vec<HashKey>>>,
    profile: Profile,
    clock: Arc<Clock>,
    started_at: EpochMillis,
}

impl Producer {
    /// Starts to put generated lines as `profile` has them.
    pub(crate) fn start(
        sdk: &SdkConfig,
        settings: &PipelineSettings,
        seed: u64,
        profile: Profile,
        clock: &Arc<Clock>,
    ) -> anyhow::Result<Self> {
        let resolved = settings.clone().resolve(|path| std::fs::read_to_string(path))?;
        let pipeline = Pipeline::compile(&resolved).map_err(|error| Problem::usage(error.to_string()))?;
        let target = Arc::new(KinesisTarget::new(Client::new(sdk), &settings.stream.name));
        let pace = PumpSettings { stalled_after: STALLED_AFTER, ..PumpSettings::default() };
        let pump = Pump::new(target, pace)
            .with_end_mark(EndMark { data: END_MARK.into(), except: std::collections::HashSet::new() });
        let progress = pump.progress();
        let (is_over, keys) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<HashKey>>>::default());
        let started_at = clock.now();
        let lines = WebLog::crowded(seed, VISITORS);
        let lines =
            PacedLines::new(lines, profile.clone(), Arc::clone(clock), started_at, Arc::clone(&is_over));
        let mut encode = encoder(pipeline, format!("generator:{seed}"));
        let put_under = Arc::clone(&keys);
        // Lines are encoded in their order, each once.
        let encode = move |line| {
            let entry = encode(line);
            put_under.lock().push(HashKey::of_partition_key(&entry.partition_key));
            entry
        };
        let task = tokio::spawn(pump.run(lines, encode, std::future::pending()));
        Ok(Self { task: Some(task), progress, is_over, keys, profile, clock: Arc::clone(clock), started_at })
    }

    /// When the first record was due.
    pub(crate) const fn started_at(&self) -> EpochMillis {
        self.started_at
    }

    /// The time of the services' clock since then.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.clock.now().millis_since(self.started_at))
    }

    /// Fails if it ended by itself.
    pub(crate) async fn check(&mut self) -> anyhow::Result<()> {
        if let Some(task) = self.task.take_if(|task| task.is_finished()) {
            let summary = task.await.context("the pump broke down")??;
            anyhow::bail!("the pump ended by itself after {} records", summary.records);
        }
        Ok(())
    }

    /// Records a second that are due at present, of the machine's time.
    pub(crate) fn rate(&self) -> f64 {
        self.profile.rate(self.elapsed())
    }

    /// Records that the stream has taken.
    pub(crate) fn taken(&self) -> u64 {
        self.progress.records()
    }

    /// Records that are due and not taken yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.profile.due(self.elapsed()).saturating_sub(self.taken())
    }

    /// Lets no more lines come, waits until all are on the stream, and marks the end on every open shard; what was put, and
    /// the key of each line.
    pub(crate) async fn finish(mut self) -> anyhow::Result<(PumpSummary, Vec<HashKey>)> {
        self.is_over.store(true, Ordering::Relaxed);
        let task = self.task.take().context("the pump has ended before")?;
        let summary = task.await.context("the pump broke down")??;
        Ok((summary, std::mem::take(&mut *self.keys.lock())))
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Keys enough to spread evenly over tens of shards, and few enough that each has several records.
const VISITORS: NonZeroU32 = NonZeroU32::new(3_000).expect("not zero");
/// Longer than any reshard of the slowest clock takes.
const STALLED_AFTER: Duration = Duration::from_secs(600);
