//! What 500 streams take of one process's memory. A process of its own, since it counts every byte.
//!
//! Every controller takes over a journal that is as full as it gets, and then all of them look in the same second: the
//! observations of all streams are there at once, before the first is planned for.

use std::collections::BTreeMap;
use std::time::Duration;

use autoscaler::reconcile::{
    CallReply, Controller, Journal, Look, Moment, ReconcileSettings, Reply, Request, RequestId, Row,
};
use autoscaler::{
    ApplicationLag, Boundaries, Change, EpochMillis, IneffectiveSplit, Layout, Ledger, LedgerCall, LoadMap,
    Minute, Observation, OpenShard, Origin, Plan, Policy, StreamState, plan,
};
use kcl_core::{HashKey, LeaderLock, LockVersion, Millis, ShardId, WorkerId};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

type Plans = fn(&Observation, &Ledger, EpochMillis) -> Plan;

struct Stream {
    controller: Controller<Plans>,
    row: Option<Row>,
    observed: u32,
}

#[test]
fn five_hundred_streams_that_look_at_once_fit_into_64_mib() {
    let before = ALLOCATED.current_usage();
    let mut streams: Vec<_> = (0..STREAMS).map(Stream::new).collect();
    ALLOCATED.reset_peak_usage();
    let mut seconds = 0..SECONDS_MAX;
    while streams.iter().any(|stream| stream.observed < LOOKS) {
        let now = at(seconds.next().expect("a stream is looked at every few minutes"));
        let mut replies = Vec::with_capacity(STREAMS as usize);
        for (place, stream) in streams.iter_mut().enumerate() {
            stream.controller.handle_timeout(now);
            replies.extend(stream.controller.poll_request(now).map(|(id, request)| (place, id, request)));
        }
        let replies: Vec<(usize, RequestId, Reply)> = replies
            .into_iter()
            .map(|(place, id, request)| (place, id, streams[place].answer(request, now)))
            .collect();
        for (place, id, reply) in replies {
            streams[place].controller.handle_reply(id, reply, now);
            while streams[place].controller.poll_event().is_some() {}
        }
    }
    let peak = ALLOCATED.peak_usage() - before;
    println!("{STREAMS} streams: {} KiB while all look", peak / 1024);
    assert!(peak <= MEMORY_MAX, "{peak} bytes");
}

impl Stream {
    fn new(place: u64) -> Self {
        let lock = LeaderLock {
            owner: WorkerId::new("earlier").expect("valid"),
            version: LockVersion("1".to_owned()),
            lease_duration: Millis::from_secs(30),
            is_released: true,
        };
        let me = WorkerId::new("controller").expect("valid");
        let plans: Plans = |observation, ledger, now| plan(observation, ledger, &Policy::default(), now);
        let settings = ReconcileSettings::default();
        Self {
            controller: Controller::new(&format!("stream-{place}"), settings, me, place, plans, at(0)),
            row: Some(Row { lock, journal: full_journal().encode() }),
            observed: 0,
        }
    }

    fn answer(&mut self, request: Request, now: Moment) -> Reply {
        match request {
            Request::ReadRow => Reply::Row(self.row.clone()),
            Request::WriteRow(write) => match write.apply(&mut self.row) {
                Ok(()) => Reply::Written,
                Err(current) => Reply::Refused(current),
            },
            Request::Look => Reply::Looked(Look { state: StreamState::Active, layout: layout() }),
            Request::Observe => {
                self.observed += 1;
                Reply::Observed(Box::new(observation(now.epoch)))
            }
            Request::AccountRoom => Reply::AccountRoom(20_000),
            Request::Call { .. } => Reply::Called(CallReply::NotSent),
        }
    }
}

/// A day's calls, an hour's changes, all splits that did not help, and a way to another layout.
fn full_journal() -> Journal {
    let ago = |seconds: u64| at(0).epoch.before(Duration::from_secs(seconds));
    let mut ledger = Ledger::default();
    ledger.reshaping = Some(Boundaries::uniform(SHARDS * 2));
    for hour in (0..10).rev() {
        ledger.note_call(LedgerCall { at: ago(3600 * hour + 60), target: SHARDS, origin: Origin::Own });
    }
    for change in (0..256).rev() {
        ledger.note_change(Change { at: ago(60 + change), from: SHARDS, to: SHARDS });
    }
    for split in 0..32 {
        ledger.note_ineffective_split(IneffectiveSplit { at: HashKey(split << 64), seen_at: ago(60) });
    }
    Journal { ledger, ..Journal::default() }
}

fn observation(now: EpochMillis) -> Observation {
    let minute = |ago: u64| Minute {
        start: now.before(Duration::from_secs(60 * (ago + 2))),
        bytes: Some(0.6 * 60e6 * f64::from(SHARDS)),
        records: Some(0.6 * 60e3 * f64::from(SHARDS)),
        ..Minute::default()
    };
    let bins = Boundaries::uniform(SHARDS * BINS_OF_A_SHARD);
    let application = ApplicationLag {
        name: "application".to_owned(),
        behind: Some(Duration::ZERO),
        is_rising: false,
        undrained_parents: None,
    };
    Observation {
        state: StreamState::Active,
        layout: layout(),
        account_shards_left: Some(20_000),
        fan_out_consumers: 0,
        minutes: (0..75).rev().map(minute).collect(),
        load_map: Some(LoadMap::new(bins.keys().iter().map(|&key| (key, 1.0)), [])),
        shards: BTreeMap::new(),
        applications: vec![application],
    }
}

fn layout() -> Layout {
    let shard = |(index, range)| OpenShard {
        id: ShardId::new(format!("shardId-{index:012}")).expect("valid"),
        range,
    };
    Layout::new(Boundaries::uniform(SHARDS).ranges().enumerate().map(shard).collect()).expect("covers")
}

fn at(second: u64) -> Moment {
    Moment { steady: Millis::from_secs(second), epoch: EpochMillis(1_800_000_000_000 + 1_000 * second) }
}

const STREAMS: u64 = 500;
/// Of each stream: four times the mean of the fleets that the traces are scaled to.
const SHARDS: u32 = 32;
/// What a worker's row tells apart within its shard.
const BINS_OF_A_SHARD: u32 = 64;
const LOOKS: u32 = 2;
const SECONDS_MAX: u64 = 900;
const MEMORY_MAX: usize = 64 * 1024 * 1024;
