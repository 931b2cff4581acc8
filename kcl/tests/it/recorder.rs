//! A processor that writes down what happens to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kcl::{
    DrainReason, FencingToken, ProcessorFactory, Progress, RecordBatch, RecordPosition, RecordProcessor,
    ShardContext, ShardId,
};
use parking_lot::Mutex;

/// Something that happened to a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Initialized,
    Processed(Vec<(RecordPosition, String)>),
    Idle,
    Ended,
    Drained(DrainReason),
    Lost,
}

/// What the next call is to do instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Fail,
    Panic,
    Hang,
}

#[derive(Debug, thiserror::Error)]
#[error("injected failure")]
pub(crate) struct Injected;

type Decide = dyn Fn(&RecordBatch) -> Option<Trouble> + Send + Sync;

/// The journal of all processors that share it.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    journal: Arc<Mutex<Vec<(ShardId, FencingToken, Step)>>>,
    trouble: Option<Arc<Decide>>,
    progress: Option<Progress>,
}

impl Recorder {
    /// Troubles chosen for each batch before it is taken.
    pub(crate) fn with_trouble(
        decide: impl Fn(&RecordBatch) -> Option<Trouble> + Send + Sync + 'static,
    ) -> Self {
        Self { trouble: Some(Arc::new(decide)), ..Self::default() }
    }

    /// Reports this for each batch with records, instead of everything.
    pub(crate) fn reporting(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    pub(crate) fn steps(&self) -> Vec<(ShardId, Step)> {
        self.journal.lock().iter().map(|(shard, _, step)| (shard.clone(), step.clone())).collect()
    }

    pub(crate) fn count(&self, step: &Step) -> usize {
        self.journal.lock().iter().filter(|(_, _, happened)| happened == step).count()
    }

    /// All payloads of each shard, in the order of delivery.
    pub(crate) fn payloads(&self) -> BTreeMap<ShardId, Vec<String>> {
        let mut payloads: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
        for (shard, _, step) in &*self.journal.lock() {
            if let Step::Processed(records) = step {
                payloads
                    .entry(shard.clone())
                    .or_default()
                    .extend(records.iter().map(|(_, text)| text.clone()));
            }
        }
        payloads
    }

    pub(crate) fn delivered(&self) -> usize {
        self.payloads().values().map(Vec::len).sum()
    }

    /// Fails if a tenure got records out of order, or twice without trouble in between.
    pub(crate) fn assert_ordered_within_tenures(&self) {
        let mut last: BTreeMap<(ShardId, FencingToken), RecordPosition> = BTreeMap::new();
        for (shard, token, step) in &*self.journal.lock() {
            let key = (shard.clone(), *token);
            if *step == Step::Initialized {
                last.remove(&key);
            }
            if let Step::Processed(records) = step {
                for (position, text) in records {
                    let before = last.insert(key.clone(), *position);
                    assert!(
                        before.is_none_or(|before| before < *position),
                        "{shard} {token}: {text} after {before:?}"
                    );
                }
            }
        }
    }

    fn note(&self, context: &(ShardId, FencingToken), step: Step) {
        self.journal.lock().push((context.0.clone(), context.1, step));
    }
}

impl ProcessorFactory for Recorder {
    type Processor = Recording;

    fn processor(&self, _shard: &ShardId) -> Recording {
        Recording { recorder: self.clone(), place: None }
    }
}

/// The processor of one shard.
pub(crate) struct Recording {
    recorder: Recorder,
    place: Option<(ShardId, FencingToken)>,
}

impl Recording {
    fn note(&self, step: Step) {
        if let Some(place) = &self.place {
            self.recorder.note(place, step);
        }
    }
}

impl RecordProcessor for Recording {
    type Error = Injected;

    async fn initialize(&mut self, context: &mut ShardContext) -> Result<(), Injected> {
        self.place = Some((context.shard().clone(), context.token()));
        self.note(Step::Initialized);
        Ok(())
    }

    async fn process(&mut self, batch: RecordBatch, _: &mut ShardContext) -> Result<Progress, Injected> {
        match self.recorder.trouble.as_ref().and_then(|decide| decide(&batch)) {
            Some(Trouble::Fail) => return Err(Injected),
            Some(Trouble::Panic) => panic!("injected panic"),
            Some(Trouble::Hang) => std::future::pending::<()>().await,
            None => {}
        }
        if batch.is_empty() {
            self.note(Step::Idle);
        } else {
            let text = |record: &kcl::Record| String::from_utf8_lossy(&record.data).into_owned();
            let records = batch.iter().map(|record| (record.position, text(record))).collect();
            self.note(Step::Processed(records));
        }
        Ok(self.recorder.progress.unwrap_or(Progress::Durable))
    }

    async fn shard_ended(&mut self, _: &mut ShardContext) -> Result<Option<String>, Injected> {
        self.note(Step::Ended);
        Ok(None)
    }

    async fn drain(&mut self, reason: DrainReason, _: &mut ShardContext) -> Result<Progress, Injected> {
        self.note(Step::Drained(reason));
        Ok(Progress::Durable)
    }

    fn lease_lost(&mut self) {
        self.note(Step::Lost);
    }
}
