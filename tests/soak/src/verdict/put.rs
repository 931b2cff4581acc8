//! What the producer was told against what lies on the stream.

use std::collections::BTreeMap;

use super::{Evidence, Violation};
use crate::event::AttemptId;
use crate::ledger::{Outcome, Place};

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Option<Violation>> {
    let mut places: BTreeMap<AttemptId, Vec<&Place>> = BTreeMap::new();
    for (place, event) in &evidence.stream.events {
        places.entry(event.attempt()).or_default().push(place);
    }
    let found = |id: &AttemptId| places.get(id).map_or([].as_slice(), Vec::as_slice);
    let mut missing = Vec::new();
    let mut unacknowledged =
        vec![true; usize::try_from(evidence.ledger.events()).expect("counted in memory")];
    for (id, outcome) in evidence.ledger.attempts() {
        if let Outcome::Acknowledged(place) = outcome {
            unacknowledged[usize::try_from(id.event).expect("counted in memory")] = false;
            if found(&id) != [place] {
                missing.push(id);
            }
        }
    }
    let unsettled = (0_u64..).zip(unacknowledged).filter(|(_, is_open)| *is_open);
    let unexpected = places.iter().filter(|(id, places)| match evidence.ledger.outcome(**id) {
        Some(Outcome::Acknowledged(_)) => false,
        Some(Outcome::Unknown) => places.len() > 1,
        Some(Outcome::Refused) | None => true,
    });
    vec![
        Violation::of("an acknowledged event lies on the stream, once, where it was said to", missing),
        Violation::of("every event is acknowledged in the end", unsettled.map(|(event, _)| event)),
        Violation::of(
            "the stream holds nothing that was refused or never put",
            unexpected.map(|(id, _)| *id),
        ),
    ]
}
