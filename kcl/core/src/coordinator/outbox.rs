//! What a coordinator wants to say: requests, signals and events, in order, and the requests still unanswered.

use std::collections::{BTreeMap, VecDeque};

use super::message::{Request, RequestId, ShardFilter, Signal};
use crate::event::Event;
use crate::id::{LeaseKey, Nonce, ShardId, WorkerId};
use crate::row::{LeaseChange, LockVersion, StoreRequest};
use crate::time::Millis;

/// Why a request was made; decides who handles its reply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Purpose {
    /// Is this lease mine to adopt?
    Discover(LeaseKey),
    /// The conditional renewal that adopts.
    Adopt(LeaseKey),
    /// A write of the holder, known by its nonce: its reply may come when the tenure has been lost and another has begun.
    Hold(LeaseKey, Nonce),
    /// A read that settles a write of the holder, whose last try had this nonce.
    Settle(LeaseKey, Nonce),
    /// A child's row, created on behalf of a shard that ends: the shard's lease, then the child's.
    CreateChild(LeaseKey, LeaseKey),
    /// A parent's row, for a lease that waits for it.
    Parent(LeaseKey, ShardId),
    /// A listing by this filter that tells whether a missing parent matters.
    ParentListing(LeaseKey, ShardId, ShardFilter),
    /// The index, or its stand-in.
    Owned,
    /// A full scan.
    Scan,
    /// The stream's shards for the audit; with the filter of an empty table or not.
    Audit { is_first: bool },
    /// A row that the audit found missing.
    CreateShard(LeaseKey),
    /// A write of the leader's plan, or a take.
    Plan(LeaseKey),
    /// The roster's counter.
    Roster,
    /// This worker's row or the roster; the reply does not matter.
    Presence,
    /// The last write of this worker's presence.
    Leave,
    /// A read of the lock.
    LockRead,
    /// A write of the lock that would leave this version.
    LockWrite(LockVersion),
}

/// Outputs and unanswered requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Outbox {
    urgent: VecDeque<(Purpose, Request)>,
    patient: VecDeque<(Purpose, Request)>,
    unanswered: BTreeMap<RequestId, (Purpose, Millis)>,
    signals: VecDeque<Signal>,
    events: VecDeque<Event>,
    requests_made: u64,
}

impl Outbox {
    /// Queues a call to the store; writes that keep leases alive go before everything else.
    pub(super) fn store(&mut self, purpose: Purpose, request: StoreRequest) {
        let queue = match purpose {
            Purpose::Adopt(_)
            | Purpose::Hold(..)
            | Purpose::Settle(..)
            | Purpose::LockRead
            | Purpose::LockWrite(_)
            | Purpose::Presence
            | Purpose::Leave => &mut self.urgent,
            Purpose::Discover(_)
            | Purpose::CreateChild(..)
            | Purpose::Parent(..)
            | Purpose::ParentListing(..)
            | Purpose::Owned
            | Purpose::Scan
            | Purpose::Audit { .. }
            | Purpose::CreateShard(_)
            | Purpose::Plan(_)
            | Purpose::Roster => &mut self.patient,
        };
        queue.push_back((purpose, Request::Store(request)));
    }

    /// Queues a call to the control plane.
    pub(super) fn list_shards(&mut self, purpose: Purpose, filter: ShardFilter) {
        self.patient.push_back((purpose, Request::ListShards(filter)));
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.signals.push_back(signal);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The next request, if fewer than [`UNANSWERED_MAX`] are unanswered; sent at `now`.
    pub(super) fn poll_request(&mut self, now: Millis) -> Option<(RequestId, Request)> {
        if self.unanswered.len() >= UNANSWERED_MAX {
            return None;
        }
        let (purpose, request) = self.urgent.pop_front().or_else(|| self.patient.pop_front())?;
        self.requests_made += 1;
        let id = RequestId(self.requests_made);
        self.unanswered.insert(id, (purpose, now));
        Some((id, request))
    }

    /// Drops the leader's writes that give leases to others than `me`, for it no longer leads.
    pub(super) fn forget_plans(&mut self, me: &WorkerId) {
        let is_kept = |(purpose, request): &(Purpose, Request)| {
            !matches!(purpose, Purpose::Plan(_)) || !gives_away(request, me)
        };
        self.patient.retain(is_kept);
    }

    pub(super) fn poll_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Purpose and send time of an unanswered request; `None` for a reply that came before.
    pub(super) fn answered(&mut self, id: RequestId) -> Option<(Purpose, Millis)> {
        self.unanswered.remove(&id)
    }

    /// Whether something can be polled right now.
    pub(super) fn is_ready(&self) -> bool {
        let has_request = !self.urgent.is_empty() || !self.patient.is_empty();
        (has_request && self.unanswered.len() < UNANSWERED_MAX)
            || !self.signals.is_empty()
            || !self.events.is_empty()
    }

    /// How many requests of this kind are queued or unanswered.
    pub(super) fn count(&self, is_meant: impl Fn(&Purpose) -> bool) -> usize {
        let queued = self.urgent.iter().chain(&self.patient).map(|(purpose, _)| purpose);
        queued
            .chain(self.unanswered.values().map(|(purpose, _)| purpose))
            .filter(|purpose| is_meant(purpose))
            .count()
    }
}

fn gives_away(request: &Request, me: &WorkerId) -> bool {
    let Request::Store(StoreRequest::UpdateLease(write)) = request else { return false };
    write.changes.iter().any(|change| matches!(change, LeaseChange::Owner(Some(owner)) if owner != me))
}

/// Enough to renew a thousand leases within seconds at ordinary latencies, few enough not to flood a store that slows down.
const UNANSWERED_MAX: usize = 64;
