//! The end of a shard: its children get rows before its own row says `SHARD_END`, whoever dies in between.

use super::Coordinator;
use super::holding::RETRY_PAUSE;
use super::message::{ChildShard, CommandId};
use super::outbox::Purpose;
use super::tenure::Finishing;
use crate::event::Event;
use crate::id::LeaseKey;
use crate::position::Position;
use crate::row::{Lease, StoreReply, StoreRequest};
use crate::time::Millis;

impl Coordinator {
    /// Begins the end of a shard that is consumed: first its children's rows, then `SHARD_END`.
    pub(super) fn finish(
        &mut self,
        key: &LeaseKey,
        command: CommandId,
        children: Vec<ChildShard>,
        final_state: Option<String>,
        now: Millis,
    ) {
        let Some(held) = self.held(key) else { return };
        let uncreated = children.iter().map(|child| LeaseKey::from(&child.shard)).collect();
        held.finishing = Some(Finishing { command, children, uncreated, final_state, retry_at: Some(now) });
        self.retry_children(key, now);
        self.write_next(key, now);
    }

    /// A child's row exists, by this worker or another; anything else is tried again.
    pub(super) fn child_replied(
        &mut self,
        key: &LeaseKey,
        child: &LeaseKey,
        reply: &StoreReply,
        now: Millis,
    ) {
        if let StoreReply::Applied(lease) = reply {
            self.outbox.event(Event::LeaseCreated { key: lease.key.clone() });
        }
        let exists = matches!(reply, StoreReply::Applied(_) | StoreReply::Refused(Some(_)));
        let Some(held) = self.held(key) else { return };
        let Some(finishing) = held.finishing.as_mut() else { return };
        if exists {
            finishing.uncreated.remove(child);
            self.write_next(key, now);
        } else {
            finishing.retry_at = Some(now + RETRY_PAUSE);
        }
    }

    /// Asks for the children's rows that are not known to exist.
    pub(super) fn retry_children(&mut self, key: &LeaseKey, now: Millis) {
        let generation = self.minted_generation(None, now);
        let owner = self.is_member().then(|| self.me.clone());
        let Some(held) = self.held(key) else { return };
        let Some(finishing) = held.finishing.as_mut() else { return };
        if finishing.retry_at.is_none_or(|at| at > now) {
            return;
        }
        finishing.retry_at = None;
        let uncreated = finishing.uncreated.clone();
        let children: Vec<ChildShard> = finishing.children.clone();
        for child in children {
            let child_key = LeaseKey::from(&child.shard);
            if uncreated.contains(&child_key) {
                let mut lease = Lease::new(child_key.clone(), Position::TrimHorizon, generation);
                lease.parents = child.parents;
                lease.hash_range = Some(child.hash_range);
                lease.owner.clone_from(&owner);
                let purpose = Purpose::CreateChild(key.clone(), child_key);
                self.outbox.store(purpose, StoreRequest::CreateLease(Box::new(lease)));
            }
        }
    }
}
