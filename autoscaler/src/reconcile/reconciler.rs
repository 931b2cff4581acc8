//! The shell of a controller: clocks, ports and one loop.
//!
//! ```text
//! stop ────────────┐                   ┌─▶ calls to row, Kinesis and metrics (polled here, never spawned)
//! finished calls ──┤  one input, then  ├─▶ audit records to their sink
//! wakes ───────────┼──▶ Controller ───▶├─▶ events to the log
//! poll_timeout ────┘   all its outputs └─▶ the autoscaler's own metrics
//! ```

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use kcl::Clock;
use kcl_core::{LockVersion, Millis, WorkerId};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::audit::AuditSink;
use super::controller::{Controller, Planner};
use super::event::{CallResult, Event};
use super::message::{CallReply, Moment, Reply, Request, RequestId, Row};
use super::port::{Gauges, Observer, RowStore, RowWritten, ShardControl};
use super::settings::ReconcileSettings;
use crate::EpochMillis;

/// What a reconciler is given.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The stream's row.
    pub rows: Arc<dyn RowStore>,
    /// The stream's control plane.
    pub control: Arc<dyn ShardControl>,
    /// What is seen of it.
    pub observer: Arc<dyn Observer>,
    /// The autoscaler's own metrics.
    pub gauges: Arc<dyn Gauges>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Keeps one stream scaled.
pub struct Reconciler<P> {
    stream: String,
    controller: Controller<P>,
    ports: Ports,
    audit: Box<dyn AuditSink>,
    call_timeout: Duration,
    calls: FuturesUnordered<BoxFuture<'static, (RequestId, Reply)>>,
    /// At most one publication is under way; one that takes longer than a round costs the next one.
    publication: FuturesUnordered<BoxFuture<'static, ()>>,
    failures: u64,
    rounds: u64,
    me: WorkerId,
    /// Who else holds the row, and its version when that was first seen.
    holder: Option<(WorkerId, LockVersion)>,
    /// That holder has written since.
    is_held_elsewhere: bool,
}

/// How long a reconciler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFor {
    /// Until it is stopped.
    Ever,
    /// Until the stream was looked at once, and what had to be done was begun and written down, as in a Lambda function.
    OneRound,
}

impl<P: Planner> Reconciler<P> {
    /// A reconciler of `stream` that contends for its row as `me`. `seed` must be random per process.
    #[must_use]
    pub fn new(
        stream: &str,
        settings: ReconcileSettings,
        me: WorkerId,
        seed: u64,
        planner: P,
        ports: Ports,
        audit: Box<dyn AuditSink>,
    ) -> Self {
        let call_timeout = settings.call_timeout;
        let now = moment(&*ports.clock);
        Self {
            stream: stream.to_owned(),
            controller: Controller::new(stream, settings, me.clone(), seed, planner, now),
            ports,
            audit,
            call_timeout,
            calls: FuturesUnordered::new(),
            publication: FuturesUnordered::new(),
            failures: 0,
            rounds: 0,
            me,
            holder: None,
            is_held_elsewhere: false,
        }
    }

    /// Runs until it is over or `stop` is cancelled, then finishes what is under way and gives the row back. Each of `wakes`
    /// says "look again". Answers in how many rounds the stream was looked at: none if another controller held the row, which a
    /// run of one round does not wait for.
    pub async fn run(mut self, run_for: RunFor, wakes: Arc<Notify>, stop: CancellationToken) -> u64 {
        let clock = Arc::clone(&self.ports.clock);
        let mut is_stopping = false;
        loop {
            self.drain_outputs();
            if self.controller.is_finished() {
                break;
            }
            let is_done = self.rounds > 0 && self.controller.is_resting();
            let is_over = run_for == RunFor::OneRound && (is_done || self.is_held_elsewhere);
            if is_over && !is_stopping {
                is_stopping = true;
                self.controller.handle_shutdown(SHUTDOWN_TIMEOUT, moment(&*clock));
                continue;
            }
            let wake_at = self.controller.poll_timeout();
            tokio::select! {
                // Stopping first; then what is waited for; wakes before time, which is looked at after every input anyway.
                biased;
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    self.controller.handle_shutdown(SHUTDOWN_TIMEOUT, moment(&*clock));
                }
                Some((id, reply)) = self.calls.next(), if !self.calls.is_empty() => {
                    self.note_holder(&reply);
                    self.controller.handle_reply(id, reply, moment(&*clock));
                }
                Some(()) = self.publication.next(), if !self.publication.is_empty() => {}
                () = wakes.notified() => self.controller.handle_wake(moment(&*clock)),
                () = sleep_until(&*clock, wake_at) => {}
            }
            self.controller.handle_timeout(moment(&*clock));
        }
        while self.publication.next().await.is_some() {}
        self.rounds
    }

    /// Says once for each other holder of the row why nothing is done here, and notices that it lives.
    fn note_holder(&mut self, reply: &Reply) {
        let (Reply::Row(Some(row)) | Reply::Refused(Some(row))) = reply else { return };
        let Row { lock, .. } = row;
        if lock.is_released || lock.owner == self.me {
            self.holder = None;
            return;
        }
        match &self.holder {
            Some((owner, version)) if *owner == lock.owner => {
                self.is_held_elsewhere = *version != lock.version
            }
            Some(_) | None => {
                tracing::info!(stream = self.stream, owner = %lock.owner, "another controller acts for the stream");
                self.holder = Some((lock.owner.clone(), lock.version.clone()));
            }
        }
    }

    fn drain_outputs(&mut self) {
        loop {
            while let Some(event) = self.controller.poll_event() {
                self.take(&event);
            }
            let now = moment(&*self.ports.clock);
            let Some((id, request)) = self.controller.poll_request(now) else { return };
            let call = self.ports.clone().perform(request, self.call_timeout);
            self.calls.push(Box::pin(async move { (id, call.await) }));
        }
    }

    fn take(&mut self, event: &Event) {
        let stream = self.stream.as_str();
        match event {
            Event::Audit(record) => {
                if let Err(error) = self.audit.record(record) {
                    tracing::error!(stream, %error, decision = record.decision, "an audit record was lost");
                }
            }
            Event::BecameLeader { term } => tracing::info!(stream, term, "acts for the stream"),
            Event::SteppedDown => tracing::info!(stream, "acts for the stream no longer"),
            Event::JournalRefused(problem) => {
                self.failures += 1;
                tracing::error!(stream, %problem, "the journal cannot be used");
            }
            Event::Withheld(withheld) => {
                tracing::info!(stream, reason = withheld.reason(), "the plan is not carried out");
            }
            Event::Called { call, result } => {
                tracing::info!(stream, %call, %result, "called");
                self.failures += u64::from(matches!(result, CallResult::Refused(_)));
            }
            Event::Done { change, took } => tracing::info!(stream, ?change, ?took, "done"),
            Event::DidNotHappen { change } => tracing::warn!(stream, ?change, "did not happen"),
            Event::Overdue { change, waited } => {
                self.failures += 1;
                tracing::error!(stream, ?change, ?waited, "takes too long: its plan is dropped");
            }
            Event::ChangedOutside { from, to, calls } => {
                tracing::warn!(stream, from, to, calls, "somebody else changed the shards");
            }
            Event::QuotaSpentOutside => {
                tracing::warn!(stream, "somebody else used up the UpdateShardCount calls of the day");
            }
            Event::Effect(effect) => {
                tracing::info!(stream, change = ?effect.trial.change, verdict = ?effect.verdict, "judged");
            }
            Event::RoundDone(vitals) => {
                self.rounds += 1;
                if self.publication.is_empty() {
                    let (gauges, vitals) = (Arc::clone(&self.ports.gauges), *vitals);
                    let (failures, within) = (std::mem::take(&mut self.failures), self.call_timeout);
                    self.publication.push(Box::pin(async move {
                        match timeout(within, gauges.publish(vitals, failures)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => {
                                tracing::warn!(%error, cause = ?error.source, "metrics were not published")
                            }
                            Err(_) => tracing::warn!(?within, "metrics were not published in time"),
                        }
                    }));
                }
            }
            Event::LookFailed { failures } => {
                self.failures += 1;
                tracing::warn!(stream, failures, "the stream could not be looked at");
            }
        }
    }
}

impl Ports {
    async fn perform(self, request: Request, within: Duration) -> Reply {
        let epoch = EpochMillis(self.clock.epoch_millis());
        match request {
            Request::ReadRow => match timeout(within, self.rows.read()).await {
                Ok(Ok(row)) => Reply::Row(row),
                Ok(Err(error)) => failed(&error),
                Err(_) => Reply::Failed,
            },
            Request::WriteRow(write) => match timeout(within, self.rows.write(&write)).await {
                Ok(RowWritten::Written) => Reply::Written,
                Ok(RowWritten::Refused(current)) => Reply::Refused(current),
                Ok(RowWritten::Failed) => Reply::Failed,
                Ok(RowWritten::Unknown) | Err(_) => Reply::Unknown,
            },
            Request::Look => match self.control.look().await {
                Ok(look) => Reply::Looked(look),
                Err(error) => failed(&error),
            },
            Request::Observe => match self.observer.observe(epoch).await {
                Ok(observation) => Reply::Observed(Box::new(observation)),
                Err(error) => failed(&error),
            },
            Request::AccountRoom => match timeout(within, self.control.account_room()).await {
                Ok(Ok(room)) => Reply::AccountRoom(room),
                Ok(Err(error)) => failed(&error),
                Err(_) => Reply::Failed,
            },
            Request::Call { call, not_after } => {
                if self.clock.now() > not_after {
                    return Reply::Called(CallReply::NotSent);
                }
                let reply = timeout(within, self.control.call(&call)).await;
                Reply::Called(reply.unwrap_or(CallReply::Unknown))
            }
        }
    }
}

fn failed(error: &super::port::PortError) -> Reply {
    tracing::warn!(%error, cause = ?error.source, "a call failed");
    Reply::Failed
}

fn moment(clock: &dyn Clock) -> Moment {
    Moment { steady: clock.now(), epoch: EpochMillis(clock.epoch_millis()) }
}

/// Returns once `clock` shows `when`. Timers stand still while the machine is suspended and the clock does not, so it is looked
/// at every second.
async fn sleep_until(clock: &dyn Clock, when: Millis) {
    loop {
        let left = Duration::from(when.since(clock.now()));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLEEP_MAX)).await;
    }
}

/// A call and two writes of the row, each given up after a few seconds.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
const SLEEP_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use kcl::TokioClock;
    use kcl_core::{HashKeyRange, ShardId};
    use parking_lot::Mutex;

    use super::*;
    use crate::reconcile::JsonLines;
    use crate::reconcile::event::Vitals;
    use crate::reconcile::message::{Call, Look};
    use crate::reconcile::port::{MemoryRowStore, PortError};
    use crate::{
        Action, Boundaries, Constraint, Decision, Layout, Ledger, Observation, OpenShard, Plan, StreamState,
    };

    /// A stream whose reshards take no time.
    #[derive(Debug)]
    struct Fake {
        count: Mutex<u32>,
        published: Mutex<Vec<(Vitals, u64)>>,
    }

    impl Fake {
        fn layout(&self) -> Layout {
            let shard = |(index, range): (usize, HashKeyRange)| OpenShard {
                id: ShardId::new(format!("shard-{index}")).expect("valid"),
                range,
            };
            let boundaries = Boundaries::uniform(*self.count.lock());
            Layout::new(boundaries.ranges().enumerate().map(shard).collect()).expect("covers")
        }
    }

    #[async_trait]
    impl ShardControl for Fake {
        async fn look(&self) -> Result<Look, PortError> {
            Ok(Look { state: StreamState::Active, layout: self.layout() })
        }

        async fn account_room(&self) -> Result<u32, PortError> {
            Ok(100)
        }

        async fn call(&self, call: &Call) -> CallReply {
            let Call::Scale { target } = call else { panic!("unexpected {call}") };
            *self.count.lock() = *target;
            CallReply::Accepted
        }
    }

    #[async_trait]
    impl Observer for Fake {
        async fn observe(&self, _: EpochMillis) -> Result<Observation, PortError> {
            Ok(Observation {
                state: StreamState::Active,
                layout: self.layout(),
                account_shards_left: None,
                fan_out_consumers: 0,
                minutes: Vec::new(),
                load_map: None,
                shards: std::collections::BTreeMap::new(),
                applications: Vec::new(),
            })
        }
    }

    #[async_trait]
    impl Gauges for Fake {
        async fn publish(&self, vitals: Vitals, failures: u64) -> Result<(), PortError> {
            self.published.lock().push((vitals, failures));
            Ok(())
        }
    }

    fn double_once(observation: &Observation, _: &Ledger, _: EpochMillis) -> Plan {
        let count = observation.layout.count();
        Plan {
            action: if count < 8 { Action::Scale { target: 8 } } else { Action::Nothing },
            decision: Decision {
                constraint: Constraint::InBounds,
                demand_shards: None,
                utilisation: None,
                quota_left: None,
                rejected: None,
            },
        }
    }

    fn ports(fake: &Arc<Fake>, rows: Arc<MemoryRowStore>) -> Ports {
        Ports {
            rows,
            control: fake.clone(),
            observer: fake.clone(),
            gauges: fake.clone(),
            clock: Arc::new(TokioClock::starting_at(1_800_000_000_000)),
        }
    }

    /// A controller called `name`; its number of rounds.
    fn reconciling(
        name: &str,
        ports: &Ports,
        run_for: RunFor,
        stop: &CancellationToken,
    ) -> impl Future<Output = u64> + Send + use<> {
        let me = WorkerId::new(name).expect("valid");
        let audit = Box::new(JsonLines::new(std::io::sink()));
        let settings = ReconcileSettings::default();
        Reconciler::new("clicks", settings, me, 3, double_once, ports.clone(), audit).run(
            run_for,
            Arc::default(),
            stop.clone(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn it_scales_tells_and_gives_the_row_back() {
        let fake = Arc::new(Fake { count: Mutex::new(4), published: Mutex::default() });
        let rows = Arc::new(MemoryRowStore::new());
        let ports = ports(&fake, rows.clone());
        let run = |run_for, stop: &CancellationToken| reconciling("controller-a", &ports, run_for, stop);
        let stop = CancellationToken::new();
        run(RunFor::OneRound, &stop).await;
        assert_eq!(*fake.count.lock(), 8);
        let row = rows.read().await.expect("read").expect("written");
        let journal = crate::reconcile::Journal::decode(&row.journal).expect("readable");
        assert!(row.lock.is_released && journal.intent.is_some(), "the next one sees whether it is done");

        let running = tokio::spawn(run(RunFor::Ever, &stop));
        while fake.published.lock().len() < 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        stop.cancel();
        running.await.expect("ends by itself");
        let row = rows.read().await.expect("read").expect("written");
        let journal = crate::reconcile::Journal::decode(&row.journal).expect("readable");
        assert!(row.lock.is_released && journal.intent.is_none());
        assert_eq!((journal.term, journal.ledger.calls().len()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_one_round_does_not_wait_for_a_holder_that_lives() {
        let fake = Arc::new(Fake { count: Mutex::new(8), published: Mutex::default() });
        let ports = ports(&fake, Arc::new(MemoryRowStore::new()));
        let run = |name, run_for, stop: &CancellationToken| reconciling(name, &ports, run_for, stop);
        let stop = CancellationToken::new();
        let leading = tokio::spawn(run("leader", RunFor::Ever, &stop));
        while fake.published.lock().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let begun = tokio::time::Instant::now();
        assert_eq!(run("visitor", RunFor::OneRound, &stop).await, 0);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        stop.cancel();
        assert!(leading.await.expect("ends by itself") > 0);
    }
}
