//! What the workers of a test consume, and with which settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kcl::{MemoryStream, RecordPosition, ShardId};
use parking_lot::Mutex;

use crate::event::{END_MARK, stamped};
use crate::pipeline::Pipeline;
use crate::preset::Preset;
use crate::settings::{Compression, PipelineSettings};

/// Settings, and how records arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) shards: u32,
    /// Objects of more bytes than this are uploaded in parts.
    pub(super) part_bytes: usize,
    /// Whether batches close by their records alone, so that every run makes the same ones.
    pub(super) is_determined: bool,
    pub(super) feed: Feed,
    shape: fn(&mut PipelineSettings),
}

/// How records arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// All of them before the first worker starts, and an end mark.
    AtOnce,
    /// The same one by one, so that batches close by age.
    Trickle,
    /// All of them at once, and then nothing.
    ThenSilence,
    /// When the test puts them.
    ByHand,
}

/// What was put so far. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Feeder {
    stream: MemoryStream,
    pipeline: Arc<Pipeline>,
    fed: Arc<Mutex<Fed>>,
}

#[derive(Debug, Default)]
struct Fed {
    last: BTreeMap<ShardId, RecordPosition>,
    is_over: bool,
}

impl Scenario {
    /// Events as they come.
    pub(super) const PLAIN: Self = Self {
        name: "plain",
        shards: 1,
        part_bytes: usize::MAX,
        is_determined: true,
        feed: Feed::AtOnce,
        shape: |settings| settings.session = None,
    };

    /// Events tagged with their session, and sessions.
    pub(super) const SESSIONS: Self = Self { name: "sessions", shape: |_| {}, ..Self::PLAIN };

    /// The same, with each object uploaded in parts.
    pub(super) const MULTIPART: Self = Self { name: "multipart", part_bytes: 0, ..Self::SESSIONS };

    /// Sessions in batches that close by age.
    pub(super) const AGED: Self = Self {
        name: "aged",
        is_determined: false,
        feed: Feed::Trickle,
        shape: |settings| {
            settings.sink.batch_age_max = Duration::from_secs(2);
            settings.sink.batch_rows_max = 1000;
        },
        ..Self::SESSIONS
    };

    /// Sessions that close because nothing comes any more.
    pub(super) const IDLE: Self = Self {
        name: "idle",
        is_determined: false,
        feed: Feed::ThenSilence,
        shape: |settings| {
            let session = settings.session.as_mut().expect("the preset has sessions");
            session.idle_after = Duration::from_secs(2);
            session.gap = Duration::from_secs(5);
            session.lateness = Duration::from_secs(1);
            settings.sink.batch_age_max = Duration::from_secs(3);
        },
        ..Self::SESSIONS
    };

    /// Events as they come, when the test puts them.
    pub(super) const BY_HAND: Self = Self { name: "by hand", feed: Feed::ByHand, ..Self::PLAIN };

    /// Events as they come on two shards.
    pub(super) const TWO_SHARDS: Self = Self {
        name: "two shards",
        shards: 2,
        is_determined: false,
        feed: Feed::ThenSilence,
        shape: |settings| {
            settings.session = None;
            settings.sink.batch_age_max = Duration::from_secs(1);
        },
        ..Self::PLAIN
    };

    /// Its settings: small batches, and objects that can be read.
    pub(super) fn settings(&self) -> PipelineSettings {
        let mut settings = Preset::Weblog.settings();
        settings.stream.name = "test".to_owned();
        settings.application.name = "test".to_owned();
        settings.sink.compression = Compression::None;
        settings.sink.batch_rows_max = 4;
        settings.sink.batch_age_max = Duration::from_secs(3600);
        (self.shape)(&mut settings);
        settings
    }
}

impl Feeder {
    /// Puts the records of `scenario` into `stream`, or begins to.
    pub(super) fn start(scenario: &Scenario, stream: MemoryStream) -> Self {
        let settings = scenario.settings().resolve(|_| Ok(String::new())).expect("valid");
        let pipeline = Arc::new(Pipeline::compile(&settings).expect("compiles"));
        let feeder = Self { stream, pipeline, fed: Arc::default() };
        match scenario.feed {
            Feed::AtOnce => {
                feeder.put_lines(1, LINES);
                feeder.put_ends(1);
            }
            Feed::ThenSilence => {
                feeder.put_lines(1, LINES);
                feeder.over();
            }
            Feed::ByHand => {}
            Feed::Trickle => {
                let feeder = feeder.clone();
                tokio::spawn(async move {
                    for number in 1..=LINES {
                        feeder.put_lines(number, number);
                        tokio::time::sleep(TRICKLE_PAUSE).await;
                    }
                    feeder.put_ends(1);
                });
            }
        }
        feeder
    }

    /// Lines of a few visitors, minutes apart, one of them broken, with a pause in which every session ends.
    pub(super) fn put_lines(&self, from: u64, to: u64) {
        for number in from..=to {
            let minutes = number * 7 + if number > LINE_AFTER_THE_GAP { 90 } else { 0 };
            let (hour, minute) = (10 + minutes / 60, minutes % 60);
            let line = if number == LINE_BROKEN {
                "broken".to_owned()
            } else {
                format!(
                    r#"1.2.3.{} - - [17/May/2015:{hour}:{minute:02}:00 +0000] "GET /{number} HTTP/1.1" 200 1 "-" "a""#,
                    number % VISITORS
                )
            };
            let key = self.pipeline.partition_key(line.as_bytes());
            self.put(&key, &stamped("file", number, line.as_bytes()));
        }
    }

    /// Puts an end mark on each of `shards` open shards, after which nothing more comes.
    pub(super) fn put_ends(&self, shards: usize) {
        let mut marked = BTreeSet::new();
        for number in 0_u32.. {
            marked.insert(self.put(&format!("end-{number}"), END_MARK));
            if marked.len() == shards {
                return self.over();
            }
        }
    }

    /// Whether nothing more is put.
    pub(super) fn is_over(&self) -> bool {
        self.fed.lock().is_over
    }

    /// The last record of each shard.
    pub(super) fn last(&self) -> BTreeMap<ShardId, RecordPosition> {
        self.fed.lock().last.clone()
    }

    fn put(&self, partition_key: &str, data: &[u8]) -> ShardId {
        let (shard, position) = self.stream.put(partition_key, Bytes::copy_from_slice(data));
        self.fed.lock().last.insert(shard.clone(), position);
        shard
    }

    pub(super) fn over(&self) {
        self.fed.lock().is_over = true;
    }
}

/// Three full batches and some.
pub(super) const LINES: u64 = 14;
const LINE_BROKEN: u64 = 5;
const LINE_AFTER_THE_GAP: u64 = 8;
const VISITORS: u64 = 3;
const TRICKLE_PAUSE: Duration = Duration::from_millis(450);
