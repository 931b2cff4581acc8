//! Adopting, keeping and giving back leases: every transition of a tenure.
//!
//! One write is in flight per row. A reply that is lost is settled before anything else is written: a read that shows
//! the write's nonce proves it applied; a read that does not proves nothing, because the write may still land, so the same
//! changes are written once more at the counter just read. Whichever lands first shuts the other out.

use std::collections::{BTreeSet, VecDeque};

use super::Coordinator;
use super::message::{Command, CommandId, DrainReason, Outcome, ShardFilter, Signal};
use super::outbox::Purpose;
use super::tenure::{Aim, Held, Stage, Step, Tenure, Write};
use crate::event::{Event, LossCause};
use crate::id::{FencingToken, LeaseKey, Nonce, ShardId, WorkerId};
use crate::position::Position;
use crate::row::{Lease, LeaseWrite, StoreReply, StoreRequest};
use crate::time::Millis;

impl Coordinator {
    /// A read or the index says that a lease may be assigned to this worker.
    pub(super) fn discovered(&mut self, key: &LeaseKey) {
        if self.is_member() && !self.tenures.contains_key(key) {
            self.tenures.insert(key.clone(), Tenure::Reading);
            self.outbox.store(Purpose::Discover(key.clone()), StoreRequest::ReadLease(key.clone()));
        }
    }

    pub(super) fn discover_replied(&mut self, key: &LeaseKey, reply: StoreReply, now: Millis) {
        if self.tenures.get(key) != Some(&Tenure::Reading) {
            return;
        }
        self.tenures.remove(key);
        if let StoreReply::Lease(Some(lease)) = reply {
            self.consider(lease, now);
        }
    }

    /// Adopts `lease` if the row as read allows it.
    ///
    /// A row that names an incarnation as holder may be in use by a twin with this worker's id: it is adopted only after
    /// standing still for its failover time, like an expired one.
    pub(super) fn consider(&mut self, lease: Lease, now: Millis) {
        let is_assigned = lease.owner.as_ref() == Some(&self.me) && lease.checkpoint_owner.is_none();
        if !is_assigned || lease.is_finished() || !self.is_member() || self.tenures.contains_key(&lease.key) {
            self.claims.remove(&lease.key);
            return;
        }
        if lease.own.holder.is_some_and(|holder| holder != self.holder) {
            let mark = (lease.counter, lease.own.nonce);
            let wait = self.settings.failover.max(lease.own.failover.unwrap_or_default());
            let (seen, since) = self.claims.get(&lease.key).copied().unwrap_or((mark, now));
            let since = if seen == mark { since } else { now };
            if now.since(since) < wait {
                self.claims.insert(lease.key.clone(), (mark, since));
                return;
            }
        }
        self.claims.remove(&lease.key);
        let generation = self.minted_generation(Some(&lease), now);
        let nonce = self.next_nonce();
        let failover = self.settings.failover;
        let write = LeaseWrite::adopt(&lease, &self.me, self.holder, failover, generation, nonce);
        if !lease.own_attributes_hold() {
            self.outbox.event(Event::OwnAttributesDropped { key: lease.key.clone() });
        }
        self.tenures.insert(lease.key.clone(), Tenure::Adopting);
        self.outbox.store(Purpose::Adopt(lease.key), StoreRequest::UpdateLease(write));
    }

    /// An adoption whose reply is lost is simply forgotten: nothing was delivered, and the row is found again.
    pub(super) fn adopt_replied(&mut self, key: &LeaseKey, reply: StoreReply, sent: Millis, now: Millis) {
        if self.tenures.get(key) != Some(&Tenure::Adopting) {
            return;
        }
        self.tenures.remove(key);
        let StoreReply::Applied(row) = reply else { return };
        let deadline = sent + self.settings.tenure();
        if now >= deadline {
            return;
        }
        let token = row.fencing_token();
        self.outbox.event(Event::Adopted { key: key.clone(), token });
        let waiting =
            if row.checkpoint == Position::TrimHorizon { row.parents.clone() } else { BTreeSet::new() };
        let held = Held {
            token,
            deadline,
            renew_at: sent + self.settings.renewal_interval(),
            stage: Stage::AwaitingParents { waiting, check_at: now },
            write: None,
            commands: VecDeque::new(),
            finishing: None,
            row,
        };
        self.tenures.insert(key.clone(), Tenure::Held(Box::new(held)));
        if !self.is_member() {
            self.begin_drain(key, DrainReason::Shutdown, now);
        }
        self.start_if_unblocked(key);
    }

    /// What a held lease does by itself when its time has come.
    pub(super) fn tenure_due(&mut self, key: &LeaseKey, now: Millis) {
        let Some(held) = self.held(key) else { return };
        if now >= held.deadline {
            self.lose(key, LossCause::DeadlinePassed);
            return;
        }
        let mut parents = Vec::new();
        if let Stage::AwaitingParents { waiting, check_at } = &mut held.stage
            && *check_at <= now
        {
            *check_at = now + PARENT_CHECK_INTERVAL;
            parents.extend(waiting.iter().cloned());
        }
        let is_overdue = matches!(held.stage, Stage::Draining { until, stopped: false, .. } if until <= now);
        for parent in parents {
            let request = StoreRequest::ReadLease(LeaseKey::from(&parent));
            self.outbox.store(Purpose::Parent(key.clone(), parent), request);
        }
        if is_overdue {
            self.abandon_consumer(key, LossCause::DrainOverdue);
            self.consumer_stopped(key, now);
        }
        self.retry_children(key, now);
        self.repeat_rested_write(key, now);
        self.write_next(key, now);
    }

    pub(super) fn parent_replied(&mut self, key: &LeaseKey, parent: &ShardId, reply: StoreReply) {
        let StoreReply::Lease(row) = reply else { return };
        match row {
            Some(row) if row.is_finished() => self.parent_finished(key, parent),
            Some(_) => self.outbox.event(Event::AwaitingParent { key: key.clone(), parent: parent.clone() }),
            None => {
                for filter in [ShardFilter::AtTrimHorizon, ShardFilter::All] {
                    let purpose = Purpose::ParentListing(key.clone(), parent.clone(), filter);
                    self.outbox.list_shards(purpose, filter);
                }
            }
        }
    }

    /// A missing parent does not matter if the stream no longer has it, or if the shard itself was open at the trim
    /// horizon, for then its parents ended before anything that is still retained. Otherwise the leader's audit restores
    /// the parent's row.
    pub(super) fn parent_listed(
        &mut self,
        key: &LeaseKey,
        parent: &ShardId,
        filter: ShardFilter,
        listing: &[super::message::ListedShard],
    ) {
        let lists_child = listing.iter().any(|shard| LeaseKey::from(&shard.shard) == *key);
        let lists_parent = listing.iter().any(|shard| shard.shard == *parent);
        if lists_child && (filter == ShardFilter::AtTrimHorizon || !lists_parent) {
            self.parent_finished(key, parent);
        } else if filter == ShardFilter::All {
            self.outbox.event(Event::AwaitingParent { key: key.clone(), parent: parent.clone() });
        }
    }

    fn parent_finished(&mut self, key: &LeaseKey, parent: &ShardId) {
        if let Some(held) = self.held(key)
            && let Stage::AwaitingParents { waiting, .. } = &mut held.stage
        {
            waiting.remove(parent);
            self.start_if_unblocked(key);
        }
    }

    fn start_if_unblocked(&mut self, key: &LeaseKey) {
        let Some(held) = self.held(key) else { return };
        if let Stage::AwaitingParents { waiting, .. } = &held.stage
            && waiting.is_empty()
        {
            held.stage = Stage::Running;
            let signal = Signal::Start {
                lease: Box::new(held.row.clone()),
                token: held.token,
                deadline: held.deadline,
            };
            self.outbox.signal(signal);
        }
    }

    /// Takes a command of the consumer that runs under `token`.
    pub(super) fn commanded(
        &mut self,
        id: CommandId,
        key: &LeaseKey,
        token: FencingToken,
        command: Command,
        now: Millis,
    ) {
        let held = self.held(key).filter(|held| held.token == token && held.has_consumer());
        let Some(held) = held else {
            self.complete(id, Outcome::Lost);
            return;
        };
        if now >= held.deadline {
            self.complete(id, Outcome::Lost);
            self.lose(key, LossCause::DeadlinePassed);
            return;
        }
        if held.commands.len() >= COMMANDS_MAX {
            let row = Box::new(held.row.clone());
            self.complete(id, Outcome::Refused(row));
            return;
        }
        held.commands.push_back((id, command));
        self.write_next(key, now);
    }

    /// Asks the consumer to stop, or gives the lease back at once if none runs.
    pub(super) fn begin_drain(&mut self, key: &LeaseKey, reason: DrainReason, now: Millis) {
        let budget = match reason {
            DrainReason::HandOff => self.settings.hand_off_timeout.since(self.settings.failover),
            DrainReason::Shutdown => self.settings.shutdown_timeout,
        };
        let until = now + budget;
        let Some(held) = self.held(key) else { return };
        match held.stage {
            Stage::AwaitingParents { .. } => held.stage = Stage::Draining { reason, until, stopped: true },
            Stage::Running => {
                held.stage = Stage::Draining { reason, until, stopped: false };
                self.outbox.signal(Signal::Drain { key: key.clone(), reason, until });
            }
            Stage::Draining { .. } => return,
        }
        self.outbox.event(Event::Draining { key: key.clone(), reason });
        self.write_next(key, now);
    }

    /// The row may have changed under the holder: renews at once to see it.
    pub(super) fn renew_now(&mut self, key: &LeaseKey, now: Millis) {
        if let Some(held) = self.held(key) {
            held.renew_at = held.renew_at.min(now);
            self.write_next(key, now);
        }
    }

    pub(super) fn hold_replied(
        &mut self,
        key: &LeaseKey,
        nonce: Nonce,
        reply: StoreReply,
        sent: Millis,
        now: Millis,
    ) {
        let (me, holder) = (self.me.clone(), self.holder);
        let Some(held) = self.held(key) else { return };
        let Some(write) = held.write.as_mut().filter(|write| write.awaits(Step::Sent, nonce)) else { return };
        if let StoreReply::Applied(row) = reply {
            self.applied(key, row, sent, now);
        } else if let StoreReply::Refused(current) = reply {
            let Some(current) = current else {
                self.lose(key, LossCause::RowDeleted);
                return;
            };
            let landed = write.landed_as(&current, sent);
            if let Some(sent) = landed {
                self.outbox.event(Event::AmbiguousWriteApplied { key: key.clone() });
                self.applied(key, current, sent, now);
            } else if current.counter == held.row.counter
                && current.own.holder == Some(holder)
                && current.is_held_by(&me)
            {
                self.refused_but_held(key, current, now);
            } else {
                self.lose(key, LossCause::Taken);
            }
        } else if reply == StoreReply::Throttled {
            write.step = Step::ResendAt(now + RETRY_PAUSE);
            self.outbox.event(Event::Throttled);
        } else {
            write.unsettled.push((nonce, sent));
            write.step = Step::Reading;
            self.outbox.event(Event::WriteAmbiguous { key: key.clone() });
            self.outbox.store(Purpose::Settle(key.clone(), nonce), StoreRequest::ReadLease(key.clone()));
        }
    }

    pub(super) fn settle_replied(&mut self, key: &LeaseKey, nonce: Nonce, reply: StoreReply, now: Millis) {
        let (me, holder) = (self.me.clone(), self.holder);
        let Some(held) = self.held(key) else { return };
        let Some(write) = held.write.as_mut().filter(|write| write.awaits(Step::Reading, nonce)) else {
            return;
        };
        let StoreReply::Lease(row) = reply else {
            write.step = Step::RereadAt(now + RETRY_PAUSE);
            return;
        };
        let Some(row) = row else {
            self.lose(key, LossCause::RowDeleted);
            return;
        };
        let landed = write.unsettled.iter().find(|(nonce, _)| row.own.nonce == Some(*nonce)).copied();
        if let Some((_, sent)) = landed {
            self.outbox.event(Event::AmbiguousWriteApplied { key: key.clone() });
            self.applied(key, row, sent, now);
        } else if row.counter == held.row.counter && row.own.holder == Some(holder) && row.is_held_by(&me) {
            if write.unsettled.len() >= SETTLE_TRIES_MAX {
                self.lose(key, LossCause::DeadlinePassed);
                return;
            }
            let repeated = write.write.clone();
            let repeated = repeated.repeated(&row, self.next_nonce());
            self.resend(key, Some(repeated));
        } else {
            self.lose(key, LossCause::Taken);
        }
    }

    /// Ends a tenure that this worker no longer has.
    pub(super) fn lose(&mut self, key: &LeaseKey, cause: LossCause) {
        self.abandon_consumer(key, cause);
        self.tenures.remove(key);
    }

    /// Writes what is due next, if nothing is on its way.
    pub(super) fn write_next(&mut self, key: &LeaseKey, now: Millis) {
        let Some(held) = self.held(key) else { return };
        if held.write.is_some() {
            return;
        }
        if let Some(finishing) = &held.finishing {
            if finishing.uncreated.is_empty() {
                let children: BTreeSet<ShardId> =
                    finishing.children.iter().map(|child| child.shard.clone()).collect();
                let final_state = finishing.final_state.clone();
                let aim = Aim::Finish(finishing.command);
                self.send(key, aim, |row, me, nonce| {
                    LeaseWrite::finish(row, me, children, final_state, nonce)
                });
                return;
            }
        } else if let Some((id, command)) = held.commands.pop_front() {
            self.execute(key, id, command, now);
            return;
        } else if let Stage::Draining { stopped: true, .. } = held.stage {
            if held.row.checkpoint_owner.is_some() {
                self.send(key, Aim::HandOver, LeaseWrite::complete_hand_off);
            } else {
                self.send(key, Aim::Release, LeaseWrite::release);
            }
            return;
        }
        if held.renew_at <= now {
            self.send(key, Aim::Renewal, LeaseWrite::renew);
        }
    }

    fn execute(&mut self, key: &LeaseKey, id: CommandId, command: Command, now: Millis) {
        let aim = Aim::Command(id);
        if let Some(held) = self.held(key)
            && command.leads_to().is_some_and(|position| position < held.row.checkpoint)
        {
            let row = Box::new(held.row.clone());
            self.complete(id, Outcome::Refused(row));
            self.write_next(key, now);
            return;
        }
        match command {
            Command::Checkpoint(position) => {
                self.send(key, aim, |row, me, nonce| LeaseWrite::checkpoint(row, me, position, nonce));
            }
            Command::Prepare { ordinal, intent } => {
                self.send(key, aim, |row, me, nonce| LeaseWrite::prepare(row, me, ordinal, intent, nonce));
            }
            Command::Commit { ordinal, position, state } => {
                self.send(key, aim, |row, me, nonce| {
                    LeaseWrite::commit(row, me, ordinal, position, state, nonce)
                });
            }
            Command::Halt(reason) => {
                self.send(key, aim, |row, me, nonce| LeaseWrite::note_halt(row, me, reason, nonce));
            }
            Command::Finish { children, final_state } => self.finish(key, id, children, final_state, now),
            Command::Confirm => self.send(key, aim, LeaseWrite::renew),
            Command::Drained => {
                self.consumer_stopped(key, now);
                if let Some(held) = self.held(key) {
                    let row = Box::new(held.row.clone());
                    self.complete(id, Outcome::Done(row));
                }
                self.write_next(key, now);
            }
        }
    }

    fn consumer_stopped(&mut self, key: &LeaseKey, now: Millis) {
        let Some(held) = self.held(key) else { return };
        let (reason, until) = match held.stage {
            Stage::Draining { reason, until, .. } => (reason, until),
            Stage::AwaitingParents { .. } | Stage::Running => (DrainReason::Shutdown, now),
        };
        held.stage = Stage::Draining { reason, until, stopped: true };
    }

    fn send(&mut self, key: &LeaseKey, aim: Aim, build: impl FnOnce(&Lease, &WorkerId, Nonce) -> LeaseWrite) {
        let nonce = self.next_nonce();
        let me = self.me.clone();
        if let Some(held) = self.held(key) {
            let write = build(&held.row, &me, nonce);
            held.write = Some(Write { write, aim, unsettled: Vec::new(), step: Step::Sent });
            self.resend(key, None);
        }
    }

    /// Sends the write in flight, or `replacement` in its place.
    fn resend(&mut self, key: &LeaseKey, replacement: Option<LeaseWrite>) {
        let Some(write) = self.held(key).and_then(|held| held.write.as_mut()) else { return };
        if let Some(replacement) = replacement {
            write.write = replacement;
        }
        write.step = Step::Sent;
        let request = StoreRequest::UpdateLease(write.write.clone());
        let nonce = write.nonce();
        self.outbox.store(Purpose::Hold(key.clone(), nonce), request);
    }

    fn repeat_rested_write(&mut self, key: &LeaseKey, now: Millis) {
        let Some(write) = self.held(key).and_then(|held| held.write.as_mut()) else { return };
        match write.step {
            Step::ResendAt(at) if at <= now => self.resend(key, None),
            Step::RereadAt(at) if at <= now => {
                write.step = Step::Reading;
                let purpose = Purpose::Settle(key.clone(), write.nonce());
                self.outbox.store(purpose, StoreRequest::ReadLease(key.clone()));
            }
            Step::ResendAt(_) | Step::RereadAt(_) | Step::Sent | Step::Reading => {}
        }
    }

    /// A write of this tenure took effect and left `row`.
    fn applied(&mut self, key: &LeaseKey, row: Lease, sent: Millis, now: Millis) {
        let (tenure, interval) = (self.settings.tenure(), self.settings.renewal_interval());
        let Some(held) = self.held(key) else { return };
        let Some(write) = held.write.take() else { return };
        held.deadline = held.deadline.max(sent + tenure);
        held.renew_at = sent + interval;
        held.row = row.clone();
        let deadline = held.deadline;
        let children: Vec<LeaseKey> = held
            .finishing
            .iter()
            .flat_map(|finishing| &finishing.children)
            .map(|child| LeaseKey::from(&child.shard))
            .collect();
        match write.aim {
            Aim::Renewal => {}
            Aim::Command(id) => self.complete(id, Outcome::Done(Box::new(row.clone()))),
            Aim::Finish(id) => {
                self.tenures.remove(key);
                self.complete(id, Outcome::Done(Box::new(row)));
                self.outbox.event(Event::ShardFinished { key: key.clone() });
                for child in &children {
                    self.discovered(child);
                }
                return;
            }
            Aim::HandOver => {
                self.tenures.remove(key);
                self.outbox.event(Event::HandedOff { key: key.clone(), to: row.owner });
                return;
            }
            Aim::Release => {
                self.tenures.remove(key);
                self.outbox.event(Event::Released { key: key.clone() });
                return;
            }
        }
        if now >= deadline {
            self.lose(key, LossCause::DeadlinePassed);
            return;
        }
        self.outbox.signal(Signal::Extend { key: key.clone(), deadline });
        if row.checkpoint_owner.is_some() {
            self.begin_drain(key, DrainReason::HandOff, now);
        }
        self.write_next(key, now);
    }

    /// The row is still this worker's, but the write's own condition did not hold.
    fn refused_but_held(&mut self, key: &LeaseKey, row: Lease, now: Millis) {
        let Some(held) = self.held(key) else { return };
        let Some(write) = held.write.take() else { return };
        held.row = row.clone();
        match write.aim {
            Aim::Command(id) => self.complete(id, Outcome::Refused(Box::new(row.clone()))),
            Aim::Finish(id) => {
                held.finishing = None;
                self.complete(id, Outcome::Refused(Box::new(row.clone())));
            }
            Aim::Renewal | Aim::HandOver | Aim::Release => {}
        }
        if row.checkpoint_owner.is_some() {
            self.begin_drain(key, DrainReason::HandOff, now);
        }
        self.write_next(key, now);
    }

    /// Stops the consumer at once, if one runs, and fails what it had asked for.
    fn abandon_consumer(&mut self, key: &LeaseKey, cause: LossCause) {
        let Some(held) = self.held(key) else { return };
        let had_consumer = held.has_consumer();
        let mut failed: Vec<CommandId> = held.commands.drain(..).map(|(id, _)| id).collect();
        failed.extend(held.finishing.take().map(|finishing| finishing.command));
        if let Some(write) = held.write.as_mut()
            && let Aim::Command(id) = write.aim
        {
            failed.push(id);
            write.aim = Aim::Renewal;
        }
        for id in failed {
            self.complete(id, Outcome::Lost);
        }
        if had_consumer {
            self.outbox.signal(Signal::Stop { key: key.clone() });
        }
        self.outbox.event(Event::Lost { key: key.clone(), cause });
    }

    fn complete(&mut self, command: CommandId, outcome: Outcome) {
        self.outbox.signal(Signal::Completed { command, outcome });
    }

    pub(super) fn held(&mut self, key: &LeaseKey) -> Option<&mut Held> {
        match self.tenures.get_mut(key)? {
            Tenure::Held(held) => Some(held),
            Tenure::Reading | Tenure::Adopting => None,
        }
    }
}

/// A shard's consumer asks for one thing at a time; a few more may meet a slow store.
const COMMANDS_MAX: usize = 4;
/// Pause after a throttled write or a failed read; a third of the shortest failover's slack.
pub(super) const RETRY_PAUSE: Millis = Millis(100);
/// Lost replies in a row after which the tenure is given up, long before which its deadline usually passes.
const SETTLE_TRIES_MAX: usize = 16;
/// How often a blocked lease looks at its parents. KCL: 10 s.
const PARENT_CHECK_INTERVAL: Millis = Millis(500);
