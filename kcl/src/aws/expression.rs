//! Conditions and changes of a lease row as DynamoDB expressions.
//!
//! Every name goes through a placeholder, so that no reserved word can ever matter, and every value too.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::{LeaseChange, LeaseCondition, LeaseWrite, Position, WorkerId};

use super::item::{KEY, n, s};
use super::lease_item as column;

/// Expressions under construction, with their names and values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rendered {
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<String>,
    adds: Vec<String>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Rendered {
    /// A placeholder for an attribute name.
    pub(super) fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    /// A placeholder for a value.
    fn value(&mut self, value: AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// Adds a condition that must hold beside the others.
    pub(super) fn require(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    /// Requires `attribute = value`.
    pub(super) fn require_equal(&mut self, attribute: &str, value: AttributeValue) {
        let condition = self.equal(attribute, value);
        self.require(condition);
    }

    /// Sets an attribute.
    pub(super) fn set(&mut self, attribute: &str, value: AttributeValue) {
        let set = format!("{} = {}", self.name(attribute), self.value(value));
        self.sets.push(set);
    }

    /// Adds to a number, which counts as 0 if absent.
    pub(super) fn add(&mut self, attribute: &str, amount: u64) {
        let add = format!("{} {}", self.name(attribute), self.value(n(amount)));
        self.adds.push(add);
    }

    /// The condition expression, if there is any condition.
    pub(super) fn condition_expression(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    /// The update expression, if anything changes.
    pub(super) fn update_expression(&self) -> Option<String> {
        let clauses = [("SET", &self.sets), ("REMOVE", &self.removes), ("ADD", &self.adds)];
        let clauses = clauses.iter().filter(|(_, actions)| !actions.is_empty());
        let clauses: Vec<String> =
            clauses.map(|(keyword, actions)| format!("{keyword} {}", actions.join(", "))).collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }

    /// The names, `None` if there are none: DynamoDB refuses an empty map.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    /// The values, `None` if there are none.
    pub(super) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn equal(&mut self, attribute: &str, value: AttributeValue) -> String {
        format!("{} = {}", self.name(attribute), self.value(value))
    }

    fn absent(&mut self, attribute: &str) -> String {
        format!("attribute_not_exists({})", self.name(attribute))
    }

    fn remove(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.removes.push(name);
    }

    fn set_or_remove(&mut self, attribute: &str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(attribute),
        }
    }

    fn require_worker(&mut self, attribute: &str, worker: Option<&WorkerId>) {
        let condition = match worker {
            Some(worker) => self.equal(attribute, column::worker(worker)),
            None => self.absent(attribute),
        };
        self.require(condition);
    }

    /// Requires a number that counts as 0 if absent.
    fn require_number(&mut self, attribute: &str, number: u64) {
        let equal = self.equal(attribute, n(number));
        let condition = if number == 0 { format!("({equal} OR {})", self.absent(attribute)) } else { equal };
        self.require(condition);
    }

    fn require_all_of(&mut self, condition: &LeaseCondition) {
        match condition {
            LeaseCondition::CounterIs(counter) => self.require_equal(column::COUNTER, n(counter.0)),
            LeaseCondition::OwnerIs(owner) => self.require_worker(column::OWNER, owner.as_ref()),
            LeaseCondition::CheckpointOwnerIs(owner) => {
                self.require_worker(column::CHECKPOINT_OWNER, owner.as_ref());
            }
            LeaseCondition::HeldBy(worker) => {
                let hands_off = self.equal(column::CHECKPOINT_OWNER, column::worker(worker));
                let owns = self.equal(column::OWNER, column::worker(worker));
                let alone = self.absent(column::CHECKPOINT_OWNER);
                self.require(format!("({hands_off} OR ({owns} AND {alone}))"));
            }
            LeaseCondition::NothingPending => {
                let condition = self.absent(column::PENDING);
                self.require(condition);
            }
            LeaseCondition::PendingIs(position) => {
                self.require_equal(column::PENDING, s(position.column()));
                self.require_equal(column::PENDING_SUB, n(position.sub_sequence_column()));
            }
            LeaseCondition::BatchIs(ordinal) => self.require_number(column::BATCH, ordinal.0),
            LeaseCondition::GenerationIs(generation) => {
                self.require_number(column::GENERATION, generation.0);
            }
        }
    }

    fn change(&mut self, change: &LeaseChange) {
        match change {
            LeaseChange::RaiseCounter => self.add(column::COUNTER, 1),
            LeaseChange::Owner(owner) => {
                self.set_or_remove(column::OWNER, owner.as_ref().map(column::worker));
            }
            LeaseChange::CheckpointOwner(owner) => {
                self.set_or_remove(column::CHECKPOINT_OWNER, owner.as_ref().map(column::worker));
            }
            LeaseChange::CountOwnerSwitch => self.add(column::OWNER_SWITCHES, 1),
            LeaseChange::Checkpoint(position) => self.checkpoint(*position),
            LeaseChange::Pending(Some(pending)) => {
                self.set(column::PENDING, s(pending.position.column()));
                self.set(column::PENDING_SUB, n(pending.position.sub_sequence_column()));
                self.set(column::PENDING_STATE, column::binary(&pending.state));
            }
            LeaseChange::Pending(None) => {
                self.remove(column::PENDING);
                self.remove(column::PENDING_SUB);
                self.remove(column::PENDING_STATE);
            }
            LeaseChange::Children(children) => {
                self.set_or_remove(column::CHILDREN, column::shard_set(children));
            }
            LeaseChange::Nonce(nonce) => self.set(column::NONCE, column::nonce(*nonce)),
            LeaseChange::Holder(holder) => self.set_or_remove(column::HOLDER, holder.map(column::nonce)),
            LeaseChange::Generation(generation) => self.set(column::GENERATION, n(generation.0)),
            LeaseChange::Batch(ordinal) => self.set(column::BATCH, n(ordinal.0)),
            LeaseChange::State(pointer) => self.set_or_remove(column::STATE, pointer.clone().map(s)),
            LeaseChange::FinalState(pointer) => self.set(column::FINAL_STATE, s(pointer.as_str())),
            LeaseChange::Failover(failover) => self.set(column::FAILOVER, n(failover.0)),
            LeaseChange::BoundTo(position) => self.set(column::BOUND, s(column::bound(*position))),
            LeaseChange::Halt(reason) => self.set_or_remove(column::HALT, reason.clone().map(s)),
            LeaseChange::Resolution(resolution) => {
                self.set_or_remove(column::RESOLUTION, resolution.map(|resolution| s(resolution.column())));
            }
        }
    }

    fn checkpoint(&mut self, position: Position) {
        self.set(column::CHECKPOINT, s(position.column()));
        self.set(column::CHECKPOINT_SUB, n(position.sub_sequence_column()));
        self.set(column::OWNER_SWITCHES, n(0));
        self.set(column::BOUND, s(column::bound(position)));
    }
}

/// The expressions of a write; a missing row never satisfies them.
pub(super) fn render(write: &LeaseWrite) -> Rendered {
    let mut rendered = Rendered::default();
    let key = rendered.name(KEY);
    rendered.require(format!("attribute_exists({key})"));
    for condition in &write.conditions {
        rendered.require_all_of(condition);
    }
    for change in &write.changes {
        rendered.change(change);
    }
    rendered
}

#[cfg(test)]
mod tests {
    use kcl_core::{Generation, Lease, LeaseKey, Nonce};

    use super::*;

    fn lease() -> Lease {
        Lease::new(LeaseKey::new("shardId-0").expect("valid"), Position::TrimHorizon, Generation(3))
    }

    fn me() -> WorkerId {
        WorkerId::new("me").expect("valid")
    }

    #[test]
    fn a_renewal_is_written_as_the_protocol_says() {
        let rendered = render(&LeaseWrite::renew(&lease(), &me(), Nonce(1)));
        assert_eq!(
            rendered.condition_expression().as_deref(),
            Some(
                "attribute_exists(#leaseKey) AND #leaseCounter = :v0 AND #lhGeneration = :v1 AND \
                 (#checkpointOwner = :v2 OR (#leaseOwner = :v3 AND attribute_not_exists(#checkpointOwner)))"
            )
        );
        assert_eq!(rendered.update_expression().as_deref(), Some("SET #lhNonce = :v5 ADD #leaseCounter :v4"));
        let values = rendered.values().expect("some");
        assert_eq!((values.get(":v2"), values.get(":v5")), (Some(&s("me")), Some(&s(format!("{:032x}", 1)))));
    }

    #[test]
    fn an_absent_ordinal_counts_as_zero() {
        let intent = kcl_core::PendingCheckpoint { position: Position::TrimHorizon, state: "x".into() };
        let write = LeaseWrite::prepare(&lease(), &me(), kcl_core::BatchOrdinal(0), intent, Nonce(1));
        let condition = render(&write).condition_expression().expect("some");
        assert!(condition.contains("AND #lhGeneration = :v1 AND"), "{condition}");
        assert!(condition.ends_with("(#lhBatch = :v4 OR attribute_not_exists(#lhBatch))"), "{condition}");
    }

    #[test]
    fn nothing_is_named_or_valued_in_vain() {
        let rendered = render(&LeaseWrite::release(&lease(), &me(), Nonce(1)));
        let text = format!("{:?} {:?}", rendered.condition_expression(), rendered.update_expression());
        for placeholder in
            rendered.names().expect("some").keys().chain(rendered.values().expect("some").keys())
        {
            assert!(text.contains(placeholder.as_str()), "{placeholder} is unused, which DynamoDB refuses");
        }
    }
}
