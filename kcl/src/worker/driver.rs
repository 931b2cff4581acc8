//! The worker's loop: feeds the coordinator and carries out what it says.
//!
//! ```text
//! hard stop, shutdown ─┐                      ┌─▶ calls to store and control plane (polled here, never spawned)
//! orders of shards ────┤   one input, then    ├─▶ shard tasks: start, extend, drain, stop
//! finished calls ──────┼──▶ Coordinator ─────▶┼─▶ outcomes back to the shards
//! finished shards ─────┤   all its outputs    └─▶ events to the log
//! poll_timeout ────────┘
//! ```
//!
//! Owns the coordinator, every shard task and the writer of telemetry; dropping the loop stops all of them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use kcl_core::{
    Command, CommandId, Coordinator, FencingToken, HashKeyRange, InitialPosition, Lease, LeaseKey,
    ListedShard, Millis, Outcome, Request, RequestId, Signal, StoreReply,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::handle::{StopSwitch, WorkerEnd};
use super::health::{HealthBoard, WorkerPhase};
use crate::backoff::derive_seed;
use crate::budget::ByteBudget;
use crate::clock::sleep_until;
use crate::context::ShardContext;
use crate::events;
use crate::port::{Clock, LeaseStore, StreamControl, StreamIdentity, StreamSource, TelemetryStore};
use crate::processor::ProcessorFactory;
use crate::settings::WorkerSettings;
use crate::shard::{
    OrderLink, ReaderParts, ShardOrder, ShardParts, Tenure, TenureOrder, TenureState, consume, panic_text,
};
use crate::telemetry::{StreamDigest, TelemetryBoard, TelemetryWriter};

/// What a driver is made of.
pub(super) struct DriverParts<F> {
    pub(super) coordinator: Coordinator,
    pub(super) initial_position: InitialPosition,
    pub(super) stream: Arc<StreamIdentity>,
    pub(super) settings: Arc<WorkerSettings>,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) source: Arc<dyn StreamSource>,
    pub(super) control: Arc<dyn StreamControl>,
    pub(super) telemetry: Option<Arc<dyn TelemetryStore>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seed: u64,
    pub(super) factory: Arc<F>,
    pub(super) board: HealthBoard,
    pub(super) stop: StopSwitch,
    pub(super) end: watch::Sender<Option<WorkerEnd>>,
    pub(super) span: Span,
}

/// The loop.
pub(super) struct Driver<F> {
    parts: DriverParts<F>,
    calls: FuturesUnordered<BoxFuture<'static, (RequestId, Answer)>>,
    orders: (mpsc::Sender<ShardOrder>, mpsc::Receiver<ShardOrder>),
    outcomes: HashMap<CommandId, oneshot::Sender<Outcome>>,
    shards: HashMap<LeaseKey, RunningShard>,
    tasks: JoinSet<EndedShard>,
    /// Where shards count, while telemetry is on.
    telemetry: Option<TelemetryBoard>,
    /// Its writer, at most one; aborted when this is dropped.
    telemetry_writer: JoinSet<()>,
    commands_made: u64,
    is_shutting_down: bool,
}

struct RunningShard {
    token: FencingToken,
    state: watch::Sender<TenureState>,
}

struct EndedShard {
    key: LeaseKey,
    token: FencingToken,
    panic: Option<String>,
}

enum Answer {
    Store(Box<StoreReply>),
    Shards(Option<Vec<ListedShard>>),
}

impl<F: ProcessorFactory> Driver<F> {
    pub(super) fn new(parts: DriverParts<F>) -> Self {
        Self {
            parts,
            calls: FuturesUnordered::new(),
            orders: mpsc::channel(ORDERS_MAX),
            outcomes: HashMap::new(),
            shards: HashMap::new(),
            tasks: JoinSet::new(),
            telemetry: None,
            telemetry_writer: JoinSet::new(),
            commands_made: 0,
            is_shutting_down: false,
        }
    }

    /// Runs until stopped.
    pub(super) async fn run(mut self) -> WorkerEnd {
        let span = self.parts.span.clone();
        let (board, end) = (self.parts.board.clone(), self.parts.end.clone());
        board.set_phase(WorkerPhase::Running);
        self.start_telemetry();
        let ended = async {
            let ended = self.turn_until_stopped().await;
            if timeout(CANCEL_TIMEOUT, self.tasks.shutdown()).await.is_err() {
                tracing::warn!("a processor blocks its thread and cannot be cancelled");
            }
            tracing::info!(?ended, "worker stops");
            ended
        }
        .instrument(span)
        .await;
        board.set_leader(false);
        board.set_phase(WorkerPhase::Stopped);
        end.send_replace(Some(ended));
        ended
    }

    /// The writer has a task of its own: however long a write takes, nothing here waits for it.
    fn start_telemetry(&mut self) {
        let parts = &self.parts;
        let Some(store) = &parts.telemetry else { return };
        let board = TelemetryBoard::new(Arc::clone(&parts.clock));
        let writer = TelemetryWriter {
            store: Arc::clone(store),
            board: board.clone(),
            health: parts.board.clone(),
            clock: Arc::clone(&parts.clock),
            stream: StreamDigest::of(&parts.stream),
            interval: parts.settings.telemetry_interval,
        };
        self.telemetry = Some(board);
        self.telemetry_writer.spawn(writer.run().instrument(parts.span.clone()));
    }

    async fn turn_until_stopped(&mut self) -> WorkerEnd {
        let stop = self.parts.stop.clone();
        let clock = Arc::clone(&self.parts.clock);
        loop {
            if self.drain_outputs() {
                return WorkerEnd::Graceful;
            }
            let wake_at = self.parts.coordinator.poll_timeout().unwrap_or(Millis::MAX);
            tokio::select! {
                // Stopping first; then what shards wait for; then replies; time is looked at after every input anyway.
                biased;
                () = stop.hard.cancelled() => return WorkerEnd::Aborted,
                () = stop.graceful.cancelled(), if !self.is_shutting_down => self.shut_down(),
                Some(order) = self.orders.1.recv() => self.take_order(order),
                Some((id, answer)) = self.calls.next(), if !self.calls.is_empty() => self.take_answer(id, answer),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok(ended) = ended {
                        self.shard_ended(ended);
                    }
                }
                () = sleep_until(&*clock, wake_at) => {}
            }
            self.parts.coordinator.handle_timeout(clock.now());
        }
    }

    fn shut_down(&mut self) {
        tracing::info!("worker shuts down");
        self.is_shutting_down = true;
        self.parts.board.set_phase(WorkerPhase::Draining);
        self.parts.coordinator.handle_shutdown(self.parts.clock.now());
    }

    fn take_order(&mut self, order: ShardOrder) {
        self.commands_made += 1;
        let id = CommandId(self.commands_made);
        self.outcomes.insert(id, order.reply);
        let now = self.parts.clock.now();
        self.parts.coordinator.handle_command(id, &order.key, order.token, order.command, now);
    }

    fn take_answer(&mut self, id: RequestId, answer: Answer) {
        let now = self.parts.clock.now();
        match answer {
            Answer::Store(reply) => {
                if *reply != StoreReply::Unknown {
                    self.parts.board.store_answered(now);
                }
                self.parts.coordinator.handle_reply(id, *reply, now);
            }
            Answer::Shards(listing) => self.parts.coordinator.handle_shards(id, listing, now),
        }
    }

    /// A task that failed by a fault of the framework gives its lease back, to be served anew.
    fn shard_ended(&mut self, ended: EndedShard) {
        let EndedShard { key, token, panic } = ended;
        if self.shards.get(&key).is_some_and(|shard| shard.token == token) {
            self.shards.remove(&key);
        }
        if let Some(message) = panic {
            tracing::error!(lease = %key, %message, "the shard's task panicked; its lease is given back");
            self.commands_made += 1;
            let now = self.parts.clock.now();
            let id = CommandId(self.commands_made);
            self.parts.coordinator.handle_command(id, &key, token, Command::Drained, now);
        }
    }

    /// Carries out everything that is queued; true when the shutdown is complete.
    fn drain_outputs(&mut self) -> bool {
        let mut is_finished = false;
        while let Some(event) = self.parts.coordinator.poll_event() {
            events::log(&event);
        }
        while let Some(signal) = self.parts.coordinator.poll_signal() {
            is_finished |= self.carry_out(signal);
        }
        while let Some((id, request)) = self.parts.coordinator.poll_request(self.parts.clock.now()) {
            self.call(id, request);
        }
        self.parts.board.set_leader(self.parts.coordinator.is_leader(self.parts.clock.now()));
        is_finished
    }

    fn carry_out(&mut self, signal: Signal) -> bool {
        match signal {
            Signal::Start { lease, token, deadline } => self.start_shard(*lease, token, deadline),
            Signal::Extend { key, deadline } => {
                if let Some(shard) = self.shards.get(&key) {
                    shard.state.send_modify(|state| state.deadline = deadline);
                }
            }
            Signal::Drain { key, reason, until } => {
                if let Some(shard) = self.shards.get(&key) {
                    shard.state.send_modify(|state| state.order = TenureOrder::Drain { reason, until });
                }
            }
            Signal::Stop { key } => {
                if let Some(shard) = self.shards.remove(&key) {
                    shard.state.send_modify(|state| state.order = TenureOrder::Stop);
                }
            }
            Signal::Completed { command, outcome } => {
                if let Some(reply) = self.outcomes.remove(&command) {
                    // The consumer may be gone, and then nobody needs to know.
                    let _ = reply.send(outcome);
                }
            }
            Signal::Finished => return true,
        }
        false
    }

    fn call(&mut self, id: RequestId, request: Request) {
        let call = match request {
            Request::Store(request) => {
                let store = Arc::clone(&self.parts.store);
                async move { (id, Answer::Store(Box::new(store.execute(request).await))) }.boxed()
            }
            Request::ListShards(filter) => {
                let control = Arc::clone(&self.parts.control);
                async move {
                    let listing = control.list_shards(filter).await;
                    if let Err(error) = &listing {
                        tracing::warn!(error = error as &dyn std::error::Error, "shards cannot be listed");
                    }
                    (id, Answer::Shards(listing.ok()))
                }
                .boxed()
            }
        };
        self.calls.push(call);
    }

    fn start_shard(&mut self, lease: Lease, token: FencingToken, deadline: Millis) {
        let parts = &self.parts;
        let (key, shard) = (lease.key.clone(), lease.key.shard());
        let state = TenureState { deadline, order: TenureOrder::Consume };
        let (sender, receiver) = watch::channel(state);
        let tenure = Tenure::new(receiver, Arc::clone(&parts.clock));
        let seed = derive_seed(parts.seed, token.generation.0 ^ token.counter.0.rotate_left(32));
        let reader = ReaderParts {
            source: Arc::clone(&parts.source),
            clock: Arc::clone(&parts.clock),
            shard: shard.clone(),
            hash_range: lease.hash_range.unwrap_or(HashKeyRange::FULL),
            settings: parts.settings.fetch.clone(),
            seed,
        };
        let telemetry = self.telemetry.as_ref().zip(lease.hash_range);
        let link = OrderLink::new(key.clone(), token, self.orders.0.clone());
        let shard_parts = ShardParts {
            control: Arc::clone(&parts.control),
            budget: Arc::clone(&parts.budget),
            settings: Arc::clone(&parts.settings),
            gauge: parts.board.gauge(shard.clone(), token, lease.checkpoint, tenure.clone()),
            telemetry: telemetry.map(|(board, range)| board.tap(key.clone(), range, seed)),
            seed,
        };
        let span = tracing::info_span!(parent: &parts.span, "shard", shard_id = %shard, lease_counter = token.counter.0);
        let stream = Arc::clone(&parts.stream);
        let context = ShardContext::new(stream, lease, tenure, link, reader, parts.initial_position);
        let factory = Arc::clone(&parts.factory);
        self.shards.insert(key.clone(), RunningShard { token, state: sender });
        let task = async move {
            let consumed = AssertUnwindSafe(consume(factory, context, shard_parts)).catch_unwind().await;
            EndedShard { key, token, panic: consumed.err().map(|panic| panic_text(&*panic)) }
        };
        self.tasks.spawn(task.instrument(span));
    }
}

/// What cancelled tasks may take to reach their next await.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);
/// Orders of shards that wait for the coordinator; a shard has at most one, and waits in line beyond this.
const ORDERS_MAX: usize = 256;
